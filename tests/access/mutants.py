"""Scopes broken on purpose, each in one place: what the twin worlds must catch. A mutant is a way of forgetting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.fhir.gates import OpenGate
from varde.fhir import everything
from varde.fhir.errors import Forbidden
from varde.fhir.gate import Parameters
from varde.fhir.http import interactions
from varde.fhir.matching import operation as matching
from varde.fhir.search import conditions
from varde.fhir.storing import committing, conditional, histories, including, searching
from varde.trust import blocks
from varde.trust.law import rendering
from varde.trust.scope import Scope


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: what is broken, in which case it shows, and how it is put in."""

    name: str
    case: str
    breaks: Callable[[pytest.MonkeyPatch], None]
    sorts: tuple[str, ...] = ()
    """Kinds of questions (see questions.py) that would find it; all unless named."""


class Unseeing:
    """A gate that says of every row that it may be read, and is itself in all else."""

    def __init__(self, gate: Any) -> None:
        self._gate = gate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gate, name)

    def predicate(self, alias: str, resource_type: str | None, parameters: Parameters) -> str:
        return "true"


def _blind(module: Any, name: str, place: int) -> Callable[[pytest.MonkeyPatch], None]:
    """`module.name` with a gate that hides nothing, at a place among its arguments."""

    def breaks(monkeypatch: pytest.MonkeyPatch) -> None:
        whole = getattr(module, name)

        def blinded(*arguments: Any, **named: Any) -> Any:
            seen = list(arguments)
            if len(seen) > place:
                seen[place] = Unseeing(seen[place])
            else:
                named["gate"] = Unseeing(named["gate"])
            return whole(*seen, **named)

        monkeypatch.setattr(module, name, blinded)

    return breaks


def _nothing_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scope, "_open", lambda self, alias, parameters: "true")


def _everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scope, "_reach", lambda self, alias, parameters: "true")


def _no_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "condition", lambda scope, alias, parameters, writing=False: "true")


def _no_referrals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering.Rendering, "_opened", lambda self, alias: "true")


def _decisions_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scope, "_no_decision", lambda self, alias, resource_type, parameters: "true")


def _no_powers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering.Rendering, "within", lambda self, alias, resource_type, reach=None: "true")


def _counts_all(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = searching.compile_search

    def counted(gate: Any, *arguments: Any, **named: Any) -> Any:
        return whole(Unseeing(gate) if named.get("counting") else gate, *arguments, **named)

    monkeypatch.setattr(searching, "compile_search", counted)


def _chains_see_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions.Compiler, "visible", lambda self, alias, kind, found=False: f"not {alias}.deleted")


def _says_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is hidden is told of as forbidden, what is not there as not there."""

    async def may_change(self: Any, gate: Any, row: Any, *_: Any) -> None:
        if not row["writable"]:
            raise Forbidden.of("you may not change this resource")

    monkeypatch.setattr(committing.Committing, "_may_change", may_change)


def _tells_free_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interactions, "reaches_all", lambda gate, kind: True)


def _conditions_see_all(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = conditional.Conditional.matches

    async def matches(self: Any, gate: Any, *arguments: Any) -> Any:
        return await whole(self, OpenGate(), *arguments)

    monkeypatch.setattr(conditional.Conditional, "matches", matches)


def _scopes_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scope, "_granted", lambda self, alias, resource_type, parameters: "true")


def _types_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scope, "_types", lambda self, alias, resource_type, parameters, types: "true")


MUTANTS = [
    Mutant("a withheld thing is not withheld", "withheld until lifted", _nothing_withheld),
    Mutant("the condition of NORN_FORANS is dropped", "withheld for the child's sake", _nothing_withheld),
    Mutant("the patient is not asked for", "somebody else", _everybody),
    Mutant("the unit is not asked for", "another unit sees nobody", _everybody),
    Mutant("blocks are forgotten", "a blocked visit", _no_blocks),
    Mutant("a block of a person is forgotten", "one who is named in a block", _no_blocks),
    Mutant("unassessed referrals are open", "a referral nobody assessed", _no_referrals),
    Mutant("another parent's referral is open", "a referral open to the other parent", _no_referrals),
    Mutant("assessments are shown", "that a referral was assessed, later on", _decisions_shown),
    Mutant("a power of attorney opens all", "beyond a power of attorney", _no_powers),
    Mutant("counts pass the scope by", "withheld until lifted", _counts_all, ("search",)),
    Mutant("includes pass the scope by", "somebody else", _blind(including, "_one", 1), ("search",)),
    Mutant("reverse includes pass the scope by", "withheld until lifted", _blind(including, "_referring", 1),
           ("search",)),
    Mutant("chains and _has pass the scope by", "somebody else", _chains_see_all, ("search",)),
    Mutant("the history of a hidden thing is empty, not absent", "withheld until lifted",
           _blind(histories, "_is_seen", 1), ("read",)),
    Mutant("a write says forbidden", "blocked for staff", _says_forbidden, ("put", "delete", "patch")),
    Mutant("a free id is told", "a system with a narrowed scope", _tells_free_ids, ("put", "delete", "patch")),
    Mutant("a condition sees all", "somebody else", _conditions_see_all,
           ("conditional create", "conditional update", "conditional delete", "conditional patch")),
    Mutant("a token's narrowing is forgotten", "a system with a narrowed scope", _scopes_forgotten),
    Mutant("a token's types are forgotten", "a system with types", _types_forgotten),
    Mutant("$everything passes the scope by", "withheld until lifted", _blind(everything, "page", 1),
           ("everything",)),
    Mutant("$match passes the scope by", "somebody else", _blind(matching, "candidates", 1), ("match",)),
]  # fmt: skip
"""More than the three that issue 4 asks for: one of each way of forgetting that a reader of the code would fear."""
