"""The parameters of a history as asked, read once. What a history is stands in `histories.py`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from varde.fhir.errors import BadRequest
from varde.fhir.search.dates import date_range
from varde.fhir.storing.writing import is_id

DEFAULT_COUNT = 20
MAXIMUM_COUNT = 1000
_KNOWN = frozenset(
    {"_since", "_at", "_count", "_list", "_sort", "_page", "_format", "_pretty", "_summary", "_elements"}
)
_NEWEST_FIRST = frozenset({"-_lastUpdated", "none"})


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """What a history is narrowed to (R4 3.1.0.12)."""

    since: datetime | None
    at: tuple[datetime, datetime] | None
    """Half-open period at some moment of which a version was current."""
    count: int
    page: str | None
    list: str | None
    """Id of a List whose items the history is narrowed to."""


def history_query(query: Sequence[tuple[str, str]]) -> HistoryQuery:
    """Raises BadRequest for what a history does not take, and for a parameter that stands twice."""
    asked: dict[str, str] = {}
    for name, value in query:
        if name not in _KNOWN:
            raise BadRequest.of("a history takes _since, _at, _count and _list", code="not-supported")
        if name in asked:
            raise BadRequest.of(f"{name} stands twice")
        if value:
            asked[name] = value
    try:
        since = date_range(asked["_since"].replace(" ", "+"))[0] if "_since" in asked else None
        at = date_range(asked["_at"].replace(" ", "+")) if "_at" in asked else None
    except (ValueError, OverflowError):
        raise BadRequest.of("_since and _at are FHIR dates") from None
    count = asked.get("_count", str(DEFAULT_COUNT))
    if not (count.isascii() and count.isdigit()) or len(count) > 6:
        raise BadRequest.of("_count is a whole number, 0 or more")
    if asked.get("_sort", "none") not in _NEWEST_FIRST:
        raise BadRequest.of("a history is sorted by -_lastUpdated", code="not-supported")
    listed = asked.get("_list", "").removeprefix("List/") or None
    if listed is not None and not is_id(listed):
        raise BadRequest.of("_list names a List by its id", code="not-supported")
    return HistoryQuery(since, at, min(int(count), MAXIMUM_COUNT), asked.get("_page"), listed)
