"""What a clinician's decision withholds stays hidden though a system writes the thing anew without its labels, opens by
the clock, and is told of to nobody from whom it is withheld (FAM-04, FAM-05, FAM-24, FAM-35)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.trust.region import CHILD, DOCTOR, KARI, WARD, World
from tests.trust.test_withheld import answers, secrets, who
from varde.fhir.errors import FhirError
from varde.trust import consents
from varde.trust.consents import Withholding
from varde.trust.explaining import who_may_see
from varde.trust.granted import may_write

AT = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
FULL = Withholding(
    id="c", patient="kari", at=AT, by=f"Practitioner/p{DOCTOR}", unit=WARD, thing="Observation/result-kari",
    codes=frozenset({"NORU"}), event="talked", cause="talk", reason="Vil fortelle det selv",
    follows="DiagnosticReport/report-kari", ends=AT + timedelta(days=3), marks=frozenset({"parents"}),
)  # fmt: skip


def decision(thing: str, whose: str, *codes: str, ends: datetime | None = None) -> dict[str, object]:
    made = replace(
        FULL, id=f"held-{thing.rpartition('/')[2]}", patient=whose, thing=thing, codes=frozenset(codes), ends=ends,
        event=None, follows=None, marks=frozenset(),
    )  # fmt: skip
    return consents.to_fhir(made)


def test_a_decision_is_the_same_as_a_consent_and_back() -> None:
    plain = replace(FULL, codes=frozenset({"NORN_FORANS"}), event=None, ends=None, follows=None, marks=frozenset())
    for one in (FULL, plain, replace(FULL, withdrawn=True), replace(plain, codes=frozenset())):
        assert consents.from_fhir(consents.to_fhir(one)) == one


@pytest.mark.parametrize(
    "wrong",
    [{"codes": frozenset({"N"})}, {"codes": frozenset(), "marks": frozenset()}, {"codes": frozenset({"NORS"})},
     {"marks": frozenset({"youth-alone"})}],
)  # fmt: skip
def test_what_opens_by_itself_is_delayed_and_nors_is_the_patients_own(wrong: dict[str, frozenset[str]]) -> None:
    with pytest.raises(ValueError, match=r"FAM-35|withhold"):
        replace(FULL, **wrong)


@pytest.mark.parametrize(
    ("name", "code"), [("patient", "N"), ("patient", "NORU"), ("parent", "N"), ("parent", "NORU"),
                       ("parent", "NORN_FORANS")]
)  # fmt: skip
async def test_the_world_with_it_is_as_the_world_without_it_whoever_writes_it_anew(
    world: World, name: str, code: str
) -> None:
    headers, whose = who(world, name)
    before = await answers(world, headers, whose)
    await world.write(decision("Communication/secret", whose, code), decision("List/secret-list", whose, code))
    await world.write(*secrets(whose, None))  # with no label of their own
    await world.write(*secrets(whose, None))
    after = await answers(world, headers, whose)
    for path, answer in before.items():
        assert after[path] == answer, path


async def test_fam_35_it_opens_by_the_clock_and_not_before(world: World) -> None:
    opens = world.clock.now() + timedelta(hours=2)
    await world.write(decision("Observation/result-kari", "kari", "NORU", ends=opens))
    for moment, status in ((opens - timedelta(seconds=1), 404), (opens, 200)):
        world.clock.set(moment)
        kari = world.bearer(pid=KARI)
        assert (await world.client.get("/Observation/result-kari", headers=kari)).status_code == status
        seers = await who_may_see(world.access, "Observation", "result-kari")
        assert seers[0].decision.allowed is (status == 200)
        assert seers[0].decision.why == ("own" if status == 200 else "delayed")
    assert (await world.client.get("/Observation/result-kari", headers=world.bearer(hpr=DOCTOR))).status_code == 200


async def test_it_hides_nothing_of_another_patient_and_nothing_once_it_is_lifted(world: World) -> None:
    await world.write(decision("Observation/result-kari", "ola", "N"))
    kari = world.bearer(pid=KARI)
    assert (await world.client.get("/Observation/result-kari", headers=kari)).status_code == 200
    await world.write(decision("Observation/result-kari", "kari", "N") | {"id": "own"})
    assert (await world.client.get("/Observation/result-kari", headers=kari)).status_code == 404
    lifted = decision("Observation/result-kari", "kari", "N") | {"id": "own", "status": "inactive"}
    await world.write(lifted)
    assert (await world.client.get("/Observation/result-kari", headers=kari)).status_code == 200
    with pytest.raises(FhirError):
        await world.write(decision("Observationen", "kari", "N"))


async def test_fam_24_the_record_of_it_is_for_staff_alone_and_theirs_alone_to_make(world: World) -> None:
    await world.write(decision("Observation/result-child", "child", "NORN_FORANS"))
    for headers, patient in ((world.bearer(pid=KARI, for_=CHILD), "child"), (world.bearer(pid=KARI), "kari")):
        found = await world.client.get(f"/Consent?patient={patient}&_total=accurate", headers=headers)
        assert found.json()["total"] == 0
        assert (await world.client.get("/Consent/held-result-child", headers=headers)).status_code == 404
    consent = decision("Observation/result-kari", "kari", "N")
    own = (await world.access.for_patient(KARI))[0]
    assert not may_write(consents.Kind.WITHHOLDING, own, consent)
    assert may_write(consents.Kind.WITHHOLDING, (await world.access.for_staff(DOCTOR))[0], consent)


async def test_fam_24_the_log_does_not_tell_that_a_decision_was_made(world: World) -> None:
    staff, _ = await world.access.for_staff(DOCTOR)
    writer = staff.acting("family", ["Consent"])
    await world.store.update(writer, "Consent", "held-result-kari", decision("Observation/result-kari", "kari", "N"))
    await world.store.read(staff, "Consent", "held-result-kari")
    await world.store.search(staff, "Consent", "patient=kari")
    events = await world.client.get("/AuditEvent?_count=200", headers=world.bearer(pid=KARI))
    assert events.status_code == 200 and "held-result-kari" not in events.text and "Consent" not in events.text


async def test_as_if_it_were_labelled_tells_who_would_see(world: World) -> None:
    now = await who_may_see(world.access, "Observation", "result-child")
    labels = [{"system": "urn:oid:2.16.578.1.12.4.1.1.9603", "code": "NORN_FORANS"}]
    then = await who_may_see(world.access, "Observation", "result-child", labelled=labels)
    changed = [(a.reference, a.decision.allowed, b.decision.allowed, b.decision.why)
               for a, b in zip(now, then, strict=True) if a.decision != b.decision]  # fmt: skip
    assert changed == [("Patient/kari", True, False, "withheld-parents")]
