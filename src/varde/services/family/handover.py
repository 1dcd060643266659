"""Birthdays at midnight in Norway (FAM-10): what an age changes is done then, by jobs, without anyone doing anything.

Each midnight's job finds those whose day it is and puts in one job a person, with a key, and the next midnight's. Every
decision of access is made anew by the clock anyway; here is what must be done once: drafts closed, notices, and what
each service does of its own (`services.Service.birthday`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from varde.clock import today
from varde.fhir.errors import Gone, NotFound
from varde.fhir.keys import resource_key
from varde.fhir.model import ProjectedRow
from varde.services import Birthday
from varde.services.family import birthdays, telling
from varde.services.family.notices import Kind, Notice
from varde.services.family.telling import own_scope
from varde.trust.access import name_of, national_number
from varde.trust.persons import HEALTH_MAJORITY, MAJORITY, PARENTS_FULL_UNTIL, YOUTH_LOGIN, age, system_of
from varde.work import jobs
from varde.work.jobs import Handler, Job

if TYPE_CHECKING:
    from varde.services import Platform

CALENDAR = "family.calendar"
MIDNIGHT = "family.midnight"
BIRTHDAY = "family.birthday"
CORRECTED = "family.corrected"
_AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE = 500
_CLOSED = "closed: the patient turned 16"
_DRAFTS: Mapping[str, tuple[str, str, str]] = {
    "QuestionnaireResponse": ("in-progress", "stopped", "author"),
    "Communication": ("preparation", "stopped", "sender"),
}
"""Type of a draft: the status it has, the one that it gets, and the element that says who wrote it."""
_TOLD_PARENTS = {PARENTS_FULL_UNTIL: Kind.CHILD_12, YOUTH_LOGIN: Kind.CHILD_13, HEALTH_MAJORITY: Kind.CHILD_16}
_TOLD_OWN = {YOUTH_LOGIN: Kind.OWN_13, HEALTH_MAJORITY: Kind.OWN_16}


class Corrections:
    """Projection of the store: a birth date that is corrected may make somebody older than their birthdays told."""

    types = frozenset({"Patient"})

    async def written(self, connection: Any, rows: Sequence[ProjectedRow]) -> None:
        """Put in a job for each changed birth date."""
        await jobs.enqueue_many(
            connection,
            [
                Job(CORRECTED, {"patient": row.id, "before": row.old["birthDate"]}, _AT_ONCE,
                    f"{CORRECTED}:{row.rid}:{row.version}", row.rid)
                for row in rows
                if row.old is not None and row.new is not None
                and row.old.get("birthDate") not in {None, row.new.get("birthDate")}
            ],
        )  # fmt: skip


def _midnight_job(day: date) -> Job:
    return Job(MIDNIGHT, {"day": day.isoformat()}, birthdays.midnight(day), f"{MIDNIGHT}:{day.isoformat()}")


def _birthday_job(patient: str, years: int, day: date) -> Job:
    rid = resource_key("Patient", patient)
    payload = {"patient": patient, "years": years}
    return Job(BIRTHDAY, payload, birthdays.midnight(day), f"{BIRTHDAY}:{rid}:{years}", rid)


async def begin(platform: Platform, connection: Any) -> None:
    """The next midnight's job, which causes all later ones; put in again by nobody while it stands."""
    await jobs.enqueue(connection, _midnight_job(birthdays.next_day(today(platform.clock))))


async def strike(platform: Platform, connection: Any, day: date) -> None:
    """Midnight at the beginning of `day`: a job for each whose birthday it is, and the next midnight's."""
    found: list[Job] = []
    for years in birthdays.YEARS:
        for born in birthdays.born_then(day, years):
            query = [("birthdate", born.isoformat()), ("_elements", "birthDate"), ("_count", str(_PAGE))]
            while True:
                page = await platform.store.search(own_scope(platform), "Patient", query, connection=connection)
                found += [_birthday_job(match.id, years, day) for match in page.matches]
                if page.next is None:
                    break
                query = [*query[:3], ("_page", page.next)]
    await jobs.enqueue_many(connection, [*found, _midnight_job(birthdays.next_day(day))])


async def corrected(platform: Platform, connection: Any, patient: str, before: str) -> None:
    """A birth date was corrected: birthdays that are past by the new one are made up for (FAM-15)."""
    try:
        resource = (await platform.store.read(own_scope(platform), "Patient", patient, connection=connection)).resource
        born, then = date.fromisoformat(resource["birthDate"]), date.fromisoformat(before)
    except (NotFound, Gone, KeyError, ValueError):
        return
    day = today(platform.clock)
    await jobs.enqueue_many(connection, [_birthday_job(patient, y, day) for y in birthdays.turned(then, born, day)])


async def celebrate(platform: Platform, connection: Any, patient: str, years: int) -> None:
    """One person's birthday. Nothing for one who has died, or is not that old after all. Raises RegisterUnavailable."""
    try:
        resource = (await platform.store.read(own_scope(platform), "Patient", patient, connection=connection)).resource
        born = date.fromisoformat(resource["birthDate"])
    except (NotFound, Gone, KeyError, ValueError):
        return
    day = today(platform.clock)
    if age(born, day) < years or resource.get("deceasedDateTime") or resource.get("deceasedBoolean"):
        return
    drafting: frozenset[str] = frozenset()
    if years == HEALTH_MAJORITY:
        drafting = await _close_drafts(platform, connection, patient)
    for service in platform.services:
        if service.birthday is not None:
            await service.birthday(platform, connection, Birthday(patient, years))
    if years != MAJORITY:
        await _tell(platform, connection, resource, years, drafting)


async def _close_drafts(platform: Platform, connection: Any, patient: str) -> frozenset[str]:
    """What others had begun to write for one who is 16 now is closed, unsent (FAM-10); the ids of the Patients who
    wrote."""
    scope, writers = own_scope(platform), set()
    for kind, (open_status, closed, author) in _DRAFTS.items():
        page = await platform.store.search(
            scope, kind, [("patient", patient), ("status", open_status), ("_count", "1000")], connection=connection
        )
        changed = []
        for match in page.matches:
            writer = str((match.resource.get(author) or {}).get("reference", ""))
            if not writer.startswith(("Patient/", "RelatedPerson/")) or writer == f"Patient/{patient}":
                continue
            one = {**match.resource, "status": closed}
            if kind == "Communication":
                one["statusReason"] = {"text": _CLOSED}
            changed.append(one)
            writers.add(writer.removeprefix("Patient/"))
        if changed:
            await platform.store.write_many(scope, changed, connection=connection)
    return frozenset(writers)


async def _tell(
    platform: Platform, connection: Any, child: Mapping[str, Any], years: int, drafting: frozenset[str]
) -> None:
    """The young person, and each holder of parental responsibility who uses the portal and knows where the child
    lives."""
    now, name = platform.clock.now(), name_of(dict(child))
    told: list[Notice] = []
    own = _TOLD_OWN.get(years)
    if own is not None:
        told.append(Notice(own, child["id"], "", now))
    try:
        number = national_number(dict(child))
    except LookupError:
        number = ""
    registered = (await platform.registers.persons([number])).get(number) if number else None
    if registered is not None and not registered.protection.hides_address:
        parents = await platform.registers.persons(registered.parents)
        for parent, person in parents.items():
            if person.dead is not None or person.protection.hides_address:
                continue
            query = [("identifier", f"{system_of(parent)}|{parent}")]
            page = await platform.store.search(own_scope(platform), "Patient", query, connection=connection)
            for match in page.matches:
                kind = _TOLD_PARENTS[years]
                if kind is Kind.CHILD_16 and match.id in drafting:
                    kind = Kind.CHILD_16_DRAFTS
                told.append(Notice(kind, match.id, name, now))
    await telling.tell(platform, connection, told)


def handlers(platform: Platform) -> Sequence[Handler]:
    """The kinds of job of birthdays and notices."""
    patient_wait = 40  # tries of what asks the registers: days, not minutes, and nothing is lost meanwhile

    async def calendar(connection: Any, _: Sequence[Mapping[str, Any]]) -> None:
        await begin(platform, connection)

    async def at_midnight(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        for payload in payloads:
            await strike(platform, connection, date.fromisoformat(payload["day"]))

    async def birthday(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        for payload in payloads:
            await celebrate(platform, connection, payload["patient"], payload["years"])

    async def correction(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        for payload in payloads:
            await corrected(platform, connection, payload["patient"], payload["before"])

    async def send(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        await telling.send(platform, connection, payloads)

    return (
        Handler(CALENDAR, calendar, every=timedelta(hours=1)),
        Handler(MIDNIGHT, at_midnight, attempts=patient_wait, timeout=timedelta(minutes=10)),
        Handler(BIRTHDAY, birthday, batch=20, attempts=patient_wait, timeout=timedelta(minutes=2)),
        Handler(CORRECTED, correction, batch=20, attempts=patient_wait),
        Handler(telling.TELL, send, batch=50, attempts=patient_wait),
    )
