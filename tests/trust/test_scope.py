"""Who sees what, over HTTP with real tokens: own and other patients, families, units, roles, systems."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from tests.trust.region import (
    CHILD,
    DEAD,
    DOCTOR,
    KARI,
    OLA,
    OPERATOR,
    OTHER_DOCTOR,
    OTHER_WARD,
    SECRETARY,
    TWO_WARDS,
    WARD,
    YOUTH,
    World,
    episode,
    letter,
    observation,
)
from varde.clock import OSLO
from varde.fhir.errors import Forbidden, NotFound
from varde.fhir.store import Store
from varde.trust import grounds
from varde.trust.access import Refused
from varde.trust.scope import Scope


async def status(world: World, headers: Mapping[str, str], path: str) -> int:
    return (await world.client.get(path, headers=headers)).status_code


async def ids(world: World, headers: Mapping[str, str], query: str) -> set[str]:
    answer = await world.client.get(query, headers=headers)
    assert answer.status_code == 200, answer.text
    return {e["resource"]["id"] for e in answer.json().get("entry", [])}


async def test_a_patient_sees_their_own_and_nobody_elses(world: World) -> None:
    """FAM-01."""
    kari = world.bearer(pid=KARI)
    assert await ids(world, kari, "/Observation") == {"result-kari"}
    assert await ids(world, kari, "/Patient") == {"kari"}
    assert await status(world, kari, "/Observation/result-kari") == 200
    assert await status(world, kari, "/Observation/result-ola") == 404
    assert await status(world, kari, "/Patient/ola") == 404
    assert await ids(world, kari, "/Patient/ola/*") == set()
    assert await ids(world, kari, "/Observation?subject=Patient/ola") == set()
    assert await ids(world, kari, "/Organization") == {WARD, OTHER_WARD}


async def test_a_parent_sees_a_child_under_12_until_midnight_of_the_birthday(world: World) -> None:
    """FAM-02, FAM-03, FAM-15: by the clock, though the token lives on and no register has changed."""
    world.clock.set(datetime(2026, 11, 25, 23, 59, 50, tzinfo=OSLO))
    parent = world.bearer(pid=KARI, for_=CHILD)
    assert await ids(world, parent, "/Observation") == {"result-child"}
    assert await status(world, parent, "/Observation/result-kari") == 404
    assert await ids(world, parent, "/Patient") == {"child"}
    assert await status(world, parent, "/Observation/result-child/_history") == 200
    world.clock.advance(timedelta(seconds=10))
    assert await ids(world, parent, "/Observation") == set()
    assert await ids(world, parent, "/Communication") == set()
    assert await ids(world, parent, "/Patient") == {"child"}  # contact data, table A
    assert await status(world, parent, "/Observation/result-child/_history") == 403


async def test_whom_a_parent_may_act_for_is_asked_of_the_register_and_the_clock(world: World) -> None:
    """FAM-02, FAM-03, FAM-10: the youth is a child of hers too, for whom little is left to see."""
    assert [child.id for child in await world.access.represented("kari")] == ["youth", "child"]
    assert await world.access.represented("ola") == []
    scope, person, child = await world.access.act_for("kari", "child")
    assert (scope.acting_for, person.id, child.id) == ("child", "kari", "child")  # FAM-18
    assert scope.mandate is not None and scope.mandate.whole
    world.clock.advance(timedelta(days=2))
    narrow = (await world.access.act_for("kari", "child"))[0]
    assert narrow.ground is grounds.PARENT_OF_YOUTH and narrow.mandate is not None and not narrow.mandate.whole
    world.clock.set(datetime(2027, 2, 3, tzinfo=OSLO))  # the youth turns 16
    assert [child.id for child in await world.access.represented("kari")] == ["child"]
    for whose in ("youth", "ola", "nobody"):
        with pytest.raises((Refused, LookupError)):
            await world.access.act_for("kari", whose)


@pytest.mark.parametrize(("asks", "whose"), [(OLA, CHILD), (KARI, OLA), (CHILD, None), (DEAD, None)])
async def test_who_is_not_let_in(world: World, asks: str, whose: str | None) -> None:
    """FAM-02 no responsibility, FAM-01 another adult, FAM-06 under 13, FAM-16 dead."""
    answer = await world.client.get("/Patient", headers=world.bearer(pid=asks, for_=whose))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="fhir", error="invalid_token"'


async def test_a_parent_who_died_or_is_under_16_acts_for_nobody(world: World) -> None:
    """FAM-06, FAM-16, and the refusal says why."""
    good = world.register.parents[(KARI, CHILD)]
    world.register.parents |= {(DEAD, CHILD): good, (YOUTH, CHILD): good}
    for asks in (DEAD, YOUTH):
        assert await status(world, world.bearer(pid=asks, for_=CHILD), "/Patient") == 401
    assert [r["actor"] for r in await world.rows("not allowed")] == ["dead", "youth"]


async def test_a_dead_child_is_represented_by_nobody_whatever_the_register_says(world: World) -> None:
    """FAM-16: the record knows before the register does."""
    child = (await world.store.read(world.access.for_system("test"), "Patient", "child")).resource
    await world.write({**child, "deceasedBoolean": True})
    assert await status(world, world.bearer(pid=KARI, for_=CHILD), "/Patient") == 401


async def test_staff_see_the_patients_their_unit_treats(world: World) -> None:
    """FAM-30."""
    doctor, other = world.bearer(hpr=DOCTOR), world.bearer(hpr=OTHER_DOCTOR)
    assert await ids(world, doctor, "/Observation") == {"result-kari"}
    assert await ids(world, doctor, "/Patient") == {"kari"}
    assert await status(world, doctor, "/Observation/result-ola") == 404
    assert await ids(world, other, "/Observation") == set()
    assert await status(world, other, "/Observation/result-kari") == 404
    assert await status(world, world.bearer(hpr=OPERATOR), "/Patient") == 403
    assert await ids(world, world.bearer(hpr=OPERATOR), "/?_id=kari") == set()
    assert await ids(world, world.bearer(hpr=TWO_WARDS, unit=OTHER_WARD), "/Patient") == set()
    assert await ids(world, world.bearer(hpr=TWO_WARDS, unit=WARD), "/Patient") == {"kari"}
    assert await status(world, world.bearer(hpr=DOCTOR, unit=OTHER_WARD), "/Patient") == 401
    assert await status(world, world.bearer(hpr="999"), "/Patient") == 401


async def test_the_relation_lasts_90_days_after_the_last_contact(world: World) -> None:
    """FAM-30, by the clock to the second."""
    await world.write(episode("kari", WARD, "2026-10-01", "2026-11-20"))
    end = datetime(2026, 11, 21, tzinfo=OSLO).astimezone(UTC) + timedelta(days=90)
    world.clock.set(end - timedelta(seconds=1))
    assert await ids(world, world.bearer(hpr=DOCTOR), "/Patient") == {"kari"}
    world.clock.advance(timedelta(seconds=1))
    assert await ids(world, world.bearer(hpr=DOCTOR), "/Patient") == set()


async def test_the_relation_begins_when_it_begins_and_goes_with_its_cause(world: World) -> None:
    """FAM-30, FAM-22: not before; a cancelled or deleted episode shows nothing any more."""
    await world.write(episode("ola", WARD, "2026-11-25"))
    doctor = world.bearer(hpr=DOCTOR)
    assert await ids(world, doctor, "/Patient") == {"kari"}
    world.clock.advance(timedelta(days=1))
    doctor = world.bearer(hpr=DOCTOR)
    assert await ids(world, doctor, "/Patient") == {"kari", "ola"}
    await world.write(episode("ola", WARD, "2026-11-25") | {"status": "cancelled"})
    assert await ids(world, doctor, "/Patient") == {"kari"}
    await world.write(episode("ola", WARD, "2026-11-25"))
    assert await ids(world, doctor, "/Patient") == {"kari", "ola"}
    await world.store.delete(world.access.for_system("test"), "EpisodeOfCare", f"episode-ola-{WARD}")
    assert await ids(world, doctor, "/Patient") == {"kari"}


async def test_secretaries_see_what_summoning_needs(world: World) -> None:
    """FAM-31: and nothing else on any way round."""
    await world.write(letter("about", "kari", about=[{"reference": "Observation/result-kari"}]))
    secretary = world.bearer(hpr=SECRETARY)
    assert await ids(world, secretary, "/Communication") == {"letter-kari", "about"}
    assert await status(world, secretary, "/Observation") == 403
    assert await status(world, secretary, "/Observation/result-kari") == 403
    assert await status(world, secretary, "/Observation/result-ola") == 403
    assert await ids(world, secretary, "/Communication?_id=about&_include=*") == {"about", "kari"}
    assert await ids(world, secretary, "/Patient?_revinclude=*") == {
        "kari", "letter-kari", "about", f"episode-kari-{WARD}",
    }  # fmt: skip
    assert await ids(world, secretary, "/Patient?_has:Observation:subject:status=final") == set()
    for path in ("/_history?_count=100", "/Patient/kari/*", "/?_id=result-kari"):
        assert '"resourceType":"Observation"' not in (await world.client.get(path, headers=secretary)).text


WRITES = [
    ("POST", "/Observation", observation("x", "kari")),
    ("PUT", "/Observation/result-kari", observation("result-kari", "kari", status="amended")),
    ("PUT", "/Observation/result-ola", observation("result-ola", "kari")),
    ("PUT", "/Observation/new-one", observation("new-one", "kari")),
    ("PUT", "/Observation?_id=result-kari", observation("result-kari", "kari")),
    ("PATCH", "/Observation/result-kari", [{"op": "replace", "path": "/status", "value": "amended"}]),
    ("PATCH", "/Observation?_id=result-kari", [{"op": "replace", "path": "/status", "value": "amended"}]),
    ("DELETE", "/Observation/result-kari", None),
    ("DELETE", "/Observation?_id=result-kari", None),
    ("PUT", "/Organization/ward-a", {"resourceType": "Organization", "id": "ward-a", "name": "Min"}),
    ("PUT", "/Patient/kari", {"resourceType": "Patient", "id": "kari"}),
    ("POST", "/EpisodeOfCare", episode("ola", WARD, "2026-01-01")),
    ("POST", "/PractitionerRole", {"resourceType": "PractitionerRole"}),
]


def _entry(method: str, path: str, body: object) -> dict[str, object]:
    return {"request": {"method": method, "url": path[1:]}} | ({"resource": body} if isinstance(body, dict) else {})


@pytest.mark.parametrize("who", ["patient", "parent", "doctor", "reading system"])
async def test_nobody_but_a_system_with_the_right_writes_over_the_api(world: World, who: str) -> None:
    headers = {
        "patient": world.bearer(pid=KARI), "parent": world.bearer(pid=KARI, for_=CHILD),
        "doctor": world.bearer(hpr=DOCTOR), "reading system": world.bearer(system="x", scope="system/*.rs"),
    }[who]  # fmt: skip
    async with world.database.connection() as connection:
        before = await connection.fetchval("select count(*) from resource_history") + await connection.fetchval(
            "select count(*) from resource"
        )
    for method, path, body in WRITES:
        kind = "application/json-patch+json" if method == "PATCH" else "application/fhir+json"
        answer = await world.client.request(method, path, json=body, headers={**headers, "content-type": kind})
        assert answer.status_code == 403, (method, path, answer.text)
        if method == "PATCH":
            continue
        for bundle in ("transaction", "batch"):
            sent = {"resourceType": "Bundle", "type": bundle, "entry": [_entry(method, path, body)]}
            answer = await world.client.post("/", json=sent, headers=headers)
            if bundle == "transaction":
                assert answer.status_code == 403, (method, path, answer.text)
            else:
                assert answer.json()["entry"][0]["response"]["status"].startswith("403 ")
    async with world.database.connection() as connection:
        after = await connection.fetchval("select count(*) from resource_history") + await connection.fetchval(
            "select count(*) from resource"
        )
    assert after == before
    refused = await world.rows("not allowed")
    assert len(refused) == len(WRITES) * 3 - 4


async def _staff(world: World, *types: str) -> Scope:
    return (await world.access.for_staff(DOCTOR))[0].acting("test", types)


async def test_a_service_writes_for_a_person_only_within_the_persons_reach(world: World) -> None:
    kari = (await world.access.for_patient(KARI))[0].acting("test", ["Communication"])
    store: Store = world.store
    await store.update(kari, "Communication", "letter-kari", letter("letter-kari", "kari", status="in-progress"))
    with pytest.raises(Forbidden):
        await store.create(kari, letter("", "ola") | {"id": "x"})
    with pytest.raises(NotFound):
        await store.update(kari, "Communication", "letter-ola", letter("letter-ola", "kari"))
    with pytest.raises(Forbidden):
        await store.create(kari, observation("x", "kari"))
    assert {r["resource_type"] for r in await world.rows("not allowed")} == {"Communication", "Observation"}


async def test_no_person_moves_a_thing_from_one_patient_to_another(world: World) -> None:
    """Not even staff who treat both: the mistake is corrected by those who run the record."""
    await world.write(episode("ola", WARD, "2026-01-01"))
    doctor = await _staff(world, "Communication")
    await world.store.update(doctor, "Communication", "letter-ola", letter("letter-ola", "ola", status="in-progress"))
    for whose in ("kari", "child"):
        with pytest.raises(Forbidden):
            await world.store.update(doctor, "Communication", "letter-ola", letter("letter-ola", whose))
    nobody = {k: v for k, v in letter("letter-ola", "ola").items() if k != "subject"}
    with pytest.raises(Forbidden):
        await world.store.update(doctor, "Communication", "letter-ola", nobody)
    kari = (await world.access.for_patient(KARI))[0].acting("test", ["Communication"])
    with pytest.raises(Forbidden):
        await world.store.update(kari, "Communication", "letter-kari", letter("letter-kari", "ola"))
    await world.write(letter("letter-ola", "kari"))  # a system may


async def test_staff_give_no_unit_its_first_relation_to_a_patient(world: World) -> None:
    """FAM-30: writing an episode is no way to somebody the unit does not treat."""
    doctor = await _staff(world, "EpisodeOfCare", "Appointment", "ServiceRequest")
    with pytest.raises(Forbidden):
        await world.store.create(doctor, episode("ola", WARD, "2026-01-01"))


async def test_things_of_a_corrected_patient_follow_the_correction(world: World) -> None:
    """A result filed on the wrong patient: once moved, neither has its old version."""
    await world.write(observation("result-ola", "kari"))
    for who, version in ((OLA, 1), (OLA, 2), (KARI, 1)):
        headers = world.bearer(pid=who)
        assert await status(world, headers, f"/Observation/result-ola/_history/{version}") == 404
    assert await status(world, world.bearer(pid=OLA), "/Observation/result-ola/_history") == 404
    mine = await world.client.get("/Observation/result-ola/_history", headers=world.bearer(pid=KARI))
    assert [e["resource"]["meta"]["versionId"] for e in mine.json()["entry"]] == ["2"]


async def test_a_group_is_not_shown_to_the_patients_in_it(world: World) -> None:
    """It names the others."""
    members = [{"entity": {"reference": f"Patient/{one}"}} for one in ("kari", "ola")]
    await world.write({"resourceType": "Group", "id": "both", "type": "person", "actual": True, "member": members})
    kari = world.bearer(pid=KARI)
    assert await status(world, kari, "/Group/both") == 403
    for path in ("/Patient?_revinclude=*", "/Patient/kari/*", "/?_id=both", "/_history?_count=200"):
        assert '"both"' not in (await world.client.get(path, headers=kari)).text


async def test_a_schedule_of_a_patient_is_no_directory(world: World) -> None:
    await world.write(
        {"resourceType": "Schedule", "id": "of-ola", "actor": [{"reference": "Patient/ola"}]},
        {"resourceType": "Schedule", "id": "of-ward", "actor": [{"reference": "Practitioner/p8100001"}]},
    )
    assert await ids(world, world.bearer(pid=KARI), "/Schedule") == {"of-ward"}
    assert await ids(world, world.bearer(pid=OLA), "/Schedule") == {"of-ola", "of-ward"}
    assert await status(world, world.bearer(hpr=DOCTOR), "/Schedule/of-ola") == 404


async def test_a_thing_that_names_its_patient_by_number_is_the_patients(world: World) -> None:
    """Logical references (fhir/storing/write.py): found when written, adopted when the Patient comes later."""
    from tests.trust.region import STRANGER, patient
    from varde.trust.persons import system_of

    def of(number: str) -> dict[str, object]:
        return {"subject": {"type": "Patient", "identifier": {"system": system_of(number), "value": number}}}

    await world.write(observation("logical-ola", "x") | of(OLA), observation("early", "x") | of(STRANGER))
    await world.write(episode("x", WARD, "2026-11-01") | {"patient": of(STRANGER)["subject"]})
    assert await ids(world, world.bearer(pid=OLA), "/Observation") == {"result-ola", "logical-ola"}
    assert await status(world, world.bearer(pid=KARI), "/Observation/early") == 404
    assert await status(world, world.bearer(pid=STRANGER), "/Observation") == 401
    born = datetime(1990, 9, 9, tzinfo=UTC).date()
    await world.write(patient(STRANGER, born, "Ny Nordmann"))
    assert await ids(world, world.bearer(pid=STRANGER), "/Observation") == {"early"}
    # The referral came before the patient did, and the ward treats them all the same (FAM-30).
    assert await status(world, world.bearer(hpr=DOCTOR), "/Observation/early") == 200
    assert await status(world, world.bearer(pid=KARI), "/Observation/early") == 404


async def test_two_records_with_one_number_let_nobody_in_until_one_replaces_the_other(world: World) -> None:
    from tests.trust.region import KARI_BORN, patient

    twin = patient(KARI, KARI_BORN, "Kari Nordmann") | {"id": "kari-2"}
    await world.write(twin)
    assert await status(world, world.bearer(pid=KARI), "/Patient") == 401
    await world.write(
        twin | {"active": False, "link": [{"type": "replaced-by", "other": {"reference": "Patient/kari"}}]}
    )
    assert await ids(world, world.bearer(pid=KARI), "/Patient") == {"kari"}
