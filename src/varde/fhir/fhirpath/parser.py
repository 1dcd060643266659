"""FHIRPath text to a tree, by operator precedence (FHIRPath 2.0, section 6.8 and its grammar)."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from varde.fhir.fhirpath.syntax import (
    Binary,
    Call,
    FhirPathError,
    Indexer,
    Literal,
    Member,
    Special,
    Tree,
    TypeTest,
    Unary,
    Variable,
)
from varde.fhir.fhirpath.values import Quantity, Temporal

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<time>@T[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?)
    |(?P<date>@[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2})?)?
        (?:T(?:[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?)
    |(?P<number>[0-9]+(?:\.[0-9]+)?)
    |(?P<string>'(?:\\.|[^'\\])*')
    |(?P<quoted>`(?:\\.|[^`\\])*`|"(?:\\.|[^"\\])*")
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<special>\$(?:this|index|total)\b)
    |(?P<variable>%(?:[A-Za-z_][A-Za-z0-9_\-]*|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`|"(?:\\.|[^"\\])*"))
    |(?P<symbol><=|>=|!=|!~|[-+*/&|=~<>().,\[\]{}])""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_PRECEDENCE = {
    "implies": 1, "or": 2, "xor": 2, "and": 3, "in": 4, "contains": 4, "=": 5, "~": 5, "!=": 5, "!~": 5,
    "<=": 6, "<": 6, ">": 6, ">=": 6, "|": 7, "is": 8, "as": 8, "+": 9, "-": 9, "&": 9, "*": 10, "/": 10,
    "div": 10, "mod": 10,
}  # fmt: skip
_UNARY = 11
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_UNITS = {
    f"{name}{plural}": name
    for name in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    for plural in ("", "s")
}
MAXIMUM_LENGTH = 50_000
MAXIMUM_DEPTH = 60

_Token = tuple[str, str]


@lru_cache(maxsize=4096)
def parse(text: str) -> Tree:
    """The tree of an expression. Raises FhirPathError with the place of what cannot be read."""
    if len(text) > MAXIMUM_LENGTH:
        raise FhirPathError(f"a FHIRPath expression has at most {MAXIMUM_LENGTH} characters")
    parser = _Parser(_tokens(text))
    tree = parser.expression(0)
    parser.finish()
    return tree


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise FhirPathError(f"not FHIRPath at character {place + 1}")
        if match.lastgroup != "space":
            found.append((str(match.lastgroup), match[0]))
        place = match.end()
    return found


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        return chr(int(match[1][1:], 16)) if len(match[1]) == 5 else _ESCAPES.get(match[1], match[1])

    return re.sub(r"\\(u[0-9A-Fa-f]{4}|.)", one, text, flags=re.DOTALL)


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._place = 0
        self._depth = 0

    def finish(self) -> None:
        if self._place < len(self._tokens):
            raise FhirPathError(f"the expression should end before its token {self._place + 1}")

    def _peek(self, ahead: int = 0) -> _Token:
        place = self._place + ahead
        return self._tokens[place] if place < len(self._tokens) else ("end", "")

    def _next(self) -> _Token:
        token = self._peek()
        self._place += 1
        return token

    def _expect(self, text: str) -> None:
        if self._next() != ("symbol", text):
            raise FhirPathError(f"'{text}' is missing at token {self._place}")

    def expression(self, least: int) -> Tree:
        self._depth += 1
        if self._depth > MAXIMUM_DEPTH:
            raise FhirPathError("the expression is nested too deeply")
        left = self._unary()
        while True:
            kind, operator = self._peek()
            strength = _PRECEDENCE.get(operator, 0) if kind in {"symbol", "name"} else 0
            if strength <= least:
                self._depth -= 1
                return left
            self._next()
            if operator in {"is", "as"}:
                left = TypeTest(operator, left, self._type())
            else:
                left = Binary(operator, left, self.expression(strength))

    def _unary(self) -> Tree:
        kind, text = self._peek()
        if kind == "symbol" and text in "+-":
            self._next()
            return Unary(text, self.expression(_UNARY - 1))
        return self._steps(self._term())

    def _steps(self, tree: Tree) -> Tree:
        while True:
            if self._peek() == ("symbol", "."):
                self._next()
                tree = self._step(tree)
            elif self._peek() == ("symbol", "["):
                self._next()
                tree = Indexer(tree, self.expression(0))
                self._expect("]")
            else:
                return tree

    def _step(self, source: Tree | None) -> Tree:
        kind, text = self._next()
        if kind == "special":
            return Special(text)
        if kind == "quoted":
            return Member(source, _unescaped(text[1:-1]))
        if kind != "name":
            raise FhirPathError(f"a name is missing at token {self._place}")
        if self._peek() != ("symbol", "("):
            return Member(source, text)
        self._next()
        if text in {"is", "as", "ofType"} and self._peek()[0] in {"name", "quoted"}:
            named = Literal((self._type(),))
            self._expect(")")
            return Call(source, text, (named,))
        arguments: list[Tree] = []
        while self._peek() != ("symbol", ")"):
            if arguments:
                self._expect(",")
            arguments.append(self.expression(0))
        self._next()
        return Call(source, text, tuple(arguments))

    def _type(self) -> str:
        parts = []
        while True:
            kind, text = self._next()
            if kind not in {"name", "quoted"}:
                raise FhirPathError(f"the name of a type is missing at token {self._place}")
            parts.append(text.strip('`"'))
            if self._peek() != ("symbol", ".") or len(parts) == 2 or self._peek(2) == ("symbol", "("):
                return ".".join(parts)
            if self._peek(1)[0] not in {"name", "quoted"} or parts[0] not in {"FHIR", "System"}:
                return ".".join(parts)
            self._next()

    def _term(self) -> Tree:
        kind, text = self._peek()
        if kind in {"name", "quoted"} and text not in {"true", "false"}:
            return self._step(None)
        self._next()
        if kind == "special":
            return Special(text)
        if kind == "variable":
            return Variable(_unescaped(text[2:-1]) if text[1] in "'`\"" else text[1:])
        if kind == "symbol" and text == "(":
            tree = self.expression(0)
            self._expect(")")
            return tree
        if kind == "symbol" and text == "{":
            self._expect("}")
            return Literal(())
        return self._literal(kind, text)

    def _literal(self, kind: str, text: str) -> Tree:
        if kind == "string":
            return Literal((_unescaped(text[1:-1]),))
        if kind == "name":
            return Literal((text == "true",))
        if kind == "time":
            return Literal((_temporal("time", text[2:]),))
        if kind == "date":
            return Literal((_temporal("dateTime" if "T" in text else "date", text[1:].removesuffix("T")),))
        if kind == "number":
            number = Decimal(text) if "." in text else int(text)
            unit = self._peek()
            if unit[0] == "string":
                self._next()
                return Literal((Quantity(Decimal(number), _unescaped(unit[1][1:-1])),))
            if unit[0] == "name" and unit[1] in _UNITS:
                self._next()
                return Literal((Quantity(Decimal(number), _UNITS[unit[1]]),))
            return Literal((number,))
        raise FhirPathError(f"something is missing at token {self._place}")


def _temporal(kind: str, text: str) -> Temporal:
    found = Temporal.read(kind, text)
    if found is None:
        raise FhirPathError("a date or time is not of the calendar")
    return found
