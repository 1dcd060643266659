"""What HTTP's headers say about a request and an answer: conditions, preferences, validators. Pure.

Sources: R4 3.1.0.1.7 (Prefer), 3.1.0.5 (If-Match), 3.1.0.2 (conditional read); RFC 9110, 13.1; RFC 7240.
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from varde.fhir.errors import BadRequest, PreconditionFailed
from varde.fhir.model import ANY_VERSION, NO_VERSION, Stored

_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_RETURNS = {"minimal": "minimal", "representation": "representation", "operationoutcome": "OperationOutcome"}


def expected_version(headers: Mapping[str, str]) -> int | None:
    """The version that a write expects, by If-Match (a version, or `*` for any) or `If-None-Match: *` (none).

    Raises BadRequest for what is no entity tag, PreconditionFailed for one that no version can have.
    """
    text = headers.get("if-match", "").strip()
    if not text:
        return NO_VERSION if headers.get("if-none-match", "").strip() == "*" else None
    if text == "*":
        return ANY_VERSION
    tag = _TAG.fullmatch(text)
    if tag is None:
        raise BadRequest.of('If-Match names one version: W/"3"')
    number = tag[1]
    if not (number.isascii() and number.isdigit()) or len(number) > 9 or int(number) == 0:
        raise PreconditionFailed.of("If-Match names another version than the current one")
    return int(number)


def is_unchanged(headers: Mapping[str, str], stored: Stored) -> bool:
    """Whether the reader has this very version already (If-None-Match; without it, If-Modified-Since)."""
    tags = headers.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or str(stored.version) in _TAG.findall(tags)
    since = headers.get("if-modified-since")
    if not since:
        return False
    try:
        return stored.updated.replace(microsecond=0) <= email.utils.parsedate_to_datetime(since)
    except (TypeError, ValueError):
        return False  # an unreadable date is no condition (RFC 9110, 13.1.3)


def http_date(moment: datetime) -> str:
    """`moment` as HTTP writes it."""
    return _http_second(moment.replace(microsecond=0))


@lru_cache(maxsize=4096)
def _http_second(moment: datetime) -> str:
    return email.utils.format_datetime(moment.astimezone(UTC), usegmt=True)


def validators(stored: Stored) -> dict[str, str]:
    """ETag and Last-Modified of a version."""
    return {"etag": stored.etag, "last-modified": http_date(stored.updated)}


@dataclass(frozen=True, slots=True)
class Preference:
    """What a client prefers (RFC 7240). Words that are not known are left aside, as the RFC wants."""

    returns: str | None = None
    """minimal, representation or OperationOutcome."""
    lenient: bool = False
    """Whether unknown search parameters are passed over, with a warning."""


def preference(headers: Mapping[str, str]) -> Preference:
    """What the header Prefer says; the first of two that contradict each other holds."""
    text = headers.get("prefer")
    if not text:
        return Preference()
    found: dict[str, str] = {}
    for part in re.split(r"[,;]", text):
        name, _, value = part.partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"').lower())
    return Preference(_RETURNS.get(found.get("return", "")), found.get("handling") == "lenient")
