"""Judging a value by a profile: what the profile says beyond R4's own types."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from varde.fhir import structure
from varde.fhir.definitions import is_type
from varde.fhir.fhirpath import FhirPathError, Node
from varde.fhir.fhirpath.model import Way, kinds_of, ways
from varde.fhir.fhirpath.navigate import child
from varde.fhir.fhirpath.operators import order
from varde.fhir.structure import Constraint, MemberOf
from varde.fhir.validation import bindings, invariants
from varde.fhir.validation.profiles import patterns, slicing
from varde.fhir.validation.profiles.tree import Element, Profile
from varde.fhir.validation.walk import Fault, Walk, shown

Step = Callable[[Node, "Run"], list[Fault]]
_TARGET = re.compile(r"(?:\S*/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/\S+)?", re.ASCII)
_MAXIMUM_DEPTH = 40


class Run:
    """One judging by profiles: what is known, and what was asked already."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.known = walk.known
        self.unknown: set[str] = set()
        """Urls of profiles and value sets that were wanted and are not at hand."""
        self.beside: set[str] = set()
        """Urls, named by the resource, of definitions that are not R4's own."""
        self._done: dict[tuple[int, str], list[Fault]] = {}
        self._depth = 0

    def extension(self, value: dict[str, Any]) -> list[Fault]:
        """The faults of an extension by its definition."""
        url = value.get("url")
        if not isinstance(url, str) or ":" not in url:
            return []  # a part of another extension, whose definition describes it
        profile = self.known.profile(url)
        if profile is None:
            self.unknown.add(url)
            return []
        self._note(url)
        if profile.type != "Extension":
            return [Fault("structure", "the url names a definition that is of no extension", "url")]
        return self.by(profile, Node(value, "Extension"))

    def named(self, value: dict[str, Any], kind: str, urls: Any) -> list[Fault]:
        """The faults of a resource by profiles, as its meta.profile names them."""
        found: list[Fault] = []
        for url in urls if isinstance(urls, list) else ():
            if not isinstance(url, str):
                continue
            profile = self.known.profile(url)
            if profile is None:
                self.unknown.add(url)
                continue
            self._note(url)
            if profile.type not in kinds_of(kind):
                words = f"the profile {profile.url} is of {profile.type}, not of {kind}"
                found.append(Fault("structure", words, "profile", "meta"))
            else:
                found += self.by(profile, Node(value, kind))
        return found

    def _note(self, url: str) -> None:
        if self.known.is_beside(url):
            self.beside.add(url)

    def by(self, profile: Profile, node: Node) -> list[Fault]:
        """The faults of a value by a profile. Asked for again while it is judged, there are none."""
        key = (id(node.value), profile.url)
        if key in self._done or self._depth > _MAXIMUM_DEPTH:
            return self._copies(self._done.get(key, []))
        self._done[key] = []
        found = self.element(profile.root, node)
        for fault in found:
            if "(profile " not in fault.text:
                fault.text += f" (profile {profile.url})"
        self._done[key] = found
        return self._copies(found)

    @staticmethod
    def _copies(faults: list[Fault]) -> list[Fault]:
        """Faults whose paths can grow on their own."""
        return [Fault(f.code, f.text, *f.parts, severity=f.severity) for f in faults]

    def element(self, element: Element, node: Node) -> list[Fault]:
        """The faults of a value by an element of a profile."""
        steps = element.checks.get(node.type)
        if steps is None:
            steps = element.checks[node.type] = _steps(element, node.type, node.primitive, self)
        if not steps:
            return []
        self._depth += 1
        try:
            return [fault for step in steps for fault in step(node, self)]
        finally:
            self._depth -= 1

    def conforms(self, node: Node, url: str) -> bool | None:
        """Whether a value conforms to a profile; None where that is not at hand."""
        profile = self.known.profile(url)
        if profile is None:
            self.unknown.add(url)
            return None
        if profile.type not in kinds_of(node.type):
            return False
        return not any(fault.severity == "error" for fault in self.by(profile, node))

    def member_of(self, item: Any, url: str) -> bool | None:
        """Whether a coded value is of a value set; None where its codes are not at hand."""
        codes = self.known.expansion(url)
        if codes is None:
            self.unknown.add(url)
            return None
        value, kind = (item.value, item.type) if isinstance(item, Node) else (item, "code")
        return bindings.is_member(value, kind, codes)

    def target_type(self, reference: Node) -> str | None:
        """The type of the resource that a Reference names, by the resource or by the reference itself."""
        value = reference.value
        literal = value.get("reference") if isinstance(value, dict) else value
        if isinstance(literal, str) and literal:
            found = self.walk.resolve(literal)
            if found is not None:
                return found.type
            match = _TARGET.fullmatch(literal)
            if match is not None and is_type(match[1]):
                return match[1]
        named = value.get("type") if isinstance(value, dict) else None
        return named if isinstance(named, str) and is_type(named) else None


def _steps(element: Element, kind: str, primitive: bool, run: Run) -> list[Step]:
    """What there is to ask of values of `kind` at this element. Made once a profile and type."""
    definition = element.definition
    found: list[Step] = []
    if "fixed" in definition:
        found.append(_compared(definition["fixed"][1], patterns.is_fixed, "must be the value that the profile fixes"))
    if "pattern" in definition:
        found.append(
            _compared(definition["pattern"][1], patterns.has_pattern, "must have what the profile's pattern has")
        )
    for stem, wrong, words in (("minValue", -1, "less"), ("maxValue", 1, "more")):
        if stem in definition:
            found.append(_limited(definition[stem], wrong, f"is {words} than the profile allows"))
    if isinstance(definition.get("maxLength"), int):
        found.append(_short(definition["maxLength"]))
    binding = definition.get("binding") or {}
    if binding.get("strength") == "required" and isinstance(binding.get("valueSet"), str):
        found.append(_bound(binding["valueSet"]))
    found += _typed(element, kind)
    own = _constraints(element, kind)
    if own:
        found.append(lambda node, run: invariants.broken(node, own, run.walk))
    known = ways(kind) if not primitive else ways("Element")
    for name, inner in element.children.items():
        step = _members(name, inner, kind, known, run)
        if step is not None:
            found.append(step)
    return found


def _compared(wanted: Any, same: Callable[[Any, Any], bool], words: str) -> Step:
    return lambda node, run: [] if same(node.value, wanted) else [Fault("value", words)]


def _limited(limit: tuple[str, Any], wrong: int, words: str) -> Step:
    written, value = limit
    kind = written if structure.is_known(written) else written[:1].lower() + written[1:]
    bound = Node(value, kind, structure.is_primitive(kind))

    def step(node: Node, run: Run) -> list[Fault]:
        try:
            return [Fault("value", words)] if order([node], [bound]) == wrong else []
        except FhirPathError:
            return []

    return step


def _short(most: int) -> Step:
    def step(node: Node, run: Run) -> list[Fault]:
        if isinstance(node.value, str) and len(node.value) > most:
            return [Fault("too-long", f"has more than the {most} characters that the profile allows")]
        return []

    return step


def _bound(url: str) -> Step:
    def step(node: Node, run: Run) -> list[Fault]:
        codes = run.known.expansion(url)
        if codes is None:
            run.unknown.add(url)
            return []
        if node.value is None or bindings.is_member(node.value, node.type, codes):
            return []
        return [Fault("code-invalid", bindings.text(url))]

    return step


def _constraints(element: Element, kind: str) -> list[Constraint]:
    """The profile's own: what R4 says of the type, or of the element, is judged there."""
    base_member = _base(element)
    base = {
        (c.key, c.expression)
        for k in (kind, *kinds_of(kind))
        for c in structure.constraints_of(k)
    } | {(c.key, c.expression) for c in (base_member.constraints if base_member is not None else ())}  # fmt: skip
    return [
        Constraint(str(c.get("key")), str(c.get("severity")), str(c.get("human", "")), c["expression"])
        for c in element.definition.get("constraint", ())
        if isinstance(c, dict) and isinstance(c.get("expression"), str) and (c.get("key"), c["expression"]) not in base
    ]


def _base(element: Element) -> MemberOf | None:
    """What R4 says of the element that the profile is about, where its path tells which."""
    holder, _, name = str(element.definition.get("path") or "").rpartition(".")
    known = structure.members(holder) if structure.is_known(holder) else {}
    return known.get(name) or next((m for m in known.values() if m.element == name.removesuffix("[x]")), None)


def _typed(element: Element, kind: str) -> list[Step]:
    """The types, profiles and targets that the profile allows."""
    types = element.types()
    if not types:
        return []
    of_kind = [t for t in types if t["code"] in kinds_of(kind)]
    found: list[Step] = []
    profiles = [url for t in of_kind for url in t.get("profile", ())]
    if profiles and all(t.get("profile") for t in of_kind):
        found.append(_conforming(profiles))
    base = _base(element)
    targets = [url for t in of_kind if t["code"] == "Reference" for url in t.get("targetProfile", ())]
    if base is not None and {structure.core_url(t) for t in base.targets or ("Resource",)} == set(targets):
        targets = []
    if targets and kind == "Reference" and structure.core_url("Resource") not in targets:
        found.append(_targeted(targets))
    return found


def _conforming(urls: list[str]) -> Step:
    """To one of the profiles at least. With one there is to tell what is wrong; with several only that none fits."""

    def step(node: Node, run: Run) -> list[Fault]:
        profiles = []
        for url in urls:
            profile = run.known.profile(url)
            if profile is None:
                run.unknown.add(url)
                return []
            profiles.append(profile)
        if len(profiles) == 1:
            return run.by(profiles[0], node)
        if any(run.conforms(node, profile.url) for profile in profiles):
            return []
        return [Fault("structure", f"conforms to none of the {len(profiles)} profiles that are allowed here")]

    return step


def _targeted(urls: list[str]) -> Step:
    def step(node: Node, run: Run) -> list[Fault]:
        kinds = {url: run.known.type_of(url) for url in urls}
        unknown = [url for url, kind in kinds.items() if kind is None]
        if unknown:
            run.unknown.update(unknown)
            return []
        if "Resource" in kinds.values():
            return []
        named = run.target_type(node)
        if named is None:
            return []
        if named not in kinds.values():
            return [Fault("structure", f"may not refer to {named}")]
        literal = node.value.get("reference") if isinstance(node.value, dict) else None
        target = run.walk.resolve(literal) if isinstance(literal, str) and literal else None
        if target is None:
            return []
        answers = [run.conforms(target, url) for url, kind in kinds.items() if kind == named]
        if None in answers or any(answers):
            return []
        return [Fault("structure", "refers to a resource that does not conform to the profile which is asked for")]

    return step


def _members(name: str, inner: Element, kind: str, known: Any, run: Run) -> Step | None:
    """What there is to ask of one element of a value: how often, of which types, in which slices, and each item."""
    stem, only = name.removesuffix("[x]"), None
    found = known.get(stem)
    if found is None:
        # `deceasedBoolean` for `deceased[x]`: what is said is about that type alone
        member = structure.members(kind).get(stem)
        if member is None:
            return None
        stem, only, found = member.element, member.type, known[member.element]
    least, most = _number(inner.definition.get("min")), inner.definition.get("max", "*")
    limit = None if most == "*" or not str(most).isdigit() else int(most)
    if least <= _base_least(kind, found) or _is_given(kind, stem):
        least = 0
    allowed = _allowed_types(inner, found)
    sliced = _slices(inner, run) if inner.slices else None

    def step(node: Node, run: Run) -> list[Fault]:
        items = [item for item in child(node, stem) if only is None or item.type == only]
        count = len(items)
        faults: list[Fault] = []
        if count < least:
            faults.append(Fault("required", _too_few(stem, least), stem))
        if limit is not None and count > limit:
            words = "is not allowed here" if limit == 0 else f"may be given {limit} times at most"
            faults.append(Fault("structure", f"'{shown(stem)}' {words}", stem))
        matched = sliced(items, run) if sliced is not None else None
        if matched is not None:
            for fault in matched.faults:
                fault.parts.append(stem)
                faults.append(fault)
        for place, item in enumerate(items):
            own: list[Fault] = []
            if allowed is not None and kinds_of(item.type).isdisjoint(allowed):
                own.append(Fault("structure", f"'{stem}[x]' must be of type {' or '.join(sorted(allowed))}"))
            else:
                own += run.element(inner, item)
            if matched is not None:
                for one in matched.of[place]:
                    own += run.element(one, item)
            part = _part(stem, item, found)
            for fault in own:
                if isinstance(item.holder, list):
                    fault.parts.append(f"[{item.key}]")
                fault.parts.append(part)
            faults += own
        return faults

    return step


def _part(stem: str, item: Node, found: tuple[Way, ...]) -> str:
    return stem if len(found) == 1 else f"{stem}.ofType({item.type})"


def _too_few(stem: str, least: int) -> str:
    return f"'{shown(stem)}' is required" + ("" if least == 1 else f" {least} times")


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _is_given(kind: str, name: str) -> bool:
    """Whether the server itself sets it when the resource is written, so that nobody need send it."""
    return (kind == "Meta" and name in {"lastUpdated", "versionId"}) or (is_type(kind) and name == "id")


def _base_least(kind: str, found: tuple[Way, ...]) -> int:
    member = structure.members(kind).get(found[0].json)
    return member.least if member is not None else 0


def _allowed_types(inner: Element, found: tuple[Way, ...]) -> frozenset[str] | None:
    """The types of a choice that the profile leaves; None where it leaves all."""
    codes = frozenset(t["code"] for t in inner.types() if structure.is_known(t["code"]))
    if len(found) == 1 or not codes:
        return None
    return None if codes >= {way.type for way in found} else codes


class _Matched:
    """Which slices each item is of, and what is wrong with the slicing."""

    def __init__(self, of: list[list[Element]], faults: list[Fault]) -> None:
        self.of = of
        self.faults = faults


def _slices(holder: Element, run: Run) -> Callable[[list[Node], Run], _Matched]:
    rules = holder.definition.get("slicing") or {}
    discriminators = [d for d in rules.get("discriminator", ()) if isinstance(d, dict)]
    every = [
        (name, one, slicing.tests_of(one, name, discriminators, run), _slices(one, run) if one.slices else None)
        for name, one in holder.slices.items()
    ]
    kind, ordered = rules.get("rules", "open"), bool(rules.get("ordered"))

    def match(items: list[Node], run: Run) -> _Matched:
        of: list[list[Element]] = [[] for _ in items]
        counted = dict.fromkeys(holder.slices, 0)
        places: list[int] = []
        members: dict[str, list[int]] = {name: [] for name in holder.slices}
        faults: list[Fault] = []
        for place, item in enumerate(items):
            number = next((n for n, (_, _, tests, _) in enumerate(every) if all(t(item, run) for t in tests)), None)
            if number is None:
                if kind == "closed":
                    faults.append(
                        Fault("structure", "is of none of the slices, and the profile allows no others", f"[{place}]")
                    )
                places.append(len(every))
                continue
            name, one, _, _ = every[number]
            of[place].append(one)
            counted[name] += 1
            members[name].append(place)
            places.append(number)
        if ordered and [p for p in places if p < len(every)] != sorted(p for p in places if p < len(every)):
            faults.append(Fault("structure", "the slices are not in the order of the profile"))
        if kind == "openAtEnd" and places != sorted(places, key=lambda p: p == len(every)):
            faults.append(Fault("structure", "items of no slice may only come last"))
        for name, one, _, inner in every:
            faults += _counted(name, one, counted[name])
            if inner is not None and members[name]:
                deeper = inner([items[place] for place in members[name]], run)
                faults += deeper.faults
                for place, more in zip(members[name], deeper.of, strict=True):
                    of[place] += more
        return _Matched(of, faults)

    return match


def _counted(name: str, one: Element, count: int) -> list[Fault]:
    least, most = _number(one.definition.get("min")), str(one.definition.get("max", "*"))
    if count < least:
        times = f" {least} times" if least > 1 else ""
        return [Fault("required", f"the slice '{shown(name, '/ ')}' is required{times}")]
    if most.isdigit() and count > int(most):
        words = "is not allowed" if most == "0" else f"may be given {most} times at most"
        return [Fault("structure", f"the slice '{shown(name, '/ ')}' {words}")]
    return []
