"""The language of `_filter` (R4, search_filter.html): its grammar, read into conditions. No SQL.

filter = paramExp / logExp / "not" "(" filter ")"; logExp = filter ("and" / "or") filter, from left to right, neither
binding more than the other. paramPath = name ["[" filter "]"] ["." paramPath]. Raises BadRequest, nothing else.
"""

from __future__ import annotations

import json
import re

from varde.fhir.definitions import SearchParameter, is_type
from varde.fhir.errors import BadRequest
from varde.fhir.search.composite import token_place
from varde.fhir.search.names import MAXIMUM_DEPTH, chained, parameter_of, shown
from varde.fhir.search.query import Compared, Condition, Either, Every, Has, Not, Paired, Question

_OPERATORS = {
    "string": {"eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le"},
    "token": {"eq", "ne", "co", "sw", "ew", "in", "ni", "ss", "sb"},
    "uri": {"eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le"},
    "reference": {"eq", "ne", "re"},
    "date": {"eq", "ne", "gt", "lt", "ge", "le", "ap", "sa", "eb", "po"},
    "number": {"eq", "ne", "gt", "lt", "ge", "le", "ap", "sa", "eb"},
    "quantity": {"eq", "ne", "gt", "lt", "ge", "le", "ap", "sa", "eb"},
    "composite": {"eq"},
    "special": {"eq"},
}
_ALL = set().union(*_OPERATORS.values()) | {"pr"}
_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"(_has:[A-Za-z]+:[\w\-]+:)*[A-Za-z_][\w\-]*(:[A-Za-z]+)?")
_WORD = re.compile(r"[a-z]{2,3}(?=[\s(]|$)")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_TOKEN = re.compile(r'[^\s\])"][^\s\])]*')
_MAXIMUM_LENGTH = 4000
_MAXIMUM_NESTING = 20


def parse_filter(types: tuple[str, ...], text: str, depth: int = 0) -> Question:
    """What a filter asks of resources of `types`. Raises BadRequest."""
    if len(text) > _MAXIMUM_LENGTH:
        raise BadRequest.of(f"_filter takes at most {_MAXIMUM_LENGTH} characters", code="too-long")
    reader = _Reader(text, depth)
    found = reader.logical(types)
    if reader.at != len(text):
        raise reader.fault("the end")
    return found


class _Reader:
    """Reads one filter from left to right."""

    def __init__(self, text: str, depth: int) -> None:
        self.text = text
        self.at = 0
        self.depth = depth
        self._nesting = 0

    def fault(self, wanted: str) -> BadRequest:
        """What is wrong, and where; never the text itself."""
        error = BadRequest.of(f"_filter: {wanted} is expected at character {self.at + 1}")
        assert isinstance(error, BadRequest)
        return error

    def _space(self) -> None:
        self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found[0]

    def _sign(self, sign: str) -> bool:
        if self.text.startswith(sign, self.at):
            self.at += len(sign)
            return True
        return False

    def _word(self, *words: str) -> str | None:
        found = _WORD.match(self.text, self.at)
        if found is None or found[0] not in words:
            return None
        self.at = found.end()
        return found[0]

    def logical(self, types: tuple[str, ...]) -> Question:
        """filter (("and" / "or") filter)*"""
        self._nesting += 1
        if self._nesting > _MAXIMUM_NESTING:
            raise BadRequest.of(f"_filter nests at most {_MAXIMUM_NESTING} deep", code="too-costly")
        self._space()
        left = self._single(types)
        self._space()
        while word := self._word("and", "or"):
            self._space()
            right = self._single(types)
            self._space()
            left = Every((left, right)) if word == "and" else Either((left, right))
        self._nesting -= 1
        return left

    def _single(self, types: tuple[str, ...]) -> Question:
        negated = re.compile(r"not\s*\(").match(self.text, self.at)
        if negated:
            self.at = negated.end()
            return Not(self._closed(types))
        if self._sign("("):
            return self._closed(types)
        return self._expression(types, self.depth)

    def _closed(self, types: tuple[str, ...]) -> Question:
        found = self.logical(types)
        if not self._sign(")"):
            raise self.fault("')'")
        return found

    def _expression(self, types: tuple[str, ...], depth: int) -> Question:
        """paramPath compareOp compValue. What follows a path is read once for each type it may lead to."""
        if depth > MAXIMUM_DEPTH:
            raise BadRequest.of(f"chains are at most {MAXIMUM_DEPTH} links long", code="too-costly")
        name = self._take(_NAME)
        if name is None:
            raise self.fault("the name of a parameter")
        if name.startswith("_has:"):
            parts = name.split(":", 3)
            reference = parameter_of((_typed(parts[1]),), parts[2])
            if reference.kind != "reference":
                raise BadRequest.of(f"'{shown(parts[2])}' is not a reference")
            self.at -= len(parts[3])
            return Has(parts[1], reference, self._expression((parts[1],), depth + 1))
        code, _, modifier = name.partition(":")
        parameter = parameter_of(types, "_id" if code == "id" else code)
        here = self.at
        if self._sign("["):
            if parameter.kind == "composite":
                return self._pair(parameter, types)
        elif not self._sign("."):
            if modifier:
                raise self.fault("'.'")
            return self._comparison(parameter)

        end = here

        def inner(target: str) -> Question:
            nonlocal end
            self.at = here
            also: list[Question] = []
            if self._sign("["):
                also.append(self.logical((target,)))
                if not self._sign("]"):
                    raise self.fault("']'")
            if not self._sign("."):
                raise self.fault("'.'")
            own = self._expression((target,), depth + 1)
            end = self.at
            return Every((*also, own)) if also else own

        nesting = self._nesting
        found = chained(parameter, modifier, inner, "of the filter")
        self.at, self._nesting = end, nesting
        return found

    def _pair(self, parameter: SearchParameter, types: tuple[str, ...]) -> Question:
        """composite[token eq code].component compareOp compValue"""
        components = parameter.bases[0]["components"]
        place = token_place(components)
        names = [component["code"] for component in components]
        self._space()
        token = self._take(_NAME)
        self._space()
        if token not in {names[place], "code"} or self._word("eq") is None:
            raise self.fault(f"'{names[place]} eq'")
        self._space()
        code = self._value()
        self._space()
        if not (self._sign("]") and self._sign(".")):
            raise self.fault("'].'")
        component = self._take(_NAME)
        if component not in names or names.index(component) == place:
            raise self.fault("the name of a component")
        number = names.index(component)
        operator, value = self._operator(components[number]["kind"])
        return Paired(parameter, code, number, operator, value)

    def _operator(self, kind: str) -> tuple[str, str]:
        self._space()
        operator = self._word(*_ALL)
        if operator is None or not (operator == "pr" or operator in _OPERATORS[kind]):
            raise self.fault(f"a comparison of a {kind} ({', '.join(sorted(_OPERATORS[kind]))})")
        self._space()
        return operator, self._value()

    def _value(self) -> str:
        quoted = self._take(_STRING)
        if quoted is not None:
            try:
                text = str(json.loads(quoted, strict=False))
                text.encode()
            except ValueError:
                raise self.fault("a JSON string") from None
            if "\x00" in text:
                raise BadRequest.of("a parameter contains the character U+0000")
            return text
        plain = self._take(_TOKEN)
        if plain is None:
            raise self.fault("a value")
        return plain

    def _comparison(self, parameter: SearchParameter) -> Question:
        operator, value = self._operator(parameter.kind)
        if operator == "pr":
            if value not in {"true", "false"} or parameter.kind in {"composite", "special"}:
                raise self.fault("true or false, of a parameter that has values,")
            return Condition(parameter, "missing", ("false" if value == "true" else "true",))
        if parameter.code == "_filter" or (
            parameter.code in {"_id", "_lastUpdated"} and operator in {"po", "in", "ni"}
        ):
            raise BadRequest.of(f"'{parameter.code}' is not compared so in a _filter", code="not-supported")
        return Compared(parameter, operator, value)


def _typed(name: str) -> str:
    if not is_type(name):
        raise BadRequest.of(f"'{shown(name)}' is not a resource type")
    return name
