"""FHIRPath trees to Python closures. What each operator and function does stands in their own files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from varde.fhir.fhirpath import model, operators
from varde.fhir.fhirpath.navigate import child, collected
from varde.fhir.fhirpath.parser import parse
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
from varde.fhir.fhirpath.values import Node

Items = list[Any]
URLS = {
    "ucum": "http://unitsofmeasure.org", "sct": "http://snomed.info/sct", "loinc": "http://loinc.org",
}  # fmt: skip


@dataclass(slots=True)
class Context:
    """What an expression may ask for beside its focus."""

    resource: Node | None = None
    """`%resource`: the resource (a contained one too) that holds the focus."""
    root: Node | None = None
    """`%rootResource`: the one that contains it."""
    focus: Node | None = None
    """`%context`."""
    variables: Mapping[str, Items] = field(default_factory=dict)
    resolve: Callable[[str, Context], Node | None] | None = None
    """The resource that a reference leads to; None where it cannot be had."""
    member_of: Callable[[Any, str], bool | None] | None = None
    """Whether a coded item is of a value set; None when that cannot be told."""
    conforms: Callable[[Node, str], bool | None] | None = None
    """Whether an element conforms to a profile; None when that cannot be told."""
    html: Callable[[str, bool], bool] | None = None
    """`htmlChecks()`: of a text, its rules (False) or whether there is something to read (True)."""
    now: datetime | None = None


class Frame:
    """One step of an evaluation: the context, and what `$this`, `$index` and `$total` stand for."""

    __slots__ = ("context", "index", "this", "total")

    def __init__(self, context: Context, this: Items, index: int = 0, total: Items | None = None) -> None:
        self.context = context
        self.this = this
        self.index = index
        self.total = total

    def of(self, item: Any, index: int) -> Frame:
        """The frame of a criterion on one item."""
        return Frame(self.context, [item], index, self.total)


Step = Callable[[Items, Frame], Items]
"""focus and frame to a collection."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression."""

    text: str
    tree: Tree
    step: Step

    def evaluate(self, node: Node, context: Context | None = None) -> Items:
        """The collection that it gives with `node` in focus. Raises FhirPathError."""
        made = context if context is not None else Context(resource=node, root=node, focus=node)
        return guarded(self.step, [node], Frame(made, [node]))

    def holds(self, node: Node, context: Context | None = None) -> bool:
        """Whether it gives true (or one item that is no boolean). Raises FhirPathError."""
        return operators.truth(self.evaluate(node, context)) is True


def guarded(step: Step, focus: Items, frame: Frame) -> Items:
    """Run a step; what goes wrong in it for what it was given is a FhirPathError."""
    try:
        return step(focus, frame)
    except FhirPathError:
        raise
    except (ArithmeticError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise FhirPathError(f"cannot be evaluated here ({type(error).__name__})") from None


@lru_cache(maxsize=4096)
def compile_path(text: str, *, of_constraints: bool = False) -> Expression:
    """Compile an expression. Raises FhirPathError for what is no FHIRPath or names an unknown function or type.

    `of_constraints`: as R4's constraints take for granted, startsWith, endsWith, contains and matches answer false
    on nothing (bdl-8, ref-1), as does `is` (ras-2), where FHIRPath says empty; and matches() is about the whole
    text (eld-19).
    """
    tree = parse(text)
    return Expression(text, tree, Compiler(of_constraints).step(tree))


class Compiler:
    """Makes steps of trees."""

    def __init__(self, of_constraints: bool = False) -> None:
        self.of_constraints = of_constraints

    def step(self, tree: Tree) -> Step:
        """The step that a tree stands for."""
        match tree:
            case Literal(items):
                constant = list(items)
                return lambda focus, frame: constant
            case Special(name):
                return _special(name)
            case Variable(name):
                return _variable(name)
            case Member(source, name):
                return self._member(source, name)
            case Call(source, name, arguments):
                return self._call(source, name, arguments)
            case Indexer(source, index):
                return _indexer(self.step(source), self.step(index))
            case Unary(operator, operand):
                inner = self.step(operand)
                return inner if operator == "+" else lambda focus, frame: operators.negative(inner(focus, frame))
            case TypeTest(operator, source, kind):
                return self._call(source, operator, (Literal((kind,)),))
            case Binary("|", _, _) if _is_constant(tree):
                known = self._binary("|", self.step(tree.left), self.step(tree.right))([], Frame(Context(), []))
                return lambda focus, frame: known
            case Binary(operator, left, right):
                return self._binary(operator, self.step(left), self.step(right))

    def _member(self, source: Tree | None, name: str) -> Step:
        if source is not None:
            inner = self.step(source)
            return lambda focus, frame: collected(inner(focus, frame), name)

        def rooted(focus: Items, frame: Frame) -> Items:
            """The member, or the focus itself where its type bears the name (`Patient.name`)."""
            found = collected(focus, name)
            if not found and name[:1].isupper():
                return [n for n in focus if isinstance(n, Node) and name in model.kinds_of(n.type)]
            return found

        return rooted if name[:1].isupper() else lambda focus, frame: collected(focus, name)

    def _binary(self, operator: str, left: Step, right: Step) -> Step:
        if operator in {"and", "or", "implies"}:
            return _logic(operator, left, right)
        known = (operators.OF_CONSTRAINTS if self.of_constraints else operators.BINARY)[operator]
        return lambda focus, frame: known(left(focus, frame), right(focus, frame))

    def _call(self, source: Tree | None, name: str, arguments: tuple[Tree, ...]) -> Step:
        from varde.fhir.fhirpath.functions import FUNCTIONS

        made = FUNCTIONS.get(name)
        if made is None:
            raise FhirPathError(f"there is no function '{name}'"[:80])
        low, high = made.arguments
        if not low <= len(arguments) <= high:
            raise FhirPathError(f"'{name}' takes another number of arguments")
        function = made.make(self, arguments)
        if source is None:
            return function
        inner = self.step(source)
        return lambda focus, frame: function(inner(focus, frame), frame)


def _is_constant(tree: Tree) -> bool:
    """Whether it is a list of literals, as `'a' | 'b'`: made once."""
    match tree:
        case Binary("|", left, right):
            return _is_constant(left) and _is_constant(right)
        case Literal():
            return True
    return False


def _special(name: str) -> Step:
    if name == "$this":
        return lambda focus, frame: frame.this
    if name == "$index":
        return lambda focus, frame: [frame.index]
    return lambda focus, frame: frame.total or []


def _variable(name: str) -> Step:
    if name in URLS:
        constant = [URLS[name]]
        return lambda focus, frame: constant
    if name.startswith(("vs-", "ext-")):
        kind = "ValueSet" if name.startswith("vs-") else "StructureDefinition"
        url = [f"http://hl7.org/fhir/{kind}/{name.partition('-')[2]}"]
        return lambda focus, frame: url

    def of_context(focus: Items, frame: Frame) -> Items:
        context = frame.context
        own = {"resource": context.resource, "rootResource": context.root, "context": context.focus}
        if name in context.variables:
            return list(context.variables[name])
        if name not in own:
            raise FhirPathError("the expression names a variable that is not defined")
        node = own[name]
        return [node] if node is not None else []

    return of_context


def _indexer(source: Step, index: Step) -> Step:
    def step(focus: Items, frame: Frame) -> Items:
        found, place = source(focus, frame), operators.one(index(focus, frame))
        if not isinstance(place, int) or isinstance(place, bool):
            return []
        return found[place : place + 1] if place >= 0 else []

    return step


def _logic(operator: str, left: Step, right: Step) -> Step:
    if operator == "and":

        def both(focus: Items, frame: Frame) -> Items:
            a = operators.truth(left(focus, frame))
            if a is False:
                return [False]
            b = operators.truth(right(focus, frame))
            return [False] if b is False else [True] if a and b else []

        return both
    if operator == "or":

        def either(focus: Items, frame: Frame) -> Items:
            a = operators.truth(left(focus, frame))
            if a:
                return [True]
            b = operators.truth(right(focus, frame))
            return [True] if b else [False] if a is False and b is False else []

        return either

    def implied(focus: Items, frame: Frame) -> Items:
        a = operators.truth(left(focus, frame))
        if a is False:
            return [True]
        b = operators.truth(right(focus, frame))
        return [True] if b else [] if a is None or b is None else [False]

    return implied


__all__ = ["Compiler", "Context", "Decimal", "Expression", "Frame", "Items", "Step", "child", "compile_path"]
