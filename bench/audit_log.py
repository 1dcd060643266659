"""How fast the access log is read and proved: from a disclosure to the patient's page, the cost of a page over a log of
10,000 rows, of an AuditEvent search, of what an answer says of who sees it; rows a second that the chain is checked by.

    python -m bench.audit_log [--rows 10000] [--url postgresql://…]

Without a database of one's own it starts one, and throws it away.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from varde.app import House, build
from varde.clock import SetClock
from varde.db import ensure_database, migrate
from varde.embedded import EmbeddedPostgres
from varde.fhir.gate import Disclosure, Interaction
from varde.fhir.keys import resource_key
from varde.services.family import log_flow
from varde.settings import Settings
from varde.trust.audit import Who
from varde.trust.forgetting import prove_on
from varde.trust.log.auditing import AuditEvents
from varde.trust.log.lines import Wanted
from varde.trust.log.lines import Who as Whose
from varde.trust.persons import make_number, system_of
from varde.trust.scope import Scope
from varde.trust.seal import seal, verify
from varde.web.languages import Speech, catalog
from varde.web.seers import who_sees

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
BORN = datetime(1980, 5, 17, tzinfo=UTC).date()
THINGS = 400
"""Of each of the types below, in the patient's record."""
TYPES = ("Observation", "Communication", "Appointment", "DocumentReference")


def resources(number: str) -> list[dict[str, Any]]:
    """A patient with a long record."""
    person = {
        "resourceType": "Patient", "id": "kari", "birthDate": BORN.isoformat(), "name": [{"text": "Kari Nordmann"}],
        "identifier": [{"system": system_of(number), "value": number}],
    }  # fmt: skip
    subject = {"reference": "Patient/kari"}
    made: list[dict[str, Any]] = [
        {"resourceType": "Organization", "id": "ward", "name": "Hudavdelingen"},
        person,
        {"resourceType": "EpisodeOfCare", "id": "episode", "status": "active", "patient": subject,
         "managingOrganization": {"reference": "Organization/ward"}, "period": {"start": "2020-01-01"}},
    ]  # fmt: skip
    for n in range(THINGS):
        made += [
            {"resourceType": "Observation", "id": f"o{n}", "status": "final", "code": {"text": f"Prøve {n}"},
             "subject": subject, "effectiveDateTime": "2026-11-01"},
            {"resourceType": "Communication", "id": f"c{n}", "status": "completed", "subject": subject,
             "topic": {"text": f"Brev {n}"}, "sent": "2026-11-02T10:00:00Z"},
            {"resourceType": "Appointment", "id": f"a{n}", "status": "booked", "start": "2026-12-01T10:00:00Z",
             "end": "2026-12-01T10:30:00Z", "participant": [{"actor": subject, "status": "accepted"}]},
            {"resourceType": "DocumentReference", "id": f"d{n}", "status": "current", "subject": subject,
             "description": f"Notat {n}", "content": [{"attachment": {"contentType": "text/plain"}}]},
        ]  # fmt: skip
    return made


async def fill(house: House, clock: SetClock, rows: int, days: int) -> None:
    """A log of `rows` rows over some days: a ward's staff, and systems as often."""
    random = Random(7)
    key = resource_key("Patient", "kari")
    for number in range(rows):
        clock.set(NOW - timedelta(days=days * (1 - number / rows)))
        kind = TYPES[random.randrange(4)]
        told = Disclosure(Interaction.READ, kind, [f"{kind[0].lower()}{random.randrange(THINGS)}"], [key])
        hpr = str(8100000 + random.randrange(30))
        who = (
            Who(
                "staff",
                hpr,
                f"Ansatt {hpr}",
                "sykepleier",
                "ward",
                "Hudavdelingen",
                None,
                "TREAT",
                "treatment",
                "Varde",
            )
            if number % 2
            else Who("system", "jobs", "jobs", "system", None, None, None, "HOPERAT", "running-service", "Varde")
        )
        async with house.platform.database.connection() as connection:
            await house.log.write(who, told, connection)
    clock.set(NOW)


async def timed(what: str, run: Callable[[], Awaitable[Any]], times: int = 30) -> None:
    """Print the median and the ninth decile of some runs, in milliseconds."""
    await run()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        await run()
        taken.append((time.perf_counter() - started) * 1000)
    print(f"{what:<58} median {statistics.median(taken):7.1f} ms   p90 {statistics.quantiles(taken, n=10)[8]:7.1f} ms")


async def measure(url: str, rows: int, data: Path) -> None:
    """All figures."""
    clock = SetClock(NOW)
    house = build(Settings(data=data, database_url=url), process="bench", clock=clock)
    platform = house.platform
    number = next(made for n in range(100) if (made := make_number(BORN, 100 + n)))
    await platform.store.write_many(platform.access.for_system("bench"), resources(number))
    await fill(house, clock, rows, 700)
    speech = Speech("nb", catalog("nb"))
    scope: Scope = (await platform.access.for_patient(number))[0]
    events = AuditEvents(platform.database)

    async def page(wanted: Wanted, before: str | None = None) -> log_flow.Overview:
        return await log_flow.overview(platform, scope, wanted, before, speech)

    first = await page(Wanted())
    print(f"{rows} rows in the log; a page shows {len(first.lines)} lines")
    await timed("the patient's page", lambda: page(Wanted()))
    await timed("the same, an older page", lambda: page(Wanted(), first.next))
    await timed("the same, looked through for a name", lambda: page(Wanted(words="8100007")))
    await timed("what systems did", lambda: page(Wanted(who=Whose.SYSTEMS)))
    await timed("AuditEvent?patient=…, 50 of them", lambda: events.search(
        scope, [("patient", "kari")], patient=None, lenient=False, connection=None))  # fmt: skip
    await timed("who can see one thing, and why", lambda: who_sees(platform.access, scope, "Observation", "o1"))
    key = resource_key("Patient", "kari")

    async def from_read_to_page() -> None:
        who = Who("staff", "1", "Ny", "lege", "ward", "Hudavdelingen", None, "TREAT", "treatment", "Varde")
        clock.advance(timedelta(seconds=1))
        await house.log.write(who, Disclosure(Interaction.READ, "Observation", ["o1"], [key]), None)
        assert (await page(Wanted())).lines[0].last == clock.now()

    await timed("from a disclosure to its line on the page", from_read_to_page)
    await crowd(house, clock)
    clock.set(NOW + timedelta(days=1))
    await timed("the page when all of it is one day's", lambda: page(Wanted()))
    async with platform.database.transaction() as connection:
        await seal(connection, clock.now())
    async with platform.database.transaction() as connection:
        started = time.perf_counter()
        verdict = await verify(connection)
        print(f"the chain is checked by {verdict.rows / (time.perf_counter() - started):,.0f} rows/s")
        assert verdict.holds and await prove_on(connection, clock.now()) is None
    await house.close()


async def crowd(house: House, clock: SetClock, rows: int = 10_000) -> None:
    """Ten thousand rows on one day."""
    async with house.platform.database.transaction() as connection:
        await connection.execute(
            "insert into trust_audit (at, disclosure, patient, allowed, actor_kind, actor, actor_name, role, unit,"
            " unit_name, purpose, ground, interaction, resource_type, resource_ids, query, through)"
            " select $1::timestamptz + n * interval '1 second', gen_random_uuid(), $2, true, 'staff', (n % 50)::text,"
            " 'Ansatt ' || n % 50, 'lege', 'ward', 'Hudavdelingen', 'TREAT', 'treatment', 'read', 'Observation',"
            " array['o' || n % 400], '', 'Varde' from generate_series(1, $3::int) n",
            clock.now(), resource_key("Patient", "kari"), rows,
        )  # fmt: skip


async def main() -> None:
    """Start a database if none is given, measure, and leave nothing behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--url")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.url:
            await measure(chosen.url, chosen.rows, Path(folder))
            return
        server = EmbeddedPostgres(Path(folder) / "database")
        server.start()
        try:
            await ensure_database(server.url("postgres"), "bench")
            await migrate(server.url("bench"))
            await measure(server.url("bench"), chosen.rows, Path(folder))
        finally:
            server.stop()


if __name__ == "__main__":
    asyncio.run(main())
