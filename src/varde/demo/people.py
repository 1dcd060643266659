"""The synthetic region's people: patients, families, staff and GPs, as FHIR resources. Deterministic by seed.

All national identity numbers are synthetic (month + 80). No input or output here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any

from varde.demo import places
from varde.edges.registers import Guardianship
from varde.fhir.keys import BUCKETS
from varde.population.form import CONFIDENTIALITY
from varde.trust.access import ROLE_SYSTEM
from varde.trust.consents import AccessDecision
from varde.trust.persons import ENH, HPR, RESH, make_number, system_of

Resource = dict[str, Any]


def stable_id(random: Random, bucket: int | None = None) -> str:
    """A resource id of the store's own form (fhir/keys.py), drawn from `random`."""
    bucket = random.randrange(BUCKETS) if bucket is None else bucket
    value = random.getrandbits(48) << 80 | 0x8 << 76 | bucket << 64 | 0b10 << 62 | random.getrandbits(62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@dataclass(slots=True)
class Human:
    """One invented person, before they are FHIR."""

    id: str
    number: str
    given: str
    family: str
    gender: str
    born: date
    municipality: tuple[str, str, str, str, str, int]
    street: str
    protection: str = "ugradert"
    dead: date | None = None
    language: str = "nb"
    parents: list[str] = field(default_factory=list)
    """National identity numbers of those with parental responsibility."""
    reserved: bool = False
    user: bool = True
    """Uses the portal."""
    mobile: str | None = None
    email: str | None = None
    emigrated: bool = False
    former: list[tuple[str, date]] = field(default_factory=list)
    """Numbers of before, and the first day that each was no longer theirs."""
    guardians: list[Guardianship] = field(default_factory=list)
    placed: bool = False
    """Placed by child welfare, or alone in the country."""
    consents: list[AccessDecision] = field(default_factory=list)
    """What they, or others about them, have decided."""
    assessed_for: list[str] = field(default_factory=list)
    """Ids of the Patients to whom a clinician has opened their referral."""
    results: list[str] = field(default_factory=list)
    """What the reports of results in their record are about."""
    dies: bool = False
    """Dies as the demo begins: the register tells of it, and a letter is under way."""
    part: str | None = None
    """What a named person is there to show (cast.py); None for the many."""

    @property
    def name(self) -> str:
        """Given and family name."""
        return f"{self.given} {self.family}"


@dataclass(frozen=True, slots=True)
class Unit:
    """A ward."""

    id: str
    name: str
    hospital: places.Hospital
    trust: places.Trust
    location: str
    number: str = ""
    """Its number in RESH, the register of units."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A member of staff at a ward, or a GP."""

    id: str
    hpr: str
    name: str
    role: str
    role_text: str
    unit: Unit


class Maker:
    """Draws people one after another from one seed."""

    def __init__(self, seed: int, today: date) -> None:
        self.random = Random(seed)  # noqa: S311 a repeatable world, not a secret
        self.today = today
        self._numbers: set[str] = set()
        self._weights = [m[5] for m in places.MUNICIPALITIES]

    def number(self, born: date, gender: str, *, d_number: bool = False) -> str:
        """A synthetic national identity number nobody else has; its ninth digit is even for women."""
        low, high = (0, 500) if born.year < 2000 else (500, 1000)
        while True:
            individual = self.random.randrange(low, high)
            if individual % 2 != (gender == "male"):
                continue
            made = make_number(born, individual, d_number=d_number)
            if made and made not in self._numbers:
                self._numbers.add(made)
                return made

    def born(self, youngest: int, oldest: int) -> date:
        """A birth date of somebody whose age in years lies between the two."""
        last = self.today.replace(day=min(self.today.day, 28), year=self.today.year - youngest)
        return last - timedelta(days=self.random.randrange(1, (oldest - youngest + 1) * 365))

    def human(self, **given: Any) -> Human:
        """A person; what is not given is drawn."""
        random = self.random
        municipality = given.pop("municipality", None) or random.choices(places.MUNICIPALITIES, self._weights)[0]
        sami = municipality[0] in places.SAMI_MUNICIPALITIES and random.random() < 0.7
        gender = given.pop("gender", None) or random.choice(("female", "male"))
        pools = (places.SAMI_WOMEN, places.SAMI_MEN) if sami else (places.WOMEN, places.MEN)
        age = random.choices(((0, 11), (12, 15), (16, 17), (18, 39), (40, 66), (67, 98)), (12, 5, 3, 28, 34, 18))[0]
        born = given.pop("born", None) or self.born(*age)
        d_number = given.pop("d_number", False)
        human = Human(
            id=stable_id(random),
            number=self.number(born, gender, d_number=random.random() < 0.01 or d_number),
            given=random.choice(pools[gender == "male"]),
            family=random.choice(places.SAMI_FAMILY_NAMES if sami else places.FAMILY_NAMES),
            gender=gender,
            born=born,
            municipality=municipality,
            street=f"{random.choice(places.STREETS)} {random.randrange(1, 90)}",
            language="se" if sami and random.random() < 0.6 else random.choices(("nb", "nn", "en"), (93, 4, 3))[0],
        )
        years = (self.today - born).days // 365
        human.user = years >= 16 and random.random() < (0.9 if years < 67 else 0.62)
        human.reserved = years >= 16 and random.random() < 0.03
        if years >= 13 and random.random() < 0.96:
            human.mobile = f"+479{random.randrange(10**6, 10**7):07d}"
        if years >= 16 and random.random() < 0.8:
            human.email = f"person{random.randrange(10**6)}@example.no"
        if random.random() < 0.006:
            human.protection = random.choice(("fortrolig", "strengtFortrolig"))
        if random.random() < 0.008:
            human.dead = self.today - timedelta(days=random.randrange(1, 300))
        for name, value in given.items():
            setattr(human, name, value)
        return human


def patient(human: Human, gp: str | None) -> Resource:
    """The Patient (no-basis-Patient). A protected address is never in the store (FAM-14, LET-08)."""
    made: Resource = {
        "resourceType": "Patient",
        "id": human.id,
        "meta": {"profile": ["http://hl7.no/fhir/StructureDefinition/no-basis-Patient"]},
        "identifier": [
            {"use": "official", "system": system_of(human.number), "value": human.number},
            *(
                {"use": "old", "system": system_of(number), "value": number, "period": {"end": until.isoformat()}}
                for number, until in human.former
            ),
        ],
        "active": human.dead is None,
        "name": [{"use": "official", "family": human.family, "given": [human.given]}],
        "gender": human.gender,
        "birthDate": human.born.isoformat(),
        "communication": [
            {"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": human.language}]}, "preferred": True}
        ],
    }
    if human.mobile:
        made["telecom"] = [{"system": "phone", "value": human.mobile, "use": "mobile"}]
    if human.dead:
        made["deceasedDateTime"] = human.dead.isoformat()
    if human.protection != "ugradert":
        made["meta"]["security"] = [{"system": CONFIDENTIALITY, "code": human.protection}]
    else:
        _, _, postal, city, _, _ = human.municipality
        made["address"] = [{"use": "home", "line": [human.street], "postalCode": postal, "city": city, "country": "NO"}]
    if gp:
        made["generalPractitioner"] = [{"reference": f"Practitioner/{gp}"}]
    return made


REGION = "helse-nord"
"""Id of the Organization that all trusts are part of."""


def organisations(maker: Maker) -> tuple[list[Resource], list[Unit]]:
    """Trusts, hospitals, wards and their places."""
    region: Resource = {
        "resourceType": "Organization",
        "id": REGION,
        "identifier": [{"system": ENH, "value": places.REGION_NUMBER}],
        "active": True,
        "name": "Helse Nord RHF",
    }
    out: list[Resource] = [region]
    units: list[Unit] = []
    for trust in places.TRUSTS:
        out.append(
            {
                "resourceType": "Organization",
                "id": trust.key,
                "identifier": [{"system": ENH, "value": trust.number}],
                "active": True,
                "name": trust.name,
                "telecom": [{"system": "url", "value": trust.site}],
                "partOf": {"reference": f"Organization/{REGION}"},
            }
        )
        for hospital in trust.hospitals:
            hospital_id = stable_id(maker.random)
            address = {"line": [hospital.address], "postalCode": hospital.postal, "city": hospital.city}
            out.append(_organisation(hospital_id, hospital.name, trust.key, maker, address))
            for name in hospital.wards:
                identifier, location = stable_id(maker.random), stable_id(maker.random)
                ward = _organisation(identifier, f"{name}, {hospital.name}", hospital_id, maker, address)
                unit = Unit(identifier, ward["name"], hospital, trust, location, ward["identifier"][0]["value"])
                units.append(unit)
                digits = [maker.random.randrange(10), *(maker.random.randrange(10, 99) for _ in range(2))]
                phone = f"+47 77 6{digits[0]} {digits[1]} {digits[2]}"
                ward["telecom"] = [{"system": "phone", "value": phone}]
                out.append(ward)
                floor = maker.random.randrange(1, 9)
                door = f"rom {floor}{maker.random.randrange(10, 40)}"
                out.append(
                    {
                        "resourceType": "Location",
                        "id": unit.location,
                        "status": "active",
                        "name": f"{hospital.name}, {floor}. etasje",
                        "description": f"Inngang {maker.random.choice('ABC')}, {floor}. etasje, {door}",
                        "address": address,
                        "managingOrganization": {"reference": f"Organization/{unit.id}"},
                    }
                )
    return out, units


def _organisation(identifier: str, name: str, parent: str, maker: Maker, address: Resource) -> Resource:
    return {
        "resourceType": "Organization",
        "id": identifier,
        "identifier": [{"system": RESH, "value": str(maker.random.randrange(100_000, 999_999))}],
        "active": True,
        "name": name,
        "partOf": {"reference": f"Organization/{parent}"},
        "address": [address],
    }


STAFF_ROLES = {"doctor": "Lege", "nurse": "Sykepleier", "secretary": "Helsesekretær", "operator": "Driftsoperatør",
               "auditor": "Personvernombud", "leader": "Leder for enheten"}  # fmt: skip
"""Code system ROLE_SYSTEM."""
_LEADER = "overlege"
"""Who leads a ward, beside the work itself."""
_STAFF = (("doctor", "overlege"), ("doctor", "lege"), ("nurse", "sykepleier"), ("secretary", "helsesekretær"))


def staff(maker: Maker, units: list[Unit]) -> tuple[list[Resource], list[Worker]]:
    """Doctors, a nurse and a secretary for each ward."""
    out: list[Resource] = []
    workers: list[Worker] = []
    for number, unit in enumerate(units):
        for place, (role, text) in enumerate(_STAFF):
            gender = maker.random.choice(("female", "male"))
            given = maker.random.choice(places.WOMEN if gender == "female" else places.MEN)
            family = maker.random.choice(places.FAMILY_NAMES)
            worker = Worker(
                stable_id(maker.random), str(8_100_000 + number * 10 + place), f"{given} {family}", role, text, unit
            )
            workers.append(worker)
            out += [practitioner(worker.id, worker.hpr, given, family, gender), _position(maker, worker)]
    return out, workers


OPERATIONS = "helse-nord-ikt"
"""Id of the Organization where the operators of the platform work."""


def operations(maker: Maker) -> tuple[list[Resource], Worker]:
    """Helse Nord IKT and the operator who looks after the platform."""
    hospital = places.Hospital("Helse Nord IKT", "Søndre Tollbodgate 11", "9008", "TROMSØ", ())
    unit = Unit(OPERATIONS, "Helse Nord IKT", hospital, places.REGION_OFFICE, "")
    organisation: Resource = {
        "resourceType": "Organization",
        "id": OPERATIONS,
        "active": True,
        "name": unit.name,
        "partOf": {"reference": f"Organization/{REGION}"},
    }
    worker = Worker(stable_id(maker.random), "8190000", "Bjørn Karlsen", "operator", "driftsansvarlig", unit)
    person = practitioner(worker.id, worker.hpr, "Bjørn", "Karlsen", "male")
    return [organisation, person, _position(maker, worker)], worker


PRIVACY = "helse-nord-personvern"
"""Id of the Organization where those who follow up the access log work."""


def auditor(maker: Maker) -> tuple[list[Resource], Worker]:
    """The privacy officer of the region."""
    hospital = places.Hospital("Personvernombudet i Helse Nord", "Sjøgata 10", "8038", "BODØ", ())
    unit = Unit(PRIVACY, hospital.name, hospital, places.REGION_OFFICE, "")
    organisation: Resource = {
        "resourceType": "Organization",
        "id": PRIVACY,
        "active": True,
        "name": unit.name,
        "partOf": {"reference": f"Organization/{REGION}"},
    }
    worker = Worker(stable_id(maker.random), "8190010", "Astrid Bergmo", "auditor", "personvernombud", unit)
    person = practitioner(worker.id, worker.hpr, "Astrid", "Bergmo", "female")
    return [organisation, person, _position(maker, worker)], worker


def second_position(maker: Maker, workers: list[Worker], units: list[Unit]) -> tuple[list[Resource], Worker]:
    """The first ward's second doctor also works at another ward of the same trust: one who must say where."""
    known = workers[1]
    unit = [one for one in units if one.trust == known.unit.trust and one.id != known.unit.id][-1]
    worker = Worker(known.id, known.hpr, known.name, known.role, known.role_text, unit)
    return [_position(maker, worker)], worker


def practitioner(identifier: str, hpr: str, given: str, family: str, gender: str) -> Resource:
    """A Practitioner with an HPR number."""
    return {
        "resourceType": "Practitioner",
        "id": identifier,
        "identifier": [{"system": HPR, "value": hpr}],
        "active": True,
        "name": [{"use": "official", "family": family, "given": [given]}],
        "gender": gender,
    }


def _position(maker: Maker, worker: Worker) -> Resource:
    return {
        "resourceType": "PractitionerRole",
        "id": stable_id(maker.random),
        "active": True,
        "practitioner": {"reference": f"Practitioner/{worker.id}", "display": worker.name},
        "organization": {"reference": f"Organization/{worker.unit.id}", "display": worker.unit.name},
        "code": [
            {"coding": [{"system": ROLE_SYSTEM, "code": worker.role}], "text": worker.role_text},
            *([{"coding": [{"system": ROLE_SYSTEM, "code": "leader"}]}] if worker.role_text == _LEADER else []),
        ],
    }
