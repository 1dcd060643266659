"""What the pages about withholding say: choices, grounds, who sees and why, faults. In plain words, for staff. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from varde.services.family.withholding_rules import Cause, Event, Tie, Way
from varde.trust.explaining import Seer
from varde.trust.law.marks import FROM_STAFF, TO_PARENTS, TO_YOUTH
from varde.trust.law.table import Relation

_ = str  # marks messages for extraction

WAYS: Mapping[Way, tuple[str, str]] = {
    Way.OPEN: (_("Vis som vanlig"), _("Pasienten, og de som ellers kan, ser det.")),
    Way.UNTIL: (_("Vent til et tidspunkt"), _("Det åpner seg selv da, uten at noen gjør noe.")),
    Way.EVENT: (_("Vent til noe har skjedd"), _("Det åpner når du sier fra, eller etter neste besøk.")),
    Way.PARENTS: (
        _("Skjul for dem som handler for pasienten"),
        _("Foreldre, verger og de som har fullmakt. Pasienten selv ser det."),
    ),
    Way.YOUTH: (
        _("Skjul for den unge selv"),
        _("Til hen fyller 16 år. Foreldre ser det som de ellers kan."),
    ),
    Way.ALL: (_("Skjul for alle"), _("Pasienten og alle som handler for pasienten, til du åpner det igjen.")),
}
EVENTS: Mapping[Event, str] = {
    Event.TALKED: _("Vi har snakket med pasienten (du sier fra her)"),
    Event.VISIT: _("Neste besøk hos oss er over (åpner seg selv)"),
}
SHORT: Mapping[Way, str] = {
    Way.OPEN: _("Vises"),
    Way.UNTIL: _("Venter til %(when)s"),
    Way.EVENT: _("Venter på en hendelse"),
    Way.PARENTS: _("Skjult for dem som handler for pasienten"),
    Way.YOUTH: _("Skjult for den unge"),
    Way.ALL: _("Skjult for alle"),
}
"""In lists."""
WAITS: Mapping[str, str] = {
    Event.TALKED.value: _("Venter til vi har snakket med pasienten"),
    Event.VISIT.value: _("Venter til neste besøk er over"),
}
NOT_OURS = _("Sperret av pasienten for andre ansatte")
"""Where the thing carries NORS (FAM-36)."""
CAUSES: Mapping[Cause, str] = {
    Cause.TALK_FIRST: _("Pasienten bør få vite det i en samtale først"),
    Cause.YOUNG_WISH: _("Den unge ønsker det, av grunner som bør respekteres"),
    Cause.DANGER: _("Fare for liv eller alvorlig skade på helsen"),
    Cause.CLOSE_PERSONS: _("Klart utilrådelig av hensyn til noen som står pasienten nær"),
    Cause.CHILD: _("Av hensyn til barnet"),
    Cause.OVER: _("Grunnen er ikke der lenger"),
    Cause.MISTAKE: _("Det ble skjult eller vist ved en feil"),
    Cause.OTHER: _("Annen grunn"),
}
TIES: Mapping[Tie, str] = {
    Tie.PART: _("Hører til det"),
    Tie.WHOLE: _("Det er en del av dette"),
    Tie.ABOUT: _("Brevet og timen handler om det samme"),
}
MARKS: Mapping[str, tuple[str, str]] = {
    TO_PARENTS: (
        _("Frigi for foreldrene"),
        _("De foreldrene som henvisningen er vurdert åpen for, ser det. Ingen andre."),
    ),
    TO_YOUTH: (_("Frigi for den unge"), _("Når henvisningen er vurdert åpen for den unge selv.")),
}
RELATIONS: Mapping[Relation, str] = {
    Relation.SELF: _("Pasienten selv"),
    Relation.PARENT_AT_HOME: _("Forelder, bor med barnet"),
    Relation.PARENT_ELSEWHERE: _("Forelder, bor et annet sted"),
    Relation.PARENT_APART: _("Forelder, ingen forelder bor med barnet"),
    Relation.GUARDIAN: _("Verge"),
    Relation.ATTORNEY: _("Har fullmakt"),
    Relation.NONE: _("Har ikke lenger tilgang"),
}
WHY: Mapping[str, str] = {
    "own": _("Ser sitt eget"),
    "own-child": _("Ingen under 13 år logger inn selv"),
    "own-young": _("Henvisningen er ikke vurdert åpen for den unge, eller dette er ikke frigitt"),
    "own-dead": _("Er død"),
    "youth": _("Har egen tilgang, og henvisningen er åpen"),
    "youth-alone": _("Et tilbud som loven gir den unge alene"),
    "youth-no-consent": _("Ingen forelder har sagt ja til egen tilgang"),
    "youth-primary": _("Åpnet av fastlege eller kommune"),
    "parent": _("Har foreldreansvar for barn under 12 år"),
    "parent-contact": _("Har foreldreansvar"),
    "parent-log": _("Ser bare det de selv har gjort"),
    "parent-primary": _("Kommer fra fastlege eller kommune"),
    "parent-assessed": _("Henvisningen er vurdert åpen for denne forelderen"),
    "parent-address": _("Ingen forelder bor med barnet"),
    "parent-youth": _("Henvisningen er ikke vurdert åpen for denne forelderen, eller dette er ikke frigitt"),
    "parent-adult": _("Foreldre ser ingenting etter 16 år"),
    "guardian": _("Er verge for dette"),
    "guardian-area": _("Er verge, men ikke for dette"),
    "attorney": _("Har fullmakt til dette"),
    "attorney-area": _("Har fullmakt, men ikke til dette"),
    "attorney-young": _("Den som ga fullmakten, er under 16 år"),
    "asker-young": _("Er for ung til å handle for andre"),
    "no-bond": _("Har ikke lenger tilgang"),
    "protected": _("En av dem bor på beskyttet adresse"),
    "placed": _("Foreldres digitale innsyn er slått av"),
    "withheld": _("Skjult av den som behandler"),
    "withheld-youth": _("Skjult for den unge"),
    "withheld-parents": _("Skjult for dem som handler for pasienten"),
    "delayed": _("Åpner senere"),
    "narrowed": _("Avdelingen viser ikke slikt"),
    "decision-hidden": _("Vises ikke for dem det gjelder"),
}
"""By the key of trust.policy.REASONS."""
FAULTS: Mapping[str, tuple[str, str]] = {
    "way": ("hva", _("Velg hva som skal gjelde.")),
    "marks": ("frigi", _("Dette kan ikke frigis slik.")),
    "when": ("dag", _("Skriv et tidspunkt fram i tid, høyst et år.")),
    "event": ("hendelse", _("Velg hva det skal vente på.")),
    "cause": ("grunn", _("Velg en grunn som passer til det du har valgt.")),
    "reason": ("begrunnelse", _("Skriv en begrunnelse.")),
    "other-unit": ("hva", _("Bare avdelingen som det kommer fra, bestemmer hvem som ser det.")),
    "same": ("hva", _("Dette vises allerede som vanlig.")),
    "changed": ("hva", _("En annen har endret noe av dette imens. Se hva som gjelder nå, og velg på nytt.")),
}


def relation(seer: Seer) -> str:
    """What a person is to the patient."""
    return RELATIONS[seer.relations[0] if seer.relations else Relation.NONE]


def why(seer: Seer) -> str:
    """Why a person sees a thing or not."""
    return WHY.get(seer.decision.why, WHY["no-bond"])


def blocked(codes: frozenset[str]) -> Sequence[str]:
    """What else stands on the thing that is not the clinician's to change."""
    return [NOT_OURS] if FROM_STAFF in codes else []
