"""The whole synthetic region as one stream: places and staff first, then household after household.

The same seed, size and day give the same region to the last id. Nothing is kept that grows with the region but
the numbers already given away, so that 100,000 patients are made in little memory. Writing it is `filling.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from random import Random

from varde.demo.care import course, report
from varde.demo.cast import cast
from varde.demo.deciding import decisions
from varde.demo.people import (
    Human,
    Maker,
    Resource,
    Unit,
    Worker,
    auditor,
    operations,
    organisations,
    patient,
    practitioner,
    second_position,
    stable_id,
    staff,
)
from varde.demo.places import FAMILY_NAMES, MEN, MUNICIPALITIES, WOMEN

SMALLEST = 60
"""Patients: fewer have no room for the named persons and a ward with somebody to call."""
TO_CALL = 36
"""Patients of the first ward, at least, with a coming appointment that no letter tells of yet."""

FIRST = 84
"""People, the named ones among them, who come to the first ward: letters go to the named, and enough remain."""

TEST_HEALTH_DATA = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    "code": "HTEST",
    "display": "test health data",
}
"""FHIR's own mark of synthetic data, on all that the demo makes."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """What is the same however many patients there are."""

    resources: list[Resource]
    units: list[Unit]
    workers: list[Worker]
    gps: dict[str, list[str]]
    """Practitioner ids of the GPs by municipality number."""

    @property
    def ward(self) -> Unit:
        """The ward that a visitor is shown first."""
        return self.units[0]

    @property
    def second(self) -> Unit:
        """The ward where the grown of the named persons have an appointment too."""
        return self.units[1]


class World:
    """One synthetic region. Raises ValueError when it would be too small."""

    def __init__(self, seed: int, patients: int, today: date) -> None:
        if patients < SMALLEST:
            raise ValueError(f"a region has at least {SMALLEST} patients")
        self.seed = seed
        self.patients = patients
        self.today = today

    @cached_property
    def fixed(self) -> Fixed:
        """Organisations, places, staff and GPs."""
        maker = Maker(self.seed, self.today)
        resources, units = organisations(maker)
        positions, workers = staff(maker, units)
        resources += positions
        for more, worker in (operations(maker), second_position(maker, workers, units)):
            resources += more
            workers.append(worker)
        gps: dict[str, list[str]] = {}
        for number, municipality in enumerate(MUNICIPALITIES):
            for place in range(max(2, municipality[5] // 3)):
                gender = maker.random.choice(("female", "male"))
                given = maker.random.choice(WOMEN if gender == "female" else MEN)
                identifier = stable_id(maker.random)
                hpr = str(8_200_000 + number * 100 + place)
                resources.append(practitioner(identifier, hpr, given, maker.random.choice(FAMILY_NAMES), gender))
                gps.setdefault(municipality[0], []).append(identifier)
        more, worker = auditor(maker)  # drawn last, so that what was before stays as it was
        resources += more
        workers.append(worker)
        return Fixed([_marked(one) for one in resources], units, workers, gps)

    def households(self) -> Iterator[list[Human]]:
        """Families and singles, the named persons first; `patients` people in all. Each call begins anew."""
        maker = Maker(self.seed + 1, self.today)
        left = self.patients
        named = cast(maker)
        left -= len(named)
        yield named
        while left > 0:
            household = _household(maker)[:left]
            left -= len(household)
            yield household

    def people(self) -> Iterator[Human]:
        """Everybody, in the order of `households`."""
        for household in self.households():
            yield from household

    def record(self, human: Human, place: int) -> list[Resource]:
        """The Patient and their care. `place` is the person's in `people`: the first come to the first ward."""
        # A random of the person's own: what one person has does not depend on how many came before.
        random = Random(f"{self.seed}/{human.id}")  # noqa: S311 a repeatable world, not a secret
        fixed = self.fixed
        out = [patient(human, random.choice(fixed.gps[human.municipality[0]]))]
        years = (self.today - human.born).days // 365
        near = [unit for unit in fixed.units if unit.trust.key == human.municipality[4]]
        unit = _suited(random, near, years)
        if place < FIRST and (human.part is None or years >= 16):
            out += course(random, human, fixed.ward, fixed.workers, self.today, days=random.randrange(15, 70))
        elif human.part is not None or random.random() < 0.9:
            coming = random.randrange(15, 70) if human.part or random.random() < 0.6 else None
            out += course(random, human, unit, fixed.workers, self.today, days=coming)
        if human.part is not None and years >= 16:
            out += course(random, human, fixed.second, fixed.workers, self.today, days=random.randrange(20, 80))
        if random.random() < 0.3:
            other = _suited(random, near, years)
            out += course(random, human, other, fixed.workers, self.today, days=-random.randrange(5, 300))
        out += [report(random, human, out, about, self.today) for about in human.results]
        return [_marked(one) for one in (*out, *decisions(random, human, out, fixed.workers))]


def _suited(random: Random, units: list[Unit], years: int) -> Unit:
    """A ward that fits the age, where the trust has one."""
    children = [u for u in units if u.name.startswith("Barne")]
    if years < 16 and children:
        return random.choice(children)
    return random.choice([u for u in units if u not in children])


def _marked(resource: Resource) -> Resource:
    meta = resource.get("meta", {})
    meta = {**meta, "security": [TEST_HEALTH_DATA, *meta.get("security", ())]}
    return {"resourceType": resource["resourceType"], "id": resource["id"], "meta": meta} | {
        name: value for name, value in resource.items() if name != "meta"
    }


def _household(maker: Maker) -> list[Human]:
    """A single or a couple with none to three children; now and then one parent lives elsewhere."""
    random = maker.random
    first = maker.human(born=maker.born(18, 97))
    years = (maker.today - first.born).days // 365
    if not 22 <= years <= 52 or random.random() < 0.45:
        return [first]
    gender = "male" if first.gender == "female" else "female"
    second = maker.human(born=first.born + timedelta(days=random.randrange(-1500, 1500)), gender=gender,
                         municipality=first.municipality)  # fmt: skip
    together = random.random() < 0.8
    if together:
        second.street, second.protection = first.street, first.protection
    children = []
    for _ in range(random.choices((0, 1, 2, 3), (2, 4, 5, 2))[0]):
        age = random.randrange(0, min(18, years - 20) or 1)
        # At a protected address the whole home is protected.
        child = maker.human(
            born=maker.born(age, age), municipality=first.municipality, street=first.street, family=first.family,
            protection=first.protection, dead=None, language=first.language,
            parents=[first.number, second.number] if random.random() < 0.93 else [first.number],
        )  # fmt: skip
        children.append(child)
    return [first, second, *children]
