"""A Subscription resource as what it asks for: topic and filters or plain criteria, channel, payload, limits. Pure.

Source: Subscriptions R5 Backport 1.1 (hl7.fhir.uv.subscriptions-backport), R4 form; R4 Subscription.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from varde.fhir.errors import FhirError, Issue, Unprocessable
from varde.fhir.search.dates import date_range

_IG = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
FILTER = f"{_IG}backport-filter-criteria"
ADDITIONAL = f"{_IG}backport-additional-criteria"
CONTENT = f"{_IG}backport-payload-content"
HEARTBEAT = f"{_IG}backport-heartbeat-period"
TIMEOUT = f"{_IG}backport-timeout"
MAXIMUM = f"{_IG}backport-max-count"
NOTIFICATION = f"{_IG}backport-subscription-notification-r4"
STATUS = f"{_IG}backport-subscription-status-r4"
PROFILE = f"{_IG}backport-subscription"
TOPIC_CANONICAL = f"{_IG}capabilitystatement-subscriptiontopic-canonical"

KEPT = ("status", "criteria", "_criteria", "channel", "end")
"""Members of a Subscription that say what is told, where to, and until when."""
DEFAULT_COUNT = 50
"""Events in one notification where the subscriber sets no maximum."""
MAXIMUM_COUNT = 500
DEFAULT_TIMEOUT = 10
LONGEST_TIMEOUT = 60
SHORTEST_HEARTBEAT = 10
_NOT_OURS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "x-jws-signature",
                       "x-notification-id", "upgrade", "te", "trailer", "expect"})  # fmt: skip


class Channel(StrEnum):
    """How it is told."""

    REST_HOOK = "rest-hook"
    WEBSOCKET = "websocket"


class Content(StrEnum):
    """How much of it is told."""

    EMPTY = "empty"
    ID_ONLY = "id-only"
    FULL = "full-resource"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a Subscription asks for."""

    status: str
    criteria: str
    """A topic's canonical url, or `Type?parameter=value` of R4."""
    filters: tuple[str, ...]
    """Filter criteria on a topic, all of which must hold: `Type?parameter=value` or the parameters alone."""
    channel: Channel
    endpoint: str | None
    headers: tuple[tuple[str, str], ...]
    content: Content | None
    """None: R4's own form, without a Bundle."""
    payload: bool
    """R4's own form: whether the resource goes along."""
    heartbeat: int | None
    """Seconds."""
    timeout: int
    """Seconds."""
    count: int
    """Events in one notification at most."""
    ends: datetime | None

    @property
    def topic(self) -> str | None:
        """The topic's canonical url without a version; None for R4's own criteria."""
        return self.criteria.split("|")[0] if is_canonical(self.criteria) else None


def is_canonical(criteria: str) -> bool:
    """Whether a criteria names a topic."""
    return criteria.startswith(("http://", "https://", "urn:"))


def kept(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a Subscription that decide what happens: `read` understands them alone."""
    return {name: resource[name] for name in KEPT if name in resource}


def same_wish(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two Subscriptions ask for the same, whatever their statuses."""
    return all(one.get(name) == other.get(name) for name in KEPT if name != "status")


def read(resource: Mapping[str, Any]) -> Wanted:
    """What a valid Subscription asks for. Raises Unprocessable where this server cannot do it."""
    channel = resource.get("channel") or {}
    kind = channel.get("type")
    if kind not in set(Channel):
        raise _refused("channels are rest-hook and websocket", "Subscription.channel.type", "not-supported")
    endpoint = channel.get("endpoint")
    if kind == Channel.REST_HOOK and not endpoint:
        raise _refused("a rest-hook has an endpoint", "Subscription.channel.endpoint", "required")
    criteria = str(resource.get("criteria") or "")
    on_criteria = _extensions(resource.get("_criteria"))
    filters = tuple(str(e.get("valueString") or "") for e in on_criteria if e.get("url") in {FILTER, ADDITIONAL})
    content = _value(_extensions(channel.get("_payload")), CONTENT)
    payload = channel.get("payload")
    if payload is not None and payload.split(";")[0] not in {"application/fhir+json", "application/json"}:
        raise _refused("payloads are application/fhir+json", "Subscription.channel.payload", "not-supported")
    if is_canonical(criteria):
        if content not in {None, *Content}:
            raise _refused("content is empty, id-only or full-resource", "Subscription.channel.payload", "value")
        content = Content(content or Content.EMPTY)
    elif content is not None or filters:
        raise _refused("filters and content belong to a topic; criteria names none", "Subscription.criteria", "value")
    extensions = _extensions(channel)
    heartbeat = _number(extensions, HEARTBEAT)
    if heartbeat is not None and heartbeat < SHORTEST_HEARTBEAT:
        raise _refused(f"a heartbeat comes every {SHORTEST_HEARTBEAT} seconds at most", "Subscription.channel", "value")
    return Wanted(
        status=str(resource.get("status") or ""),
        criteria=criteria,
        filters=filters,
        channel=Channel(kind),
        endpoint=endpoint,
        headers=tuple(_header(text) for text in channel.get("header") or ()),
        content=None if content is None else Content(content),
        payload=payload is not None,
        heartbeat=heartbeat,
        timeout=min(max(_number(extensions, TIMEOUT) or DEFAULT_TIMEOUT, 1), LONGEST_TIMEOUT),
        count=min(max(_number(extensions, MAXIMUM) or DEFAULT_COUNT, 1), MAXIMUM_COUNT),
        ends=date_range(resource["end"])[0] if resource.get("end") else None,
    )


def _refused(text: str, expression: str, code: str) -> FhirError:
    return Unprocessable([Issue(code, text, expression)])


def _extensions(element: Any) -> list[Mapping[str, Any]]:
    found = element.get("extension") if isinstance(element, Mapping) else None
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _value(extensions: list[Mapping[str, Any]], url: str) -> Any:
    for extension in extensions:
        if extension.get("url") == url:
            return next((v for name, v in extension.items() if name.startswith("value")), None)
    return None


def _number(extensions: list[Mapping[str, Any]], url: str) -> int | None:
    value = _value(extensions, url)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    name, value = name.strip(), value.strip()
    proper = name.isascii() and name.replace("-", "").replace("_", "").isalnum() and value.isascii()
    if not colon or not proper or not value.isprintable() or name.lower() in _NOT_OURS:
        text = "a header is written Name: value and is none of the request's own"
        raise _refused(text, "Subscription.channel.header", "value")
    return name, value
