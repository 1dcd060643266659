"""Which slice an item is of (profiling.html#discriminator)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from varde.fhir.fhirpath import FhirPathError, Node, compile_path
from varde.fhir.fhirpath.model import kinds_of
from varde.fhir.validation import bindings
from varde.fhir.validation.profiles import patterns
from varde.fhir.validation.profiles.tree import Element

if TYPE_CHECKING:
    from varde.fhir.validation.profiles.check import Run

Test = Callable[[Node, "Run"], bool]


def tests_of(sliced: Element, name: str, discriminators: list[dict[str, Any]], run: Run) -> list[Test]:
    """What an item must pass to be of the slice. Without discriminators: conform to the slice."""
    if not discriminators:
        return [lambda item, run: not run.element(sliced, item)]
    found = []
    for one in discriminators:
        kind, path = one.get("type"), str(one.get("path", "$this"))
        if kind == "type":
            found.append(_by_type(sliced, path, run))
        elif kind == "profile":
            found.append(_by_profile(sliced, path, run))
        elif kind == "exists":
            found.append(_by_existence(sliced, path, run))
        else:
            found.append(_by_value(sliced, path, run))
    return found


def _at(item: Node, path: str, run: Run) -> list[Any]:
    if path == "$this":
        return [item]
    try:
        return compile_path(path).evaluate(item, run.walk.context(item))
    except FhirPathError:
        return []


def _steps(path: str) -> list[str]:
    return [step for step in path.split(".") if step and step != "$this"]


def _elements(sliced: Element, steps: list[str], run: Run) -> list[tuple[Element, list[str]]]:
    """The elements on the way to the end of the steps, each with the steps that are left there. Goes on into the
    profiles that types name."""
    found = [(sliced, steps)]
    if not steps:
        return found
    step, rest = steps[0], steps[1:]
    targets = "targetProfile" if step == "resolve()" else "profile"
    for datatype in sliced.types():
        for url in datatype.get(targets, ()):
            profile = run.known.profile(url)
            if profile is not None:
                found += _elements(profile.root, rest if step == "resolve()" else steps, run)
    name = step.partition("(")[0]
    for child in (sliced.children.get(name), sliced.children.get(f"{name}[x]")):
        if child is not None:
            found += _elements(child, rest, run)
            for one in child.slices.values():
                if int(one.definition.get("min", 0)) > 0:
                    found += _elements(one, rest, run)
    return found


def _by_value(sliced: Element, path: str, run: Run) -> Test:
    steps = _steps(path)
    expected: list[tuple[str, Any]] = []
    for element, rest in _elements(sliced, steps, run):
        for stem in ("fixed", "pattern"):
            if stem in element.definition:
                _, value = element.definition[stem]
                expected += [(stem, v) for v in patterns.at(value, rest)]
        if not rest:
            binding = element.definition.get("binding", {})
            if binding.get("strength") == "required" and isinstance(binding.get("valueSet"), str):
                expected.append(("binding", binding["valueSet"]))
    if steps == ["url"]:
        # An extension is known by its url, whether its definition is at hand or not
        urls = [url.partition("|")[0] for datatype in sliced.types() for url in datatype.get("profile", ())]
        expected = [("fixed", url) for url in urls] or expected
    fixed = [one for one in expected if one[0] != "binding"] or expected

    def test(item: Node, run: Run) -> bool:
        values = _at(item, path, run)
        return bool(fixed) and any(_is(value, kind, wanted, run) for value in values for kind, wanted in fixed)

    return test


def _is(value: Any, kind: str, wanted: Any, run: Run) -> bool:
    raw = value.value if isinstance(value, Node) else value
    if kind == "binding":
        codes = run.known.expansion(wanted)
        return codes is not None and bindings.is_member(raw, value.type if isinstance(value, Node) else "code", codes)
    return patterns.is_fixed(raw, wanted) if kind == "fixed" else patterns.has_pattern(raw, wanted)


def _by_type(sliced: Element, path: str, run: Run) -> Test:
    steps = _steps(path)
    resolved = bool(steps) and steps[-1] == "resolve()"
    codes: set[str] = set()
    for element, rest in _elements(sliced, steps[:-1] if resolved else steps, run):
        if rest:
            continue
        for datatype in element.types():
            if resolved:
                for url in datatype.get("targetProfile", ()):
                    codes.add(run.known.type_of(url) or url.rsplit("/", 1)[-1])
            else:
                codes.add(datatype["code"])

    def test(item: Node, run: Run) -> bool:
        if not resolved:
            return any(not kinds_of(v.type).isdisjoint(codes) for v in _at(item, path, run) if isinstance(v, Node))
        before = ".".join(steps[:-1]) or "$this"
        return any(run.target_type(v) in codes for v in _at(item, before, run) if isinstance(v, Node))

    return test


def _by_profile(sliced: Element, path: str, run: Run) -> Test:
    steps = _steps(path)
    resolved = bool(steps) and steps[-1] == "resolve()"
    key = "targetProfile" if resolved else "profile"
    urls: list[str] = []
    for element, rest in _elements(sliced, steps[:-1] if resolved else steps, run):
        if not rest:
            urls += [url for datatype in element.types() for url in datatype.get(key, ())]

    def test(item: Node, run: Run) -> bool:
        return any(run.conforms(v, url) for v in _at(item, path, run) if isinstance(v, Node) for url in urls)

    return test


def _by_existence(sliced: Element, path: str, run: Run) -> Test:
    ends = [element for element, rest in _elements(sliced, _steps(path), run) if not rest]
    absent = any(element.definition.get("max") == "0" for element in ends)
    return lambda item, run: bool(_at(item, path, run)) is not absent
