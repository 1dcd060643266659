"""Constraints of R4's own definitions: one Python function a type that says whether all hold, and, when one may not,
the general engine on each, which has the last word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from varde.fhir import structure
from varde.fhir.fhirpath import FhirPathError, Node, compile_path
from varde.fhir.fhirpath.compiler import Compiler, Frame, guarded
from varde.fhir.fhirpath.operators import truth
from varde.fhir.fhirpath.quick import Quick
from varde.fhir.fhirpath.syntax import Tree
from varde.fhir.structure import Constraint
from varde.fhir.validation.walk import Fault, Walk

ELSEWHERE = frozenset({"ele-1", "ref-1"})
"""Kept by the structure: an element has a value or children (shapes.py); `#` leads to a contained resource, and `#`
alone to the container, which R4's own expression of ref-1 forgets (references.py; R5 has it right)."""
CORRECTED = {
    # htmlChecks() stands for both rules of a narrative's XHTML; each is asked for by itself.
    ("txt-2", "htmlChecks()"): "htmlChecks('text')",
    # As R4 prints it, it fails where the element is a Period or Timing; its words are about a dateTime only.
    (
        "vs-1",
        "($this as dateTime).toString().length() >= 8",
    ): "($this is dateTime) implies $this.toString().length() >= 8",
}
"""Expressions of R4 that say other than their words, by key, and how they are read here."""

AllHold = Callable[[Any, Walk], bool]


def relevant(constraints: Sequence[Constraint], advice: bool) -> list[Constraint]:
    """Those to be judged: warnings only where advice is asked for."""
    return [c for c in constraints if c.key not in ELSEWHERE and (advice or c.severity == "error")]


def _general(tree: Tree, kind: str) -> Callable[[Any, Walk], bool | None]:
    step = Compiler(of_constraints=True).step(tree)

    def ask(value: Any, walk: Walk) -> bool | None:
        node = Node(value, kind, structure.is_primitive(kind))
        try:
            return truth(guarded(step, [node], Frame(walk.context(node), [node])))
        except FhirPathError:
            return None

    return ask


@cache
def all_hold(kind: str, constraints: tuple[Constraint, ...]) -> AllHold | None:
    """A function that says of a value of `kind`, whole in its structure, whether the constraints hold; None when
    there is nothing to ask."""
    wanted = relevant(constraints, advice=False)
    if not wanted:
        return None
    quick = Quick(_general)
    tests = [_test(quick, constraint, kind) for constraint in wanted]
    source = "def all_hold(v, c):\n" + "".join(f"    if not {test}: return False\n" for test in tests)
    namespace = dict(quick.constants)
    # The source is made of R4's own definitions, read at set-up; texts in it are written by repr().
    exec(compile(f"{source}    return True\n", f"<constraints of {kind}>", "exec"), namespace)  # noqa: S102
    made: AllHold = namespace["all_hold"]
    return made


def _test(quick: Quick, constraint: Constraint, kind: str) -> str:
    found = quick.holds(compile_path(corrected(constraint), of_constraints=True).tree, kind)
    if constraint.key != "dom-3":
        return found
    quick.constants["all_named"] = all_named
    return f"('contained' not in v or all_named(v) or {found})"


def all_named(resource: dict[str, Any]) -> bool:
    """Whether a `reference` names each contained resource: the usual way of keeping dom-3, whose own expression goes
    over the whole resource four times."""
    names: set[str] = set()
    waiting: list[Any] = [resource]
    while waiting:
        for name, value in waiting.pop().items():
            if type(value) is dict:
                waiting.append(value)
            elif type(value) is list:
                waiting += [one for one in value if type(one) is dict]
            elif name == "reference" and type(value) is str and value[0] == "#":
                names.add(value[1:])
    return all(one.get("id") in names for one in resource["contained"])


def corrected(constraint: Constraint) -> str:
    """The expression as it is read here."""
    return CORRECTED.get((constraint.key, constraint.expression), constraint.expression)


def broken(value: Node, constraints: Sequence[Constraint], walk: Walk) -> list[Fault]:
    """The constraints that do not hold, one fault each."""
    found = []
    for constraint in relevant(constraints, walk.advice):
        try:
            compiled = compile_path(corrected(constraint), of_constraints=True)
            if compiled.holds(value, walk.context(value)):
                continue
            words = constraint.human
        except FhirPathError as error:
            words = f"{constraint.human} (the expression {error})"
        severity = "error" if constraint.severity == "error" else "warning"
        found.append(Fault("invariant", f"{constraint.key}: {words}", severity=severity))
    return found
