"""Who may see, make and lift a patient's blocks and reservations. Pure; what a block hides is trust/blocks.py's."""

from __future__ import annotations

from dataclasses import dataclass

from varde.trust.law.mandate import Mandate
from varde.trust.law.table import PARENTS, Band, Relation

_ = str  # marks messages for extraction

_MINE = frozenset({Relation.SELF})


@dataclass(frozen=True, slots=True)
class May:
    """What somebody may do with a patient's blocks. `why` is a message: the rule, where something is not let."""

    see: bool
    change: bool
    why: str = ""


OWN = May(True, True)
FOR_CHILD = May(
    True,
    True,
    _("Du har foreldreansvar. Til barnet fyller 12 år, kan du sperre og oppheve sperringer på barnets vegne."),
)
YOUNG = May(
    False,
    False,
    _(
        "Fra 12 år er sperringene barnets egne. Den som har foreldreansvar, kan verken se, lage eller oppheve dem. "
        "Snakk med behandleren hvis noe må endres."
    ),
)
GUARDIAN = May(True, True, _("Du er verge for alt som gjelder personen, og kan sperre og oppheve på personens vegne."))
NARROW = May(
    False, False, _("Vergemålet gjelder ikke alt. Da kan du ikke se eller endre sperringene: de er personens egne.")
)
ATTORNEY = May(
    False, False, _("En fullmakt omfatter ikke sperringer. Bare den det gjelder, kan se, lage og oppheve sine egne.")
)


def may(mandate: Mandate | None) -> May:
    """By the bonds and the age of now (pbrl § 5-3, § 4-4; FAM-03, FAM-09, FAM-12, FAM-13). A block keeps staff out, so
    a young person of 13–15 decides on it alone; hiding things from a parent is the clinician's (FAM-09)."""
    if mandate is None or not mandate.relations:
        return May(False, False)
    relations = frozenset(mandate.relations)
    if relations & _MINE:
        return OWN
    if relations & PARENTS:
        return FOR_CHILD if mandate.band is Band.CHILD else YOUNG
    if Relation.GUARDIAN in relations:
        return GUARDIAN if mandate.whole and mandate.band not in {Band.TWELVE, Band.YOUTH} else NARROW
    return ATTORNEY


def may_lift(may_now: May, *, own: bool, by: str | None, patient: str) -> bool:
    """Whether one block or reservation may be lifted. Who acts for another never lifts what that person made
    themselves: the block may be against the very one who now acts."""
    return may_now.change and (own or by != f"Patient/{patient}")
