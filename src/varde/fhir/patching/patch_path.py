"""Where in a resource a path of FHIRPath Patch points (fhirpatch.html): FHIRPath that keeps hold of the places.

Of FHIRPath what names places: members, `[n]`, `first()`, `last()`, `where(…)` with =, !=, and, or, exists() and not(),
`extension(url)`, `ofType(T)`, `as`. An interpreter that computes values would lose where they came from. Pure; raises
BadRequest for what is not such a path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from varde.fhir.errors import BadRequest
from varde.fhir.validate import member

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<number>\d+(?:\.\d+)?)|(?P<name>\$this|[A-Za-z_]\w*|`[^`]+`)"
    r"|(?P<mark>!=|[.\[\]()=]))",
    re.ASCII,
)
_AS = re.compile(r"\(\s*([\w.\[\]]+)\s+as\s+(\w+)\s*\)", re.ASCII)
_MAXIMUM = 1000
_PRIMITIVE = (str, int, float, bool)


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere in a resource: what holds it and under which key, up to the root, and its datatype when known."""

    trail: tuple[tuple[Any, Any], ...]
    """(holder, key) from the outermost in; () for the resource itself."""
    datatype: str | None
    root: Any

    @property
    def value(self) -> Any:
        """What is there: an element, or all of a member that repeats."""
        if not self.trail:
            return self.root
        holder, key = self.trail[-1]
        return holder[key]

    def items(self) -> list[Place]:
        """The elements that are there, each by itself."""
        value = self.value
        if not isinstance(value, list):
            return [self] if value is not None else []
        return [
            Place((*self.trail, (value, index)), self.datatype, self.root)
            for index, item in enumerate(value)
            if item is not None
        ]

    def members(self, name: str) -> list[Place]:
        """The member `name`; of a choice under whatever type it stands; of a primitive its extension or id."""
        value = self.value
        if isinstance(value, _PRIMITIVE):
            beside = self.beside()
            return beside.members(name) if beside is not None and name in {"extension", "id"} else []
        if not isinstance(value, dict):
            return []
        found = []
        for written in value if name not in value else (name,):
            if written == name or _is_choice(self.datatype, name, written):
                described = member(self.datatype, written) if self.datatype else None
                found.append(Place((*self.trail, (value, written)), described[0] if described else None, self.root))
        return found

    def beside(self) -> Place | None:
        """Where a primitive's extensions stand: the member with an underscore, which may not be there."""
        if not self.trail:
            return None
        holder, key = self.trail[-1]
        if isinstance(holder, dict):
            return Place((*self.trail[:-1], (holder, f"_{key}")), "Element", self.root) if f"_{key}" in holder else None
        outer, name = self.trail[-2]
        listed = outer.get(f"_{name}")
        if not isinstance(listed, list) or len(listed) <= key or listed[key] is None:
            return None
        return Place((*self.trail[:-2], (outer, f"_{name}"), (listed, key)), "Element", self.root)


def _is_choice(holder: str | None, stem: str, written: str) -> bool:
    """Whether JSON member `written` bears the choice element `stem`."""
    rest = written.removeprefix(stem)
    return (
        rest != written
        and rest[:1].isupper()
        and holder is not None
        and member(holder, stem) is None
        and member(holder, written) is not None
    )


def locate(resource: dict[str, Any], path: str) -> list[Place]:
    """Every place that `path` names, a repeating member as one place."""
    if len(path) > _MAXIMUM:
        raise _unclear()
    for _ in range(8):
        path = _AS.sub(r"\1.ofType(\2)", path)
    kind = str(resource.get("resourceType"))
    root = Place((), kind, resource)
    reader = _Reader(path)
    if reader.next_is("name") and reader.peek()[1] == kind and reader.after() != "(":
        reader.take()
    elif not reader.at_end:
        reader.put_dot()
    step = reader.steps()
    if not reader.at_end:
        raise _unclear()
    return step([root])


_Step = Callable[[list[Place]], list[Place]]
_Test = Callable[[Place], bool]


def _unclear() -> Exception:
    return BadRequest.of(
        "a path is FHIRPath of members, [n], first(), last(), where(), extension() and ofType()", code="not-supported"
    )


def _expanded(places: Sequence[Place]) -> list[Place]:
    return [item for place in places for item in place.items()]


class _Reader:
    """Reads a path into functions from places to places."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at = 0
        text = text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise _unclear()
            kind = str(match.lastgroup)
            self._tokens.append((kind, match[kind]))
            at = match.end()
        self._at = 0
        self._depth = 0

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._tokens)

    def peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if not self.at_end else ("end", "")

    def after(self) -> str:
        return self._tokens[self._at + 1][1] if self._at + 1 < len(self._tokens) else ""

    def next_is(self, kind: str) -> bool:
        return self.peek()[0] == kind

    def take(self, wanted: str | None = None) -> str:
        kind, text = self.peek()
        if kind == "end" or (wanted is not None and text != wanted):
            raise _unclear()
        self._at += 1
        return text

    def put_dot(self) -> None:
        """A path may begin with its first member."""
        self._tokens.insert(self._at, ("mark", "."))

    def steps(self) -> _Step:
        done: list[_Step] = []
        while self.peek() in {("mark", "."), ("mark", "[")} and not self._answers():
            if self.take() == "[":
                done.append(_nth(int(self._number())))
                self.take("]")
                continue
            if not self.next_is("name"):
                raise _unclear()
            name = self.take().strip("`")
            done.append(self._function(name) if self.peek() == ("mark", "(") else _named(name))

        def walk(places: list[Place]) -> list[Place]:
            for step in done:
                places = step(places)
            return places

        return walk

    def _answers(self) -> bool:
        """Whether a function follows that makes true or false of a path."""
        following = [text for _, text in self._tokens[self._at : self._at + 3]]
        return len(following) == 3 and following[0] == "." and following[1] in _ANSWERS and following[2] == "("

    def _number(self) -> str:
        if not self.next_is("number") or "." in self.peek()[1] or len(self.peek()[1]) > 6:
            raise _unclear()
        return self.take()

    def _function(self, name: str) -> _Step:
        self.take("(")
        step: _Step
        if name == "where":
            test = self._either()
            step = lambda places: [place for place in _expanded(places) if test(place)]  # noqa: E731
        elif name in {"first", "last", "single"}:
            step = (lambda places: _expanded(places)[-1:]) if name == "last" else (lambda places: _expanded(places)[:1])
        elif name in {"ofType", "as"}:
            kind = self.take()
            step = lambda places: [p for p in places if p.datatype in {kind, kind[:1].lower() + kind[1:]}]  # noqa: E731
        elif name == "extension":
            url = self._text()
            step = lambda places: [  # noqa: E731
                item
                for place in _expanded(places)
                for item in _expanded(place.members("extension"))
                if isinstance(item.value, dict) and item.value.get("url") == url
            ]
        else:
            raise _unclear()
        self.take(")")
        return step

    def _text(self) -> str:
        if not self.next_is("text"):
            raise _unclear()
        return _unquoted(self.take())

    def _either(self) -> _Test:
        self._depth += 1
        if self._depth > 20:
            raise _unclear()
        tests = [self._both()]
        while self.peek() == ("name", "or"):
            self.take()
            tests.append(self._both())
        self._depth -= 1
        return lambda place: any(test(place) for test in tests)

    def _both(self) -> _Test:
        tests = [self._comparison()]
        while self.peek() == ("name", "and"):
            self.take()
            tests.append(self._comparison())
        return lambda place: all(test(place) for test in tests)

    def _comparison(self) -> _Test:
        if self.peek() == ("mark", "("):
            self.take()
            inner = self._either()
            self.take(")")
            return inner
        if not self.next_is("name"):
            raise _unclear()
        if self.peek()[1] == "$this":
            self.take()
        else:
            self.put_dot()
        path = self.steps()
        if self._answers():
            self.take(".")
            answer = _ANSWERS[self.take()]
            self.take("(")
            self.take(")")
            return lambda place: answer(path([place]))
        sign = self.take()
        if sign not in {"=", "!="}:
            raise _unclear()
        wanted = self._literal()
        return lambda place: any(_alike(found.value, wanted) for found in _expanded(path([place]))) == (sign == "=")

    def _literal(self) -> Any:
        kind, text = self.peek()
        self.take()
        if kind == "text":
            return _unquoted(text)
        if kind == "number":
            return float(text)
        if text in {"true", "false"}:
            return text == "true"
        raise _unclear()


_ANSWERS: dict[str, Callable[[list[Place]], bool]] = {
    "exists": lambda places: bool(_expanded(places)),
    "empty": lambda places: not _expanded(places),
    "not": lambda places: [place.value for place in _expanded(places)] == [False],
}


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t", "r": "\r"}.get(found[1], found[1]), text[1:-1])


def _alike(found: Any, wanted: Any) -> bool:
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    return bool(found == wanted)


def _nth(index: int) -> _Step:
    return lambda places: _expanded(places)[index : index + 1]


def _named(name: str) -> _Step:
    return lambda places: [found for place in _expanded(places) for found in place.members(name)]
