"""The access log: a row for every answer and refusal, before it leaves; no log, no data; append only and sealed."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time

import asyncpg
import pytest

from tests.trust.region import CHILD, DOCTOR, KARI, OLA, World, observation
from varde.db import Database
from varde.fhir.errors import Forbidden, Unavailable
from varde.fhir.gate import Disclosure, Interaction
from varde.trust.audit import AuditLog, Who, masked
from varde.trust.seal import seal, sealing, verify

FIELDS = ("actor_kind", "actor", "purpose", "ground", "interaction", "resource_type", "resource_ids", "allowed")


async def test_every_answer_and_refusal_leaves_a_row(world: World) -> None:
    """FAM-40: who, purpose, ground, what; before or with the answer."""
    kari, parent, doctor = world.bearer(pid=KARI), world.bearer(pid=KARI, for_=CHILD), world.bearer(hpr=DOCTOR)
    lab = world.bearer(system="lab", scope="system/Observation.cruds")
    own, child = ("patient", "kari", "PATRQT", "own-record"), ("representative", "kari", "PATRQT", "parent-of-child")
    staff, system = ("staff", DOCTOR, "TREAT", "treatment"), ("system", "lab", "HOPERAT", "record-system")
    new = observation("new", "kari")
    cases = [
        (kari, "GET", "/Observation/result-kari", None, [(*own, "read", "Observation", ["result-kari"], True)]),
        (kari, "GET", "/Observation/result-ola", None, [(*own, "read", "Observation", ["result-ola"], False)]),
        (kari, "GET", "/Observation/nothing", None, [(*own, "read", "Observation", [], False)]),
        (kari, "GET", "/Observation/result-kari/_history/1", None,
         [(*own, "vread", "Observation", ["result-kari"], True)]),
        (kari, "GET", "/Observation/result-ola/_history", None, [(*own, "history", "Observation", [], False)]),
        (kari, "GET", "/Observation/result-kari/_history", None,
         [(*own, "history", "Observation", ["Observation/result-kari"], True)]),
        (kari, "GET", "/Observation?date=gt2020-01-01", None,
         [(*own, "search", "Observation", ["Observation/result-kari"], True)]),
        (kari, "GET", "/Observation?status=cancelled", None, [(*own, "search", "Observation", [], True)]),
        (kari, "POST", "/Observation", new, [(*own, "create", "Observation", [], False)]),
        (kari, "DELETE", "/Observation/result-kari", None, [(*own, "delete", "Observation", [], False)]),
        (kari, "GET", "/Binary/x", None, [(*own, "read", "Binary", [], False)]),
        (parent, "GET", "/Patient/child", None, [(*child, "read", "Patient", ["child"], True)]),
        (doctor, "GET", "/Patient/kari", None, [(*staff, "read", "Patient", ["kari"], True)]),
        (doctor, "GET", "/Patient/ola", None, [(*staff, "read", "Patient", ["ola"], False)]),
        (lab, "PUT", "/Observation/new", new, [(*system, "update", "Observation", ["new"], True)]),
        (lab, "DELETE", "/Observation/new", None, [(*system, "delete", "Observation", ["new"], True)]),
        (lab, "PUT", "/Patient/kari", {"resourceType": "Patient", "id": "kari"},
         [(*system, "update", "Patient", [], False)]),
    ]  # fmt: skip
    for headers in (kari, parent, doctor, lab):  # who they are is looked up now
        await world.client.get("/Organization", headers=headers)
    seen = len(await world.rows())
    for headers, method, path, body, expected in cases:
        await world.client.request(method, path, json=body, headers=headers)
        rows = (await world.rows())[seen:]
        seen += len(rows)
        # Who acts for another is looked up at every request: that is the house's own, and stands in the log too.
        asked = [row for row in rows if row["actor"] != "identity"]
        assert [tuple(row[name] for name in FIELDS) for row in asked] == expected, (method, path)
    of_child = [row for row in await world.rows("actor_kind = 'representative'") if row["patient"] is not None]
    assert {row["acting_for"] for row in of_child} == {"child"}  # FAM-18
    searched = await world.rows("query <> ''")
    assert "date=" in {row["query"] for row in searched}  # names, never values


async def test_a_refused_representative_is_logged_on_the_one_they_asked_about(world: World) -> None:
    await world.client.get("/Patient", headers=world.bearer(pid=OLA, for_=CHILD))
    (row,) = await world.rows("not allowed")
    assert (row["actor"], row["resource_ids"], row["ground"]) == ("ola", ["child"], "none")


async def test_a_refusal_is_logged_though_its_transaction_is_undone(world: World) -> None:
    """And though every connection of the pool is in such a transaction at once."""
    kari = (await world.access.for_patient(KARI))[0].acting("test", ["Observation"])

    async def forbidden() -> None:
        with pytest.raises(Forbidden):
            await world.store.create(kari, observation("", "ola") | {"id": "x"})

    async with asyncio.timeout(20):
        await asyncio.gather(*(forbidden() for _ in range(40)))
    assert len(await world.rows("not allowed and interaction = 'create'")) == 40


@pytest.mark.parametrize("how", ["table away", "table locked", "row refused"])
async def test_no_log_no_data(world: World, how: str) -> None:
    """FAM-40: reads, searches, histories and writes alike; and when the log is back, so is everything."""
    log = AuditLog(world.database, world.clock, patience=0.5)
    world.access.log = log
    kari, lab = world.bearer(pid=KARI), world.bearer(system="lab", scope="system/*.*")
    for headers in (kari, lab):
        assert (await world.client.get("/Observation/result-kari", headers=headers)).status_code == 200
    admin = await asyncpg.connect(world.database.url)
    held = admin.transaction()
    if how == "table away":
        await admin.execute("alter table trust_audit rename to gone")
    elif how == "row refused":
        await admin.execute("alter table trust_audit add constraint shut check (false) not valid")
    else:
        await held.start()
        await admin.execute("lock table trust_audit in access exclusive mode")
    for path in ("/Observation/result-kari", "/Observation", "/Observation/result-kari/_history", "/Patient/none"):
        answer = await world.client.get(path, headers=kari)
        assert answer.status_code == 503, path
        assert answer.headers["retry-after"] and "Hemoglobin" not in answer.text
    if how != "table locked":  # a write waits for the lock within its own transaction
        changed = observation("result-kari", "kari", status="amended")
        answer = await world.client.put("/Observation/result-kari", json=changed, headers=lab)
        assert answer.status_code >= 500
    if how == "table away":
        await admin.execute("alter table gone rename to trust_audit")
    elif how == "row refused":
        await admin.execute("alter table trust_audit drop constraint shut")
    else:
        await held.rollback()
    await admin.close()
    back = await world.client.get("/Observation/result-kari", headers=kari)
    assert back.status_code == 200 and back.json()["status"] == "final"
    await log.stop()


async def test_a_database_that_is_away_shows_nothing_and_comes_back(world: World, database_url: str) -> None:
    world.access.log = log = AuditLog(Database("postgresql:///none?host=/nowhere"), world.clock)
    kari = world.bearer(pid=KARI)
    assert (await world.client.get("/Observation/result-kari/_history", headers=kari)).status_code == 503
    await log.stop()
    world.access.log = world.log
    assert (await world.client.get("/Observation/result-kari", headers=world.bearer(pid=KARI))).status_code == 200
    async with world.database.connection() as connection:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
    broken = await world.client.get("/Observation/result-kari", headers=kari)
    assert broken.status_code in {200, 503}
    answers = [(await world.client.get("/Observation/result-kari", headers=kari)).status_code for _ in range(10)]
    assert answers[-1] == 200


WHO = Who("system", "bench", "bench", "system", None, None, None, "HOPERAT", "running-service", "test")


async def test_a_thousand_at_once_are_durable_before_each_is_answered(world: World) -> None:
    """Group commit: each sees its own row from another connection when `write` returns."""

    async def one(number: int) -> None:
        disclosure = Disclosure(Interaction.READ, "Observation", [f"o{number}"], [number])
        await world.log.write(WHO, disclosure, None)
        async with world.database.connection() as connection:
            assert await connection.fetchval("select count(*) from trust_audit where patient = $1", number) == 1

    await asyncio.gather(*(one(number) for number in range(1000)))
    started = time.perf_counter()
    await asyncio.gather(*(world.log.write(WHO, Disclosure(Interaction.READ, "Observation", ["o"], [1]), None)
                           for _ in range(5000)))  # fmt: skip
    each = (time.perf_counter() - started) / 5000
    assert each < 0.001
    rows = await world.rows("actor = 'bench'")
    assert len(rows) == 6000


async def test_one_row_that_cannot_be_kept_fails_only_itself(world: World) -> None:
    bad = Disclosure(Interaction.READ, "Obs\x00ervation", [], [])
    good = Disclosure(Interaction.READ, "Observation", ["good"], [])
    results = await asyncio.gather(
        *(world.log.write(WHO, bad if n == 7 else good, None) for n in range(20)), return_exceptions=True
    )
    assert [n for n, result in enumerate(results) if result is not None] == [7]
    assert isinstance(results[7], Unavailable)
    assert len(await world.rows("actor = 'bench'")) == 19


UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


async def test_no_national_number_stands_in_any_column(world: World) -> None:
    kari, lab = world.bearer(pid=KARI), world.bearer(system="lab", scope="system/*.*")
    system = f"urn:oid:2.16.578.1.12.4.1.4.1|{KARI}"
    lenient = {**lab, "prefer": "handling=lenient"}
    for headers, path in (
        (kari, f"/Patient?identifier={KARI}"), (lab, f"/Patient?identifier={system}"), (lab, f"/Patient/{KARI}"),
        (lenient, f"/Patient?{KARI}=x"), (lenient, "/Patient?%00=x&a%26b=1"),
        (lab, f"/Observation?subject.identifier={KARI}"),
        (lab, f"/Patient?_has:Observation:subject:_id={KARI}"), (kari, f"/Observation/{KARI}/_history"),
        (world.bearer(hpr=DOCTOR), f"/Patient?identifier={KARI}"), (world.bearer(pid=KARI, for_=CHILD), "/Patient"),
        (world.bearer(pid=OLA, for_=CHILD), "/Patient"),
    ):  # fmt: skip
        await world.client.get(path, headers=headers)
    put = await world.client.put(f"/Observation/{KARI}", json=observation(KARI, "kari"), headers=lab)
    assert put.status_code == 400
    for row in await world.rows():
        columns = " ".join(str(value) for value in row.values() if not isinstance(value, int))
        # A request's own random number may end in eleven digits by chance.
        assert not re.search(r"(?<!\d)\d{11}(?!\d)", UUID.sub("", columns))


async def test_the_log_is_append_only(world: World) -> None:
    await world.client.get("/Patient/kari", headers=world.bearer(pid=KARI))
    async with world.database.transaction() as connection:
        await seal(connection, world.clock.now())
    async with world.database.connection() as connection:
        for table in ("trust_audit", "trust_audit_seal"):
            for statement in (f"delete from {table}", f"truncate {table}"):
                with pytest.raises(asyncpg.RaiseError):
                    await connection.execute(statement)
        with pytest.raises(asyncpg.RaiseError):
            await connection.execute("update trust_audit set actor = 'nobody'")
        with pytest.raises(asyncpg.RaiseError):
            await connection.execute("update trust_audit_seal set rows = 0")


async def _sealed(world: World) -> str | None:
    async with world.database.transaction() as connection:
        made = await seal(connection, world.clock.now())
    return made.name if made else None


async def _verdict(world: World, *kept: str) -> tuple[bool, int | None, tuple[str, ...]]:
    async with world.database.transaction("repeatable_read") as connection:
        found = await verify(connection, kept)
    return found.holds, found.wrong, found.missing


TAMPERING = [
    "update trust_audit set actor = 'nobody' where id = (select max(id) from trust_audit where {sealed})",
    "update trust_audit set allowed = not allowed where id = (select min(id) from trust_audit)",
    "update trust_audit set at = at + interval '1 microsecond' where id = (select min(id) from trust_audit)",
    "update trust_audit set resource_ids = '{{}}' where id ="
    " (select max(id) from trust_audit where resource_ids <> '{{}}' and {sealed})",
    "delete from trust_audit where id = (select min(id) from trust_audit)",
    "delete from trust_audit where id = (select max(id) from trust_audit where {sealed})",
    "insert into trust_audit (transaction_id, {columns}) select transaction_id, {columns}"
    " from trust_audit order by id limit 1",
    "update trust_audit set transaction_id = '9999999999' where id = (select min(id) from trust_audit)",
    "delete from trust_audit_seal where number = 1",
]  # fmt: skip


@pytest.mark.parametrize("tampering", TAMPERING)
async def test_a_superuser_who_alters_sealed_rows_is_found_out(world: World, tampering: str) -> None:
    from varde.trust.audit import COLUMNS

    for _ in range(3):
        await world.client.get("/Observation", headers=world.bearer(pid=KARI))
        assert await _sealed(world)
    assert await _verdict(world) == (True, None, ())
    sealed = "transaction_id < (select max(horizon) from trust_audit_seal)"
    statement = tampering.format(sealed=sealed, columns=", ".join(COLUMNS))
    async with world.database.connection() as connection:
        await connection.execute("alter table trust_audit disable trigger all")
        await connection.execute("alter table trust_audit_seal disable trigger all")
        assert re.fullmatch(r"(UPDATE|DELETE) 1|INSERT 0 1", await connection.execute(statement))
    holds, wrong, _ = await _verdict(world)
    assert not holds and wrong is not None


async def test_a_chain_made_wholly_anew_is_found_out_by_a_seal_kept_elsewhere(world: World) -> None:
    await world.client.get("/Observation", headers=world.bearer(pid=KARI))
    kept = await _sealed(world)
    assert kept and await _verdict(world, kept) == (True, None, ())
    async with world.database.connection() as connection:
        for table in ("trust_audit", "trust_audit_seal"):
            await connection.execute(f"alter table {table} disable trigger all")
        await connection.execute("delete from trust_audit where id = (select max(id) from trust_audit)")
        await connection.execute("delete from trust_audit_seal")
    await _sealed(world)
    assert await _verdict(world) == (True, None, ())
    assert await _verdict(world, kept) == (False, None, (kept,))


async def test_a_transaction_that_commits_late_is_sealed_and_none_twice(world: World) -> None:
    log = world.access.for_system("late")
    slow = await world.database.dedicated()
    late = slow.transaction()
    await late.start()
    await log.record(Disclosure(Interaction.READ, "Patient", ["late"], []), slow)
    for number in range(3):  # others come and commit meanwhile, and are sealed as far as may be
        await log.record(Disclosure(Interaction.READ, "Patient", [f"quick-{number}"], []), None)
        await _sealed(world)
    await late.commit()
    await slow.close()
    await _sealed(world)
    assert await _sealed(world) is None
    async with world.database.connection() as connection:
        rows, sealed = await connection.fetchrow(
            "select (select count(*) from trust_audit), (select sum(rows) from trust_audit_seal)"
        )
    assert rows == sealed
    assert await _verdict(world) == (True, None, ())


async def test_a_long_backlog_is_sealed_in_several_seals_and_nothing_is_left_out(world: World) -> None:
    for number in range(12):
        await world.access.for_system("w").record(Disclosure(Interaction.READ, "Patient", [str(number)], []), None)
    made = []
    for _ in range(20):
        async with world.database.transaction() as connection:
            made.append(await seal(connection, world.clock.now(), largest=5))
    rows = [one.rows for one in made if one is not None]
    assert len(rows) > 2 and sum(rows) == len(await world.rows())
    assert await _verdict(world) == (True, None, ())


async def test_sealing_as_a_recurring_job_by_several_workers_at_once(world: World) -> None:
    run = sealing(world.clock)

    async def worker() -> None:
        for _ in range(5):
            await world.access.for_system("w").record(Disclosure(Interaction.READ, "Patient", ["x"], []), None)
            async with world.database.transaction() as connection:
                await run(connection, [{}])

    await asyncio.gather(*(worker() for _ in range(4)))
    await _sealed(world)
    assert await _verdict(world) == (True, None, ())


async def test_the_commands_seal_and_verify(world: World, database_url: str) -> None:
    def audit(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from varde.audit_cli import audit; audit()", *arguments]
        return subprocess.run(
            command, env={"VARDE_DATABASE_URL": database_url, "PATH": ""}, capture_output=True, text=True, timeout=60
        )

    made = audit("seal")
    assert re.fullmatch(r"1:[0-9a-f]{64}\n", made.stdout), made.stderr
    assert audit("seal").stdout == "Everything is sealed.\n"
    fine = audit("verify", "--kept", made.stdout.strip())
    assert fine.returncode == 0 and "under 1 seals hold" in fine.stdout
    assert audit("verify", "--kept", "1:00").returncode == 2
    async with world.database.connection() as connection:
        await connection.execute("alter table trust_audit disable trigger all")
        await connection.execute("update trust_audit set actor_name = 'En annen' where id = 1")
    assert audit("verify").returncode == 1


@pytest.mark.parametrize(
    ("identifier", "logged"),
    [
        ("01a21079-5d6a-8885-98c0-f60306171846", "01a21079-5d6a-8885-98c0-f60306171846"),
        ("Patient/01a21079-5d6a-8885-98c0-060306171846", "Patient/01a21079-5d6a-8885-98c0-060306171846"),
        ("01018012345", "…"),
        ("Patient/x-01018012345", "Patient/x-…"),
        ("01a21079-5d6a-8885-98c0-f60306171846-01018012345", "01a21079-5d6a-8885-98c0-f…-…"),
    ],
)
def test_the_stores_own_ids_are_logged_whole_and_what_could_be_a_persons_number_is_not(
    identifier: str, logged: str
) -> None:
    assert masked(identifier) == logged
