"""Which subscriptions a change is told to: their criteria compiled once, found by what must stand in the resource.

A change is held only against subscriptions that could match it: those of its type, and of these, by a table of
handles (a code, a reference), those whose handle the resource bears. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from varde.fhir.errors import BadRequest, FhirError, Unprocessable
from varde.fhir.subscriptions.criteria import Criteria, Facts, Handle, compile_criteria, split
from varde.fhir.subscriptions.model import Wanted, is_canonical
from varde.fhir.subscriptions.topics import Topic, Trigger, find


@dataclass(frozen=True, slots=True)
class Rule:
    """One way in which a change matches a subscription."""

    on: frozenset[str]
    """create, update, delete."""
    previous: Criteria | None
    current: Criteria | None
    filters: tuple[Criteria, ...]
    """On the version after; of a deletion, on the one before."""

    def matches(self, before: Facts | None, after: Facts | None) -> bool:
        """Whether it does. `before` is None for a creation, `after` for a deletion: then a condition on it holds
        for `previous` and fails for `current` (R5: resultForCreate test-passes, resultForDelete test-fails)."""
        change = "create" if before is None else "delete" if after is None else "update"
        if change not in self.on:
            return False
        if self.previous is not None and before is not None and not self.previous.meets(before):
            return False
        if self.current is not None and (after is None or not self.current.meets(after)):
            return False
        present = after or before
        return present is not None and all(one.meets(present) for one in self.filters)

    @property
    def handles(self) -> frozenset[Handle] | None:
        """What one of the versions bears, whatever matches; None when nothing can be said."""
        known = [c.handles for c in (self.current, *self.filters) if c is not None and c.handles is not None]
        return min(known, key=len) if known else None


def rules(wanted: Wanted) -> dict[str, list[Rule]]:
    """By type the rules of a subscription. Raises Unprocessable for what cannot be asked for."""
    try:
        if not is_canonical(wanted.criteria):
            kind, query = split(wanted.criteria)
            _check_type(kind)
            on = frozenset({"create", "update"})  # R4: resources that are created or updated
            return {kind: [Rule(on, None, compile_criteria(kind, query), ())]}
        topic = find(wanted.criteria)
        if topic is None:
            raise BadRequest.of("no such topic; Subscription/$topics lists those that are", code="not-found")
        found: dict[str, list[Rule]] = {}
        for trigger in topic.triggers:
            _check_type(trigger.resource)
            filters = tuple(_filters(topic, trigger.resource, wanted.filters))
            found.setdefault(trigger.resource, []).append(_rule(trigger, filters))
        return found
    except FhirError as error:
        if isinstance(error, Unprocessable):
            raise
        raise Unprocessable([replace(one, expression="Subscription.criteria") for one in error.issues]) from None


def _check_type(kind: str) -> None:
    if kind == "Subscription":  # what is told changes the Subscription itself
        raise BadRequest.of("changes of subscriptions are not subscribed to; $status tells", code="not-supported")


def _rule(trigger: Trigger, filters: tuple[Criteria, ...]) -> Rule:
    previous = compile_criteria(trigger.resource, trigger.previous) if trigger.previous else None
    current = compile_criteria(trigger.resource, trigger.current) if trigger.current else None
    return Rule(frozenset(trigger.on), previous, current, filters)


def _filters(topic: Topic, resource_type: str, texts: Iterable[str]) -> Iterable[Criteria]:
    kinds = {trigger.resource for trigger in topic.triggers}
    for text in texts:
        head, mark, query = text.partition("?")
        kind = head if mark else None
        if kind is None:
            query = text
            if len(kinds) > 1:
                raise BadRequest.of("the topic has several types: write Type?parameter=value")
        elif kind not in kinds:
            raise BadRequest.of("the filter is on a type that the topic does not have")
        if kind in {None, resource_type}:
            compiled = compile_criteria(resource_type, query)
            unknown = compiled.codes - set(topic.filters.get(resource_type, ()))
            if unknown:
                raise BadRequest.of(f"the topic cannot be filtered by '{min(unknown)}'", code="not-supported")
            yield compiled


@dataclass(slots=True)
class _OfType:
    """The rules of one type: those found by a handle, and those held against everything."""

    by_handle: dict[Handle, list[tuple[int, Rule]]] = field(default_factory=dict)
    rest: list[tuple[int, Rule]] = field(default_factory=list)


class Matcher:
    """All live subscriptions of a moment."""

    def __init__(self, subscriptions: Mapping[int, Mapping[str, list[Rule]]]) -> None:
        self._types: dict[str, _OfType] = {}
        for rid, by_type in subscriptions.items():
            for kind, some in by_type.items():
                held = self._types.setdefault(kind, _OfType())
                for rule in some:
                    handles = rule.handles
                    if handles is None:
                        held.rest.append((rid, rule))
                    else:
                        for handle in handles:
                            held.by_handle.setdefault(handle, []).append((rid, rule))
        self.types = frozenset(self._types)

    def matches(self, resource_type: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> set[int]:
        """The subscriptions (rids) that a change from `old` to `new` is told to."""
        held = self._types.get(resource_type)
        if held is None:
            return set()
        before = Facts(resource_type, old) if old is not None else None
        after = Facts(resource_type, new) if new is not None else None
        present = after or before
        if present is None:
            return set()
        found = {rid for rid, rule in held.rest if rule.matches(before, after)}
        if held.by_handle:
            for handle in dict.fromkeys(present.handles()):
                for rid, rule in held.by_handle.get(handle, ()):
                    if rid not in found and rule.matches(before, after):
                        found.add(rid)
        return found
