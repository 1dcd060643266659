"""Scopes in plain words: what an app would see, for a person who has never heard of a resource type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl

from varde.trust.scope import DIRECTORY
from varde.trust.smart.scopes import ScopeWord

_ = str  # marks messages for extraction

Say = Callable[..., str]
"""(message in the source language, values to fill in) -> text."""

TYPES: Mapping[str, str] = {
    "*": _("Alt i journalen som du selv kan se her"),
    "AllergyIntolerance": _("Allergier og overfølsomhet"),
    "Appointment": _("Timer"),
    "Binary": _("Vedlegg"),
    "CarePlan": _("Behandlingsplaner"),
    "CareTeam": _("Hvem som deltar i behandlingen"),
    "Communication": _("Brev og meldinger"),
    "Condition": _("Diagnoser og helseproblemer"),
    "Consent": _("Samtykker"),
    "Device": _("Utstyr og hjelpemidler"),
    "DiagnosticReport": _("Svar på undersøkelser"),
    "DocumentReference": _("Dokumenter i journalen"),
    "Encounter": _("Besøk og innleggelser"),
    "EpisodeOfCare": _("Behandlingsforløp"),
    "FamilyMemberHistory": _("Sykdom i familien"),
    "Goal": _("Mål for behandlingen"),
    "Immunization": _("Vaksiner"),
    "Location": _("Steder"),
    "Medication": _("Legemidler"),
    "MedicationRequest": _("Resepter og legemidler"),
    "MedicationStatement": _("Legemidler i bruk"),
    "Observation": _("Målinger og prøvesvar"),
    "Organization": _("Sykehus og avdelinger"),
    "Patient": _("Navn, fødselsdato og kontaktopplysninger"),
    "Practitioner": _("Navn på behandlere"),
    "PractitionerRole": _("Hvor behandlere arbeider"),
    "Procedure": _("Behandlinger og inngrep"),
    "Questionnaire": _("Skjema"),
    "QuestionnaireResponse": _("Svar på skjema"),
    "RelatedPerson": _("Pårørende"),
    "ServiceRequest": _("Henvisninger og rekvisisjoner"),
    "Task": _("Oppgaver"),
}
OTHER = _("Opplysninger av typen %(type)s")
ONLY: Mapping[str, str] = {
    "laboratory": _("Bare laboratorieprøver"),
    "vital-signs": _("Bare puls, blodtrykk og andre vitale mål"),
    "social-history": _("Bare levevaner, som røyking"),
    "survey": _("Bare svar på spørreskjema"),
    "imaging": _("Bare bildeundersøkelser"),
    "exam": _("Bare funn ved undersøkelse"),
    "encounter-diagnosis": _("Bare diagnoser fra besøk"),
    "problem-list-item": _("Bare det som står på problemlisten"),
    "health-concern": _("Bare det som du selv er opptatt av"),
}
"""By the codes of HL7's categories."""
ONLY_WHERE = _("Bare der %(query)s")
RIGHTS = {
    (True, False): _("Kan se"),
    (True, True): _("Kan se og endre"),
    (False, True): _("Kan endre"),
}
OF_ALL = _("Gjelder alle pasienter du har tilgang til")


@dataclass(frozen=True, slots=True)
class Line:
    """One scope as a person reads it."""

    scope: str
    title: str
    detail: str


def lines(words: Sequence[ScopeWord], say: Say, *, staff: bool) -> list[Line]:
    """The scopes in words; those that read alike are one line, whose `scope` holds them all."""
    found: dict[tuple[str, str], list[str]] = {}
    for word in words:
        title = say(TYPES[word.type]) if word.type in TYPES else say(OTHER, type=word.type)
        rights = set(word.rights)
        details = [say(RIGHTS[bool(rights & {"r", "s"}), bool(rights & {"c", "u", "d"})])]
        if word.query:
            details.append(_only(word.query, say))
        if staff and word.level == "user" and word.type not in DIRECTORY:
            details.append(say(OF_ALL))
        found.setdefault((title, ". ".join(details)), []).append(str(word))
    return [Line(" ".join(scopes), title, detail) for (title, detail), scopes in found.items()]


def _only(query: str, say: Say) -> str:
    pairs = parse_qsl(query)
    if len(pairs) == 1 and pairs[0][0] == "category":
        code = pairs[0][1].rpartition("|")[2]
        if code in ONLY:
            return say(ONLY[code])
    # Where no words of ours fit, the app's own: nothing is hidden behind a summary.
    return say(ONLY_WHERE, query=", ".join(f"{name} = {text}" for name, text in pairs))


DURATIONS: Mapping[str, tuple[timedelta, str]] = {
    "30": (timedelta(days=30), _("I 30 dager")),
    "90": (timedelta(days=90), _("I 90 dager")),
    "365": (timedelta(days=365), _("I ett år")),
}
"""How long an app may come back by itself (offline_access)."""
USUAL_DURATION = "90"
