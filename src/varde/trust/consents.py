"""The Consents by which people decide who may see what: their words, and each as a typed object and in FHIR, both
ways. One home for the words; who may make such a decision, and what follows from it, is decided elsewhere.

Every one is a Consent with scope patient-privacy and two categories: LOINC 59284-0 and a code of `KINDS` (SPECS.md
3.8), under the profile `PROFILE`, which `definitions.py` holds. Persons stand in it by reference to their Patient or
Practitioner, never by number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

from varde.trust.law.marks import (
    DELAYED,
    FROM_PARENTS,
    FROM_YOUTH,
    MARK,
    RESTRICTION,
    TO_PARENTS,
    TO_YOUTH,
    WITHHELD,
    decided,
)
from varde.trust.persons import HPR

KINDS = "https://varde.no/fhir/CodeSystem/consent-kind"
PROFILE = "https://varde.no/fhir/StructureDefinition/access-decision"
THINGS = "https://varde.no/fhir/CodeSystem/thing"
"""Table A's rows (trust/law/things.py), as `provision.code` has them."""
SERVICES = "https://varde.no/fhir/CodeSystem/service"
"""The names of Varde's services, as a reservation has them."""
REASON = "https://varde.no/fhir/StructureDefinition/consent-reason"
"""Extension: why, in the words of whoever decided."""
PAPER = "https://varde.no/fhir/StructureDefinition/consent-paper"
"""Extension: where paper about a referral goes, one of `Paper`."""

CAUSES = "https://varde.no/fhir/CodeSystem/emergency-cause"
"""Why emergency access was needed, as `provision.code` has it."""
EVENTS = "https://varde.no/fhir/CodeSystem/withholding-event"
"""What opens a delayed thing (FAM-35), as `provision.code` has it."""
WITHHOLDING_CAUSES = "https://varde.no/fhir/CodeSystem/withholding-cause"
"""Why a thing is withheld or released, as `provision.code` has it."""

SCOPE = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
LOINC = "http://loinc.org"
CONSENT_DOCUMENT = {"system": LOINC, "code": "59284-0"}
BASIS = "http://hl7.no/fhir/CodeSystem/no-basis-legal-formality-or-basis"
_ACTIONS = "http://terminology.hl7.org/CodeSystem/consentaction"
_ROLES = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_PURPOSES = "http://terminology.hl7.org/CodeSystem/v3-ActReason"

WITHHOLDING_CODES = frozenset({WITHHELD, DELAYED, FROM_PARENTS, FROM_YOUTH})
"""Of 9603: what staff withhold by. NORS is the patient's own (FAM-36)."""


class Paper(StrEnum):
    """Where letters on paper about a referral of a person of 12–15 go (table A)."""

    PARENTS = "parents"
    """To the child's home, to the parents: as it is where nobody chose otherwise."""
    YOUTH = "youth"
    """To the child's home, to the young person."""
    NONE = "none"
    """Nowhere: the unit reaches the young person otherwise."""


class Kind(StrEnum):
    """What was decided: the codes of `KINDS`."""

    POWER_OF_ATTORNEY = "power-of-attorney"
    YOUTH_ACCESS = "youth-access"
    REFERRAL_ASSESSMENT = "referral-assessment"
    BLOCK = "block"
    RESERVATION = "reservation"
    CHILD_WELFARE = "child-welfare"
    EMERGENCY = "emergency"
    WITHHOLDING = "withholding"


KIND_WORDS = {
    Kind.POWER_OF_ATTORNEY: "Fullmakt til å representere",
    Kind.YOUTH_ACCESS: "Samtykke til at ungdom bruker tjenestene",
    Kind.REFERRAL_ASSESSMENT: "Vurdering av hvem som skal se en henvisning",
    Kind.BLOCK: "Sperring",
    Kind.RESERVATION: "Reservasjon mot en tjeneste",
    Kind.CHILD_WELFARE: "Foreldres innsyn slått av: barnevern",
    Kind.EMERGENCY: "Nødtilgang",
    Kind.WITHHOLDING: "Avgjørelse om hva pasienten og andre ser av én ting",
}

_LAWS = {
    Kind.POWER_OF_ATTORNEY: "pasient- og brukerrettighetsloven § 4-1, § 5-1",
    Kind.YOUTH_ACCESS: "pasient- og brukerrettighetsloven § 4-4",
    Kind.REFERRAL_ASSESSMENT: "pasient- og brukerrettighetsloven § 3-4",
    Kind.CHILD_WELFARE: "pasient- og brukerrettighetsloven § 3-4, barnevernsloven",
    Kind.EMERGENCY: "pasient- og brukerrettighetsloven § 5-3, helsepersonelloven § 45",
    Kind.WITHHOLDING: "pasient- og brukerrettighetsloven § 3-2, § 3-4, § 5-1",
}
"""What the decision stands on; blocks and reservations carry the code PBRL5-3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What every such decision has."""

    kind: ClassVar[Kind]

    id: str | None = None
    """None before it is stored."""
    patient: str
    """Id of the Patient whom it concerns."""
    at: datetime
    """When it was decided, or last changed."""
    by: str | None = None
    """Reference of who decided: Patient/…, Practitioner/…, PractitionerRole/…; None: as `unit` or a register said."""
    unit: str | None = None
    """Id of the Organization that keeps it, where staff decided."""
    starts: datetime | None = None
    """None: from `at`."""
    ends: datetime | None = None
    """The first moment it no longer holds; None: until it is withdrawn."""
    withdrawn: bool = False

    def holds(self, now: datetime) -> bool:
        """Whether it holds at `now`. What is withdrawn holds at no time any more."""
        return not self.withdrawn and (self.starts or self.at) <= now and (self.ends is None or now < self.ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerOfAttorney(Decided):
    """The patient lets another act for them (FAM-12). `patient` is the giver."""

    kind = Kind.POWER_OF_ATTORNEY

    receiver: str
    """Id of the receiver's Patient."""
    things: frozenset[str]
    """Codes of `THINGS` that may be seen and done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class YouthAccess(Decided):
    """A holder of parental responsibility lets a child of 13–15 use the services (FAM-06, FAM-07). `by` is the
    parent who gave it or, when withdrawn, who withdrew it."""

    kind = Kind.YOUTH_ACCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralAssessment(Decided):
    """The treating clinician's record of who shall see a referral's things (FAM-19, FAM-21)."""

    kind = Kind.REFERRAL_ASSESSMENT

    referral: str
    """Id of the ServiceRequest."""
    opened_to: frozenset[str] = frozenset()
    """Ids of the Patients, the patient's own and parents', to whom it is open; empty: nobody."""
    consented: datetime | None = None
    """When the young person agreed, alone with the clinician, that the parents named may see (FAM-21)."""
    paper: Paper = Paper.PARENTS
    """Where paper about it goes."""
    reason: str | None = None
    """What the clinician notes about it, for staff alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block(Decided):
    """The patient blocks a health worker, a unit, what comes from a unit, documents, or sharing as such (FAM-33). What
    is None or empty narrows nothing: a block of a unit and a document hides that document from that unit. `sharing`
    alone blocks every sharing across the levels of care (FAM-32)."""

    kind = Kind.BLOCK

    hpr: str | None = None
    blocked_unit: str | None = None
    """Id of an Organization."""
    resources: frozenset[str] = frozenset()
    """References (Type/id) of what is blocked; empty: all of the patient's."""
    source: str | None = None
    """Id of an Organization: what comes from it is hidden from all who do not work there."""
    sharing: bool = False
    allowed_workers: frozenset[str] = frozenset()
    """HPR numbers of those whom it does not keep out (FAM-36)."""
    allowed_units: frozenset[str] = frozenset()
    """Ids of Organizations whose staff it does not keep out (FAM-36)."""
    reason: str | None = None

    def __post_init__(self) -> None:
        if not (self.hpr or self.blocked_unit or self.resources or self.source or self.sharing):
            raise ValueError("a block says whom or what it blocks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation(Decided):
    """The patient does not want a service (its name in `SERVICES`)."""

    kind = Kind.RESERVATION

    service: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildWelfare(Decided):
    """Parents' digital access to a placed or unaccompanied child is off (FAM-20)."""

    kind = Kind.CHILD_WELFARE

    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Emergency(Decided):
    """Emergency access to one patient for a short time, with its reason (FAM-34). `unit` is where the staff work."""

    kind = Kind.EMERGENCY

    hpr: str
    reason: str
    """In the writer's own words."""
    cause: str = "other"
    """A code of `CAUSES`."""
    ends: datetime = field(kw_only=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Withholding(Decided):
    """What a clinician decided of one thing: whom it is withheld from (FAM-04, FAM-05), until when (FAM-35), and to
    whom a thing of a person of 12–15 is released (table A). `unit` is where it was decided; at `ends` a delayed thing
    opens by itself. Its versions are its history."""

    kind = Kind.WITHHOLDING

    thing: str
    """Reference (Type/id)."""
    codes: frozenset[str] = frozenset()
    """Of code system 9603 (trust/law/marks.py)."""
    marks: frozenset[str] = frozenset()
    """Of Varde's own: to whom it is released."""
    event: str | None = None
    """A code of `EVENTS` that opens what is delayed."""
    cause: str | None = None
    """A code of `WITHHOLDING_CAUSES`."""
    reason: str | None = None
    """In the clinician's own words, for staff alone."""
    follows: str | None = None
    """Reference of the thing that it was decided together with."""

    def __post_init__(self) -> None:
        if (self.ends or self.event) and self.codes != {DELAYED}:
            raise ValueError("what opens by a time or an event is delayed (FAM-35)")
        if not self.codes <= WITHHOLDING_CODES or not self.marks <= {TO_PARENTS, TO_YOUTH}:
            raise ValueError("not a code that staff withhold or release by")


AccessDecision = (
    PowerOfAttorney | YouthAccess | ReferralAssessment | Block | Reservation | ChildWelfare | Emergency | Withholding
)


def to_fhir(decision: AccessDecision) -> dict[str, Any]:
    """The Consent of a decision."""
    period = {"start": _instant(decision.starts or decision.at), "end": _instant(decision.ends)}
    provision: dict[str, Any] = {"period": {name: value for name, value in period.items() if value}}
    resource: dict[str, Any] = {
        "resourceType": "Consent",
        "meta": {"profile": [PROFILE]},
        "status": "inactive" if decision.withdrawn else "active",
        "scope": {"coding": [SCOPE]},
        "category": [
            {"coding": [CONSENT_DOCUMENT]},
            {"coding": [{"system": KINDS, "code": decision.kind.value, "display": KIND_WORDS[decision.kind]}]},
        ],
        "patient": {"reference": f"Patient/{decision.patient}"},
        "dateTime": _instant(decision.at),
        "policyRule": _basis(decision.kind),
        "provision": provision,
    }
    if decision.id is not None:
        resource["id"] = decision.id
    if decision.by is not None:
        resource["performer"] = [{"reference": decision.by}]
    if decision.unit is not None:
        resource["organization"] = [{"reference": f"Organization/{decision.unit}"}]
    reason = getattr(decision, "reason", None)
    if reason is not None:
        resource["extension"] = [{"url": REASON, "valueString": reason}]
    match decision:
        case PowerOfAttorney():
            provision["type"] = "permit"
            provision["actor"] = [_actor({"reference": f"Patient/{decision.receiver}"}, "PRCP")]
            provision["action"] = _actions("access", "correct")
            provision["code"] = [_code(THINGS, thing) for thing in sorted(decision.things)]
        case YouthAccess():
            provision["type"] = "permit"
            provision["actor"] = [_actor({"reference": f"Patient/{decision.patient}"}, "PRCP")]
        case ReferralAssessment():
            _assessment(decision, resource, provision)
        case Block():
            _block(decision, provision)
        case Reservation():
            provision["type"] = "deny"
            provision["code"] = [_code(SERVICES, decision.service)]
        case ChildWelfare():
            provision["type"] = "deny"
        case Emergency():
            provision["type"] = "permit"
            provision["actor"] = [_actor(_worker(decision.hpr), "PRCP")]
            provision["purpose"] = [{"system": _PURPOSES, "code": "BTG"}]
            provision["code"] = [_code(CAUSES, decision.cause)]
        case Withholding():
            _withholding(decision, provision)
    return resource


def from_fhir(resource: Mapping[str, Any]) -> AccessDecision | None:
    """The decision in a Consent; None for a Consent that is none of these, and for one entered in error.

    Raises ValueError for one that says it is such a decision and lacks what it needs.
    """
    kind = kind_of(resource)
    if kind is None or resource.get("status") == "entered-in-error":
        return None
    try:
        return _read(kind, resource)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"not a whole decision of kind {kind.value}") from error


def kind_of(resource: Mapping[str, Any]) -> Kind | None:
    """Which kind of decision a resource is; None for all else."""
    if resource.get("resourceType") != "Consent":
        return None
    for category in resource.get("category", ()):
        for coding in category.get("coding", ()):
            if coding.get("system") == KINDS and coding.get("code") in set(Kind):
                return Kind(coding["code"])
    return None


def _read(kind: Kind, resource: Mapping[str, Any]) -> AccessDecision:
    provision = resource.get("provision") or {}
    period = provision.get("period") or {}
    at = _moment(resource["dateTime"])
    starts = _moment(period["start"]) if period.get("start") else None
    performers = [one["reference"] for one in resource.get("performer", ())]
    units = [_id_of(one, "Organization") for one in resource.get("organization", ())]
    reasons = [one["valueString"] for one in resource.get("extension", ()) if one.get("url") == REASON]
    common: dict[str, Any] = {
        "id": resource.get("id"),
        "patient": _id_of(resource["patient"], "Patient"),
        "at": at,
        "by": performers[0] if performers else None,
        "unit": units[0] if units else None,
        "starts": None if starts == at else starts,
        "ends": _moment(period["end"]) if period.get("end") else None,
        # Proposed, draft and rejected open nothing either.
        "withdrawn": resource["status"] != "active",
    }
    reason = reasons[0] if reasons else None
    actors = [one["reference"] for one in provision.get("actor", ())]
    match kind:
        case Kind.POWER_OF_ATTORNEY:
            things = frozenset(_codes(provision, THINGS))
            return PowerOfAttorney(receiver=_id_of(actors[0], "Patient"), things=things, **common)
        case Kind.YOUTH_ACCESS:
            return YouthAccess(**common)
        case Kind.REFERRAL_ASSESSMENT:
            named = [a for nested in provision.get("provision", ()) if nested["type"] == "permit"
                     for a in nested["actor"]]  # fmt: skip
            verified = [one for one in resource.get("verification", ()) if one.get("verified") is True]
            return ReferralAssessment(
                referral=_id_of(provision["data"][0]["reference"], "ServiceRequest"),
                opened_to=frozenset(_id_of(one["reference"], "Patient") for one in named),
                consented=_moment(verified[0]["verificationDate"]) if verified else None,
                paper=_paper(resource),
                reason=reason,
                **common,
            )
        case Kind.BLOCK:
            workers = [a["identifier"]["value"] for a in actors if (a.get("identifier") or {}).get("system") == HPR]
            blocked = [_id_of(a, "Organization") for a in actors if a.get("reference")]
            allowed = [a["reference"] for one in provision.get("provision", ()) if one["type"] == "permit"
                       for a in one["actor"]]  # fmt: skip
            return Block(
                hpr=workers[0] if workers else None,
                blocked_unit=blocked[0] if blocked else None,
                resources=frozenset(_data(provision, "instance")),
                source=next(
                    (_id_of({"reference": one}, "Organization") for one in _data(provision, "authoredby")), None
                ),
                allowed_workers=frozenset(a["identifier"]["value"] for a in allowed if a.get("identifier")),
                allowed_units=frozenset(_id_of(a, "Organization") for a in allowed if a.get("reference")),
                sharing=any(c["code"] == "disclose" for a in provision.get("action", ()) for c in a["coding"]),
                reason=reason,
                **common,
            )
        case Kind.RESERVATION:
            return Reservation(service=_codes(provision, SERVICES)[0], **common)
        case Kind.CHILD_WELFARE:
            return ChildWelfare(reason=reason, **common)
        case Kind.EMERGENCY:
            if reason is None or common["ends"] is None:
                raise ValueError("emergency access has a reason and an end (FAM-34)")
            causes = _codes(provision, CAUSES) or ["other"]
            return Emergency(hpr=actors[0]["identifier"]["value"], reason=reason, cause=causes[0], **common)
        case Kind.WITHHOLDING:
            labels = provision.get("securityLabel", ())
            return Withholding(
                thing=_data(provision, "instance")[0],
                codes=frozenset(one["code"] for one in labels if one["system"] == RESTRICTION),
                marks=frozenset(one["code"] for one in labels if one["system"] == MARK),
                event=next(iter(_codes(provision, EVENTS)), None),
                cause=next(iter(_codes(provision, WITHHOLDING_CAUSES)), None),
                follows=next(iter(_data(provision, "related")), None),
                reason=reason,
                **common,
            )


def _assessment(decision: ReferralAssessment, resource: dict[str, Any], provision: dict[str, Any]) -> None:
    """Nobody, but those named. The young person's word is the Consent's verification (FAM-21)."""
    provision["type"] = "deny"
    provision["data"] = [{"meaning": "related", "reference": {"reference": f"ServiceRequest/{decision.referral}"}}]
    if decision.opened_to:
        named = [_actor({"reference": f"Patient/{one}"}, "PRCP") for one in sorted(decision.opened_to)]
        provision["provision"] = [{"type": "permit", "actor": named}]
    if decision.paper is not Paper.PARENTS:
        resource.setdefault("extension", []).append({"url": PAPER, "valueCode": decision.paper.value})
    if decision.consented is not None:
        resource["verification"] = [
            {
                "verified": True,
                "verifiedWith": {"reference": f"Patient/{decision.patient}"},
                "verificationDate": _instant(decision.consented),
            }
        ]


def _paper(resource: Mapping[str, Any]) -> Paper:
    """What the extension says; one that nobody understands sends nothing anywhere."""
    said = [one["valueCode"] for one in resource.get("extension", ()) if one.get("url") == PAPER]
    if not said:
        return Paper.PARENTS
    return Paper(said[0]) if said[0] in set(Paper) else Paper.NONE


def _block(decision: Block, provision: dict[str, Any]) -> None:
    provision["type"] = "deny"
    actors = [_worker(decision.hpr)] if decision.hpr else []
    actors += [{"reference": f"Organization/{decision.blocked_unit}"}] if decision.blocked_unit else []
    if actors:
        provision["actor"] = [_actor(one, "PRCP") for one in actors]
    if decision.sharing:
        provision["action"] = _actions("disclose")
    data = [("instance", one) for one in sorted(decision.resources)]
    data += [("authoredby", f"Organization/{decision.source}")] if decision.source else []
    if data:
        provision["data"] = [{"meaning": meaning, "reference": {"reference": one}} for meaning, one in data]
    allowed = [_worker(hpr) for hpr in sorted(decision.allowed_workers)]
    allowed += [{"reference": f"Organization/{unit}"} for unit in sorted(decision.allowed_units)]
    if allowed:
        provision["provision"] = [{"type": "permit", "actor": [_actor(one, "PRCP") for one in allowed]}]


def _withholding(decision: Withholding, provision: dict[str, Any]) -> None:
    provision["type"] = "deny" if decision.codes else "permit"
    labels = decided(decision.codes, None, awaits=False, marks=decision.marks)
    if labels:
        provision["securityLabel"] = labels
    told = ((EVENTS, decision.event), (WITHHOLDING_CAUSES, decision.cause))
    codes = [_code(system, code) for system, code in told if code]
    if codes:
        provision["code"] = codes
    data = [("instance", decision.thing), *([("related", decision.follows)] if decision.follows else [])]
    provision["data"] = [{"meaning": meaning, "reference": {"reference": one}} for meaning, one in data]


def _basis(kind: Kind) -> dict[str, Any]:
    if kind in {Kind.BLOCK, Kind.RESERVATION}:
        return {"coding": [{"system": BASIS, "code": "PBRL5-3"}]}
    return {"text": _LAWS[kind]}


def _actor(reference: Mapping[str, Any], role: str) -> dict[str, Any]:
    return {"role": {"coding": [{"system": _ROLES, "code": role}]}, "reference": dict(reference)}


def _worker(hpr: str) -> dict[str, Any]:
    return {"type": "Practitioner", "identifier": {"system": HPR, "value": hpr}}


def _actions(*codes: str) -> list[dict[str, Any]]:
    return [_code(_ACTIONS, code) for code in codes]


def _code(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def _codes(provision: Mapping[str, Any], system: str) -> list[str]:
    concepts: Iterable[Mapping[str, Any]] = provision.get("code", ())
    return [c["code"] for concept in concepts for c in concept.get("coding", ()) if c.get("system") == system]


def _data(provision: Mapping[str, Any], meaning: str) -> list[str]:
    return [one["reference"]["reference"] for one in provision.get("data", ()) if one["meaning"] == meaning]


def _id_of(reference: Mapping[str, Any], resource_type: str) -> str:
    kind, _, identifier = str(reference["reference"]).partition("/")
    if kind != resource_type or not identifier:
        raise ValueError(f"not a reference to a {resource_type}")
    return identifier


def _instant(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a moment with its offset is needed")
    return moment
