"""What of who can see a thing its reader is told: to patients everybody, to those who act for them not whom else."""

from __future__ import annotations

from typing import cast

import pytest

from varde.clock import Clock
from varde.trust import grounds
from varde.trust.audit import Log
from varde.trust.explaining import Seer
from varde.trust.law.table import Relation
from varde.trust.policy import ActorKind, Decision, StaffRole
from varde.trust.scope import Actor, Scope
from varde.web.seers import told

YES, NO = Decision(True, grounds.OWN_RECORD, "own", "FAM-01"), Decision(False, grounds.NONE, "no-bond", "FAM-17")


def _person(name: str, relation: Relation, decision: Decision = YES) -> Seer:
    return Seer(f"Patient/{name}", name, [relation], None, decision)


def _unit(name: str, role: StaffRole, decision: Decision = YES) -> Seer:
    return Seer(f"Organization/{name}", name, (), role, decision)


SEERS = [
    _person("barn", Relation.SELF), _person("mor", Relation.PARENT_AT_HOME), _person("far", Relation.PARENT_ELSEWHERE),
    _person("tante", Relation.ATTORNEY), _person("onkel", Relation.ATTORNEY), _person("nabo", Relation.NONE, NO),
    _unit("Hud", StaffRole.CLINICIAN), _unit("Hud", StaffRole.SECRETARY),
    _unit("Øye", StaffRole.CLINICIAN), _unit("Øye", StaffRole.SECRETARY, NO),
    _unit("Kontor", StaffRole.SECRETARY), _unit("Kontor", StaffRole.CLINICIAN, NO),
    _unit("Nei", StaffRole.CLINICIAN, NO),
]  # fmt: skip
UNITS = ["Leger, sykepleiere og sekretærer ved Hud", "Leger og sykepleiere ved Øye", "Sekretærer ved Kontor"]


@pytest.mark.parametrize(
    ("kind", "who", "persons"),
    [
        (ActorKind.PATIENT, "barn", ["Du selv", "mor, som har foreldreansvar", "far, som har foreldreansvar",
                                     "tante, som har fullmakt", "onkel, som har fullmakt"]),
        (ActorKind.REPRESENTATIVE, "mor", ["barn selv", "Du, som handler for barn", "Den andre med foreldreansvar"]),
        (ActorKind.REPRESENTATIVE, "tante", ["barn selv", "Du, som handler for barn"]),
    ],
)  # fmt: skip
def test_who_is_told_what(kind: ActorKind, who: str, persons: list[str]) -> None:
    scope = Scope(
        Actor(kind, who, who), grounds.OWN_RECORD, "PATRQT", cast(Log, None), cast(Clock, None), patient="barn"
    )
    assert [one.who % {"name": one.name} for one in told(SEERS, scope)] == persons + UNITS
