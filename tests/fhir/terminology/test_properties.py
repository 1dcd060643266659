"""Filters, hierarchies, words and pages over random code systems: tables, memory and a naive evaluation agree."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fhir.gates import OpenGate
from varde.fhir.store import Store
from varde.fhir.terminology.concepts import words
from varde.fhir.terminology.for_search import SearchTerminology
from varde.fhir.terminology.listed import Listed, Listing
from varde.fhir.terminology.resolving import Resolver
from varde.fhir.terminology.selection import CodeSystem, Filter, Group, Selection

URL = "http://example.no/random"
CODES = ["a", "b", "c", "d", "e", "f"]
WORDS = ["Astma", "astmatisk", "brudd", "Åpent", "øye", "Čáhppe"]


@st.composite
def systems(draw: Any) -> dict[str, Any]:
    """A code system of a few concepts, each below some of those before it, by nesting or by property."""
    size = draw(st.integers(1, len(CODES)))
    nested: dict[str, list[dict[str, Any]]] = {}
    top: list[dict[str, Any]] = []
    for place in range(size):
        concept: dict[str, Any] = {"code": CODES[place]}
        if draw(st.booleans()):
            concept["display"] = " ".join(draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3)))
        parents = draw(st.lists(st.sampled_from(CODES[:place]), max_size=2, unique=True)) if place else []
        own = [{"code": "parent", "valueCode": one} for one in parents[1:]]
        own += [{"code": "p", "valueString": one} for one in draw(st.lists(st.sampled_from("xy"), max_size=2))]
        if draw(st.booleans()):
            own.append({"code": "inactive", "valueBoolean": draw(st.booleans())})
        if own:
            concept["property"] = own
        (nested.setdefault(parents[0], []) if parents else top).append(concept)
        concept["concept"] = nested.setdefault(CODES[place], [])
    system = {
        "resourceType": "CodeSystem", "id": "random", "url": URL, "status": "active", "content": "complete",
        "property": [{"code": "p", "type": "string"}, {"code": "parent", "type": "code"},
                     {"code": "inactive", "type": "boolean"}],
        "concept": top,
    }  # fmt: skip
    return _without_empty(system)


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_empty(inner) for name, inner in value.items() if inner != []}
    return [_without_empty(one) for one in value] if isinstance(value, list) else value


FILTERS = st.one_of(
    st.builds(
        Filter, st.just("concept"),
        st.sampled_from(["is-a", "descendent-of", "is-not-a", "generalizes", "child-of", "descendent-leaf", "="]),
        st.sampled_from([*CODES, "zzz"]),
    ),
    st.builds(Filter, st.sampled_from(["concept", "p", "parent", "child"]), st.sampled_from(["in", "not-in"]),
              st.lists(st.sampled_from([*CODES, "x", "y"]), min_size=1, max_size=3).map(",".join)),
    st.builds(Filter, st.sampled_from(["p", "parent", "child"]), st.just("exists"), st.sampled_from(["true", "false"])),
    st.builds(Filter, st.sampled_from(["code", "p", "display"]), st.just("regex"),
              st.sampled_from(["[abx]", "a|b", ".*", "A.*", "y+"])),
    st.builds(Filter, st.just("p"), st.just("="), st.sampled_from(["x", "y", "z"])),
    st.builds(Filter, st.just("inactive"), st.just("="), st.sampled_from(["true", "false"])),
)  # fmt: skip
GROUPS = st.builds(
    Group, st.lists(FILTERS, max_size=2).map(tuple), st.none() | st.lists(st.sampled_from(CODES), max_size=4).map(tuple)
)
SELECTIONS = st.builds(
    Selection, GROUPS, st.lists(GROUPS, max_size=1).map(tuple),
    st.lists(st.sampled_from(["ast", "astma", "brudd", "åp", "cahp", "a"]), max_size=2).map(tuple),
    st.lists(st.sampled_from(CODES), max_size=1).map(tuple), st.booleans(), st.booleans(),
)  # fmt: skip


class Naive:
    """The plainest reading of a code system: every question is answered by looking at everything."""

    def __init__(self, system: dict[str, Any]) -> None:
        self.order: list[str] = []
        self.concepts: dict[str, dict[str, Any]] = {}
        self.above: dict[str, set[str]] = {}
        self._walk(system["concept"], None)
        for code, concept in self.concepts.items():
            self.above[code] |= {p["valueCode"] for p in concept.get("property", ()) if p["code"] == "parent"}

    def _walk(self, concepts: list[dict[str, Any]], parent: str | None) -> None:
        for concept in concepts:
            code = concept["code"]
            self.order.append(code)
            self.concepts[code] = concept
            self.above[code] = {parent} if parent else set()
            self._walk(concept.get("concept", []), code)

    def ancestors(self, code: str) -> set[str]:
        found = set(self.above.get(code, ()))
        return found | {more for one in found for more in self.ancestors(one)}

    def values(self, code: str, name: str) -> set[str]:
        concept = self.concepts[code]
        if name in {"concept", "code"}:
            return {code}
        if name == "display":
            return {concept["display"]} if "display" in concept else set()
        if name == "parent":
            return self.above[code]
        if name == "child":
            return {one for one in self.order if code in self.above[one]}
        found = {str(p.get("valueString", p.get("valueBoolean"))).replace("True", "true").replace("False", "false")
                 for p in concept.get("property", ()) if p["code"] == name}  # fmt: skip
        return {"true" if "true" in found else "false"} if name == "inactive" else found

    def meets(self, code: str, one: Filter) -> bool:
        value, have = one.value, self.values(code, one.name)
        return bool({
            "is-a": lambda: code == value or value in self.ancestors(code),
            "descendent-of": lambda: value in self.ancestors(code),
            "is-not-a": lambda: not (code == value or value in self.ancestors(code)),
            "generalizes": lambda: code == value or code in self.ancestors(value),
            "child-of": lambda: value in self.above[code],
            "descendent-leaf": lambda: value in self.ancestors(code) and not self.values(code, "child"),
            "=": lambda: value in have,
            "in": lambda: have & set(one.values),
            "not-in": lambda: not have & set(one.values),
            "exists": lambda: bool(have) == (value == "true"),
            "regex": lambda: any(re.fullmatch(value, text) for text in have),
        }[one.op]())  # fmt: skip

    def in_group(self, code: str, group: Group) -> bool:
        return (group.codes is None or code in group.codes) and all(self.meets(code, one) for one in group.filters)

    def select(self, asked: Selection) -> list[str]:
        return [code for code in self.order if self._chosen(code, asked)]

    def _chosen(self, code: str, asked: Selection) -> bool:
        if not self.in_group(code, asked.group) or any(self.in_group(code, left) for left in asked.left_out):
            return False
        if asked.active_only and self.values(code, "inactive") == {"true"}:
            return False
        named = [code, *words(self.concepts[code].get("display", ""))]
        found = all(any(one.startswith(word) for one in named) for word in asked.words)
        return found or code in asked.also


async def same(codes: CodeSystem, naive: Naive, asked: Selection) -> None:
    expected = naive.select(asked)
    assert [one.code for one in await codes.select(asked, 100)] == expected
    assert await codes.count(asked) == len(expected)
    assert [one.code for one in await codes.select(asked, 2, 1)] == expected[1:3]


@pytest.mark.parametrize("examples", [60])
async def test_tables_memory_and_a_naive_reading_agree(store: Store, gate: OpenGate, examples: int) -> None:
    loop = asyncio.get_running_loop()

    async def check(system: dict[str, Any], several: list[Selection]) -> None:
        naive = Naive(system)
        await store.write_many(gate, [system])
        async with store.reading(None) as connection:
            tabled = await Resolver(connection, gate).code_system(URL)
            assert tabled is not None
            for codes in (tabled, Listed(Listing(system), connection)):
                for asked in several:
                    await same(codes, naive, asked)
                up = await codes.relatives(naive.order, up=True, direct=False)
                down = await codes.relatives(naive.order, up=False, direct=False)
                for code in naive.order:
                    assert set(up[code]) == naive.ancestors(code)
                    assert set(down[code]) == {one for one in naive.order if code in naive.ancestors(one)}
            below = await SearchTerminology().descendants(connection, gate, URL, naive.order[0])
            assert {code for _, code in below} == {naive.order[0], *down[naive.order[0]]}

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(systems(), st.lists(SELECTIONS, min_size=1, max_size=4))
    def run(system: dict[str, Any], several: list[Selection]) -> None:
        asyncio.run_coroutine_threadsafe(check(system, several), loop).result(60)

    await asyncio.to_thread(run)
