"""Follows the population register: who changed there, and then the Patient and RelatedPersons here, in the store and
under a system's scope with its ground. Recurring jobs; what is written is `form.py`'s.

An answer of the register that is kept to decide access by is forgotten in the same transaction that notes the change,
so that access follows at the next request (FAM-15). A register that is away is asked again; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from varde.clock import today
from varde.edges.registers import RegisteredPerson
from varde.fhir.definitions import type_number
from varde.fhir.keys import resource_key
from varde.population import form
from varde.population.deaths import deaths
from varde.trust import grounds, registered
from varde.trust.persons import system_of
from varde.work import jobs
from varde.work.jobs import Handler, Job

if TYPE_CHECKING:
    from varde.services import Platform, Service
    from varde.trust.scope import Scope

NAME = "population"
PATIENT = "population.patient"
FOLLOW_EVERY = timedelta(minutes=5)
_TYPES = frozenset({"Patient", "RelatedPerson"})
_AT_ONCE = 40
"""Numbers in one search."""
_CHANGED_AT_ONCE = 500
"""Patients that others wrote, looked at in one run."""
_SETTLED = timedelta(minutes=1)
"""How old a write is when it is looked at: those that began before it are done then."""
_PATIENT_WAIT = 40
"""Tries: days of a register that is away."""

Payloads = Sequence[Mapping[str, Any]]


class Population:
    """The jobs that keep patients in step with the register. One a process."""

    def __init__(self, platform: Platform, services: Sequence[Service]) -> None:
        self._platform = platform
        self._services = services

    def handlers(self) -> list[Handler]:
        """Follow, keep, and what a death ends; and answers of the register that may not be used any more."""

        async def forget_old(connection: Any, _: Payloads) -> None:
            await registered.sweep(connection, self._platform.clock.now())

        return [
            Handler("population.follow", self.follow, timeout=timedelta(minutes=5), every=FOLLOW_EVERY),
            Handler(PATIENT, self.keep, batch=20, attempts=_PATIENT_WAIT, timeout=timedelta(minutes=2)),
            deaths(self._platform, self._services),
            Handler("population.forget", forget_old, every=timedelta(hours=1)),
        ]

    async def follow(self, connection: Any, _: Payloads) -> None:
        """Let everybody whom the register or others changed be compared. Raises RegisterUnavailable."""
        now = self._platform.clock.now()
        position = await _position(connection, "persons")
        changes = await self._platform.registers.changes(position)
        await registered.forget(connection, changes.numbers)
        patients = await self._concerned(connection, changes.numbers)
        found = [_job(patient, changes.position, now) for patient in patients]
        found += await self._written(connection, now)
        await jobs.enqueue_many(connection, found)
        await _keep_position(connection, "persons", changes.position, now)

    async def _concerned(self, connection: Any, numbers: Sequence[str]) -> list[str]:
        """Ids of the Patients whose number it is, and of those to whom they are related."""
        scope, found = self._scope(), set[str]()
        for start in range(0, len(numbers), _AT_ONCE):
            asked = _identifiers(numbers[start : start + _AT_ONCE])
            for kind in ("Patient", "RelatedPerson"):
                query = [("identifier", asked), ("_count", "1000")]
                page = await self._platform.store.search(scope, kind, query, connection=connection)
                found |= {
                    one.id if kind == "Patient" else str(one.resource["patient"]["reference"]).partition("/")[2]
                    for one in page.matches
                }
        return sorted(found)

    async def _written(self, connection: Any, now: datetime) -> list[Job]:
        """Patients that were written since the last look, by whomever."""
        position = await _position(connection, "patients")
        if position is None:
            # The demo's people are made in step with its registers.
            begun = now if self._platform.settings.demo else datetime(2000, 1, 1, tzinfo=UTC)
            position = f"{begun.isoformat()}|{-(2**63)}"
        since, _, rid = position.partition("|")
        rows = await connection.fetch(
            "select id, version, updated, rid from resource where type = $1 and not deleted"
            " and (updated, rid) > ($2, $3) and updated <= $4 order by updated, rid limit $5",
            type_number("Patient"), datetime.fromisoformat(since), int(rid), now - _SETTLED, _CHANGED_AT_ONCE,
        )  # fmt: skip
        if rows:
            position = f"{rows[-1]['updated'].isoformat()}|{rows[-1]['rid']}"
        await _keep_position(connection, "patients", position, now)
        return [_job(row["id"], str(row["version"]), now) for row in rows]

    async def keep(self, connection: Any, payloads: Payloads) -> None:
        """Compare these patients with the register, and write what differs. Raises RegisterUnavailable."""
        store, scope, day = self._platform.store, self._scope(), today(self._platform.clock)
        wanted = sorted({str(one["patient"]) for one in payloads})
        read = await store.read_many(scope, "Patient", wanted, connection=connection, for_update=True)
        patients = {name: one.resource for name, one in read.items()}
        persons = await self._registered(number for one in patients.values() for number in form.numbers_of(one))
        known = {name: person for name, one in patients.items() if (person := _of(one, persons)) is not None}
        bound = (number for person in known.values() for number in form.bound(person))
        others = {**persons, **await self._registered(number for number in bound if number not in persons)}
        written: dict[str, Mapping[str, Any]] = {}
        for name, person in known.items():
            patient = patients[name]
            if form.is_replaced(patient):
                continue
            records = await self._records(connection, patient, person)
            standing = str(form.survivor(records.values(), person)["id"])
            if standing != name:
                # Whoever stands for both replaces this one, in a job of their own: until then neither gets the
                # other's number, by which two would be found.
                now = self._platform.clock.now()
                await jobs.enqueue_many(connection, [_job(standing, f"{name}:{now.isoformat()}", now)])
                continue
            made = form.replacing(form.patient_of(patient, person, day), sorted(records.keys() - {name}))
            made = made | {"identifier": form.with_numbers(made, records.values())}
            replaced = (form.replaced(one, name) for other, one in records.items() if other != name)
            written |= {f"Patient/{one['id']}": one for one in replaced}
            if not form.same(made, patient):
                written[f"Patient/{name}"] = made
            written |= await self._relatives(connection, name, person, others)
        if written:
            await store.write_many(scope, list(written.values()), connection=connection)

    async def _relatives(
        self, connection: Any, patient: str, person: RegisteredPerson, others: Mapping[str, RegisteredPerson]
    ) -> dict[str, Mapping[str, Any]]:
        """RelatedPersons that are new, other, or none any more."""
        day = today(self._platform.clock)
        made = form.relatives_of(patient, person, others, day)
        query = [("patient", f"Patient/{patient}"), ("_count", "200")]
        page = await self._platform.store.search(self._scope(), "RelatedPerson", query, connection=connection)
        kept = {one.id: one.resource for one in page.matches if form.is_ours(one.resource, patient)}
        found = {name: one for name, one in made.items() if name not in kept or not form.same(one, kept[name])}
        gone = {name: form.ended(one, day) for name, one in kept.items() if name not in made and one.get("active")}
        return {f"RelatedPerson/{name}": one for name, one in (found | gone).items()}

    async def _records(
        self, connection: Any, patient: Mapping[str, Any], person: RegisteredPerson
    ) -> dict[str, dict[str, Any]]:
        """Every record of the person that no other replaced, the patient's among them, by id."""
        query = [("identifier", _identifiers(person.numbers)), ("_count", "50")]
        page = await self._platform.store.search(self._scope(), "Patient", query, connection=connection)
        found = {one.id: one.resource for one in page.matches if not form.is_replaced(one.resource)}
        return found | {str(patient["id"]): dict(patient)}

    async def _registered(self, numbers: Iterable[str]) -> dict[str, RegisteredPerson]:
        wanted = sorted(set(numbers))
        return dict(await self._platform.registers.persons(wanted)) if wanted else {}

    def _scope(self) -> Scope:
        return self._platform.access.for_system(NAME, grounds.RUNNING_SERVICE, types=_TYPES, write_types=_TYPES)


def _of(patient: Mapping[str, Any], persons: Mapping[str, RegisteredPerson]) -> RegisteredPerson | None:
    """The person in the register; None where it knows none, or several: then a person must look."""
    found = {persons[number].number: persons[number] for number in form.numbers_of(dict(patient)) if number in persons}
    return next(iter(found.values())) if len(found) == 1 else None


def _identifiers(numbers: Iterable[str]) -> str:
    return ",".join(f"{system_of(number)}|{number}" for number in numbers)


def _job(patient: str, cause: str, now: datetime) -> Job:
    return Job(PATIENT, {"patient": patient}, now, f"{NAME}:{patient}:{cause}", resource_key("Patient", patient))


async def _position(connection: Any, what: str) -> str | None:
    found: str | None = await connection.fetchval(
        "select position from trust_register_feed where register = $1 for update", f"{NAME}.{what}"
    )
    return found


async def _keep_position(connection: Any, what: str, position: str, now: datetime) -> None:
    await connection.execute(
        "insert into trust_register_feed (register, position, asked) values ($1, $2, $3)"
        " on conflict (register) do update set position = excluded.position, asked = excluded.asked",
        f"{NAME}.{what}", position, now,
    )  # fmt: skip
