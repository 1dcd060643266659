"""The structure of R4's types: one check a type, made from the definitions at its first use.

A check is a closure that knows its members; what is right goes through it without a path being built.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from varde.fhir import structure
from varde.fhir.definitions import is_type
from varde.fhir.fhirpath.values import Node
from varde.fhir.structure import MemberOf
from varde.fhir.validation import bindings, invariants, primitives, references
from varde.fhir.validation.walk import Check, Fault, Faults, Walk, shown

_IGNORED = frozenset({"fhir_comments"})


@cache
def check_of(kind: str) -> Check:
    """The check of a complex type, a resource type or a nested element."""
    if kind == "Resource":
        return _any_resource
    known = structure.members(kind)
    table: dict[str, Check] = {}
    parts: dict[str, str] = {}
    resource = is_type(kind)
    if resource:
        table["resourceType"] = _nothing
    for name in _IGNORED:
        table[name] = _nothing
    for name, member in known.items():
        parts[name] = name if name == member.element else f"{member.element}.ofType({member.type})"
        table[name] = _Lazy(table, name, member)
        if member.primitive:
            table[f"_{name}"] = _Lazy(table, f"_{name}", member)
    required = _required(known)
    choices = _choices(known)
    extends = kind == "Extension"
    hold = invariants.all_hold(kind, structure.constraints_of(kind))
    constraints = structure.constraints_of(kind)
    least = 1 if not resource else 0
    look = table.get

    def check(value: Any, holder: dict[str, Any], walk: Walk) -> Faults:
        if type(value) is not dict:
            return [Fault("structure", "must be an object")]
        faults: list[Fault] | None = None
        for name, inner in value.items():
            one = look(name)
            found = [Fault("structure", f"unknown element '{shown(name)}'")] if one is None else one(inner, value, walk)
            if found is not None:
                if one is not None:
                    part = parts.get(name[1:] if name[:1] == "_" else name) or str(name)
                    for fault in found:
                        fault.parts.append(part)
                if faults is None:
                    faults = found
                else:
                    faults += found
        for names, text, element in required:
            for one_of in names:
                if one_of in value:
                    break
            else:
                faults = faults or []
                faults.append(Fault("required", text, element))
        for choice in choices:
            if not choice.isdisjoint(value):
                faults = _one_choice(choice, value, known, faults)
        if len(value) <= least and (not value or "id" in value):
            faults = faults or []
            faults.append(Fault("structure", "an object may not be empty (ele-1)"))
        if extends:
            if faults is None:
                faults = walk.judge.extension(value) or None
        elif resource and type(meta := value.get("meta")) is dict and "profile" in meta:
            named = walk.judge.named(value, kind, meta["profile"])
            if named:
                faults = named if faults is None else faults + named
        if faults is None:
            if (hold is not None and not hold(value, walk)) or walk.advice:
                return invariants.broken(Node(value, kind), constraints, walk) or None
            return None
        return faults + invariants.broken(Node(value, kind), constraints, walk)

    return check


class _Lazy:
    """A member's check that is made when the member is first seen, and takes its own place in the table then."""

    def __init__(self, table: dict[str, Check], name: str, member: MemberOf) -> None:
        self._table = table
        self._name = name
        self._member = member

    def __call__(self, value: Any, holder: dict[str, Any], walk: Walk) -> Faults:
        made = _member(self._name, self._member)
        self._table[self._name] = made
        return made(value, holder, walk)


def _nothing(value: Any, holder: dict[str, Any], walk: Walk) -> Faults:
    return None


def _required(known: Any) -> list[tuple[tuple[str, ...], str, str]]:
    """(JSON names of which one must be there, what to say, element)."""
    found: dict[str, list[str]] = {}
    for name, member in known.items():
        if member.least > 0:
            found.setdefault(member.element, []).append(name)
            if member.primitive:
                found[member.element].append(f"_{name}")
    return [(tuple(names), f"'{element}' is required", element) for element, names in found.items()]


def _choices(known: Any) -> list[frozenset[str]]:
    """The JSON names of each element of which only one may be given."""
    found: dict[str, set[str]] = {}
    for name, member in known.items():
        names = found.setdefault(member.element, set())
        names.add(name)
        if member.primitive:
            names.add(f"_{name}")
    return [frozenset(names) for names in found.values() if len(names) > 2]


def _one_choice(
    names: frozenset[str], value: dict[str, Any], known: Any, faults: list[Fault] | None
) -> list[Fault] | None:
    given = {name.removeprefix("_") for name in names & value.keys()}
    if len(given) < 2:
        return faults
    element = known[next(iter(given))].element
    fault = Fault("structure", f"only one of the choices of '{element}[x]' may be given", element)
    return [*(faults or ()), fault]


def _member(name: str, member: MemberOf) -> Check:
    """The check of what stands under a JSON name."""
    if not member.allowed:
        return lambda value, holder, walk: [Fault("structure", f"'{shown(name)}' is not allowed here")]
    checks: list[Check] = []
    if name[0] == "_":
        checks.append(check_of("Element"))
    elif member.primitive:
        bound = bindings.check_of(member.type, member.binding) if member.binding else None
        if member.type == "code" and bound is not None:
            checks.append(_bound_code(bound))
        else:
            checks += [primitives.check_of(member.type), *([bound] if bound is not None else [])]
    else:
        checks.append(check_of(member.type))
        if member.type == "Reference":
            checks.append(references.check_of(member.targets))
        elif member.binding and (bound := bindings.check_of(member.type, member.binding)) is not None:
            checks.append(bound)
    if member.constraints and name[0] != "_":
        checks.append(_constrained(member))
    one = checks[0] if len(checks) == 1 else _one_after_another(tuple(checks))
    if not member.repeats:
        return one if name[0] != "_" and not member.primitive else _not_null(one)
    return _array(name, one, member.primitive)


def _bound_code(bound: Check) -> Check:
    """A code of a value set needs no other check; what is none of it is told what is wrong with it as a code."""
    plain = primitives.check_of("code")

    def check(value: Any, holder: dict[str, Any], walk: Walk) -> Faults:
        if type(value) is str and bound(value, holder, walk) is None:
            return None
        return plain(value, holder, walk) or bound(value, holder, walk)

    return check


def _one_after_another(checks: tuple[Check, ...]) -> Check:
    def check(value: Any, holder: dict[str, Any], walk: Walk) -> Faults:
        for one in checks:
            found = one(value, holder, walk)
            if found is not None:
                return found
        return None

    return check


def _constrained(member: MemberOf) -> Check:
    """Constraints that an element has beside those of its type."""
    hold = invariants.all_hold(member.type, member.constraints) if not member.primitive else None

    def check(value: Any, holder: dict[str, Any], walk: Walk) -> Faults:
        if hold is not None and not walk.advice and hold(value, walk):
            return None
        node = Node(value, member.type, member.primitive)
        return invariants.broken(node, member.constraints, walk) or None

    return check


def _not_null(one: Check) -> Check:
    def check(value: Any, holder: dict[str, Any], walk: Walk) -> Faults:
        if value is None:
            return [Fault("structure", "null is not a value")]
        if type(value) is list:
            return [Fault("structure", "must not be an array")]
        return one(value, holder, walk)

    return check


def _array(name: str, one: Check, primitive: bool) -> Check:
    twin_name = name[1:] if name[0] == "_" else f"_{name}"

    def check(value: Any, holder: dict[str, Any], walk: Walk) -> Faults:
        if type(value) is not list:
            return [Fault("structure", "must be an array")]
        if not value:
            return [Fault("structure", "an array may not be empty")]
        faults: list[Fault] | None = None
        for place, item in enumerate(value):
            if item is None:
                twin = holder.get(twin_name) if primitive else None
                aligned = isinstance(twin, list) and place < len(twin) and twin[place] is not None
                found: Faults = None if aligned else [Fault("structure", "null is not a value")]
            else:
                found = one(item, holder, walk)
            if found is not None:
                for fault in found:
                    fault.parts.append(f"[{place}]")
                faults = found if faults is None else faults + found
        return faults

    return check


def _any_resource(value: Any, holder: dict[str, Any], walk: Walk) -> Faults:
    """A resource within another: contained, or an entry of a Bundle or Parameters, which stands for itself."""
    if type(value) is not dict:
        return [Fault("structure", "must be an object")]
    kind = value.get("resourceType")
    if not isinstance(kind, str) or not is_type(kind):
        return [Fault("structure", "resourceType names no resource type of R4")]
    resource, root = walk.resource, walk.root
    listed = holder.get("contained")
    walk.resource = value
    if not isinstance(listed, list) or not any(one is value for one in listed):
        walk.root = value
    try:
        return check_of(kind)(value, holder, walk)
    finally:
        walk.resource, walk.root = resource, root
