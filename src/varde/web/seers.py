"""What tells a patient, under each thing they see, who else can see it and why. A page takes it in one line:

    render(request, …, seers=await who_sees(access, request.state.scope, "Communication", letter_id))

and its template `{% import "web/who_sees.html" as who with context %}{{ who.sees(seers) }}`. Who may is `trust`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from varde.trust.access import Access
from varde.trust.explaining import Seer, who_may_see
from varde.trust.law.table import PARENTS, Relation
from varde.trust.policy import ActorKind, StaffRole
from varde.trust.scope import Scope

_ = str  # marks messages for extraction

_RELATIONS: Mapping[Relation, str] = {
    Relation.SELF: _("Du selv"),
    Relation.PARENT_AT_HOME: _("%(name)s, som har foreldreansvar"),
    Relation.PARENT_ELSEWHERE: _("%(name)s, som har foreldreansvar"),
    Relation.GUARDIAN: _("%(name)s, som er verge"),
    Relation.ATTORNEY: _("%(name)s, som har fullmakt"),
}
_THE_PATIENT = _("%(name)s selv")
_YOU = _("Du, som handler for %(name)s")
_OTHER_PARENT = _("Den andre med foreldreansvar")
_CARE = _("Leger og sykepleiere ved %(name)s")
_ALL_CARE = _("Leger, sykepleiere og sekretærer ved %(name)s")
_OFFICE = _("Sekretærer ved %(name)s")


@dataclass(frozen=True, slots=True)
class SeenBy:
    """Somebody who can see a thing. `who` is a message with %(name)s; `why` the ground's sentence by language."""

    who: str
    name: str
    why: Mapping[str, str]
    law: str


async def who_sees(access: Access, scope: Scope, resource_type: str, resource_id: str) -> list[SeenBy]:
    """Who can see one of the patient's things, as far as the reader may know: persons, then units. The scope must have
    shown the thing. Raises NotFound, Gone, Unavailable."""
    return told(await who_may_see(access, resource_type, resource_id), scope)


def told(seers: Sequence[Seer], scope: Scope) -> list[SeenBy]:
    """What of that the reader is told. Pure.

    Patients are told of everybody who can. One who acts for the patient is told of the patient, of themselves, of the
    other parent where they are one, and of the units: whom else the patient gave a power of attorney is theirs to know.
    """
    found = []
    offices: dict[str, list[Seer]] = {}
    patient = next((one.name for one in seers if Relation.SELF in one.relations), "")
    for one in seers:
        if not one.decision.allowed:
            continue
        if one.role is not None:
            offices.setdefault(one.reference, []).append(one)
        elif (message := _person(one, scope, seers)) is not None:
            name = patient if message == _YOU else one.name
            found.append(_seen(one, message, name))
    return found + [_unit(several) for several in offices.values()]


def _person(one: Seer, scope: Scope, seers: Sequence[Seer]) -> str | None:
    if scope.actor.kind is ActorKind.PATIENT:
        return next((_RELATIONS[bond] for bond in one.relations if bond in _RELATIONS), None)
    if Relation.SELF in one.relations:
        return _THE_PATIENT
    if one.reference == f"Patient/{scope.actor.key}":
        return _YOU
    mine = {bond for other in seers if other.reference == f"Patient/{scope.actor.key}" for bond in other.relations}
    return _OTHER_PARENT if PARENTS & mine and PARENTS & set(one.relations) else None


def _unit(several: Sequence[Seer]) -> SeenBy:
    roles = {one.role for one in several}
    message = _ALL_CARE if len(roles) > 1 else _CARE if StaffRole.CLINICIAN in roles else _OFFICE
    first = next((one for one in several if one.role is StaffRole.CLINICIAN), several[0])
    return _seen(first, message, first.name)


def _seen(one: Seer, message: str, name: str) -> SeenBy:
    ground = one.decision.ground
    return SeenBy(message, name, ground.sentence, f"{ground.law} {ground.section}")
