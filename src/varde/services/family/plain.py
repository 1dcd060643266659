"""What a mandate lets somebody see and do, in words that a patient understands: one line a thing, and the ground. Pure.

What it lets is worked out by `trust.law`; the words stand in the source language and are translated by the pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from varde.trust.law.mandate import Mandate, Right
from varde.trust.law.table import Reach, Relation
from varde.trust.law.things import Thing

_ = str  # marks messages for extraction

THINGS: Mapping[Thing, str] = {
    Thing.LETTERS: _("Brev"),
    Thing.APPOINTMENTS: _("Timer"),
    Thing.DIALOGUE: _("Meldinger"),
    Thing.FORMS: _("Skjema"),
    Thing.PLANS: _("Planer"),
    Thing.DOCUMENTS: _("Journaldokumenter"),
    Thing.RESULTS: _("Prøvesvar"),
    Thing.LOG: _("Hvem som har sett journalen"),
    Thing.CONTACT: _("Vaksiner, fastlege og kontaktopplysninger"),
}
"""The rows of table A, in its order."""
RELATIONS: Mapping[Relation, str] = {
    Relation.SELF: _("Deg selv"),
    Relation.PARENT_AT_HOME: _("Foreldreansvar"),
    Relation.PARENT_ELSEWHERE: _("Foreldreansvar"),
    Relation.PARENT_APART: _("Foreldreansvar"),
    Relation.GUARDIAN: _("Verge"),
    Relation.ATTORNEY: _("Fullmakt"),
    Relation.NONE: "",
}

_SEE_AND_DO = _("Se og gjøre")
_SEE = _("Se")
_OWN = _("Se det de selv har gjort")
_OPENED_ALL = _("Det som gjelder henvisninger som behandleren har åpnet")
_OPENED_EACH = _("Det som behandleren har åpnet, ett for ett")
_PRIMARY = _("Det som kommer fra fastlege og kommune")
_ALONE = _("Det som loven gir de unge alene")
_NOTHING = _("Ikke noe")


@dataclass(frozen=True, slots=True)
class Line:
    """One thing, and how far it may be seen. Both in the source language."""

    thing: str
    words: str
    any: bool
    """Whether anything may be seen at all."""


def lines(mandate: Mandate) -> Sequence[Line]:
    """Every row of table A in plain words. Tells what the rules are, never whether there is anything (FAM-24)."""
    found = []
    for thing, name in THINGS.items():
        words = _words(mandate.right(thing))
        found.append(Line(name, words, words != _NOTHING))
    return found


def _words(right: Right) -> str:
    if right.always >= Reach.ACT:
        return _SEE_AND_DO
    if right.always is Reach.SEE:
        return _SEE
    if right.by_referral > right.always:
        return _OPENED_ALL
    if right.by_referral_marked > right.always:
        return _OPENED_EACH
    if right.always is Reach.OWN:
        return _OWN
    if right.primary > Reach.NONE or right.primary_marked > Reach.NONE:
        return _PRIMARY
    return _ALONE if right.alone > Reach.NONE else _NOTHING
