"""A code system of the store, asked in the tables of migration 0015. What is seen was decided before: the rid comes
from `resolving.py`, through the gate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import orjson

from varde.fhir.errors import Unprocessable
from varde.fhir.gate import Parameters
from varde.fhir.search.values import clipped
from varde.fhir.terminology.concepts import Concept, Header
from varde.fhir.terminology.listed import PATTERN_SECONDS, known_property, whole
from varde.fhir.terminology.selection import CODE, HIERARCHICAL, Filter, Group, Selection, check

_COLUMNS = "c.number, c.code, c.key, c.display, c.inactive, c.abstract, c.detail"
_ALL = "true"
_FEW = 2_000
"""Concepts that are few enough to begin with."""


def key_of(code: str, *, case_sensitive: bool) -> str:
    """A code as it is compared in its code system."""
    return clipped(code if case_sensitive else code.casefold())


@dataclass(frozen=True, slots=True)
class Tabled:
    """One code system of the store as one request asks it."""

    header: Header
    rid: int
    connection: Any
    _rarest: dict[Selection, tuple[int, list[int]] | None] = field(default_factory=dict)
    """(which condition, its numbers) that a selection begins with."""
    _worded: dict[Selection, tuple[int, list[int]]] = field(default_factory=dict)
    """(how many, the first of them) of selections by words alone."""

    @property
    def enumerable(self) -> bool:
        """Whether its concepts can be listed."""
        return self.header.content != "not-present"

    async def find(self, codes: Sequence[str]) -> dict[str, Concept]:
        """The concepts by the code asked for."""
        keys = {code: self._key(code) for code in codes}
        rows = await self.connection.fetch(
            f"select {_COLUMNS} from terminology_concept c where c.rid = $1 and c.key = any($2::text[])"
            " order by c.number desc",
            self.rid, sorted(set(keys.values())),
        )  # fmt: skip
        found = {row["key"]: row for row in rows}
        return {code: _concept(found[key]) for code, key in keys.items() if key in found}

    async def select(self, selection: Selection, limit: int, offset: int = 0) -> list[Concept]:
        """Concepts in order. Raises Unprocessable."""
        if _by_words_alone(selection):
            return await self._numbered(await self._found(selection, limit, offset))
        parameters = Parameters()
        where = await self._where(selection, parameters)
        page = f" limit {parameters.add(limit)} offset {parameters.add(offset)}"
        sql = f"select {_COLUMNS} from terminology_concept c where {where} order by c.number{page}"
        return [_concept(row) for row in await self._fetch(sql, parameters)]

    async def count(self, selection: Selection) -> int:
        """How many there are. Raises Unprocessable."""
        if _by_words_alone(selection):
            await self._found(selection, 0, 0)
            return self._worded[selection][0]
        parameters = Parameters()
        where = await self._where(selection, parameters)
        rows = await self._fetch(f"select count(*) from terminology_concept c where {where}", parameters)
        return int(rows[0][0])

    async def relatives(self, codes: Sequence[str], *, up: bool, direct: bool) -> dict[str, list[str]]:
        """Ancestors or descendants of each code."""
        here, there = ("descendant", "ancestor") if up else ("ancestor", "descendant")
        keys = {code: self._key(code) for code in codes}
        rows = await self.connection.fetch(
            "select c.key, o.code from terminology_concept c"
            f" join terminology_ancestor a on a.rid = c.rid and a.{here} = c.number"
            f" join terminology_concept o on o.rid = a.rid and o.number = a.{there}"
            f" where c.rid = $1 and c.key = any($2::text[]){' and a.direct' if direct else ''} order by o.number",
            self.rid, sorted(set(keys.values())),
        )  # fmt: skip
        found: dict[str, list[str]] = {key: [] for key in keys.values()}
        for row in rows:
            found[row["key"]].append(row["code"])
        return {code: found[key] for code, key in keys.items()}

    def _key(self, code: str) -> str:
        return key_of(code, case_sensitive=self.header.case_sensitive)

    async def _fetch(self, sql: str, parameters: Parameters) -> list[Any]:
        try:
            return list(await self.connection.fetch(sql, *parameters.values, timeout=10 * PATTERN_SECONDS))
        except asyncpg.InvalidRegularExpressionError:
            raise Unprocessable.of("the filter's regular expression cannot be read") from None
        except TimeoutError:
            raise Unprocessable.of("the value set takes too long to expand", code="too-costly") from None

    async def _found(self, selection: Selection, limit: int, offset: int) -> list[int]:
        """Numbers of concepts that words alone find: of the index of words, without a look at the concepts."""
        if selection not in self._worded:
            self._worded[selection] = await self._looked_up(selection, _FEW, 0)
        total, first = self._worded[selection]
        if offset + limit <= len(first) or len(first) == total:
            return first[offset : offset + limit]
        return (await self._looked_up(selection, limit, offset))[1]

    async def _looked_up(self, selection: Selection, limit: int, offset: int) -> tuple[int, list[int]]:
        several = [_said(self.rid, word) for word in selection.words]
        parameters = Parameters()
        driver = await self._driver(selection, several)
        if driver is None:
            found = " intersect ".join(f"(select distinct number from ({make(parameters)}) w)" for make in several)
        else:
            others = [_Test(numbers=make).probed(parameters) for make in several if make is not driver[0]]
            numbers = f"select c.number from unnest({parameters.add(driver[1])}::int[]) c (number)"
            found = f"{numbers} where {' and '.join(others)}" if others else numbers
        page = f"limit {parameters.add(limit)} offset {parameters.add(offset)}"
        rows = await self._fetch(
            f"with found as materialized ({found}) select (select count(*) from found) as total,"
            f" array(select number from found order by number {page}) as page",
            parameters,
        )
        return rows[0]["total"], rows[0]["page"]

    async def _numbered(self, numbers: Sequence[int]) -> list[Concept]:
        rows = await self.connection.fetch(
            f"select {_COLUMNS} from terminology_concept c where c.rid = $1 and c.number = any($2::int[])"
            " order by c.number",
            self.rid, list(numbers),
        ) if numbers else []  # fmt: skip
        return [_concept(row) for row in rows]

    async def _where(self, selection: Selection, parameters: Parameters) -> str:
        """The condition on rows of terminology_concept, named c.

        What is rarest of all that must hold is looked up first, when it is rare, and the rest asked of what it gives:
        the planner, which sees no values, cannot know it.
        """
        tests = await self._group(selection.group)
        tests += [_Test(numbers=_said(self.rid, word)) for word in selection.words if not selection.also]
        several = [test.numbers for test in tests if test.numbers is not None and not test.negated]
        driver = await self._driver(selection, several)
        parts = [f"c.rid = {parameters.add(self.rid)}::bigint"]
        if driver is not None:
            parts.append(f"c.number = any({parameters.add(driver[1])}::int[])")
            tests = [test for test in tests if test.numbers is not driver[0]]
        parts += [test.sql(parameters) if driver is None else test.probed(parameters) for test in tests]
        for group in selection.left_out:
            inner = [test.sql(parameters) for test in await self._group(group)]
            parts.append(f"not ({' and '.join(inner) if inner else _ALL})")
        if selection.active_only:
            parts.append("not c.inactive")
        if selection.selectable_only:
            parts.append("not c.abstract")
        if selection.words and selection.also:
            said = " and ".join(_Test(numbers=_said(self.rid, word)).sql(parameters) for word in selection.words)
            also = [self._key(code) for code in selection.also]
            parts.append(f"({said} or c.key = any({parameters.add(also)}::text[]))")
        return " and ".join(parts)

    async def _driver(self, selection: Selection, several: Sequence[_Make]) -> tuple[_Make, list[int]] | None:
        """The rarest of `several` conditions with its numbers, when they are few."""
        if selection in self._rarest:
            known = self._rarest[selection]
            return None if known is None else (several[known[0]], known[1])
        best: tuple[int, int] | None = None
        for place, make in enumerate(several):
            parameters = Parameters()
            counted = f"select count(*) from ({make(parameters)} limit {_FEW}) few"
            count = int((await self._fetch(counted, parameters))[0][0])
            if count < _FEW and (best is None or count < best[0]):
                best = count, place
        if best is None:
            self._rarest[selection] = None
            return None
        parameters = Parameters()
        rows = await self._fetch(several[best[1]](parameters), parameters)
        numbers = sorted({row[0] for row in rows})
        self._rarest[selection] = best[1], numbers
        return several[best[1]], numbers

    async def _group(self, group: Group) -> list[_Test]:
        check(group.filters)
        tests = [await self._filtered(one) for one in group.filters]
        if group.codes is not None:
            tests.insert(0, self._coded(group.codes))
        return tests

    def _coded(self, codes: Sequence[str], *, negated: bool = False) -> _Test:
        keys = [self._key(code) for code in codes]
        return _Test(plain=lambda parameters: f"c.key = any({parameters.add(keys)}::text[])", negated=negated)

    async def _filtered(self, one: Filter) -> _Test:
        negated = one.op == "not-in"
        if one.op in HIERARCHICAL:
            return await self._along(one)
        if one.name in {"parent", "child"}:
            return await self._related(one)
        if one.op == "exists" and one.value not in {"true", "false"}:
            raise Unprocessable.of("'exists' is asked with true or false", "ValueSet.compose.include.filter.value")
        if one.name in CODE:
            if one.op == "exists":
                return _Test(plain=lambda _: _ALL, negated=one.value == "false")
            if one.op == "regex":
                return _Test(plain=lambda parameters: f"c.code ~ {parameters.add(whole(one.value))}")
            return self._coded([one.value] if one.op == "=" else one.values, negated=negated)
        column = _COLUMN.get(one.name)
        if column is not None:
            return _Test(plain=lambda parameters: _compared(one, column, parameters), negated=negated or _missing(one))
        known_property(self.header, one.name)

        def numbers(parameters: Parameters) -> str:
            named = f"p.rid = {parameters.add(self.rid)}::bigint and p.property = {parameters.add(one.name)}"
            return (
                f"select p.number from terminology_property p where {named} and {_compared(one, 'p.value', parameters)}"
            )

        return _Test(numbers=numbers, negated=negated or _missing(one))

    async def _numbers(self, codes: Sequence[str]) -> list[int]:
        rows = await self.connection.fetch(
            "select number from terminology_concept where rid = $1 and key = any($2::text[])",
            self.rid, [self._key(code) for code in codes],
        )  # fmt: skip
        return [row["number"] for row in rows]

    async def _along(self, one: Filter) -> _Test:
        numbers = await self._numbers([one.value])
        if not numbers:
            return _Test(plain=lambda _: _ALL, negated=one.op != "is-not-a")
        at, rid = numbers[0], self.rid
        column, other = ("ancestor", "descendant") if one.op == "generalizes" else ("descendant", "ancestor")

        def near(parameters: Parameters) -> str:
            found = (
                f"select a.{column} from terminology_ancestor a where a.rid = {parameters.add(rid)}::bigint"
                f" and a.{other} = {parameters.add(at)}::int"
            )
            if one.op == "child-of":
                return f"{found} and a.direct"
            if one.op == "descendent-leaf":
                leaf = "select 1 from terminology_ancestor l where l.rid = a.rid and l.ancestor = a.descendant"
                return f"{found} and not exists ({leaf})"
            if one.op == "descendent-of":
                return found
            return f"select {parameters.add(at)}::int union all ({found})"

        return _Test(numbers=near, negated=one.op == "is-not-a")

    async def _related(self, one: Filter) -> _Test:
        own, other = ("descendant", "ancestor") if one.name == "parent" else ("ancestor", "descendant")
        if one.op == "regex":
            raise Unprocessable.of(f"'regex' cannot be asked of '{one.name}'", code="not-supported")
        if one.op == "exists" and one.value not in {"true", "false"}:
            raise Unprocessable.of("'exists' is asked with true or false", "ValueSet.compose.include.filter.value")
        named = None if one.op == "exists" else await self._numbers([one.value] if one.op == "=" else one.values)

        def numbers(parameters: Parameters) -> str:
            rid = parameters.add(self.rid)
            found = f"select a.{own} from terminology_ancestor a where a.rid = {rid}::bigint and a.direct"
            return found if named is None else f"{found} and a.{other} = any({parameters.add(named)}::int[])"

        return _Test(numbers=numbers, negated=one.op == "not-in" or _missing(one))


_Make = Callable[[Parameters], str]


@dataclass(frozen=True, slots=True)
class _Test:
    """One condition: on a row named c (`plain`), or that its number is among those of a query (`numbers`)."""

    plain: _Make | None = None
    numbers: _Make | None = None
    negated: bool = False

    def sql(self, parameters: Parameters) -> str:
        """As part of a statement."""
        if self.plain is not None:
            test = self.plain(parameters)
        else:
            assert self.numbers is not None
            # offset 0: carried out once and hashed, whatever the planner thinks of it.
            test = f"c.number in (select * from ({self.numbers(parameters)}) found offset 0)"
        return f"not ({test})" if self.negated else test

    def probed(self, parameters: Parameters) -> str:
        """As part of a statement that looks at few rows: asked of each of them."""
        if self.numbers is None:
            return self.sql(parameters)
        numbers = self.numbers(parameters)
        test = f"exists (select 1 from ({numbers}) found (number) where found.number = c.number offset 0)"
        return f"not {test}" if self.negated else test


def _by_words_alone(selection: Selection) -> bool:
    return bool(selection.words) and selection == Selection(words=selection.words)


_COLUMN = {
    "display": "c.display", "inactive": "case when c.inactive then 'true' else 'false' end",
    "notSelectable": "case when c.abstract then 'true' else 'false' end",
}  # fmt: skip


def _said(rid: int, word: str) -> _Make:
    """Concepts of which a word begins with `word`."""

    def numbers(parameters: Parameters) -> str:
        low, high = parameters.add(word), parameters.add(word + chr(0x10FFFF))
        return (
            f"select w.number from terminology_word w where w.rid = {parameters.add(rid)}::bigint"
            f" and w.word >= {low} and w.word < {high}"
        )

    return numbers


def _missing(one: Filter) -> bool:
    return one.op == "exists" and one.value == "false"


def _compared(one: Filter, column: str, parameters: Parameters) -> str:
    """The comparison without its negation."""
    if one.op == "exists":
        return f"{column} is not null"
    if one.op == "regex":
        return f"coalesce({column} ~ {parameters.add(whole(one.value))}, false)"
    values = [clipped(one.value)] if one.op == "=" else [clipped(value) for value in one.values]
    return f"coalesce({column} = any({parameters.add(values)}::text[]), false)"


def _concept(row: Any) -> Concept:
    detail = orjson.loads(row["detail"]) if row["detail"] is not None else {}
    return Concept(row["code"], row["display"], row["inactive"], row["abstract"], detail)
