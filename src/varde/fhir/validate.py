"""Is it a valid R4 resource? Structure, cardinality, datatypes, required codes, references and the invariants
that the base specification puts on every resource.

One walk over the resource along the built structure definitions. Issues name the element and the fault, never
the value that was found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from varde.fhir.definitions import is_type
from varde.fhir.errors import Issue, Unprocessable

_FILE = Path(__file__).parent / "definitions" / "structure.json"
_INTEGERS = {"integer": (-(2**31), 2**31 - 1), "unsignedInt": (0, 2**31 - 1), "positiveInt": (1, 2**31 - 1)}
_ANY_TEXT = r"[ \r\n\t\S]+"
"""The specification's pattern of a string: what the check of control characters has let through anyway."""
_BASE64 = re.compile(r"[\s0-9a-zA-Z+/=]*")
_REFERENCE = re.compile(r"(?:https?://\S+/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?")
_UNSAFE_XHTML = re.compile(r"<\s*(script|iframe|object|embed|form|link|style\s*@import)|\son\w+\s*=|javascript:", re.I)
_SKIPPED = frozenset({"resourceType", "fhir_comments"})
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
MAXIMUM_ISSUES = 50


class _Structure:
    """The loaded definitions: members of each type by JSON name, checks of each primitive."""

    def __init__(self) -> None:
        loaded = json.loads(_FILE.read_text(encoding="utf-8"))
        self._types: dict[str, dict[str, Any]] = loaded["types"]
        self.bindings = {url: frozenset(codes) for url, codes in loaded["bindings"].items()}
        self.primitives = {
            # ASCII: to the specification only space, tab and line ends are white space
            n: re.compile(r, re.ASCII) if r and r != _ANY_TEXT else None
            for n, r in loaded["primitives"].items()
        }
        self._members: dict[str, dict[str, tuple[str, str, Any]]] = {}
        self._required: dict[str, list[tuple[str, tuple[str, ...]]]] = {}

    def known(self, name: str) -> bool:
        """Whether `name` is a complex type or the path of a nested one."""
        return name in self._types

    def members(self, name: str) -> dict[str, tuple[str, str, Any]]:
        """JSON name -> (element, datatype, description), choices written out."""
        found = self._members.get(name)
        if found is None:
            found = {}
            for element, described in self._types[name].items():
                stem = element.removesuffix("[x]")
                for datatype in described["types"]:
                    written = stem + datatype[0].upper() + datatype[1:] if element.endswith("[x]") else stem
                    found[written] = (stem, datatype, described)
            self._members[name] = found
            self._required[name] = [
                (e.removesuffix("[x]"), tuple(w for w, m in found.items() if m[0] == e.removesuffix("[x]")))
                for e, d in self._types[name].items()
                if d["min"] > 0
            ]
        return found

    def required(self, name: str) -> list[tuple[str, tuple[str, ...]]]:
        """(element, JSON names that may bear it) of what must be there."""
        self.members(name)
        return self._required[name]


@lru_cache(maxsize=1)
def _structure() -> _Structure:
    if not _FILE.exists():
        raise RuntimeError("the FHIR definitions are not built: run 'python -m varde.fhir.build'")
    return _Structure()


def validate(resource: Mapping[str, Any]) -> None:
    """Raise Unprocessable with one issue a fault (at most MAXIMUM_ISSUES) unless `resource` is valid R4."""
    faults = faults_of(resource)
    if faults:
        raise Unprocessable(faults)


def faults_of(resource: Mapping[str, Any]) -> list[Issue]:
    """The faults of `resource`, empty when it is valid."""
    walk = _Walk()
    kind = resource.get("resourceType")
    if not is_type(kind):
        return [Issue("structure", "resourceType names no resource type of R4", "Resource.resourceType")]
    walk.complex(resource, str(kind), str(kind), resource)
    return walk.issues


def member(datatype: str, name: str) -> tuple[str, bool] | None:
    """(datatype, whether it repeats) of JSON member `name` of a type; None when the type has no such member."""
    structure = _structure()
    found = structure.members(datatype).get(name) if structure.known(datatype) else None
    return None if found is None else (found[1], found[2]["max"] not in {"0", "1"})


class _Walk:
    def __init__(self) -> None:
        self.issues: list[Issue] = []
        self.structure = _structure()

    def fault(self, code: str, text: str, path: str) -> None:
        if len(self.issues) < MAXIMUM_ISSUES:
            self.issues.append(Issue(code, text, path))

    def complex(self, value: Any, datatype: str, path: str, root: Mapping[str, Any]) -> None:
        if not isinstance(value, dict):
            self.fault("structure", "must be an object", path)
            return
        if datatype == "Resource":
            self._contained(value, path, root)
            return
        if not value or (len(value) == 1 and "resourceType" in value and "." in path):
            self.fault("structure", "an object may not be empty", path)
        members = self.structure.members(datatype)
        chosen: dict[str, str] = {}
        for name, inner in value.items():
            if name in _SKIPPED:
                continue
            plain = name[1:] if name[:1] == "_" else name
            member = members.get(plain)
            if member is None or (name[:1] == "_" and member[1] not in self.structure.primitives):
                self.fault("structure", f"unknown element '{_shown(name)}'", path)
                continue
            element, kind, described = member
            if chosen.setdefault(element, plain) != plain:
                self.fault("structure", f"only one of the choices of '{element}[x]' may be given", path)
            if described["max"] == "0":
                self.fault("structure", f"'{plain}' is not allowed here", path)
            self._member(name, inner, value, kind, described, f"{path}.{plain}", root)
        for element, names in self.structure.required(datatype):
            if not any(n in value or f"_{n}" in value for n in names):
                self.fault("required", f"'{element}' is required", f"{path}.{element}")
        check = _INVARIANTS.get(datatype)
        if check is not None:
            check(self, value, path)

    def _contained(self, value: Mapping[str, Any], path: str, root: Mapping[str, Any]) -> None:
        kind = value.get("resourceType")
        if not is_type(kind):
            self.fault("structure", "resourceType names no resource type of R4", path)
            return
        inside_bundle = root.get("resourceType") in {"Bundle", "Parameters"} and ".contained" not in path
        if not inside_bundle and value.get("contained"):
            self.fault("invariant", "a contained resource contains no other (dom-2)", path)
        self.complex(value, str(kind), path, value if inside_bundle else root)

    def _member(
        self,
        name: str,
        inner: Any,
        holder: Mapping[str, Any],
        kind: str,
        described: Any,
        path: str,
        root: Any,
    ) -> None:
        repeats = described["max"] not in {"0", "1"}
        if inner is None:
            self.fault("structure", "null is not a value", path)
            return
        if repeats != isinstance(inner, list):
            self.fault("structure", "must be an array" if repeats else "must not be an array", path)
            return
        primitive = kind in self.structure.primitives
        if not repeats:
            self._value(name, inner, kind, described, path, root, primitive)
            return
        if not inner:
            self.fault("structure", "an array may not be empty", path)
        twin = holder.get(name[1:] if name[:1] == "_" else f"_{name}") if primitive else None
        for place, item in enumerate(inner):
            where = f"{path}[{place}]"
            if item is None:
                aligned = isinstance(twin, list) and place < len(twin) and twin[place] is not None
                if not (primitive and aligned):
                    self.fault("structure", "null is not a value", where)
                continue
            self._value(name, item, kind, described, where, root, primitive)

    def _value(self, name: str, value: Any, kind: str, described: Any, path: str, root: Any, primitive: bool) -> None:
        if not primitive:
            self.complex(value, kind, path, root)
            if kind == "Reference" and isinstance(value, dict):
                self._reference(value, described.get("targets"), path, root)
        elif name[:1] == "_":
            self.complex(value, "Element", path, root)
        else:
            self._primitive(value, kind, path)
            url = described.get("binding")
            if url and isinstance(value, str) and value not in self.structure.bindings[url]:
                self.fault("code-invalid", f"the code is not of the required value set {url}", path)

    def _primitive(self, value: Any, kind: str, path: str) -> None:
        if kind == "boolean":
            if not isinstance(value, bool):
                self.fault("structure", "must be true or false", path)
        elif kind in _INTEGERS:
            low, high = _INTEGERS[kind]
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                self.fault("value", f"must be a whole number from {low} to {high}", path)
        elif kind == "decimal":
            if isinstance(value, bool) or not isinstance(value, int | float):
                self.fault("structure", "must be a number", path)
        elif not isinstance(value, str):
            self.fault("structure", f"must be a string ({kind})", path)
        elif not value or value.isspace():
            self.fault("value", "a string may not be empty", path)
        elif _CONTROL.search(value):
            self.fault("value", "a string may not have control characters other than tab and line ends", path)
        else:
            self._text(value, kind, path)

    def _text(self, value: str, kind: str, path: str) -> None:
        if kind == "xhtml":
            if not value.lstrip().startswith("<div") or _UNSAFE_XHTML.search(value):
                self.fault("value", "must be one XHTML div without scripts, forms or outside content", path)
        elif kind == "base64Binary":
            if not _BASE64.fullmatch(value):
                self.fault("value", "must be base64", path)
        else:
            pattern = self.structure.primitives.get(kind)
            if pattern is not None and not pattern.fullmatch(value):
                self.fault("value", f"is not a valid {kind}", path)
            elif kind in {"date", "dateTime", "instant"} and len(value) >= 10:
                try:
                    date.fromisoformat(value[:10])
                except ValueError:
                    self.fault("value", "is no day of the calendar", path)

    def _reference(self, value: Mapping[str, Any], targets: Any, path: str, root: Mapping[str, Any]) -> None:
        literal = value.get("reference")
        if isinstance(literal, str) and literal:
            if literal[0] == "#":
                if literal != "#" and not _has_contained(root, literal[1:]):
                    self.fault("invariant", "names a contained resource that is not there (ref-1)", path)
                return
            match = _REFERENCE.fullmatch(literal)
            if match is None and ":" not in literal and "?" not in literal:
                self.fault("value", "a relative reference is written Type/id", f"{path}.reference")
            elif match and ":" not in literal and not is_type(match[1]):
                self.fault("value", "names no resource type of R4", f"{path}.reference")
            elif match and targets and is_type(match[1]) and match[1] not in targets:
                self.fault("structure", f"may not refer to {match[1]}", f"{path}.reference")


def _has_contained(root: Mapping[str, Any], identifier: str) -> bool:
    contained = root.get("contained")
    return isinstance(contained, list) and any(
        isinstance(c, dict) and c.get("id") in {identifier, f"#{identifier}"} for c in contained
    )


def _shown(name: str) -> str:
    return re.sub(r"[^\w\-]", "?", name)[:40]


def _extension(walk: _Walk, value: Mapping[str, Any], path: str) -> None:
    has_value = any(name.startswith(("value", "_value")) for name in value)
    if has_value == bool(value.get("extension")):
        walk.fault("invariant", "an extension has either a value or extensions (ext-1)", path)


def _period(walk: _Walk, value: Mapping[str, Any], path: str) -> None:
    from varde.fhir.search.dates import date_range

    start, end = value.get("start"), value.get("end")
    if isinstance(start, str) and isinstance(end, str):
        try:
            if date_range(start)[0] > date_range(end)[1]:
                walk.fault("invariant", "a period starts before it ends (per-1)", path)
        except ValueError:
            return


def _quantity(walk: _Walk, value: Mapping[str, Any], path: str) -> None:
    if value.get("code") is not None and value.get("system") is None:
        walk.fault("invariant", "a unit's code comes with its system (qty-3)", path)


def _attachment(walk: _Walk, value: Mapping[str, Any], path: str) -> None:
    if value.get("data") is not None and value.get("contentType") is None:
        walk.fault("invariant", "data comes with its content type (att-1)", path)


def _observation(walk: _Walk, value: Mapping[str, Any], path: str) -> None:
    if value.get("dataAbsentReason") is not None and any(n.startswith("value") for n in value):
        walk.fault("invariant", "a reason for absence only where there is no value (obs-6)", path)


def _contact_point(walk: _Walk, value: Mapping[str, Any], path: str) -> None:
    if value.get("value") is not None and value.get("system") is None:
        walk.fault("invariant", "a contact point's value comes with its system (cpt-2)", path)


_INVARIANTS: dict[str, Callable[[_Walk, Mapping[str, Any], str], None]] = {
    "Extension": _extension,
    "Period": _period,
    "Quantity": _quantity,
    "Attachment": _attachment,
    "Observation": _observation,
    "ContactPoint": _contact_point,
}
