"""FHIRPath's functions on collections, and those that FHIR adds (R4 fhirpath.html). Text, numbers: `conversions.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from varde.fhir.fhirpath import conversions, operators
from varde.fhir.fhirpath.navigate import child, children, descendants, is_of, system_value, type_of
from varde.fhir.fhirpath.syntax import FhirPathError, Literal, Member, Tree
from varde.fhir.fhirpath.values import Node

if TYPE_CHECKING:
    from varde.fhir.fhirpath.compiler import Compiler, Frame, Items, Step

_MAXIMUM_REPEATED = 100_000


class Function(NamedTuple):
    """How a function is made of its arguments, and how many it takes."""

    make: Callable[[Compiler, tuple[Tree, ...]], Step]
    arguments: tuple[int, int]


def _plain(work: Callable[[Items], Items]) -> Function:
    """Of a function without arguments."""
    return Function(lambda compiler, arguments: lambda focus, frame: work(focus), (0, 0))


def _with_other(work: Callable[[Items, Items], Items]) -> Function:
    """Of a function of one collection, which is evaluated outside the focus."""

    def make(compiler: Compiler, arguments: tuple[Tree, ...]) -> Step:
        other = compiler.step(arguments[0])
        return lambda focus, frame: work(focus, other(frame.this, frame))

    return Function(make, (1, 1))


def _each(work: Callable[[Items, Callable[[Any, int], Items]], Items], least: int = 1) -> Function:
    """Of a function of a criterion or projection, which is evaluated on each item."""

    def make(compiler: Compiler, arguments: tuple[Tree, ...]) -> Step:
        if not arguments:
            return lambda focus, frame: work(focus, lambda item, index: [True])
        inner = compiler.step(arguments[0])

        def step(focus: Items, frame: Frame) -> Items:
            return work(focus, lambda item, index: inner([item], frame.of(item, index)))

        return step

    return Function(make, (least, 1))


def _where(focus: Items, criterion: Any) -> Items:
    return [item for n, item in enumerate(focus) if operators.truth(criterion(item, n)) is True]


def _exists(focus: Items, criterion: Any) -> Items:
    return [any(operators.truth(criterion(item, n)) is True for n, item in enumerate(focus))]


def _all(focus: Items, criterion: Any) -> Items:
    return [all(operators.truth(criterion(item, n)) is True for n, item in enumerate(focus))]


def _select(focus: Items, projection: Any) -> Items:
    return [found for n, item in enumerate(focus) for found in projection(item, n)]


def _repeat(focus: Items, projection: Any) -> Items:
    found: Items = []
    waiting = list(focus)
    while waiting:
        item = waiting.pop(0)
        for new in projection(item, 0):
            if not any(new is one or (isinstance(new, Node) and isinstance(one, Node) and new.value is one.value
                                      and new.extra is one.extra) for one in found):  # fmt: skip
                found.append(new)
                waiting.append(new)
        if len(found) > _MAXIMUM_REPEATED:
            raise FhirPathError("repeat() finds no end")
    return found


def _iif(compiler: Compiler, arguments: tuple[Tree, ...]) -> Step:
    test, then = compiler.step(arguments[0]), compiler.step(arguments[1])
    other = compiler.step(arguments[2]) if len(arguments) > 2 else None

    def step(focus: Items, frame: Frame) -> Items:
        if operators.truth(test(focus, frame)) is True:
            return then(focus, frame)
        return other(focus, frame) if other is not None else []

    return step


def _aggregate(compiler: Compiler, arguments: tuple[Tree, ...]) -> Step:
    inner = compiler.step(arguments[0])
    start = compiler.step(arguments[1]) if len(arguments) > 1 else None

    def step(focus: Items, frame: Frame) -> Items:
        total = start(focus, frame) if start is not None else []
        for n, item in enumerate(focus):
            own = frame.of(item, n)
            own.total = total
            total = inner([item], own)
        return total

    return step


def _type_name(arguments: tuple[Tree, ...]) -> str:
    match arguments[0]:
        case Literal((str(name),)):
            return name
        case Member(None, name):
            return name
        case Member(Member(None, space), name):
            return f"{space}.{name}"
    raise FhirPathError("the name of a type is expected")


def _known(arguments: tuple[Tree, ...]) -> str:
    from varde.fhir.fhirpath.model import known_type

    name = _type_name(arguments)
    if not known_type(name.rpartition(".")[2]):
        raise FhirPathError("the expression names a type that R4 does not have")
    return name


def _of_type(compiler: Compiler, arguments: tuple[Tree, ...]) -> Step:
    name = _known(arguments)
    return lambda focus, frame: [item for item in focus if is_of(item, name)]


def _is(compiler: Compiler, arguments: tuple[Tree, ...]) -> Step:
    name = _known(arguments)
    nothing = [False] if compiler.of_constraints else []

    def step(focus: Items, frame: Frame) -> Items:
        if len(focus) > 1:
            raise FhirPathError("one item is expected before 'is'")
        return [is_of(item, name) for item in focus] or list(nothing)

    return step


def _extension(compiler: Compiler, arguments: tuple[Tree, ...]) -> Step:
    url = compiler.step(arguments[0])

    def step(focus: Items, frame: Frame) -> Items:
        wanted = operators.one(url(frame.this, frame))
        return [
            extension
            for item in focus
            if isinstance(item, Node)
            for extension in child(item, "extension")
            if isinstance(extension.value, dict) and extension.value.get("url") == wanted
        ]

    return step


def _has_extension(compiler: Compiler, arguments: tuple[Tree, ...]) -> Step:
    """Not of FHIRPath, but R4's own search parameters use it."""
    found = _extension(compiler, arguments)
    return lambda focus, frame: [bool(found(focus, frame))]


def _resolve(compiler: Compiler, arguments: tuple[Tree, ...]) -> Step:
    def step(focus: Items, frame: Frame) -> Items:
        context = frame.context
        if context.resolve is None:
            return []
        found = []
        for item in focus:
            literal = system_value(item)
            if isinstance(item, Node) and not item.primitive and isinstance(item.value, dict):
                literal = item.value.get("reference")
            if isinstance(literal, str) and (target := context.resolve(literal, context)) is not None:
                found.append(target)
        return found

    return step


def _told(ask: str) -> Callable[[Compiler, tuple[Tree, ...]], Step]:
    """memberOf and conformsTo: the context knows, or it is not known."""

    def make(compiler: Compiler, arguments: tuple[Tree, ...]) -> Step:
        url = compiler.step(arguments[0])

        def step(focus: Items, frame: Frame) -> Items:
            known = getattr(frame.context, ask)
            wanted = operators.one(url(frame.this, frame))
            if known is None or len(focus) != 1 or not isinstance(wanted, str):
                return []
            answer = known(focus[0], wanted)
            return [] if answer is None else [answer]

        return step

    return make


def _html(compiler: Compiler, arguments: tuple[Tree, ...]) -> Step:
    """Whether it is the XHTML of a narrative; with an argument, whether there is something to read in it."""
    part = bool(arguments)

    def step(focus: Items, frame: Frame) -> Items:
        check = frame.context.html
        texts = [system_value(item) for item in focus]
        return [check is None or all(isinstance(text, str) and check(text, part) for text in texts)]

    return step


def _trace(compiler: Compiler, arguments: tuple[Tree, ...]) -> Step:
    """Passes its input on. What it would print may be personal data, and is not printed."""
    for argument in arguments:
        compiler.step(argument)
    return lambda focus, frame: focus


def _clock(part: str) -> Callable[[Compiler, tuple[Tree, ...]], Step]:
    from varde.fhir.fhirpath.values import Temporal

    def make(compiler: Compiler, arguments: tuple[Tree, ...]) -> Step:
        def step(focus: Items, frame: Frame) -> Items:
            now = frame.context.now
            if now is None:
                raise FhirPathError("the time of day is not known here")
            text = now.isoformat(timespec="milliseconds")
            if part == "dateTime":
                return [Temporal.read("dateTime", text)]
            return [Temporal.read("date", text[:10]) if part == "date" else Temporal.read("time", text[11:23])]

        return step

    return make


def _single(focus: Items) -> Items:
    if len(focus) > 1:
        raise FhirPathError("one item is expected where there are more")
    return focus


def _not(focus: Items) -> Items:
    value = operators.truth(focus)
    return [] if value is None else [not value]


def _booleans(focus: Items) -> list[Any]:
    return [system_value(item) for item in focus]


def _intersect(a: Items, b: Items) -> Items:
    return operators.distinct([x for x in a if operators.contains(b, x)])


def _counted(work: Callable[[Items, int], Items]) -> Function:
    def taken(focus: Items, other: Items) -> Items:
        number = operators.one(other)
        if not isinstance(number, int) or isinstance(number, bool):
            raise FhirPathError("a whole number is expected")
        return work(focus, max(number, 0))

    return _with_other(taken)


def _has_value(focus: Items) -> Items:
    return [len(focus) == 1 and (not isinstance(focus[0], Node) or (focus[0].primitive and focus[0].value is not None))]


def _join(focus: Items, other: Items) -> Items:
    return [operators.text(other).join(operators.text([item]) for item in focus)] if focus else []


def _make_join(compiler: Compiler, arguments: tuple[Tree, ...]) -> Step:
    between = compiler.step(arguments[0] if arguments else Literal(("",)))
    return lambda focus, frame: _join(focus, between(frame.this, frame))


def _type(focus: Items) -> Items:
    return [f"{space}.{name}" for space, name in map(type_of, focus)]


FUNCTIONS: dict[str, Function] = {
    "empty": _plain(lambda f: [not f]), "exists": _each(_exists, 0), "all": _each(_all), "where": _each(_where),
    "select": _each(_select), "repeat": _each(_repeat), "iif": Function(_iif, (2, 3)),
    "aggregate": Function(_aggregate, (1, 2)), "ofType": Function(_of_type, (1, 1)), "is": Function(_is, (1, 1)),
    "as": Function(_of_type, (1, 1)), "allTrue": _plain(lambda f: [all(v is True for v in _booleans(f))]),
    "anyTrue": _plain(lambda f: [any(v is True for v in _booleans(f))]),
    "allFalse": _plain(lambda f: [all(v is False for v in _booleans(f))]),
    "anyFalse": _plain(lambda f: [any(v is False for v in _booleans(f))]),
    "subsetOf": _with_other(lambda a, b: [all(operators.contains(b, x) for x in a)]),
    "supersetOf": _with_other(lambda a, b: [all(operators.contains(a, x) for x in b)]),
    "count": _plain(lambda f: [len(f)]), "distinct": _plain(operators.distinct),
    "isDistinct": _plain(lambda f: [operators.is_distinct(f)]), "single": _plain(_single),
    "first": _plain(lambda f: f[:1]), "last": _plain(lambda f: f[-1:]), "tail": _plain(lambda f: f[1:]),
    "skip": _counted(lambda f, n: f[n:]), "take": _counted(lambda f, n: f[:n]),
    "intersect": _with_other(_intersect),
    "exclude": _with_other(lambda a, b: [x for x in a if not operators.contains(b, x)]),
    "union": _with_other(lambda a, b: operators.distinct(a + b)), "combine": _with_other(lambda a, b: a + b),
    "not": _plain(_not), "hasValue": _plain(_has_value), "type": _plain(_type),
    "getValue": _plain(lambda f: [v for v in (_booleans(f) if len(f) == 1 else []) if not isinstance(v, Node)]),
    "join": Function(_make_join, (0, 1)),
    "children": _plain(lambda f: [c for n in f if isinstance(n, Node) for c in children(n)]),
    "descendants": _plain(lambda f: [d for n in f if isinstance(n, Node) for d in descendants(n)]),
    "extension": Function(_extension, (1, 1)),
    "hasExtension": Function(_has_extension, (1, 1)), "resolve": Function(_resolve, (0, 0)),
    "memberOf": Function(_told("member_of"), (1, 1)), "conformsTo": Function(_told("conforms"), (1, 1)),
    "htmlChecks": Function(_html, (0, 1)), "trace": Function(_trace, (1, 2)),
    "now": Function(_clock("dateTime"), (0, 0)), "today": Function(_clock("date"), (0, 0)),
    "timeOfDay": Function(_clock("time"), (0, 0)),
    **{
        name: Function(conversions.maker(work), arguments)
        for name, (work, arguments) in conversions.FUNCTIONS.items()
    },
}  # fmt: skip
