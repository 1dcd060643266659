"""The access log as it is read: by whom, in lines and as AuditEvents, and with what left out."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import orjson
import pytest

from tests.trust.region import (
    CHILD,
    DOCTOR,
    KARI,
    OLA,
    OTHER_DOCTOR,
    SECRETARY,
    WARD,
    World,
    labelled,
    observation,
    staff,
)
from varde.db import Database
from varde.fhir.gate import Disclosure, Interaction
from varde.fhir.keys import resource_key
from varde.fhir.validate import validate
from varde.trust.audit import AuditLog, Who
from varde.trust.log import lines as module
from varde.trust.log.lines import Line, Wanted, choices, count, line_of, lines, moments
from varde.trust.log.lines import Who as Whose
from varde.trust.log.shielded import SHIELDED
from varde.trust.persons import HPR
from varde.trust.scope import Scope

AUDITOR = "8100009"


async def _scope(world: World, number: str = KARI, acting_for: str | None = None) -> Scope:
    return (await world.access.for_patient(number, acting_for=acting_for))[0]


async def _lines(world: World, scope: Scope, wanted: Wanted | None = None) -> list[Line]:
    async with world.database.connection() as connection:
        return list((await lines(connection, scope, wanted or Wanted())).lines)


def _done(line: Line) -> list[tuple[str, int]]:
    return sorted((done.type, done.times) for done in line.done)


async def _events(world: World, headers: Any, query: str = "") -> list[dict[str, Any]]:
    answer = await world.client.get(f"/AuditEvent?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", ())]


async def test_what_one_did_on_one_day_is_one_line(world: World) -> None:
    """FAM-41, FAM-40: who, unit, role, what, whether it was refused."""
    doctor = world.bearer(hpr=DOCTOR)
    for path in ("/Observation/result-kari", "/Observation/result-kari", "/Communication/letter-kari"):
        assert (await world.client.get(path, headers=doctor)).status_code == 200
    assert (await world.client.get("/Patient/kari", headers=world.bearer(hpr=OTHER_DOCTOR))).status_code == 404
    await world.client.get("/Observation", headers=world.bearer(pid=KARI))
    scope = await _scope(world)
    found = await _lines(world, scope)
    assert [(line.name, line.unit_name, line.role, line.allowed, _done(line)) for line in found] == [
        (f"Ansatt {OTHER_DOCTOR}", "ward-b", "doctor", False, [("Patient", 1)]),
        (f"Ansatt {DOCTOR}", "ward-a", "doctor", True, [("Communication", 1), ("Observation", 2)]),
    ]
    async with world.database.connection() as connection:
        assert await line_of(connection, scope, found[1].id) == found[1]
        assert len(await moments(connection, scope, found[1])) == 3
        assert await count(connection, scope, Wanted(refused=True)) == 1
        units, people = await choices(connection, scope, world.clock.now() - timedelta(days=1))
    assert [one.key for one in units] == ["ward-a", "ward-b"] and len(people) == 2
    today = world.clock.now().date()
    for wanted, expected in (
        (Wanted(words=DOCTOR), 1), (Wanted(words="ward-b"), 1), (Wanted(words="100%"), 0), (Wanted(words="_"), 0),
        (Wanted(unit="ward-a"), 1), (Wanted(actor=DOCTOR), 1), (Wanted(types=frozenset({"Patient"})), 1),
        (Wanted(who=Whose.OWN), 1), (Wanted(who=Whose.ALL, emergencies=True), 0), (Wanted(refused=True), 1),
        (Wanted(since=today), 2), (Wanted(until=today - timedelta(days=1)), 0), (Wanted(until=today), 2),
    ):  # fmt: skip
        assert len(await _lines(world, scope, wanted)) == expected, wanted
    world.clock.advance(timedelta(days=1))
    await world.client.get("/Observation/result-kari", headers=world.bearer(hpr=DOCTOR))
    assert len(await _lines(world, scope)) == 3


async def test_a_line_is_read_in_the_moment_it_is_written(world: World) -> None:
    """FAM-41: at the latest a minute later; here at once."""
    await world.client.get("/Patient/kari", headers=world.bearer(hpr=DOCTOR))
    started = time.perf_counter()
    assert len(await _lines(world, await _scope(world))) == 1
    assert time.perf_counter() - started < 1


async def test_pages_meet_every_row_once_whatever_their_size(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    kari = resource_key("Patient", "kari")
    written = 0
    for day in range(12):
        for actor in range(day % 4 + 1):
            who = Who("staff", str(actor), f"A {actor}", "nurse", WARD, WARD, None, "TREAT", "treatment", "Varde")
            for number in range(actor * 3 + 1):
                await world.log.write(who, Disclosure(Interaction.READ, "Observation", [f"o{number}"], [kari]), None)
                world.clock.advance(timedelta(minutes=1))
                written += 1
        world.clock.advance(timedelta(hours=23))
    scope = await _scope(world)
    for window, size in ((2000, 40), (10, 3), (1, 1), (50, 2)):
        monkeypatch.setattr(module, "WINDOW", window)
        monkeypatch.setattr(module, "LINES", size)
        seen: list[Line] = []
        before = None
        async with world.database.connection() as connection:
            for _ in range(200):
                page = await lines(connection, scope, Wanted(), before)
                seen += page.lines
                before = page.next
                if before is None:
                    break
        assert sum(done.times for line in seen for done in line.done) == written, (window, size)
        assert len({line.id for line in seen}) == len(seen)
        assert [line.last for line in seen] == sorted((line.last for line in seen), reverse=True)
    async with world.database.connection() as connection:
        with pytest.raises(ValueError):
            await lines(connection, scope, Wanted(), "2026-01-01")


async def test_nobody_reads_anothers_log(world: World) -> None:
    await world.client.get("/Patient/kari", headers=world.bearer(hpr=DOCTOR))
    row = (await _lines(world, await _scope(world)))[0].id
    for scope in (await _scope(world, OLA), await _scope(world, KARI, CHILD)):
        async with world.database.connection() as connection:
            assert not (await lines(connection, scope, Wanted(who=Whose.ALL, actor=DOCTOR))).lines
            assert await line_of(connection, scope, row) is None
    for headers in (world.bearer(pid=OLA), world.bearer(hpr=OTHER_DOCTOR), world.bearer(pid=KARI, for_=CHILD)):
        assert (await world.client.get(f"/AuditEvent/audit-{row}", headers=headers)).status_code == 404
        assert not await _events(world, headers, "patient=kari")
        assert not await _events(world, headers, f"_id=audit-{row}")
    assert await _events(world, world.bearer(pid=KARI), f"_id=audit-{row}")
    assert not await _events(world, world.bearer(hpr=SECRETARY), "patient=kari")  # own doings alone, of which none


async def test_a_parent_reads_the_log_of_a_child_under_12_and_later_only_what_they_did(world: World) -> None:
    """Table A: all under 12; from 12 own representation only; nothing from 16."""
    lab = world.bearer(system="lab", scope="system/*.*")
    await world.client.get("/Observation/result-child", headers=lab)
    parent = world.bearer(pid=KARI, for_=CHILD)
    await world.client.get("/Observation/result-child", headers=parent)
    young = await _scope(world, KARI, CHILD)
    both = Wanted(who=Whose.ALL, types=frozenset({"Observation"}))
    assert {line.actor for line in await _lines(world, young, both)} == {"kari", "lab", "test"}
    world.clock.advance(timedelta(days=3))  # the child turns 12
    twelve = await _scope(world, KARI, CHILD)
    assert {line.actor for line in await _lines(world, twelve, both)} == {"kari"}
    actors = {event["agent"][0]["who"]["display"] for event in await _events(world, world.bearer(pid=KARI, for_=CHILD))}
    assert actors == {"Kari Nordmann"}


async def test_nothing_withheld_is_told_of_by_the_log(world: World) -> None:
    """FAM-24, FAM-05: a system's doings with a hidden thing leave no line; a person's do, without what it was."""
    await world.write(labelled(observation("hidden", "kari"), "N"))
    await world.client.get("/Observation/hidden", headers=world.bearer(hpr=DOCTOR))
    scope, kari = await _scope(world), world.bearer(pid=KARI)
    systems = await _lines(world, scope, Wanted(who=Whose.SYSTEMS, types=frozenset({"Observation"})))
    assert "Observation/hidden" not in orjson.dumps([line.references for line in systems]).decode()
    (seen,) = await _lines(world, scope)
    assert _done(seen) == [("Observation", 1)]
    everything = await world.client.get("/AuditEvent?_count=200", headers=kari)
    assert "hidden" not in everything.text and len(everything.json()["entry"]) > 2
    assert not await _events(world, kari, "entity=Observation/hidden")
    await world.client.get("/Observation/result-kari", headers=kari)
    assert await _events(world, kari, "entity=Observation/result-kari")
    assert len(await _events(world, world.bearer(hpr=DOCTOR), "entity=Observation/hidden")) == 1


async def test_a_hidden_thing_of_a_child_leaves_no_line_for_a_parent(world: World) -> None:
    """FAM-04: neither what it was nor that there was anything."""
    await world.write(labelled(observation("hidden", "child"), "NORN_FORANS"))
    who = Who("staff", DOCTOR, "Lege", "doctor", WARD, WARD, None, "TREAT", "treatment", "Varde")
    key = resource_key("Patient", "child")
    await world.log.write(who, Disclosure(Interaction.READ, "Observation", ["hidden"], [key]), None)
    parent = await _scope(world, KARI, CHILD)
    assert not await _lines(world, parent)
    await world.log.write(who, Disclosure(Interaction.SEARCH, "Observation", ["hidden", "result-child"], [key]), None)
    assert len(await _lines(world, parent)) == 1
    events = await _events(world, world.bearer(pid=KARI, for_=CHILD), f"agent:identifier={HPR}|{DOCTOR}")
    assert [one["what"]["reference"] for one in events[0]["entity"][:-1]] == ["Observation/result-child"]


async def test_staff_under_threat_are_shown_by_their_unit_alone(world: World) -> None:
    """FAM-41: on the page, in filters, in searches and as AuditEvents; the privacy officer still sees who."""
    for path in ("/Patient/kari", "/Observation/result-kari"):
        await world.client.get(path, headers=world.bearer(hpr=DOCTOR))
    person = staff(DOCTOR, "doctor", WARD)[0] | {"extension": [{"url": SHIELDED, "valueBoolean": True}]}
    await world.write(person)
    scope, kari = await _scope(world), world.bearer(pid=KARI)
    (line,) = await _lines(world, scope)
    assert (line.name, line.actor, line.role, line.unit_name) == ("", "", "", "ward-a")
    async with world.database.connection() as connection:
        assert await line_of(connection, scope, line.id) == line
        assert len(await moments(connection, scope, line)) == 2
        assert (await choices(connection, scope, world.clock.now() - timedelta(days=1)))[1] == []
    for wanted in (Wanted(words="Ansatt"), Wanted(actor=DOCTOR), Wanted(words=DOCTOR)):
        assert not await _lines(world, scope, wanted)
    assert len(await _events(world, kari, "agent=Organization/ward-a")) == 2
    told = (await world.client.get("/AuditEvent?_count=200", headers=kari)).text
    assert DOCTOR not in told and f"Ansatt {DOCTOR}" not in told
    for query in (f"agent:identifier={DOCTOR}", f"altid={HPR}|{DOCTOR}", "agent-name=Ansatt"):
        assert not await _events(world, kari, query)
    await world.write(*staff(AUDITOR, "auditor", WARD))
    assert len(await _events(world, world.bearer(hpr=AUDITOR), f"agent:identifier={HPR}|{DOCTOR}&patient=kari")) == 2
    await world.write(staff(DOCTOR, "doctor", WARD)[0])
    assert len(await _lines(world, scope, Wanted(words=f"Ansatt {DOCTOR}"))) == 1


async def test_the_privacy_officer_reads_the_log_and_no_record(world: World) -> None:
    await world.write(*staff(AUDITOR, "auditor", WARD))
    await world.client.get("/Patient/kari", headers=world.bearer(hpr=DOCTOR))
    auditor = world.bearer(hpr=AUDITOR)
    assert len(await _events(world, auditor, f"patient=kari&agent:identifier={HPR}|{DOCTOR}")) == 1
    for path in ("/Patient/kari", "/Observation?patient=kari", "/Communication/letter-kari"):
        assert (await world.client.get(path, headers=auditor)).status_code in {403, 404}
    (looked,) = await world.rows(
        "actor = '8100009' and allowed and resource_type = 'AuditEvent' and patient is not null"
    )
    assert looked["ground"] == "log-follow-up"  # and the patient reads that it was


async def test_staff_read_what_is_logged_about_themselves(world: World) -> None:
    for hpr in (DOCTOR, OTHER_DOCTOR):
        await world.client.get("/Patient/kari", headers=world.bearer(hpr=hpr))
    events = await _events(world, world.bearer(hpr=DOCTOR))
    assert {event["agent"][0]["altId"] for event in events} == {DOCTOR} and len(events) == 1


async def test_staff_are_not_told_whose_record_they_were_kept_out_of(world: World) -> None:
    """FAM-33: a refused read of what is there, and one of what is not, are the same in one's own log."""
    refused, doctor = world.bearer(hpr=OTHER_DOCTOR), world.bearer(hpr=DOCTOR)
    for headers in (refused, doctor):
        for path in ("/Patient/kari", "/Observation/result-kari", "/Observation/never"):
            await world.client.get(path, headers=headers)
    events = await _events(world, refused)
    assert events and {event["outcome"] for event in events} == {"8"}
    assert not [event for event in events if "entity" in event or "extension" in event]
    for query in ("patient=kari", "entity=Patient/kari"):
        assert not await _events(world, refused, query)
    answer = (await world.client.get("/Patient/kari/AuditEvent?_total=accurate", headers=refused)).json()
    assert answer["total"] == 0
    assert await _events(world, doctor, "patient=kari")  # what was read is told of
    assert {event["outcome"] for event in await _events(world, world.bearer(pid=KARI))} == {"0", "8"}
    scope = (await world.access.for_staff(OTHER_DOCTOR))[0]
    mine = await _lines(world, scope, Wanted(who=Whose.ALL))
    assert {line.patient for line in mine} == {None} and not [one for line in mine for one in line.references]


SEARCHES = [
    ("patient=kari", 4), ("patient=Patient/kari", 4), ("patient=ola", 0), ("date=2026-11-24", 4),
    ("date=gt2026-11-25", 0),
    ("date=ge2026-11-24&date=lt2026-11-25", 4), ("date=ne2026-11-24", 0), (f"agent:identifier={HPR}|{DOCTOR}", 3),
    (f"agent:identifier={DOCTOR},{OTHER_DOCTOR}", 4), ("agent-name=ansatt", 4), ("agent=Organization/ward-b", 1),
    ("agent=Patient/kari", 0), ("entity=Observation/result-kari", 2), ("entity=Patient/kari", 4), ("outcome=8", 1),
    ("outcome=0", 3), ("action=R", 2), ("action=E", 2), ("subtype=search", 2),
    ("policy=https://varde.no/fhir/ground/treatment", 4),
    ("_id=audit-0", 0), ("_id=x", 0),
]  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), SEARCHES)
async def test_searches(world: World, query: str, expected: int) -> None:
    doctor = world.bearer(hpr=DOCTOR)
    for path in ("/Observation/result-kari", "/Observation?patient=kari", "/Communication?patient=kari"):
        await world.client.get(path, headers=doctor)
    await world.client.get("/Patient/kari", headers=world.bearer(hpr=OTHER_DOCTOR))
    kari = world.bearer(pid=KARI)
    people = f"agent:identifier={HPR}|{DOCTOR},{HPR}|{OTHER_DOCTOR}&{query}"
    assert len(await _events(world, kari, people)) == expected
    counted = (await world.client.get(f"/AuditEvent?{people}&_summary=count", headers=kari)).json()
    assert (counted["total"], counted.get("entry")) == (expected, None)


async def test_pages_of_events_and_what_is_not_understood(world: World) -> None:
    for _ in range(7):
        await world.client.get("/Patient/kari", headers=world.bearer(hpr=DOCTOR))
    kari = world.bearer(pid=KARI)
    for order, reverse in (("-date", True), ("date", False)):
        seen: list[str] = []
        path = f"/AuditEvent?agent:identifier={DOCTOR}&_count=3&_sort={order}"
        while path:
            page = (await world.client.get(path, headers=kari)).json()
            seen += [entry["resource"]["id"] for entry in page.get("entry", ())]
            path = next((one["url"] for one in page["link"] if one["relation"] == "next"), "").removeprefix(
                "http://test/fhir"
            )
        numbers = [int(one.removeprefix("audit-")) for one in seen]
        assert len(seen) == 7 and numbers == sorted(numbers, reverse=reverse)
    for query in (
        "nonsense=1",
        "_sort=agent",
        "_page=x",
        "_count=-1",
        "date=soon",
        "agent=",
        "_include=AuditEvent:agent",
    ):
        assert (await world.client.get(f"/AuditEvent?{query}", headers=kari)).status_code == 400, query
    lenient = await world.client.get("/AuditEvent?nonsense=1", headers={**kari, "prefer": "handling=lenient"})
    assert lenient.status_code == 200
    for method, path in (("POST", "/AuditEvent"), ("PUT", "/AuditEvent/audit-1"), ("DELETE", "/AuditEvent/audit-1"),
                         ("PATCH", "/AuditEvent/audit-1"), ("DELETE", "/AuditEvent?patient=kari")):  # fmt: skip
        lab = world.bearer(system="lab", scope="system/*.*")
        assert (
            await world.client.request(method, path, json={"resourceType": "AuditEvent"}, headers=lab)
        ).status_code == 405
    in_compartment = await world.client.get(f"/Patient/kari/AuditEvent?agent:identifier={DOCTOR}", headers=kari)
    assert len(in_compartment.json()["entry"]) == 7
    assert "entry" not in (await world.client.get("/Patient/ola/AuditEvent", headers=kari)).json()
    batch = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": "AuditEvent?_count=1"}}],
    }
    answer = (await world.client.post("/", json=batch, headers=kari)).json()
    assert answer["entry"][0]["resource"]["entry"][0]["resource"]["resourceType"] == "AuditEvent"


async def test_apps_and_systems_need_the_scope_for_it(world: World) -> None:
    await world.client.get("/Patient/kari", headers=world.bearer(hpr=DOCTOR))
    for scopes, status in (("system/AuditEvent.rs", 200), ("system/Observation.rs", 403), ("system/*.r", 403),
                           ("system/AuditEvent.rs?outcome=0", 403)):  # fmt: skip
        lab = world.bearer(system="lab", scope=scopes)
        assert (await world.client.get("/AuditEvent?patient=kari", headers=lab)).status_code == status, scopes


async def test_every_row_is_a_valid_event_of_the_profile(world: World) -> None:
    """SPECS 3.9: patient exactly once, one purpose of use, an agent's who; the care relation whole or not at all."""
    await world.client.get("/Observation", headers=world.bearer(pid=KARI, for_=CHILD))
    await world.client.get("/Observation/result-ola", headers=world.bearer(hpr=DOCTOR))
    whole = '{"id":"d1","description":"Innlagt","user_selected":true,"toa":1795512000}'
    key = resource_key("Patient", "kari")
    for told in (whole, '{"id":"d1"}', None):
        who = Who("staff", DOCTOR, "Lege", "doctor", WARD, WARD, None, "TREAT", "treatment", "Epj", told)
        await world.log.write(who, Disclosure(Interaction.READ, "Observation", ["result-kari"], [key]), None)
    lab = world.bearer(system="lab", scope="system/*.*")
    events = await _events(world, lab, "_count=200")
    assert len(events) > 20
    relations = 0
    for event in events:
        validate(event)
        assert len(event["purposeOfEvent"]) == len(event["purposeOfEvent"][0]["coding"]) == 1
        assert event["agent"][0]["who"] and event["agent"][0]["requestor"] is True
        extensions = event.get("extension", [])
        assert [one["url"].rpartition("/")[2] for one in extensions[:1]] in ([], ["auditevent-patient-extension"])
        assert bool(extensions) == ("profile" in event["meta"])
        relations += len(extensions) == 2
        if len(extensions) == 2:
            assert [one["url"] for one in extensions[1]["extension"]] == [
                "decision-ref-id", "decision-ref-description", "decision-ref-user-selected", "toa"
            ]  # fmt: skip
    assert relations == 1


async def test_without_the_log_the_log_is_not_read_either(world: World) -> None:
    """FAM-40: no log, no data."""
    world.access.log = broken = AuditLog(Database("postgresql:///none?host=/nowhere"), world.clock, patience=0.5)
    assert (await world.client.get("/AuditEvent", headers=world.bearer(pid=KARI))).status_code == 503
    await broken.stop()
