"""Each condition of a search as SQL on an alias of `resource`. The gate's predicate stands on every alias.

Values become parameters of the statement, never part of its text, so that the same shape of question is the
same prepared statement.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from varde.fhir.definitions import SearchParameter, is_type, type_number
from varde.fhir.errors import BadRequest
from varde.fhir.gate import Gate, Parameters
from varde.fhir.keys import resource_key, text_key
from varde.fhir.search.composite import keys_of, qualified, token_place
from varde.fhir.search.dates import date_range
from varde.fhir.search.fold import fold
from varde.fhir.search.parse import Chain, Condition, Has, split_values, unescape
from varde.fhir.search.values import (
    clipped,
    identifier_target,
    number_range,
    reference_target,
    system_key,
    text_parameter,
    type_parameter,
)

_TABLES = {
    "token": "index_token", "reference": "index_reference", "string": "index_string", "date": "index_date",
    "number": "index_quantity", "quantity": "index_quantity", "uri": "index_uri",
}  # fmt: skip
_PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")


class Compiler:
    """Builds the conditions of one statement."""

    def __init__(self, gate: Gate, parameters: Parameters, now: datetime) -> None:
        self.gate = gate
        self.parameters = parameters
        self.now = now
        self._aliases = 0

    def alias(self, letter: str) -> str:
        """A fresh alias."""
        self._aliases += 1
        return f"{letter}{self._aliases}"

    def visible(self, alias: str, resource_type: str | None, *, found: bool = False) -> str:
        """The row is of the type, is not deleted, and the gate lets it be seen.

        `found`: the row is found by its key, and the type only checked: the cast keeps the planner from walking all
        of a type for each key, as it does while its statistics know of no row of that type.
        """
        parts = [f"not {alias}.deleted"]
        if resource_type is not None:
            number = self.parameters.add(type_number(resource_type))
            parts.insert(0, f"{alias}.type::int = {number}::int" if found else f"{alias}.type = {number}::smallint")
        predicate = self.gate.predicate(alias, resource_type, self.parameters)
        if predicate != "true":
            parts.append(f"({predicate})")
        return " and ".join(parts)

    def meets(self, alias: str, condition: Condition | Chain | Has, patient: str | None = None) -> str:
        """SQL that holds when the resource at `alias` meets `condition`. `patient` is the placeholder of the
        one patient all matches must belong to, which lets the narrow indexes be used."""
        if isinstance(condition, Chain):
            return self._chain(alias, condition)
        if isinstance(condition, Has):
            return self._has(alias, condition)
        if condition.parameter.code in {"_id", "_lastUpdated"}:
            if condition.modifier == "missing":
                return "false" if condition.values[0] == "true" else "true"
            one = self._same_id if condition.parameter.code == "_id" else self.updated
            test = self._any(condition, lambda v: one(alias, v))
            return f"not {test}" if condition.modifier == "not" else test
        return self._indexed(alias, condition, patient)

    def _same_id(self, alias: str, text: str) -> str:
        return f"{alias}.id = {self.parameters.add(unescape(text))}"

    def updated(self, alias: str, text: str) -> str:
        """Comparison of the column `updated` with one prefixed date."""
        prefix, rest = _prefix(text)
        low, high = _dates(rest)
        low, high = _widened(prefix, low, high, self.now)
        a, b = self.parameters.add(low), self.parameters.add(high)
        column = f"{alias}.updated"
        forms = {
            "eq": f"({column} >= {a} and {column} < {b})",
            "ap": f"({column} >= {a} and {column} < {b})",
            "ne": f"not ({column} >= {a} and {column} < {b})",
            "gt": f"({column} >= {b} and {a}::timestamptz is not null)",
            "sa": f"({column} >= {b} and {a}::timestamptz is not null)",
            "lt": f"({column} < {a} and {b}::timestamptz is not null)",
            "eb": f"({column} < {a} and {b}::timestamptz is not null)",
            "ge": f"({column} >= {a} and {b}::timestamptz is not null)",
            "le": f"({column} < {b} and {a}::timestamptz is not null)",
        }
        return forms[prefix]

    @staticmethod
    def _any(condition: Condition, one: Callable[[str], str]) -> str:
        return "(" + " or ".join(one(value) for value in condition.values) + ")"

    def _indexed(self, alias: str, condition: Condition, patient: str | None) -> str:
        parameter, modifier = condition.parameter, condition.modifier
        if modifier == "missing":
            return self._missing(alias, parameter, patient, missing=condition.values[0] == "true")
        if parameter.kind == "composite":
            return self._any(condition, lambda v: self._composite(alias, parameter, v, patient))
        table, keys = _TABLES[parameter.kind], parameter.keys
        index = self.alias("i")
        if modifier == "text" and parameter.kind in {"token", "reference"}:
            table, keys = "index_string", tuple(map(text_parameter, keys))
            test = self._any(condition, lambda v: self._prefix_of(f"{index}.value", fold(unescape(v))))
        elif modifier == "of-type":
            keys = tuple(map(type_parameter, keys))
            test = self._any(condition, lambda v: self._of_type(index, v))
        else:
            compare = getattr(self, f"_{parameter.kind}")
            test = self._any(condition, lambda v: compare(index, v, modifier, parameter))
        exists = self._exists(alias, table, index, keys, patient, test)
        return f"not {exists}" if modifier == "not" else exists

    def _exists(self, alias: str, table: str, index: str, keys: tuple[int, ...], patient: str | None, test: str) -> str:
        scope = f" and {index}.patient = {patient}" if patient else ""
        if len(keys) == 1:
            named = f"{index}.param = {self.parameters.add(keys[0])}::int"
        else:
            named = f"{index}.param = any({self.parameters.add(list(keys))}::int[])"
        return f"exists (select 1 from {table} {index} where {index}.rid = {alias}.rid and {named}{scope} and {test})"

    def _composite(self, alias: str, parameter: SearchParameter, text: str, patient: str | None) -> str:
        components = parameter.bases[0]["components"]
        parts = split_values(text, "$")
        if len(parts) != len(components):
            raise BadRequest.of(f"'{parameter.code}' takes {len(components)} values parted by $")
        place = token_place(components)
        token = split_values(parts[place], "|")
        if len(token) > 2 or not token[-1]:
            raise BadRequest.of(f"the token of '{parameter.code}' is written code or system|code")
        code = clipped(unescape(token[-1]))
        if len(token) == 2:
            code = qualified(system_key(unescape(token[0])), code)
        tests = []
        for number, component in enumerate(components):
            if number != place:
                index = self.alias("i")
                compare = getattr(self, f"_{component['kind']}")
                test = compare(index, parts[number], None, parameter)
                keys = tuple(keys_of(parameter, number, code))
                tests.append(self._exists(alias, _TABLES[component["kind"]], index, keys, patient, test))
        return "(" + " and ".join(tests) + ")"

    def _missing(self, alias: str, parameter: SearchParameter, patient: str | None, *, missing: bool) -> str:
        index = self.alias("i")
        found = self._exists(alias, _TABLES[parameter.kind], index, parameter.keys, patient, "true")
        if parameter.kind == "token":  # a concept may have its text only
            index, keys = self.alias("i"), tuple(map(text_parameter, parameter.keys))
            found = f"({found} or {self._exists(alias, 'index_string', index, keys, patient, 'true')})"
        return f"not {found}" if missing else found

    def about(self, alias: str, condition: Condition, patient: str) -> str:
        """The resource, known to be in the patient's compartment, is there by the element that `condition` names:
        by literal reference or by the national id that the store has resolved."""
        index = self.alias("i")
        test = f"({index}.target = {patient} or {index}.form = 'i')"
        return self._exists(alias, "index_reference", index, condition.parameter.keys, patient, test)

    def _chain(self, alias: str, chain: Chain) -> str:
        ways = []
        for target, inner in chain.inner:
            index, other = self.alias("f"), self.alias("c")
            ways.append(
                f"exists (select 1 from index_reference {index} join resource {other}"
                f" on {other}.rid = {index}.target where {index}.rid = {alias}.rid"
                f" and {index}.param = {self.parameters.add(chain.parameter.key)}::int"
                f" and {index}.form = 'l' and {self.visible(other, target)}"
                f" and {self.meets(other, inner)})"
            )
        return "(" + " or ".join(ways) + ")"

    def _has(self, alias: str, has: Has) -> str:
        index, other = self.alias("f"), self.alias("h")
        return (
            f"exists (select 1 from index_reference {index} join resource {other} on {other}.rid = {index}.rid"
            f" where {index}.param = {self.parameters.add(has.parameter.key)}::int"
            f" and {index}.target = {alias}.rid and {self.visible(other, has.source)}"
            f" and {self.meets(other, has.inner)})"
        )

    def token_test(self, index: str, text: str) -> str:
        """`code`, `system|code`, `|code` or `system|` against a row of index_token."""
        parts = split_values(text, "|")
        if len(parts) > 2:
            raise BadRequest.of("a token is written code, system|code, |code or system|")
        if len(parts) == 1:
            return f"{index}.code = {self.parameters.add(clipped(unescape(parts[0])))}"
        system = f"{index}.system = {self.parameters.add(system_key(unescape(parts[0])))}::bigint"
        if not parts[1]:
            return system
        return f"({index}.code = {self.parameters.add(clipped(unescape(parts[1])))} and {system})"

    def _token(self, index: str, text: str, modifier: str | None, parameter: Any) -> str:
        return self.token_test(index, text)

    def _of_type(self, index: str, text: str) -> str:
        parts = split_values(text, "|")
        if len(parts) != 3 or not parts[2]:
            raise BadRequest.of(":of-type is written system|code|value")
        system = self.parameters.add(system_key(unescape(parts[0])))
        code = self.parameters.add(clipped(f"{unescape(parts[1])}|{unescape(parts[2])}"))
        return f"({index}.code = {code} and {index}.system = {system}::bigint)"

    def _string(self, index: str, text: str, modifier: str | None, parameter: Any) -> str:
        wanted = unescape(text)
        if modifier == "exact":
            folded = self.parameters.add(fold(wanted))
            return f"({index}.value = {folded} and {index}.exact = {self.parameters.add(wanted[:500])})"
        if modifier in {"contains", "text"}:
            return f"{index}.value like {self.parameters.add('%' + _like(fold(wanted)) + '%')}"
        return self._prefix_of(f"{index}.value", fold(wanted))

    def _prefix_of(self, column: str, start: str) -> str:
        # A range, not LIKE: the index serves it whatever plan is cached.
        low = self.parameters.add(start)
        return f"({column} >= {low} and {column} < {self.parameters.add(start + chr(0x10FFFF))})"

    def _reference(self, index: str, text: str, modifier: str | None, parameter: Any) -> str:
        if modifier == "identifier":
            system, _, value = unescape(text).rpartition("|")
            key = self.parameters.add(identifier_target(system, value))
            return f"({index}.target = {key}::bigint and {index}.form = 'i')"
        wanted = unescape(text)
        if "/" in wanted or ":" in wanted:
            keys = [reference_target(wanted)[0], text_key(wanted)]
        else:
            keys = [resource_key(t, wanted) for t in parameter.targets if is_type(t)]
        return f"{index}.target = any({self.parameters.add(keys)}::bigint[])"

    def _uri(self, index: str, text: str, modifier: str | None, parameter: Any) -> str:
        wanted = clipped(unescape(text))
        if modifier == "below":
            return self._prefix_of(f"{index}.value", wanted)
        if modifier == "contains":
            return f"{index}.value like {self.parameters.add('%' + _like(wanted) + '%')}"
        if modifier == "above":
            return f"starts_with({self.parameters.add(wanted)}::text, {index}.value)"
        return f"{index}.value = {self.parameters.add(wanted)}"

    def _date(self, index: str, text: str, modifier: str | None, parameter: Any) -> str:
        prefix, rest = _prefix(text)
        low, high = _dates(rest)
        low, high = _widened(prefix, low, high, self.now)
        return _ranges(prefix, f"{index}.low", f"{index}.high", self.parameters, low, high)

    def _number(self, index: str, text: str, modifier: str | None, parameter: Any) -> str:
        return self._figures(index, *_prefix(text))

    def _quantity(self, index: str, text: str, modifier: str | None, parameter: Any) -> str:
        parts = split_values(text, "|")
        if len(parts) not in {1, 3}:
            raise BadRequest.of("a quantity is written number or number|system|code")
        prefix, rest = _prefix(parts[0])
        test = self._figures(index, prefix, rest)
        if len(parts) == 3 and parts[2]:
            test += f" and {index}.code = {self.parameters.add(unescape(parts[2]))}"
            if parts[1]:
                test += f" and {index}.system = {self.parameters.add(system_key(unescape(parts[1])))}::bigint"
        return f"({test})"

    def _figures(self, index: str, prefix: str, text: str) -> str:
        try:
            low, high = number_range(text)
            exact = float(text)
        except (ValueError, OverflowError):
            raise BadRequest.of("not a number") from None
        if prefix == "ap":
            margin = abs(exact) * 0.1
            low, high = exact - margin, math.nextafter(exact + margin, math.inf)
        a, b, c = f"{index}.low", f"{index}.high", self.parameters
        if prefix in {"gt", "sa", "lt", "eb", "ge", "le"}:
            # Comparisons are with the number itself; only equality heeds its precision (R4 3.1.1.5.8).
            at = c.add(exact) + "::float8"
            return {
                "gt": f"{b} > {at}", "ge": f"{b} >= {at}", "lt": f"{a} < {at}", "le": f"{a} <= {at}",
                "sa": f"{a} > {at}", "eb": f"{b} < {at}",
            }[prefix]  # fmt: skip
        inside = f"({a} >= {c.add(low)}::float8 and {b} < {c.add(high)}::float8)"
        return f"not {inside}" if prefix == "ne" else inside


def _like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _prefix(text: str) -> tuple[str, str]:
    return (text[:2], text[2:]) if text[:2] in _PREFIXES else ("eq", text)


def _dates(text: str) -> tuple[datetime, datetime]:
    try:
        # A plus sign that a client did not escape arrives as a space.
        return date_range(text if " " not in text[10:] else text[:10] + text[10:].replace(" ", "+"))
    except (ValueError, OverflowError):
        raise BadRequest.of("not a FHIR date") from None


def _widened(prefix: str, low: datetime, high: datetime, now: datetime) -> tuple[datetime, datetime]:
    """`ap` reaches a tenth of the distance from now in both directions (R4's own suggestion)."""
    if prefix != "ap":
        return low, high
    margin = abs(now.astimezone(UTC) - low) / 10
    margin = max(margin, timedelta(0))
    try:
        return low - margin, high + margin
    except OverflowError:
        return low, high


def _ranges(prefix: str, low: str, high: str, parameters: Parameters, a: datetime, b: datetime) -> str:
    """R4's comparison of the ranges [low, high) of the resource and [a, b) that was asked for."""
    if prefix in {"eq", "ap", "ne"}:
        x, y = parameters.add(a), parameters.add(b)
        if prefix == "ap":
            return f"({low} < {y} and {high} > {x})"
        return f"({low} >= {x} and {high} <= {y})" if prefix == "eq" else f"({low} < {x} or {high} > {y})"
    if prefix in {"gt", "sa", "le"}:
        y = parameters.add(b)
        if prefix == "le":
            return f"({low} < {y})"
        return f"({high} > {y})" if prefix == "gt" else f"({low} >= {y})"
    x = parameters.add(a)
    if prefix == "ge":
        return f"({high} > {x})"
    return f"({low} < {x})" if prefix == "lt" else f"({high} <= {x})"
