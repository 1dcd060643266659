"""What a line of the access log says in words: which things, what was done, who did it. Data and grammar; no I/O.

A thing is named by its own title where the reader may see it; what may not be seen, or is gone, is only counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from varde.trust.log.lines import SAMPLES, Done, Line
from varde.web.languages import Speech, Words

_ = str  # marks messages for extraction


@dataclass(frozen=True, slots=True)
class Sort:
    """A sort of things, as patients think of them."""

    key: str
    title: str
    """For the filter."""
    types: frozenset[str]
    counted: tuple[str, str]
    """One of them, and several with %(count)s."""
    named: str | None = None
    """With %(title)s; None where single ones have no title that says anything."""


SORTS: Sequence[Sort] = (
    Sort("brev", _("Brev og meldinger"), frozenset({"Communication", "CommunicationRequest"}),
         (_("et brev"), _("%(count)s brev")), _("brevet «%(title)s»")),
    Sort("timer", _("Timer"), frozenset({"Appointment", "AppointmentResponse"}),
         (_("en time"), _("%(count)s timer")), _("timen %(title)s")),
    Sort("provesvar", _("Prøvesvar"),
         frozenset({"Observation", "DiagnosticReport", "Specimen", "ImagingStudy", "Media"}),
         (_("et prøvesvar"), _("%(count)s prøvesvar")), _("prøvesvaret «%(title)s»")),
    Sort("dokumenter", _("Dokumenter"), frozenset({"DocumentReference", "Composition", "Binary", "DocumentManifest"}),
         (_("et dokument"), _("%(count)s dokumenter")), _("dokumentet «%(title)s»")),
    Sort("henvisninger", _("Henvisninger"), frozenset({"ServiceRequest"}),
         (_("en henvisning"), _("%(count)s henvisninger")), _("henvisningen «%(title)s»")),
    Sort("opphold", _("Opphold og behandling"), frozenset({"Encounter", "EpisodeOfCare", "Procedure"}),
         (_("et opphold eller en behandling"), _("%(count)s opphold og behandlinger"))),
    Sort("planer", _("Planer"), frozenset({"CarePlan", "CareTeam", "Goal"}),
         (_("en plan"), _("%(count)s planer")), _("planen «%(title)s»")),
    Sort("skjema", _("Skjema"), frozenset({"QuestionnaireResponse"}),
         (_("et skjema"), _("%(count)s skjemaer"))),
    Sort("diagnoser", _("Diagnoser og allergier"), frozenset({"Condition", "AllergyIntolerance", "ClinicalImpression"}),
         (_("en diagnose eller allergi"), _("%(count)s diagnoser og allergier"))),
    Sort("legemidler", _("Legemidler og vaksiner"), frozenset(
        {"MedicationRequest", "MedicationStatement", "MedicationDispense", "MedicationAdministration", "Immunization"}),
         (_("et legemiddel eller en vaksine"), _("%(count)s legemidler og vaksiner"))),
    Sort("person", _("Navn og kontaktopplysninger"), frozenset({"Patient", "RelatedPerson"}),
         (_("navn og kontaktopplysninger"), _("navn og kontaktopplysninger"))),
    Sort("valg", _("Samtykker og sperringer"), frozenset({"Consent"}),
         (_("et samtykke eller en sperring"), _("%(count)s samtykker og sperringer"))),
    Sort("logg", _("Denne loggen"), frozenset({"AuditEvent"}),
         (_("denne loggen"), _("denne loggen"))),
)  # fmt: skip
OTHER = Sort("annet", _("Annet"), frozenset(), (_("en opplysning"), _("%(count)s opplysninger")))
_SORT_OF = {kind: sort for sort in SORTS for kind in sort.types}
_VERBS: Mapping[str, tuple[str, str]] = {
    "create": (_("skrev %(what)s"), _("prøvde å skrive %(what)s")),
    "update": (_("endret %(what)s"), _("prøvde å endre %(what)s")),
    "patch": (_("endret %(what)s"), _("prøvde å endre %(what)s")),
    "delete": (_("slettet %(what)s"), _("prøvde å slette %(what)s")),
    "export": (_("hentet ut %(what)s"), _("prøvde å hente ut %(what)s")),
    "history": (_("så tidligere utgaver av %(what)s"), _("prøvde å se tidligere utgaver av %(what)s")),
}
_SAW = (_("så %(what)s"), _("prøvde å se %(what)s"))
_LISTED = _("hadde navnet med i en liste over flere")
_KINDS_OF = 3
"""Sorts that a sentence names; the rest it counts."""


def sort_of(kind: str) -> Sort:
    """The sort of a resource type."""
    return _SORT_OF.get(kind, OTHER)


def types_of(key: str) -> frozenset[str] | None:
    """The resource types of a sort by its key; None for no such sort."""
    return next((sort.types for sort in SORTS if sort.key == key), None)


def title_of(resource: Mapping[str, Any], words: Words) -> str:
    """What a person would call a thing; empty where it has no name of its own. Pure."""
    kind = resource["resourceType"]
    if kind in {"Appointment"}:
        return words.moment(datetime.fromisoformat(resource["start"])) if resource.get("start") else ""
    if kind == "Communication":
        return str((resource.get("topic") or {}).get("text", ""))
    if kind in {"DocumentReference", "Media"}:
        return str(resource.get("description", ""))
    if kind in {"CarePlan", "Composition"}:
        return str(resource.get("title", ""))
    code = resource.get("code") or {}
    if not isinstance(code, Mapping):
        return ""
    display = next((one["display"] for one in code.get("coding", ()) if one.get("display")), "")
    return str(code.get("text") or display)


def done_in_words(line: Line, titles: Mapping[str, str], speech: Speech) -> str:
    """What was done: `så brevet «Innkalling» og 3 prøvesvar`. `titles`: of what the reader may see, by reference."""
    verbs: dict[tuple[str, str], dict[str, _Counted]] = {}
    listed = False
    for done in line.done:
        if not done.things and done.interaction == "search":
            listed = line.patient is not None
            if listed:
                continue
        sort = sort_of(done.type)
        counted = verbs.setdefault(_VERBS.get(done.interaction, _SAW), {}).setdefault(sort.key, _Counted(sort))
        counted.times += max(done.things, done.times)
        counted.named |= {one: titles.get(one, "") for one in done.named}
    said = [
        speech.gettext(verb[0 if line.allowed else 1], what=_joined(_things(list(sorts.values()), speech), speech))
        for verb, sorts in verbs.items()
    ]
    if listed and not said:
        said.append(speech.gettext(_LISTED))
    return _joined(said, speech)


@dataclass(slots=True)
class _Counted:
    """Things of one sort within a line: `named` are titles by reference, empty for what is not named."""

    sort: Sort
    times: int = 0
    named: dict[str, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many there are: those that are named where these are all of them, else how often any was."""
        return len(self.named) if 0 < len(self.named) < SAMPLES else max(self.times, 1)


def _things(sorts: Sequence[_Counted], speech: Speech) -> list[str]:
    said: list[str] = []
    left = 0
    for counted in sorts:
        sort, titles = counted.sort, list(counted.named.values())
        if len(said) >= _KINDS_OF:
            left += counted.count
        elif sort.named and titles and all(titles) and counted.count == len(titles) < SAMPLES:
            said += [speech.gettext(sort.named, title=title) for title in titles]
        else:
            said.append(_counted(sort, counted.count, speech))
    if left:
        said.append(_counted(OTHER, left, speech))
    return said


def _counted(sort: Sort, count: int, speech: Speech) -> str:
    return speech.gettext(sort.counted[0]) if count == 1 else speech.gettext(sort.counted[1], count=count)


def _joined(parts: Sequence[str], speech: Speech) -> str:
    if len(parts) < 2:
        return parts[0] if parts else ""
    return speech.gettext(_("%(first)s og %(last)s"), first=", ".join(parts[:-1]), last=parts[-1])


def who_in_words(line: Line, speech: Speech) -> str:
    """Who it was: `Kari Nordmann, sykepleier ved Hudavdelingen`."""
    role = line.role[:1].lower() + line.role[1:]
    if line.actor_kind == "staff" and not line.name:
        return speech.gettext(_("En ansatt ved %(unit)s"), unit=line.unit_name or "–")
    if line.actor_kind == "staff":
        return speech.gettext(
            _("%(name)s, %(role)s ved %(unit)s"), name=line.name, role=role, unit=line.unit_name or "–"
        )
    if line.actor_kind == "system":
        return line.name
    return speech.gettext(_("%(name)s, %(role)s"), name=line.name, role=role) if role else line.name


def moment_in_words(done: Done, titles: Mapping[str, str], speech: Speech, *, allowed: bool) -> str:
    """One single row of a line."""
    if not done.things and done.interaction == "search":
        return speech.gettext(_LISTED)
    sort = sort_of(done.type)
    names = [titles[one] for one in done.named if titles.get(one)]
    if sort.named and names:
        what = _joined([speech.gettext(sort.named, title=name) for name in names], speech)
    else:
        what = _counted(sort, max(done.things, 1), speech)
    return speech.gettext(_VERBS.get(done.interaction, _SAW)[0 if allowed else 1], what=what)
