"""A Patient and its RelatedPersons as the population register has them. Pure; the store and the register are
`following.py`'s.

Names are `no-basis-Patient` and `no-basis-RelatedPerson` (HL7 Norge); a RelatedPerson goes to the Patient, the opposite
of Folkeregisteret (SPECS.md 3.8). No address is written: a protected one is taken away and marked (FAM-14, LET-08).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from varde.edges.registers import GuardianKind, Protection, RegisteredPerson
from varde.fhir.keys import lasting_id
from varde.trust.persons import DNR, FNR, system_of

CONFIDENTIALITY = "http://ehelse.no/fhir/CodeSystem/gd-address-confidentiality"
"""Mark in meta.security: the address is protected (fortrolig, strengtFortrolig)."""
RELATED = "http://hl7.no/fhir/StructureDefinition/no-basis-RelatedPerson"
PARENTAL = "http://hl7.no/fhir/CodeSystem/no-basis-parental-responsibility"
FAMILY = "http://hl7.no/fhir/CodeSystem/no-basis-family-relation"
GUARDIANS = "http://ehelse.no/fhir/CodeSystem/gd-person-guardiantype"

Resource = dict[str, Any]


def patient_of(patient: Resource, person: RegisteredPerson, today: date) -> Resource:
    """The Patient as the register has the person; the same where nothing differs.

    What hospitals know first is kept: a death that the register does not tell of yet.
    """
    made = {**patient, "birthDate": person.born.isoformat(), "identifier": _identifiers(patient, person)}
    made["name"] = _names(patient, person, today)
    if person.is_dead:
        told = person.dead.isoformat() if person.dead is not None else None
        before = str(patient.get("deceasedDateTime") or "")
        if told is not None and not before.startswith(told):
            made["deceasedDateTime"] = told
            made.pop("deceasedBoolean", None)
        elif told is None and not before:
            made["deceasedBoolean"] = True
        made["active"] = False
    meta = _marked(patient.get("meta") or {}, person.protection)
    if meta:
        made["meta"] = meta
    if person.protection.hides_address:
        made.pop("address", None)
    return made


def _identifiers(patient: Resource, person: RegisteredPerson) -> list[Resource]:
    """The number in use, those of before with their end, and whatever else the record has."""
    kept = list(patient.get("identifier") or ())
    national = {str(one.get("value")): one for one in kept if one.get("system") in {FNR, DNR}}
    found = [_identifier(national.get(person.number), person.number, "official", None)]
    found += [_identifier(national.get(one.number), one.number, "old", one.until) for one in person.former]
    known = set(person.numbers)
    # A number that the register does not know as theirs was theirs here: it finds them still.
    found += [{**one, "use": "old"} for number, one in national.items() if number not in known]
    return found + [one for one in kept if one.get("system") not in {FNR, DNR}]


def _identifier(before: Resource | None, number: str, use: str, until: date | None) -> Resource:
    made: Resource = {"use": use, "system": system_of(number), "value": number}
    made = {**(before or {}), **made}
    if until is not None:
        made["period"] = {**made.get("period", {}), "end": until.isoformat()}
    elif use == "official" and "period" in made:
        made["period"] = {name: value for name, value in made["period"].items() if name != "end"}
        if not made["period"]:
            del made["period"]
    return made


def _names(patient: Resource, person: RegisteredPerson, today: date) -> list[Resource]:
    """The register's name first and official; the official one before it becomes old."""
    names = list(patient.get("name") or ())
    current = next((one for one in names if one.get("use") == "official"), names[0] if names else None)
    if current is not None and _said(current) == person.name:
        return names
    if current is None:
        return [human_name(person)]
    old = {**current, "use": "old", "period": {**current.get("period", {}), "end": today.isoformat()}}
    kept = [old if one is current else one for one in names]
    return [human_name(person), *(one for one in kept if _said(one))]


def human_name(person: RegisteredPerson) -> Resource:
    """A person's name as a HumanName."""
    if not person.family or not person.name.endswith(person.family):
        return {"use": "official", "text": person.name}
    given = person.name.removesuffix(person.family).split()
    return {"use": "official", "family": person.family, **({"given": given} if given else {})}


def _said(name: Resource) -> str:
    if name.get("text"):
        return str(name["text"])
    return " ".join([*name.get("given", ()), name.get("family", "")]).strip()


def _marked(meta: Resource, protection: Protection) -> Resource:
    """Meta with the mark of a protected address, or without."""
    before = list(meta.get("security") or ())
    marks = [one for one in before if one.get("system") != CONFIDENTIALITY]
    if protection.hides_address:
        marks.append({"system": CONFIDENTIALITY, "code": protection.value})
    # In the store's own order of things a mark that stays does not move.
    marks = before if {_key(one) for one in marks} == {_key(one) for one in before} else marks
    made = {name: value for name, value in meta.items() if name not in {"security", "versionId", "lastUpdated"}}
    return made | ({"security": marks} if marks else {})


def _key(coding: Resource) -> tuple[str, str]:
    return str(coding.get("system")), str(coding.get("code"))


def same(one: Resource, other: Resource) -> bool:
    """Whether two forms of a resource say the same, whatever the store adds."""
    return _bare(one) == _bare(other)


def _bare(resource: Resource) -> Resource:
    meta = {k: v for k, v in (resource.get("meta") or {}).items() if k not in {"versionId", "lastUpdated"}}
    return {k: v for k, v in resource.items() if k != "meta"} | ({"meta": meta} if meta else {})


def is_replaced(patient: Resource) -> bool:
    """Whether another record stands for this one."""
    return any(one.get("type") == "replaced-by" for one in patient.get("link") or ())


def with_numbers(patient: Resource, records: Iterable[Resource]) -> list[Resource]:
    """A Patient's identifiers with the national ones of other records of the person, as old."""
    known = set(numbers_of(patient))
    found: dict[str, Resource] = {}
    for record in records:
        for one in record.get("identifier") or ():
            if one.get("system") in {FNR, DNR} and str(one.get("value")) not in known:
                found.setdefault(str(one["value"]), {**one, "use": "old"})
    return [*patient["identifier"], *(found[number] for number in sorted(found))]


def replaced(patient: Resource, by: str) -> Resource:
    """A record of a person who has another: it points there, and is no longer found as theirs."""
    links = [one for one in patient.get("link") or () if one.get("type") != "replaced-by"]
    return {**patient, "active": False, "link": [*links, _link(by, "replaced-by")]}


def replacing(patient: Resource, others: Iterable[str]) -> Resource:
    """The record that stands for those others too."""
    links = list(patient.get("link") or ())
    known = {(one.get("type"), one["other"].get("reference")) for one in links}
    links += [_link(one, "replaces") for one in others if ("replaces", f"Patient/{one}") not in known]
    return {**patient, "link": links} if links else patient


def _link(to: str, kind: str) -> Resource:
    return {"other": {"reference": f"Patient/{to}"}, "type": kind}


def survivor(patients: Iterable[Resource], person: RegisteredPerson) -> Resource:
    """Which of several records of one person stands for them: the one with the number in use, else the first by id.
    The same whichever of them is looked at."""

    def order(one: Resource) -> tuple[bool, str]:
        numbers = {str(i.get("value")) for i in one.get("identifier") or () if i.get("use") != "old"}
        return person.number not in numbers, str(one["id"])

    return min(patients, key=order)


def relatives_of(
    patient: str, person: RegisteredPerson, others: Mapping[str, RegisteredPerson], today: date
) -> dict[str, Resource]:
    """The RelatedPersons of a patient, by id: those with parental responsibility, relatives and guardians, whom the
    register knows (`others`, by number). One relative is one resource, whatever they are to the patient."""
    found: dict[str, Resource] = {}
    for number in dict.fromkeys(bound(person)):
        other = others.get(number)
        if other is None:
            continue
        relationships = [_coded(FAMILY, kin.role.value) for kin in person.kin if kin.number == number]
        if number in person.parents:
            relationships.insert(
                0, _coded(PARENTAL, person.responsibility.value if person.responsibility else "ukjent")
            )
        relationships += [
            _coded(GUARDIANS, one.kind.value)
            for one in person.guardians
            if one.guardian == number and one.kind is not GuardianKind.OUTSIDE
            and (one.starts is None or one.starts <= today) and (one.ends is None or today < one.ends)
        ]  # fmt: skip
        if not relationships:
            continue
        identifier = relation_id(patient, other.number)
        found[identifier] = {
            "resourceType": "RelatedPerson",
            "id": identifier,
            "meta": {"profile": [RELATED]},
            "identifier": [{"use": "official", "system": system_of(other.number), "value": other.number}],
            "active": not other.is_dead,
            "patient": {"reference": f"Patient/{patient}"},
            "relationship": relationships,
            "name": [human_name(other)],
            "birthDate": other.born.isoformat(),
        }
    return found


def bound(person: RegisteredPerson) -> list[str]:
    """Numbers of all to whom a person is bound."""
    return [*person.parents, *(kin.number for kin in person.kin), *(one.guardian for one in person.guardians)]


def is_ours(related: Resource, patient: str) -> bool:
    """Whether a RelatedPerson came from the register: others write theirs under ids of their own."""
    return related["id"] in {relation_id(patient, number) for number in numbers_of(related)}


def relation_id(patient: str, number: str) -> str:
    """The id that one relative of one patient has for ever."""
    return lasting_id(f"related\x1f{patient}\x1f{number}", patient)


def ended(related: Resource, today: date) -> Resource:
    """A RelatedPerson who is none any more."""
    return {**related, "active": False, "period": {**related.get("period", {}), "end": today.isoformat()}}


def numbers_of(patient: Resource) -> list[str]:
    """Every national identity number in a Patient or RelatedPerson."""
    found = (one for one in patient.get("identifier") or () if one.get("system") in {FNR, DNR} and one.get("value"))
    return [str(one["value"]) for one in found]


def is_dead(patient: Mapping[str, Any]) -> bool:
    """Whether a Patient says that the person has died."""
    return patient.get("deceasedDateTime") is not None or patient.get("deceasedBoolean") is True


def _coded(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}
