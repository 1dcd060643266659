"""A code system of the store, asked in the tables of migration 0015. What is seen was decided before: the rid comes
from `resolving.py`, through the gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


def key_of(code: str, *, case_sensitive: bool) -> str:
    """A code as it is compared in its code system."""
    return clipped(code if case_sensitive else code.casefold())


@dataclass(frozen=True, slots=True)
class Tabled:
    """One code system of the store as one request asks it."""

    header: Header
    rid: int
    connection: Any

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
        parameters = Parameters()
        where = await self._where(selection, parameters)
        page = f" limit {parameters.add(limit)} offset {parameters.add(offset)}"
        sql = f"select {_COLUMNS} from terminology_concept c where {where} order by c.number{page}"
        return [_concept(row) for row in await self._fetch(sql, parameters)]

    async def count(self, selection: Selection) -> int:
        """How many there are. Raises Unprocessable."""
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

    async def _where(self, selection: Selection, parameters: Parameters) -> str:
        parts = [f"c.rid = {parameters.add(self.rid)}::bigint"]
        group = await self._group(selection.group, parameters)
        if group != _ALL:
            parts.append(group)
        parts += [f"not ({await self._group(one, parameters)})" for one in selection.left_out]
        if selection.active_only:
            parts.append("not c.inactive")
        if selection.selectable_only:
            parts.append("not c.abstract")
        if selection.words:
            said = " and ".join(_word(word, parameters) for word in sorted(selection.words, key=len, reverse=True))
            if selection.also:
                also = [self._key(code) for code in selection.also]
                said = f"({said} or c.key = any({parameters.add(also)}::text[]))"
            parts.append(said)
        return " and ".join(parts)

    async def _group(self, group: Group, parameters: Parameters) -> str:
        check(group.filters)
        parts = [await self._filtered(one, parameters) for one in group.filters]
        if group.codes is not None:
            keys = [self._key(code) for code in group.codes]
            parts.insert(0, f"c.key = any({parameters.add(keys)}::text[])")
        return " and ".join(parts) if parts else _ALL

    async def _filtered(self, one: Filter, parameters: Parameters) -> str:
        if one.op in HIERARCHICAL:
            return await self._along(one, parameters)
        if one.name in {"parent", "child"}:
            return await self._related(one, parameters)
        if one.name in CODE:
            if one.op == "exists":
                return _truth(one, "true")
            if one.op == "regex":
                return f"c.code ~ {parameters.add(whole(one.value))}"
            keys = [self._key(code) for code in ([one.value] if one.op == "=" else one.values)]
            return _negated(one, f"c.key = any({parameters.add(keys)}::text[])")
        if one.name == "display":
            return _compared(one, "c.display", parameters)
        if one.name in {"inactive", "notSelectable"}:
            column = "c.inactive" if one.name == "inactive" else "c.abstract"
            return _compared(one, f"case when {column} then 'true' else 'false' end", parameters)
        known_property(self.header, one.name)
        positive = Filter(one.name, "in" if one.op == "not-in" else one.op, one.value)
        inner = _ALL if one.op == "exists" else _compared(positive, "p.value", parameters)
        found = (
            f"c.number in (select p.number from terminology_property p where p.rid = c.rid"
            f" and p.property = {parameters.add(one.name)} and {inner})"
        )
        return _truth(one, found) if one.op == "exists" else _negated(one, found)

    async def _numbers(self, codes: Sequence[str]) -> list[int]:
        rows = await self.connection.fetch(
            "select number from terminology_concept where rid = $1 and key = any($2::text[])",
            self.rid, [self._key(code) for code in codes],
        )  # fmt: skip
        return [row["number"] for row in rows]

    async def _along(self, one: Filter, parameters: Parameters) -> str:
        numbers = await self._numbers([one.value])
        if not numbers:
            return _ALL if one.op == "is-not-a" else "false"
        at = f"{parameters.add(numbers[0])}::int"
        under = "select a.descendant from terminology_ancestor a where a.rid = c.rid and a.ancestor"
        below = f"c.number in ({under} = {at}"
        if one.op == "is-a":
            return f"(c.number = {at} or {below}))"
        if one.op == "is-not-a":
            return f"not (c.number = {at} or {below}))"
        if one.op == "generalizes":
            above = "select a.ancestor from terminology_ancestor a where a.rid = c.rid and a.descendant"
            return f"(c.number = {at} or c.number in ({above} = {at}))"
        if one.op == "child-of":
            return f"{below} and a.direct)"
        if one.op == "descendent-leaf":
            leaf = "select 1 from terminology_ancestor l where l.rid = c.rid and l.ancestor = c.number"
            return f"{below}) and not exists ({leaf})"
        return f"{below})"

    async def _related(self, one: Filter, parameters: Parameters) -> str:
        own, other = ("descendant", "ancestor") if one.name == "parent" else ("ancestor", "descendant")
        found = f"select a.{own} from terminology_ancestor a where a.rid = c.rid and a.direct"
        if one.op == "exists":
            return _truth(one, f"c.number in ({found})")
        if one.op == "regex":
            raise Unprocessable.of(f"'regex' cannot be asked of '{one.name}'", code="not-supported")
        numbers = await self._numbers([one.value] if one.op == "=" else one.values)
        return _negated(one, f"c.number in ({found} and a.{other} = any({parameters.add(numbers)}::int[]))")


def _word(word: str, parameters: Parameters) -> str:
    low, high = parameters.add(word), parameters.add(word + chr(0x10FFFF))
    return (
        f"c.number in (select w.number from terminology_word w where w.rid = c.rid"
        f" and w.word >= {low} and w.word < {high})"
    )


def _compared(one: Filter, column: str, parameters: Parameters) -> str:
    if one.op == "exists":
        return _truth(one, f"{column} is not null")
    if one.op == "regex":
        return f"coalesce({column} ~ {parameters.add(whole(one.value))}, false)"
    values = [clipped(one.value)] if one.op == "=" else [clipped(value) for value in one.values]
    return _negated(one, f"coalesce({column} = any({parameters.add(values)}::text[]), false)")


def _negated(one: Filter, test: str) -> str:
    return f"not {test}" if one.op == "not-in" else test


def _truth(one: Filter, test: str) -> str:
    if one.value not in {"true", "false"}:
        raise Unprocessable.of("'exists' is asked with true or false", "ValueSet.compose.include.filter.value")
    return f"({test})" if one.value == "true" else f"not ({test})"


def _concept(row: Any) -> Concept:
    detail = orjson.loads(row["detail"]) if row["detail"] is not None else {}
    return Concept(row["code"], row["display"], row["inactive"], row["abstract"], detail)
