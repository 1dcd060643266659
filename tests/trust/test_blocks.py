"""A patient's blocks hold in every way of reading and leave no trace (FAM-32, FAM-33, FAM-36): the world with what is
blocked answers as the world without it, byte for byte."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.fhir.bulk.desk import desk
from tests.trust.region import (
    DOCTOR,
    KARI,
    OTHER_DOCTOR,
    OTHER_WARD,
    SECRETARY,
    TWO_WARDS,
    WARD,
    World,
    episode,
    labelled,
    letter,
    observation,
)
from varde.fhir.errors import Forbidden, NotFound
from varde.fhir.everything import EVERYTHING
from varde.fhir.graphql.operation import GRAPHQL
from varde.fhir.http.rest import FhirApplication
from varde.fhir.ips.operation import SUMMARY
from varde.fhir.keys import resource_key
from varde.fhir.subscriptions import events
from varde.fhir.subscriptions.events import Event
from varde.trust import blocks, consents
from varde.trust.consents import Block, Reservation
from varde.trust.policy import ActorKind
from varde.trust.scope import Scope
from varde.trust.smart.grant import parse_scopes

CLINIC, TRUST, OTHER_TRUST = "clinic", "trust", "other-trust"
ENH = "urn:oid:2.16.578.1.12.4.1.4.101"


def organisation(identifier: str, above: str | None = None, *, enterprise: bool = False) -> dict[str, Any]:
    made: dict[str, Any] = {"resourceType": "Organization", "id": identifier, "active": True, "name": identifier}
    if above:
        made["partOf"] = {"reference": f"Organization/{above}"}
    if enterprise:
        made["identifier"] = [{"system": ENH, "value": "999"}]
    return made


@pytest.fixture
async def api(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """The API with its operations; the other ward treats Kari too, in another trust."""
    await world.write(
        organisation("region", enterprise=True),
        organisation(TRUST, "region", enterprise=True), organisation(OTHER_TRUST, "region", enterprise=True),
        organisation(CLINIC, TRUST), organisation(WARD, CLINIC), organisation(OTHER_WARD, OTHER_TRUST),
    )  # fmt: skip
    await world.write(episode("kari", OTHER_WARD, "2026-10-01"))
    application = FhirApplication(
        world.store, world.authenticator, "http://test/fhir", dict, dict, [EVERYTHING, GRAPHQL, SUMMARY]
    )
    transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        client.headers["content-type"] = "application/fhir+json"
        yield client


async def block(world: World, identifier: str = "b", **more: Any) -> None:
    """Kari blocks something."""
    made = Block(id=identifier, patient="kari", at=world.clock.now(), by="Patient/kari", **more)
    await world.write(consents.to_fhir(made))


def secrets() -> list[dict[str, Any]]:
    """A thread with a message, a visit with a result and a report; all are blocked by naming three of them."""
    category = [{"coding": [{"system": "urn:x", "code": "hemmelig"}]}]
    return [
        letter("secret", "kari", category=category) | {"status": "preparation"},
        letter("answer", "kari", partOf=[{"reference": "Communication/secret"}]) | {"status": "preparation"},
        {"resourceType": "Encounter", "id": "visit", "status": "finished", "class": {"code": "AMB"},
         "subject": {"reference": "Patient/kari"}, "period": {"start": "2026-10-10", "end": "2026-10-10"}},
        observation("in-visit", "kari", encounter={"reference": "Encounter/visit"}),
        observation("in-report", "kari"),
        {"resourceType": "DiagnosticReport", "id": "report", "status": "final", "code": {"text": "Rapport"},
         "subject": {"reference": "Patient/kari"}, "result": [{"reference": "Observation/in-report"}]},
        {"resourceType": "Task", "id": "about", "status": "requested", "intent": "order",
         "for": {"reference": "Patient/kari"}, "focus": {"reference": "Communication/secret"}},
    ]  # fmt: skip


NAMED = frozenset({"Communication/secret", "Encounter/visit", "DiagnosticReport/report"})
NAMES = ["Communication/secret", "Communication/answer", "Encounter/visit", "Observation/in-visit",
         "Observation/in-report", "DiagnosticReport/report", "Task/about"]  # fmt: skip
GRAPH = '{PatientList(_count: 9) {id} ObservationList(_count: 50) {id} CommunicationList(status: "preparation") {id}}'

WAYS = [
    *NAMES, *(f"{name}/_history" for name in NAMES), *(f"{name}/_history/1" for name in NAMES),
    "Communication", "Communication?_total=accurate", "Communication?_count=0&_total=accurate",
    "Communication?_summary=count", "Communication?_count=1&_total=accurate", "Communication?_sort=-sent",
    "Communication?_sort=status,-sent&_count=1", "Communication?status=preparation",
    "Communication?status:not=completed", "Communication?category=urn:x|hemmelig", "Communication?_id=secret,answer",
    "Communication?part-of:Communication.status=preparation", "Communication?_include=*",
    "Communication?_has:Communication:part-of:status=preparation", "Communication?_list=none",
    "Observation?_total=accurate", "Observation?encounter=Encounter/visit", "Observation?encounter.status=finished",
    "Observation?_has:DiagnosticReport:result:status=final", "Observation?_include=Observation:encounter",
    "Observation?_revinclude=DiagnosticReport:result", "Patient?_has:Encounter:subject:status=finished",
    "Patient?_has:Communication:subject:_has:Communication:part-of:status=preparation",
    "Patient?_revinclude=Communication:subject&_revinclude=Encounter:subject&_revinclude=DiagnosticReport:subject",
    "Patient?_id=kari&_revinclude:iterate=*", "Patient/kari/Observation?_total=accurate", "Patient/kari/*",
    "Encounter?_total=accurate", "DiagnosticReport?_total=accurate", "Task?focus=Communication/secret",
    "?_type=Communication,Encounter", "?_lastUpdated=gt2026-01-01&_total=accurate", "_history?_count=200",
    "Communication/_history?_count=50", "Observation/_history", "Encounter/_history?_since=2026-01-01T00:00:00Z",
    "Consent?_total=accurate", "Consent/_history", "Consent/b", "Consent?patient=kari&_summary=count",
    "Patient/kari/$everything", "Patient/kari/$everything?_type=Communication,Encounter,Observation",
    "Patient/kari/$summary",
]  # fmt: skip


async def answers(world: World, api: httpx.AsyncClient, headers: Mapping[str, str]) -> dict[str, str]:
    """What every way of reading gives."""
    found = {}
    for path in WAYS:
        answer = await api.get(f"/{path}", headers=headers)
        text = answer.text if "$summary" not in path else _plain(answer.json())
        found[path] = f"{answer.status_code} {text}"
        if "?" in path and path[0] != "?" and "_history" not in path and path.count("/") == 0:
            kind, _, query = path.partition("?")
            form = {**headers, "content-type": "application/x-www-form-urlencoded"}
            posted = await api.post(f"/{kind}/_search", content=query, headers=form)
            found[f"POST {path}"] = f"{posted.status_code} {posted.text}"
    graph = await api.post("/$graphql", json={"query": GRAPH}, headers={**headers, "content-type": "application/json"})
    found["$graphql"] = graph.text
    return found


def _plain(bundle: dict[str, Any]) -> str:
    """A summary without the ids and times that are made anew each time."""
    return str(sorted((e["resource"]["resourceType"], e["resource"].get("id") if e["resource"]["resourceType"] not in
               {"Composition"} else "") for e in bundle.get("entry", ())))  # fmt: skip


async def scope_of(world: World, who: str) -> Scope:
    if who == "system":
        grant = parse_scopes("system/*.rs")
        return world.access.for_system("journal", types=grant.read, write_types=grant.write, grant=grant)
    return (await world.access.for_staff(DOCTOR))[0]


def bearer(world: World, who: str) -> Mapping[str, str]:
    return world.bearer(hpr=DOCTOR) if who == "staff" else world.bearer(system="journal", scope="system/*.rs")


async def exported(world: World, scope: Scope) -> list[str]:
    found: set[str] = set()
    async with desk(world.store, scope) as at:
        for path in ("$export", "Patient/$export"):
            found |= {f"{path} {one['resourceType']}/{one['id']}" for one in await at.export(path)}
    return sorted(found)


@pytest.mark.parametrize("who", ["staff", "system"])
async def test_fam_33_the_world_with_what_is_blocked_is_as_the_world_without_it(
    world: World, api: httpx.AsyncClient, who: str
) -> None:
    headers = bearer(world, who)
    scope = await scope_of(world, who)
    bare = await answers(world, api, headers)
    await block(world, resources=NAMED)
    before = await answers(world, api, headers)
    assert before == bare, "that there is a block is a trace"
    files = await exported(world, scope)
    await world.write(*secrets())
    await world.write(*secrets())  # a second version
    after = await answers(world, api, headers)
    for path, answer in before.items():
        assert after[path] == answer, path
    assert await exported(world, scope) == files
    await world.store.delete(world.access.for_system("test"), "Communication", "answer")
    for path, answer in (await answers(world, api, headers)).items():
        assert answer == before[path], f"deleted: {path}"


async def test_fam_33_a_block_made_afterwards_hides_the_same(world: World, api: httpx.AsyncClient) -> None:
    headers = world.bearer(hpr=DOCTOR)
    before = await answers(world, api, headers)
    await world.write(*secrets())
    seen = await answers(world, api, headers)
    told = {path for path in before if seen[path] != before[path]}
    assert len(told) >= 45, "else the tests would prove nothing"
    assert {"$graphql", "Patient/kari/$everything", "Patient/kari/$summary", "_history?_count=200"} <= told
    await world.write(observation("in-visit", "kari"))  # which says no more what it belonged to
    await block(world, resources=NAMED)
    assert await answers(world, api, headers) == before


async def test_fam_33_lifted_and_expired_blocks_hide_nothing(world: World, api: httpx.AsyncClient) -> None:
    await world.write(*secrets())
    address = "/Communication/secret"
    await block(world, resources=NAMED, ends=world.clock.now() + timedelta(hours=1))
    assert (await api.get(address, headers=world.bearer(hpr=DOCTOR))).status_code == 404
    world.clock.advance(timedelta(minutes=59))
    assert (await api.get(address, headers=world.bearer(hpr=DOCTOR))).status_code == 404
    world.clock.advance(timedelta(minutes=1))
    assert (await api.get(address, headers=world.bearer(hpr=DOCTOR))).status_code == 200
    await block(world, "c", resources=NAMED)
    assert (await api.get(address, headers=world.bearer(hpr=DOCTOR))).status_code == 404
    await block(world, "c", resources=NAMED, withdrawn=True)
    assert (await api.get(address, headers=world.bearer(hpr=DOCTOR))).status_code == 200
    consents_seen = await api.get("/Consent?_total=accurate", headers=world.bearer(hpr=DOCTOR))
    assert consents_seen.json()["total"] == 0
    own = await api.get("/Consent?_total=accurate", headers=world.bearer(pid=KARI))
    assert own.json()["total"] == 2


async def test_fam_33_subscribers_hear_nothing_of_what_is_blocked(world: World, api: httpx.AsyncClient) -> None:
    scope = await scope_of(world, "system")
    await block(world, resources=NAMED)
    await world.write(*secrets(), observation("open", "kari"))
    made = [("Communication", "secret"), ("Communication", "answer"), ("Observation", "in-visit"),
            ("Observation", "open")]  # fmt: skip
    told = [
        Event(n, resource_key(*one), world.clock.now(), 1, one[0], "create", one[1]) for n, one in enumerate(made, 1)
    ]
    async with world.database.connection() as connection:
        seen = await events.seen_now(connection, scope, told)
    assert [one.id for one in seen.values()] == ["open"]


async def status(world: World, api: httpx.AsyncClient, address: str, **who: Any) -> int:
    return (await api.get(address, headers=world.bearer(**who))).status_code


async def test_fam_33_a_person_sees_nothing_and_the_colleague_does(world: World, api: httpx.AsyncClient) -> None:
    await block(world, hpr=DOCTOR)
    for address in ("/Patient/kari", "/Observation/result-kari", "/Communication/letter-kari"):
        assert await status(world, api, address, hpr=DOCTOR) == 404
        assert await status(world, api, address, hpr=TWO_WARDS, unit=WARD) == 200
    found = await api.get("/Patient?_total=accurate", headers=world.bearer(hpr=DOCTOR))
    assert found.json()["total"] == 0


async def test_fam_33_a_unit_and_all_below_it(world: World, api: httpx.AsyncClient) -> None:
    await block(world, blocked_unit=CLINIC)  # of which the ward is part
    assert await status(world, api, "/Observation/result-kari", hpr=DOCTOR) == 404
    assert await status(world, api, "/Communication/letter-kari", hpr=SECRETARY) == 404
    assert await status(world, api, "/Observation/result-kari", hpr=OTHER_DOCTOR) == 200
    assert await status(world, api, "/Observation/result-kari", pid=KARI) == 200


async def test_fam_33_one_document_from_one_person_only(world: World, api: httpx.AsyncClient) -> None:
    await block(world, hpr=DOCTOR, resources=frozenset({"Observation/result-kari"}))
    assert await status(world, api, "/Observation/result-kari", hpr=DOCTOR) == 404
    assert await status(world, api, "/Patient/kari", hpr=DOCTOR) == 200
    assert await status(world, api, "/Observation/result-kari", hpr=TWO_WARDS, unit=WARD) == 200


def from_unit(unit: str) -> list[dict[str, Any]]:
    """A visit, what belongs to it, an order and a letter; each says in its own way where it comes from."""
    return [
        {"resourceType": "Encounter", "id": "there", "status": "finished", "class": {"code": "AMB"},
         "subject": {"reference": "Patient/kari"}, "serviceProvider": {"reference": f"Organization/{unit}"}},
        observation("there-1", "kari", encounter={"reference": "Encounter/there"}),
        observation("there-2", "kari", performer=[{"reference": f"PractitionerRole/r{OTHER_DOCTOR}-{unit}"}]),
        observation("there-3", "kari", performer=[{"reference": f"Practitioner/p{OTHER_DOCTOR}"}]),
        letter("there-4", "kari", sender={"reference": f"Organization/{unit}"}),
        {"resourceType": "ServiceRequest", "id": "there-5", "status": "active", "intent": "order",
         "subject": {"reference": "Patient/kari"}, "performer": [{"reference": f"Organization/{unit}"}]},
        observation("there-6", "kari", basedOn=[{"reference": "ServiceRequest/there-5"}]),
    ]  # fmt: skip


THERE = ["Encounter/there", "Observation/there-1", "Observation/there-2", "Observation/there-3",
         "Communication/there-4", "ServiceRequest/there-5", "Observation/there-6"]  # fmt: skip


async def test_fam_33_what_came_from_a_unit_is_hidden_from_all_others(world: World, api: httpx.AsyncClient) -> None:
    await world.write(*from_unit(OTHER_WARD)[:3])
    await block(world, source=OTHER_TRUST)
    await world.write(*from_unit(OTHER_WARD)[3:])
    for name in THERE:
        assert await status(world, api, f"/{name}", hpr=DOCTOR) == 404, name
        assert await status(world, api, f"/{name}", hpr=OTHER_DOCTOR) == 200, name
        assert await status(world, api, f"/{name}", system="x", scope="system/*.rs") == 404, name
        assert await status(world, api, f"/{name}", pid=KARI) == 200, name
    assert await status(world, api, "/Observation/result-kari", hpr=DOCTOR) == 200
    assert await status(world, api, f"/EpisodeOfCare/episode-kari-{OTHER_WARD}", hpr=DOCTOR) == 404


async def test_fam_32_sharing_blocked_leaves_each_trust_its_own(world: World, api: httpx.AsyncClient) -> None:
    await world.write(*from_unit(OTHER_WARD))
    await block(world, sharing=True)
    for name in THERE:
        assert await status(world, api, f"/{name}", hpr=DOCTOR) == 404, name
        assert await status(world, api, f"/{name}", hpr=OTHER_DOCTOR) == 200, name
    assert await status(world, api, "/Patient/kari", hpr=DOCTOR) == 200
    assert await status(world, api, f"/EpisodeOfCare/episode-kari-{WARD}", hpr=DOCTOR) == 200
    assert await status(world, api, "/Observation/result-kari", hpr=DOCTOR) == 404, "of unknown origin: not shared"
    scope = (await world.access.for_staff(DOCTOR))[0].acting("test", ["Observation"])
    mine = observation("mine", "kari", performer=[{"reference": f"Organization/{WARD}"}])
    await world.store.create(scope, mine | {"id": "mine"})
    made = await api.get("/Observation?_total=accurate", headers=world.bearer(hpr=DOCTOR))
    assert made.json()["total"] == 1


async def test_fam_36_nors_is_for_those_whom_the_patient_allows(world: World, api: httpx.AsyncClient) -> None:
    await world.write(labelled(observation("result-kari", "kari"), "NORS"))
    address = "/Observation/result-kari"
    assert await status(world, api, address, hpr=DOCTOR) == 404
    assert await status(world, api, address, pid=KARI) == 200
    await block(world, resources=frozenset({"Observation/result-kari"}), allowed_workers=frozenset({DOCTOR}))
    assert await status(world, api, address, hpr=DOCTOR) == 200
    assert await status(world, api, address, hpr=TWO_WARDS, unit=WARD) == 404
    everybody_at = frozenset({"Observation/result-kari"})
    await block(world, resources=everybody_at, allowed_units=frozenset({OTHER_TRUST}))
    assert await status(world, api, address, hpr=OTHER_DOCTOR) == 200
    assert await status(world, api, address, hpr=DOCTOR) == 404


async def test_staff_change_nothing_that_is_blocked(world: World, api: httpx.AsyncClient) -> None:
    await world.write(*secrets())
    await block(world, resources=NAMED)
    doctor = (await world.access.for_staff(DOCTOR))[0].acting("test", ["Communication"])
    for identifier in ("secret", "answer"):
        with pytest.raises(NotFound):
            await world.store.update(doctor, "Communication", identifier, letter(identifier, "kari"))
        with pytest.raises(NotFound):
            await world.store.delete(doctor, "Communication", identifier)
    await block(world, "c", hpr=DOCTOR)
    with pytest.raises(Forbidden):
        await world.store.create(doctor, letter("new", "kari"))


async def test_what_was_under_way_when_the_block_was_made_is_found_by_the_job(
    world: World, api: httpx.AsyncClient
) -> None:
    """A writer that began before the block was made, and ends after."""
    await world.write(*secrets()[:1])
    system = world.access.for_system("test")
    async with world.store.transaction() as connection:
        await world.store.write_many(system, secrets()[1:2], connection=connection)
        await block(world, resources=NAMED)
    assert await status(world, api, "/Communication/answer", hpr=DOCTOR) == 200
    async with world.store.transaction() as connection:
        await blocks.mend(connection, world.clock.now() - blocks.YOUNG)
    assert await status(world, api, "/Communication/answer", hpr=DOCTOR) == 404


async def test_the_house_itself_and_the_patient_pay_and_lose_nothing(world: World, api: httpx.AsyncClient) -> None:
    from varde.fhir.gate import Parameters

    system = world.access.for_system("test")
    patient = (await world.access.for_patient(KARI))[0]
    assert patient.actor.kind is ActorKind.PATIENT
    assert blocks.condition(system, "r", Parameters()) == blocks.condition(patient, "r", Parameters()) == "true"


async def test_reservations_by_service_and_time(world: World, api: httpx.AsyncClient) -> None:
    now, key = world.clock.now(), resource_key("Patient", "kari")

    async def reserved(service: str) -> bool:
        async with world.database.connection() as connection:
            return key in await blocks.reserved(connection, [key, 1], service, world.clock.now())

    made = Reservation(id="r", patient="kari", at=now, service="letters")
    await world.write(consents.to_fhir(made))
    assert await reserved("letters") and not await reserved("forms")
    world.clock.advance(timedelta(hours=1))
    await world.write(consents.to_fhir(Reservation(id="r", patient="kari", at=world.clock.now(), starts=now,
                                                   service="letters", withdrawn=True)))  # fmt: skip
    assert not await reserved("letters")
