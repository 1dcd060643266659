"""Notifications as the backport writes them for R4: a history Bundle whose first entry is a Parameters with the
subscription's status. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import orjson

from varde.fhir.model import Stored
from varde.fhir.splice import instant
from varde.fhir.subscriptions.events import Event
from varde.fhir.subscriptions.model import NOTIFICATION, STATUS, Content
from varde.fhir.subscriptions.state import State

HANDSHAKE, HEARTBEAT, EVENTS = "handshake", "heartbeat", "event-notification"
QUERY_STATUS, QUERY_EVENT = "query-status", "query-event"
_METHODS = {"c": ("POST", "201"), "u": ("PUT", "200"), "d": ("DELETE", "204")}


def status(
    base: str,
    subscription: State,
    kind: str,
    *,
    number: int | None = None,
    events: Sequence[Event] = (),
    seen: Mapping[int, Stored] | None = None,
    content: Content = Content.EMPTY,
    error: str | None = None,
) -> dict[str, Any]:
    """The Parameters. `number` is how many events there are, this notification's included. An event whose resource is
    not among `seen` is told by its number alone."""
    said: list[dict[str, Any]] = [
        {"name": "subscription", "valueReference": {"reference": f"{base}/{subscription.reference}"}}
    ]
    topic = subscription.wanted.topic
    if topic is not None and (content is not Content.EMPTY or not events):
        said.append({"name": "topic", "valueCanonical": topic})
    said += [
        {"name": "status", "valueCode": subscription.status},
        {"name": "type", "valueCode": kind},
        {
            "name": "events-since-subscription-start",
            "valueString": str(subscription.numbered if number is None else number),
        },
    ]
    for event in events:
        parts: list[dict[str, Any]] = [
            {"name": "event-number", "valueString": str(event.number)},
            {"name": "timestamp", "valueInstant": instant(event.at)},
        ]
        if content is not Content.EMPTY and seen is not None and event.resource in seen:
            parts.append({"name": "focus", "valueReference": {"reference": f"{base}/{event.reference}"}})
        said.append({"name": "notification-event", "part": parts})
    if error is not None:
        said.append({"name": "error", "valueCodeableConcept": {"text": error}})
    return {"resourceType": "Parameters", "meta": {"profile": [STATUS]}, "parameter": said}


def bundle(
    base: str,
    name: str,
    at: datetime,
    subscription: State,
    kind: str,
    *,
    number: int | None = None,
    events: Sequence[Event] = (),
    seen: Mapping[int, Stored] | None = None,
    content: Content = Content.EMPTY,
) -> bytes:
    """The notification. `name` is the same whenever it is sent again, and its id is made from it."""
    identity = str(uuid5(NAMESPACE_URL, f"{base}/{name}"))
    first = status(base, subscription, kind, number=number, events=events, seen=seen, content=content)
    entries: list[dict[str, Any]] = [
        {
            "fullUrl": f"urn:uuid:{identity}",
            "resource": {"id": identity, **first},
            "request": {"method": "GET", "url": f"{subscription.reference}/$status"},
            "response": {"status": "200"},
        }
    ]
    if content is Content.FULL and seen:
        # Each resource once, as it is now, in the order of the last event that tells of it.
        last = {event.resource: event for event in events if event.resource in seen}
        entries += [_entry(base, event, seen[rid]) for rid, event in sorted(last.items(), key=lambda i: i[1].number)]
    return orjson.dumps(
        {
            "resourceType": "Bundle",
            "id": identity,
            "meta": {"profile": [NOTIFICATION]},
            "type": "history",
            "timestamp": instant(at),
            "entry": entries,
        }
    )


def _entry(base: str, event: Event, stored: Stored) -> dict[str, Any]:
    method, code = _METHODS["d" if stored.deleted else "u" if event.change == "d" else event.change]
    entry: dict[str, Any] = {"fullUrl": f"{base}/{event.reference}"}
    if not stored.deleted:
        entry["resource"] = orjson.Fragment(stored.body)
    entry["request"] = {"method": method, "url": event.type if method == "POST" else event.reference}
    entry["response"] = {"status": code, "etag": stored.etag, "lastModified": stored.last_updated}
    return entry
