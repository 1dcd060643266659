"""How a value that was asked for is compared with a row of an index table: one method a kind of parameter, in SQL.

The ranges and prefixes are R4's (search.html, 3.1.1.4.5 and on). Values become parameters of the statement, never
part of its text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from varde.fhir.definitions import canonical_system
from varde.fhir.errors import BadRequest
from varde.fhir.gate import Parameters
from varde.fhir.search.dates import date_range
from varde.fhir.search.fold import fold
from varde.fhir.search.names import split_values, unescape
from varde.fhir.search.references import reference_keys
from varde.fhir.search.values import base_key, clipped, number_range, system_key
from varde.fhir.ucum import SYSTEM as UCUM
from varde.fhir.ucum import Unit, unit

_PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
_SIGNS = {"eq": "=", "ne": "<>", "gt": ">", "lt": "<", "ge": ">=", "le": "<="}


class Comparing:
    """Tests of one row of an index table, whose alias is `index`."""

    def __init__(self, parameters: Parameters, now: datetime) -> None:
        self.parameters = parameters
        self.now = now

    def token_test(self, index: str, text: str, systems: Iterable[str] = ()) -> str:
        """`code`, `system|code`, `|code` or `system|` against a row of index_token. `systems` are those that plain
        codes of the parameter belong to without saying so."""
        parts = split_values(text, "|")
        if len(parts) > 2:
            raise BadRequest.of("a token is written code, system|code, |code or system|")
        if len(parts) == 1:
            return f"{index}.code = {self.parameters.add(clipped(unescape(parts[0])))}"
        named = unescape(parts[0])
        if not named and not parts[1]:
            raise BadRequest.of("a token is written code, system|code, |code or system|")
        system = f"{index}.system = {self.parameters.add(system_key(named))}::bigint"
        if named in systems:
            system = f"({system} or {index}.system = 0)"
        if not parts[1]:
            return system
        return f"({index}.code = {self.parameters.add(clipped(unescape(parts[1])))} and {system})"

    def codes_test(self, index: str, codes: Iterable[tuple[str, str]], systems: Iterable[str]) -> str:
        """Whether a row of index_token is one of `codes`."""
        own = {canonical_system(system) for system in systems}
        wanted = {(system_key(system), clipped(code)) for system, code in codes}
        wanted |= {(0, clipped(code)) for system, code in codes if canonical_system(system) in own}
        keys = self.parameters.add([system for system, _ in wanted])
        texts = self.parameters.add([code for _, code in wanted])
        return f"({index}.system, {index}.code) in (select * from unnest({keys}::bigint[], {texts}::text[]))"

    def _token(self, index: str, text: str, modifier: str | None, parameter: Any) -> str:
        return self.token_test(index, text, parameter.systems)

    def _of_type(self, index: str, text: str) -> str:
        parts = split_values(text, "|")
        if len(parts) != 3 or not all(parts):
            raise BadRequest.of(":of-type is written system|code|value")
        system = self.parameters.add(system_key(unescape(parts[0])))
        code = self.parameters.add(clipped(f"{unescape(parts[1])}|{unescape(parts[2])}"))
        return f"({index}.code = {code} and {index}.system = {system}::bigint)"

    def _string(self, index: str, text: str, modifier: str | None, parameter: Any) -> str:
        wanted = unescape(text)
        if modifier == "exact":
            folded = self.parameters.add(fold(wanted))
            return f"({index}.value = {folded} and {index}.exact = {self.parameters.add(wanted[:500])})"
        if modifier == "contains":
            return self._like(f"{index}.value", f"%{like(fold(wanted))}%")
        return self._prefix_of(f"{index}.value", fold(wanted))

    def _prefix_of(self, column: str, start: str) -> str:
        # A range, not LIKE: the index serves it whatever plan is cached.
        low = self.parameters.add(start)
        return f"({column} >= {low} and {column} < {self.parameters.add(start + chr(0x10FFFF))})"

    def _like(self, column: str, pattern: str) -> str:
        return f"{column} like {self.parameters.add(pattern)}"

    def _reference(self, index: str, text: str, modifier: str | None, parameter: Any) -> str:
        keys = reference_keys(unescape(text), parameter.targets)
        return f"{index}.target = any({self.parameters.add(keys)}::bigint[])"

    def _uri(self, index: str, text: str, modifier: str | None, parameter: Any) -> str:
        wanted = clipped(unescape(text))
        if modifier and not wanted.lower().startswith(("http:", "https:")):
            # Hierarchies are those of urls; of a urn nothing is above or below but itself (R4 3.1.1.4.15).
            modifier = None
        if modifier == "below":
            return self._prefix_of(f"{index}.value", wanted)
        if modifier == "above":
            return f"{index}.value = any({self.parameters.add(urls_above(wanted))}::text[])"
        return f"{index}.value = {self.parameters.add(wanted)}"

    def _date(self, index: str, text: str, modifier: str | None, parameter: Any) -> str:
        prefix, rest = split_prefix(text)
        return self.date_test(f"{index}.low", f"{index}.high", prefix, rest)

    def date_test(self, low: str, high: str, prefix: str, text: str) -> str:
        """The range [low, high) of a resource against the date `text`; `po` of _filter is an overlap."""
        a, b = dates(text)
        if prefix == "ap":
            a, b = widened(a, b, self.now)
        x, y = self.parameters.add(a), self.parameters.add(b)
        # Each placeholder is used with its type, so that a form which needs one bound only is prepared too.
        x, y = f"{x}::timestamptz", f"{y}::timestamptz"
        return {
            "eq": f"({low} >= {x} and {high} <= {y})",
            "ne": f"({low} < {x} or {high} > {y})",
            "gt": f"({high} > {y} and {x} is not null)",
            "lt": f"({low} < {x} and {y} is not null)",
            "ge": f"({high} > {x} and ({high} > {y} or {low} >= {x}))",
            "le": f"({low} < {y} and ({low} < {x} or {high} <= {y}))",
            "sa": f"({low} >= {y} and {x} is not null)",
            "eb": f"({high} <= {x} and {y} is not null)",
            "ap": f"({low} < {y} and {high} > {x})",
            "po": f"({low} < {y} and {high} > {x})",
        }[prefix]

    def updated(self, alias: str, text: str) -> str:
        """Comparison of the column `updated` with one prefixed date."""
        prefix, rest = split_prefix(text)
        column = f"{alias}.updated"
        return self.date_test(column, f"({column} + interval '1 microsecond')", prefix, rest)

    def _number(self, index: str, text: str, modifier: str | None, parameter: Any) -> str:
        return self._figures(f"{index}.low", f"{index}.high", *split_prefix(text))

    def _quantity(self, index: str, text: str, modifier: str | None, parameter: Any) -> str:
        parts = split_values(text, "|")
        if len(parts) not in {1, 3}:
            raise BadRequest.of("a quantity is written number or number|system|code")
        prefix, rest = split_prefix(parts[0])
        if len(parts) == 1 or not parts[2]:
            test = self._figures(f"{index}.low", f"{index}.high", prefix, rest)
            if len(parts) == 3 and parts[1]:
                test += f" and {index}.system = {self.parameters.add(system_key(unescape(parts[1])))}::bigint"
            return f"({test})"
        system, code = unescape(parts[1]), unescape(parts[2])
        converted = unit(code) if system == UCUM else None
        if converted is not None:
            base = f"{index}.base = {self.parameters.add(base_key(converted))}::int"
            ranges = self._figures(f"{index}.base_low", f"{index}.base_high", prefix, rest, converted)
            return f"({base} and {ranges})"
        own, named = self._figures(f"{index}.low", f"{index}.high", prefix, rest), self.parameters.add(code[:200])
        if not system:
            # Without a system the unit may be meant by its code or as it is shown (R4 3.1.1.4.11).
            return f"({own} and ({index}.code = {named} or {index}.unit = {named}))"
        return (
            f"({own} and {index}.code = {named} and {index}.system = {self.parameters.add(system_key(system))}::bigint)"
        )

    def _figures(self, a: str, b: str, prefix: str, text: str, converted: Unit | None = None) -> str:
        """The range [a, b] of a resource against a number, in the unit that it is converted from."""
        try:
            low, high = number_range(text)
            exact = float(text)
        except (ValueError, OverflowError):
            raise BadRequest.of("not a number") from None
        if prefix == "ap":
            margin = abs(exact) * 0.1
            low, high = exact - margin, math.nextafter(exact + margin, math.inf)
        if converted is not None:
            low, high, exact = converted.base(low), converted.base(high), converted.base(exact)
            high = max(high, math.nextafter(exact, math.inf))
        c = self.parameters
        if prefix in {"gt", "sa", "lt", "eb", "ge", "le"}:
            # Comparisons are with the number itself; only equality heeds its precision (R4 3.1.1.4.6).
            at = c.add(exact) + "::float8"
            return {
                "gt": f"{b} > {at}", "ge": f"{b} >= {at}", "lt": f"{a} < {at}", "le": f"{a} <= {at}",
                "sa": f"{a} > {at}", "eb": f"{b} < {at}",
            }[prefix]  # fmt: skip
        inside = f"({a} >= {c.add(low)}::float8 and {b} < {c.add(high)}::float8)"
        return f"not {inside}" if prefix == "ne" else inside

    def compared(self, kind: str, index: str, operator: str, text: str, parameter: Any) -> str:
        """`operator text` of a _filter against one row. A text of a _filter is quoted, not escaped."""
        if kind == "date":
            return self.date_test(f"{index}.low", f"{index}.high", operator, text)
        if kind == "number":
            return self._figures(f"{index}.low", f"{index}.high", operator, text)
        if kind == "quantity":
            number, bar, rest = text.partition("|")
            return self._quantity(index, operator + number + bar + rest, None, parameter)
        if kind == "string":
            return self._text_test(f"{index}.value", operator, fold(text))
        if kind == "uri":
            return self._text_test(f"{index}.value", operator, clipped(text))
        if kind == "reference":
            test = self._reference(index, text, None, parameter)
            return f"not {test}" if operator == "ne" else test
        if operator in {"co", "sw", "ew"}:
            return self._text_test(f"{index}.code", operator, clipped(text))
        test = self.token_test(index, text, parameter.systems)
        return f"not {test}" if operator == "ne" else test

    def _text_test(self, column: str, operator: str, text: str) -> str:
        if operator == "sw":
            return self._prefix_of(column, text)
        if operator in {"co", "ew"}:
            return self._like(column, f"%{like(text)}" + ("%" if operator == "co" else ""))
        return f"{column} {_SIGNS[operator]} {self.parameters.add(text)}"


def like(text: str) -> str:
    """`text` with LIKE's own signs made plain."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def split_prefix(text: str) -> tuple[str, str]:
    """(prefix, rest): "eq" where none is written."""
    return (text[:2], text[2:]) if text[:2] in _PREFIXES else ("eq", text)


def dates(text: str) -> tuple[datetime, datetime]:
    """The range of moments that a date stands for. Raises BadRequest."""
    try:
        # A plus sign that a client did not escape arrives as a space.
        return date_range(text if " " not in text[10:] else text[:10] + text[10:].replace(" ", "+"))
    except (ValueError, OverflowError):
        raise BadRequest.of("not a FHIR date") from None


def widened(low: datetime, high: datetime, now: datetime) -> tuple[datetime, datetime]:
    """`ap` reaches a tenth of the distance from now in both directions (R4's own suggestion)."""
    margin = max(abs(now.astimezone(UTC) - low) / 10, timedelta(0))
    try:
        return low - margin, high + margin
    except OverflowError:
        return low, high


def urls_above(url: str) -> list[str]:
    """The url and every url above it, at its slashes, with and without the slash."""
    found = {url}
    start = url.find("//") + 2
    place = url.find("/", start)
    while place >= 0:
        found |= {url[:place], url[: place + 1]}
        place = url.find("/", place + 1)
    return sorted(found)
