"""Constraints as Python source: whether one holds on a JSON object of a known type, without making nodes of it.

Only for objects whose structure was found whole. What has no quick form is asked of the general engine, and not at
all where the member that it begins with is absent. `true` and `false` are separate questions, since FHIRPath's answer
may be empty: then both say no.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from varde.fhir.fhirpath.compiler import URLS
from varde.fhir.fhirpath.model import Way, kinds_of, ways
from varde.fhir.fhirpath.syntax import Binary, Call, Indexer, Literal, Member, Special, Tree, TypeTest, Variable
from varde.fhir.fhirpath.values import DATES, Temporal

_DEFINITE = frozenset({"exists", "empty", "hasValue"})
_EMPTY_OF_NOTHING = """
    where select first last tail skip take ofType as resolve extension children descendants single distinct repeat
    intersect exclude toString toInteger toDecimal substring length lower upper trim
"""
_TEXT = {"startsWith": "{0}.startswith({1})", "endsWith": "{0}.endswith({1})", "contains": "{1} in {0}"}


class _Slow(Exception):
    """There is no quick form."""


def later(early: str | None, late: str | None) -> bool:
    """Whether the first date or time is after the second for certain. Both are texts of the calendar."""
    if early is None or late is None:
        return False
    if len(early) == len(late) and early[19:] == late[19:]:
        return early > late
    a, b = Temporal.read("dateTime", early), Temporal.read("dateTime", late)
    return a is not None and b is not None and a.compare(b) == 1


class _Scope:
    """A Python variable that holds an object of a known type: what a criterion is asked about."""

    def __init__(self, variable: str, kind: str) -> None:
        self.variable = variable
        self.kind = kind


class _Items:
    """A collection as the loops of a generator: `for x in …`, the variable and its type; and whether more than one
    item may come."""

    def __init__(self, loops: str, scope: _Scope, many: bool) -> None:
        self.loops = loops
        self.scope = scope
        self.many = many


class Quick:
    """Writes the source for constraints of one type. `constants` are what the source names."""

    def __init__(self, general: Callable[[Tree, str], Callable[[Any, Any], bool | None]]) -> None:
        self._general = general
        self.constants: dict[str, Any] = {"later": later}
        self._count = 0

    def holds(self, tree: Tree, kind: str) -> str:
        """A Python expression of `v` (the object) and `c` (passed on to the general engine)."""
        return self._true(tree, _Scope("v", kind))

    def _name(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def _constant(self, value: Any) -> str:
        name = self._name("K")
        self.constants[name] = value
        return name

    def _ask(self, tree: Tree, scope: _Scope, wanted: bool) -> str:
        """The general engine's answer; where the chain's first member must be there for one, only if it is."""
        asked = f"{self._constant(self._general(tree, scope.kind))}({scope.variable}, c) is {wanted}"
        step, without = _beginning(tree, wanted)
        if step is None:
            return f"({asked})"
        try:
            present = self._present(step.name, scope)
        except _Slow:
            return f"({asked})"
        return f"(not {present} or {asked})" if without else f"({present} and {asked})"

    def _true(self, tree: Tree, scope: _Scope) -> str:
        try:
            return self._quick(tree, scope, True)
        except _Slow:
            return self._ask(tree, scope, True)

    def _false(self, tree: Tree, scope: _Scope) -> str:
        try:
            return self._quick(tree, scope, False)
        except _Slow:
            return self._ask(tree, scope, False)

    def _quick(self, tree: Tree, scope: _Scope, wanted: bool) -> str:
        match tree:
            case Binary("or" | "and" as operator, left, right):
                word = " or " if (operator == "or") == wanted else " and "
                side = self._true if wanted else self._false
                return f"({side(left, scope)}{word}{side(right, scope)})"
            case Binary("implies", left, right):
                if wanted:
                    return f"({self._false(left, scope)} or {self._true(right, scope)})"
                return f"({self._true(left, scope)} and {self._false(right, scope)})"
            case Binary("xor" | "=" | "!=" as operator, Call() as left, Call() as right):
                if left.name not in _DEFINITE or right.name not in _DEFINITE:
                    raise _Slow
                sign = "==" if (operator == "=") == wanted else "!="
                return f"(bool({self._true(left, scope)}) {sign} bool({self._true(right, scope)}))"
            case Binary("=" | "!=" as operator, left, Literal() | Variable() as right):
                return self._compared(left, [_text(right)], scope, (operator == "=") == wanted)
            case Binary(
                "=" | "<" | "<=" | ">" | ">=" as operator,
                Call(Member(None, name), "count", ()),
                Literal((int(number),)),
            ):
                way = self._way(name, scope)
                if way.primitive or not way.repeats:
                    raise _Slow
                sign = "==" if operator == "=" else operator
                found = f"(len({scope.variable}.get({way.json!r}, ())) {sign} {number})"
                return found if wanted else f"(not {found})"
            case Binary("in", left, right):
                return self._compared(left, list(_listed(right)), scope, wanted)
            case Binary("<=" | ">=" as operator, left, right):
                return self._ordered(operator, left, right, scope, wanted)
            case Call(source, name, arguments):
                return self._called(source, name, arguments, scope, wanted)
            case Member(source, name):
                return self._member_is(source, name, scope, f"is {wanted}")
            case Literal((bool(value),)):
                return str(value is wanted)
        raise _Slow

    def _called(self, source: Tree | None, name: str, arguments: tuple[Tree, ...], scope: _Scope, wanted: bool) -> str:
        if name == "not" and source is not None:
            return self._false(source, scope) if wanted else self._true(source, scope)
        if name in {"exists", "empty"} and not arguments and source is not None:
            found = self._any(source, scope)
            return found if (name == "exists") == wanted else f"(not {found})"
        if name == "exists" and source is not None:
            found = self._any(Call(source, "where", arguments), scope)
            return found if wanted else f"(not {found})"
        if name == "hasValue" and isinstance(source, Member):
            found = self._member_is(source.source, source.name, scope, "is not None")
            return found if wanted else f"(not {found})"
        if name == "all" and source is not None:
            items = self._items(source, scope)
            found = _over("all", self._true(arguments[0], items.scope), items)
            return found if wanted else f"(not {found})"
        if name in _TEXT and isinstance(source, Member) and source.source is None:
            way = self._way(source.name, scope)
            match arguments:
                case (Literal((str(text),)),) if way.primitive and not way.repeats:
                    value = f"{scope.variable}.get({way.json!r}, '')"
                    found = _TEXT[name].format(value, repr(text))
                    return f"({found})" if wanted else f"(not {found})"
        raise _Slow

    def _way(self, name: str, scope: _Scope) -> Way:
        """How the one way of writing an element is, where it has one."""
        found = ways(scope.kind).get(name)
        if found is None or len(found) != 1 or found[0].type == "Resource":
            raise _Slow
        return found[0]

    def _present(self, name: str, scope: _Scope) -> str:
        found = ways(scope.kind).get(name)
        if found is None:
            raise _Slow
        names = {w.json for w in found} | {f"_{w.json}" for w in found if w.primitive}
        if len(names) > 2:
            return f"(not {self._constant(frozenset(names))}.isdisjoint({scope.variable}))"
        return "(" + " or ".join(f"{n!r} in {scope.variable}" for n in sorted(names)) + ")"

    def _any(self, tree: Tree, scope: _Scope) -> str:
        """Whether the collection has an item."""
        match tree:
            case Member(None, name):
                return self._present(name, scope)
            case Member(source, name) if source is not None:
                items = self._items(source, scope)
                guard = self._guard(source, scope)
                return f"({guard}{_over('any', self._present(name, items.scope), items)})"
            case Call(source, "where", (criterion,)) if source is not None:
                items = self._items(source, scope)
                guard = self._guard(source, scope)
                return f"({guard}{_over('any', self._true(criterion, items.scope), items)})"
            case Call(None, "where", (criterion,)):
                return self._true(criterion, scope)
        raise _Slow

    def _guard(self, tree: Tree, scope: _Scope) -> str:
        step = _needed(tree)
        if step is None:
            return ""
        try:
            return f"{self._present(step.name, scope)} and "
        except _Slow:
            return ""

    def _items(self, tree: Tree, scope: _Scope) -> _Items:
        """The items of a chain of complex elements."""
        match tree:
            case Member(None, name) if name in kinds_of(scope.kind):
                return _Items("", scope, False)
            case Member(source, name):
                before = self._items(source, scope) if source is not None else _Items("", scope, False)
                way = self._way(name, before.scope)
                if way.primitive:
                    raise _Slow
                holder, variable = before.scope.variable, self._name("x")
                if way.repeats:
                    loop = f"for {variable} in {holder}.get({way.json!r}, ())"
                else:
                    loop = f"for {variable} in (({holder}[{way.json!r}],) if {way.json!r} in {holder} else ())"
                return _Items(f"{before.loops} {loop}", _Scope(variable, way.type), before.many or way.repeats)
            case Call(source, "where", (criterion,)) if source is not None:
                before = self._items(source, scope)
                loops = f"{before.loops} if {self._true(criterion, before.scope)}"
                return _Items(loops, before.scope, before.many)
            case Special("$this"):
                return _Items("", scope, False)
        raise _Slow

    def _member_is(self, source: Tree | None, name: str, scope: _Scope, test: str) -> str:
        """Whether the value of a primitive that may come once passes a test."""
        items = self._items(source, scope) if source is not None else _Items("", scope, False)
        way = self._way(name, items.scope)
        if items.many or way.repeats or not way.primitive:
            raise _Slow
        value = f"{items.scope.variable}.get({way.json!r}) {test}"
        return _over("any", value, items)

    def _compared(self, left: Tree, values: list[Any], scope: _Scope, wanted: bool) -> str:
        if not isinstance(left, Member):
            raise _Slow
        items = self._items(left.source, scope) if left.source is not None else _Items("", scope, False)
        way = self._way(left.name, items.scope)
        if way.type in DATES or way.type in {"time", "decimal"}:
            raise _Slow
        if wanted:
            test = f"== {values[0]!r}" if len(values) == 1 else f"in {self._constant(frozenset(values))}"
        else:
            test = f"not in {self._constant(frozenset({None, *values}))}"
        return self._member_is(left.source, left.name, scope, test)

    def _ordered(self, operator: str, left: Tree, right: Tree, scope: _Scope, wanted: bool) -> str:
        """Two dates of the object: not in the wrong order for certain."""
        if not wanted or not (isinstance(left, Member) and isinstance(right, Member)) or left.source or right.source:
            raise _Slow
        first, second = self._way(left.name, scope), self._way(right.name, scope)
        if not {first.type, second.type} <= DATES or first.repeats or second.repeats:
            raise _Slow
        names = (first.json, second.json) if operator == "<=" else (second.json, first.json)
        one, other = (f"{scope.variable}.get({name!r})" for name in names)
        present = f"{one} is not None and {other} is not None"
        return f"({present} and not later({one}, {other}))"


def _over(quantifier: str, test: str, items: _Items) -> str:
    return f"{quantifier}({test} {items.loops})" if items.loops else f"({test})"


def _needed(tree: Tree) -> Member | None:
    """The member without which a chain is empty; None where a step in it answers on nothing too, as count() does."""
    step: Tree | None = tree
    while step is not None:
        match step:
            case Member(None, _):
                return step
            case Member(source, _) | Indexer(source, _) | TypeTest("as", source, _):
                step = source
            case Call(source, name, _) if name in _EMPTY_OF_NOTHING.split():
                step = source
            case _:
                return None
    return None


def _beginning(tree: Tree, wanted: bool) -> tuple[Member | None, bool]:
    """The member without which the answer is known, and whether that answer is the wanted one."""
    match tree:
        case Call(source, "exists", _) if source is not None:
            return _needed(source), not wanted
        case Call(source, "empty" | "all" | "isDistinct", _) if source is not None:
            return _needed(source), wanted
        case Binary("=" | "!=" | "<" | "<=" | ">" | ">=" | "in", left, _):
            return _needed(left), False
    return None, False


def _text(tree: Tree) -> Any:
    match tree:
        case Literal((str() | bool() | int() as value,)):
            return value
        case Variable(name) if name in URLS:
            return URLS[name]
    raise _Slow


def _listed(tree: Tree) -> tuple[Any, ...]:
    match tree:
        case Binary("|", left, right):
            return (*_listed(left), *_listed(right))
    return (_text(tree),)
