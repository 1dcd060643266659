"""Granular scopes against resources: what is visible by each, in every way that the API shows or changes anything."""

from __future__ import annotations

from typing import Any

from tests.trust.region import Resource, observation
from tests.trust.smart.place import Place, flow, ids, read
from varde.fhir.gate import Interaction
from varde.fhir.search.extract import extract
from varde.trust.smart.grant import parse_scopes
from varde.trust.smart.narrowing import met_by, read_narrowing

CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
LOINC = "http://loinc.org"


def coded(identifier: str, category: str | None, code: str | None = None, whose: str = "kari", **more: Any) -> Resource:
    made = observation(identifier, whose, **more)
    if category is not None:
        made["category"] = [{"coding": [{"system": CATEGORY, "code": category}]}]
    if code is not None:
        made["code"] = {"coding": [{"system": LOINC, "code": code}]}
    return made


def region() -> list[Resource]:
    return [
        coded("lab-hb", "laboratory", "718-7"),
        coded("lab-na", "laboratory", "2951-2", encounter={"reference": "Encounter/visit"}),
        coded("pulse", "vital-signs", "8867-4"),
        coded("smoking", "social-history", "72166-2", meta={"tag": [{"system": "urn:t", "code": "shared"}]}),
        coded("plain", None, meta={"security": [{"system": "urn:s", "code": "open"}]}),
        coded("ola-lab", "laboratory", "718-7", whose="ola"),
        {"resourceType": "Encounter", "id": "visit", "status": "finished", "class": {"code": "AMB"},
         "subject": {"reference": "Patient/kari"}},
        {"resourceType": "DiagnosticReport", "id": "report", "status": "final", "code": {"text": "x"},
         "subject": {"reference": "Patient/kari"},
         "result": [{"reference": "Observation/lab-hb"}, {"reference": "Observation/pulse"}]},
    ]  # fmt: skip


OF_KARI = {"lab-hb", "lab-na", "pulse", "smoking", "plain", "result-kari"}
TABLE = {
    "Observation.rs": OF_KARI,
    "*.rs": OF_KARI,
    "Observation.rs?category=laboratory": {"lab-hb", "lab-na"},
    f"Observation.rs?category={CATEGORY}|laboratory": {"lab-hb", "lab-na"},
    "Observation.rs?category=urn:other|laboratory": set(),
    f"Observation.rs?category={CATEGORY}|": {"lab-hb", "lab-na", "pulse", "smoking"},
    "Observation.rs?category=laboratory,vital-signs": {"lab-hb", "lab-na", "pulse"},
    "Observation.rs?category=laboratory&code=718-7": {"lab-hb"},
    f"Observation.rs?code={LOINC}|8867-4": {"pulse"},
    "Observation.rs?encounter=Encounter/visit": {"lab-na"},
    "Observation.rs?encounter=visit": {"lab-na"},
    "Observation.rs?status=final": OF_KARI,
    "Observation.rs?status=amended": set(),
    "Observation.rs?subject=Patient/ola": set(),
    "*.rs?_tag=urn:t|shared": {"smoking"},
    "*.rs?_security=open": {"plain"},
    "Observation.rs?_security=urn:s|open": {"plain"},
    "Observation.rs?category=laboratory Observation.rs?category=vital-signs": {"lab-hb", "lab-na", "pulse"},
    "Observation.rs?category=laboratory Patient.rs": {"lab-hb", "lab-na"},
    "Observation.rs?category=laboratory Observation.rs": OF_KARI,
}


def words(level: str, text: str) -> str:
    """`text` with a level on each word."""
    return " ".join(f"{level}/{word}" for word in text.split())


async def test_the_table_of_scopes_and_what_is_visible(place: Place) -> None:
    """For a patient, for a system (Ola's, too) and for staff with the patient in focus."""
    await place.app()
    await place.keyed()
    await place.write(*region())
    kari, doctor = await place.patient("kari"), await place.staff()
    for text, expected in TABLE.items():
        token = (await kari.tokens(flow(scope=words("patient", text))))["access_token"]
        found = {one.partition("/")[2] for one in await ids(place, token, "/Observation?_count=100")}
        assert found == expected, text
        user = (await doctor.tokens(flow(scope=words("user", text))))["access_token"]
        assert {o.partition("/")[2] for o in await ids(place, user, "/Observation?_count=100")} == expected, text
        system = (await place.system("service", words("system", text))).json()["access_token"]
        reached = {one.partition("/")[2] for one in await ids(place, system, "/Observation?_count=100&patient=kari")}
        assert reached == expected, text
        for identifier in OF_KARI:
            answer = await read(place, token, f"/Observation/{identifier}")
            assert (answer.status_code == 200) is (identifier in expected), (text, identifier)
        count = await read(place, token, "/Observation?_summary=count")
        assert count.json()["total"] == len(expected), text
        history = await ids(place, token, "/Observation/_history?_count=100")
        assert {one.partition("/")[2] for one in history} == expected, text


async def test_nothing_leaks_by_a_detour(place: Place) -> None:
    await place.app()
    await place.write(*region())
    kari = await place.patient("kari")
    scope = "patient/Observation.rs?category=laboratory patient/DiagnosticReport.rs"
    token = (await kari.tokens(flow(scope=scope)))["access_token"]
    labs = {"Observation/lab-hb", "Observation/lab-na"}
    for path, expected in {
        "/DiagnosticReport?_include=DiagnosticReport:result": {"DiagnosticReport/report", "Observation/lab-hb"},
        "/DiagnosticReport?_include=*": {"DiagnosticReport/report", "Observation/lab-hb"},
        "/Observation?_include=*": labs,
        "/Observation?_revinclude=DiagnosticReport:result": labs | {"DiagnosticReport/report"},
        "/DiagnosticReport?result.code=8867-4": set(),
        "/DiagnosticReport?result.code=718-7": {"DiagnosticReport/report"},
        "/Observation?_has:DiagnosticReport:result:status=final": {"Observation/lab-hb"},
        "/DiagnosticReport?result:Observation.category=vital-signs": set(),
        "/?_type=Observation,Encounter,Patient": labs,
        "/Observation?category=vital-signs": set(),
        "/Observation?_sort=code&_count=50": labs,
        "/_history?_count=200": labs | {"DiagnosticReport/report"},
        "/Observation/lab-hb/_history": {"Observation/lab-hb"},
        "/Patient/kari/Observation": labs,
    }.items():
        assert await ids(place, token, path) == expected, path
    for path in ("/Observation/pulse/_history", "/Observation/pulse/_history/1", "/Observation/pulse"):
        assert (await read(place, token, path)).status_code == 404, path
    assert (await read(place, token, "/Patient/kari")).status_code == 403
    entry = [{"request": {"method": "GET", "url": f"Observation/{one}"}} for one in ("lab-hb", "pulse")]
    batch = await read(place, token, "/", "POST", json={"resourceType": "Bundle", "type": "batch", "entry": entry})
    assert [one["response"]["status"][:3] for one in batch.json()["entry"]] == ["200", "404"]


async def test_a_former_version_of_another_kind_stays_hidden(place: Place) -> None:
    await place.app()
    await place.write(coded("moved", "social-history"))
    await place.write(coded("moved", "laboratory"))
    kari = await place.patient("kari")
    token = (await kari.tokens(flow(scope="patient/Observation.rs?category=laboratory")))["access_token"]
    assert (await read(place, token, "/Observation/moved/_history/2")).status_code == 200
    assert (await read(place, token, "/Observation/moved/_history/1")).status_code == 404
    shown = (await read(place, token, "/Observation/moved/_history")).json()["entry"]
    assert [one["resource"]["meta"]["versionId"] for one in shown] == ["2"]
    other = (await kari.tokens(flow(scope="patient/Observation.rs?category=social-history")))["access_token"]
    assert (await read(place, other, "/Observation/moved/_history/1")).status_code == 404


async def test_writing_is_held_to_old_and_new_content(place: Place) -> None:
    await place.keyed()
    await place.write(*region())
    scope = "system/Observation.cruds?category=laboratory system/Patient.rs"
    token = (await place.system("service", scope)).json()["access_token"]

    async def status(method: str, path: str, body: Any = None, **headers: str) -> int:
        return (await read(place, token, path, method, json=body, headers=headers)).status_code

    lab, pulse = coded("x", "laboratory"), coded("x", "vital-signs")
    del lab["id"], pulse["id"]
    assert await status("POST", "/Observation", lab) == 201
    assert await status("POST", "/Observation", pulse) == 403
    assert await status("PUT", "/Observation/new-lab", {**lab, "id": "new-lab"}) == 404, "no id is told to be free"
    assert await status("PUT", "/Observation/new-pulse", {**pulse, "id": "new-pulse"}) == 404
    assert await status("PUT", "/Observation/lab-hb", {**lab, "id": "lab-hb", "status": "amended"}) == 200
    assert await status("PUT", "/Observation/lab-hb", {**pulse, "id": "lab-hb"}) == 403, "out of the narrowing"
    assert await status("PUT", "/Observation/pulse", {**lab, "id": "pulse"}) == 404, "what is hidden is not there"
    assert await status("DELETE", "/Observation/pulse") == 404
    assert await status("DELETE", "/Observation/lab-na") in {200, 204}
    patch = [{"op": "replace", "path": "/category/0/coding/0/code", "value": "vital-signs"}]
    kind = {"content-type": "application/json-patch+json"}
    assert await status("PATCH", "/Observation/lab-hb", patch, **kind) == 403
    assert await status("PATCH", "/Observation/pulse", patch, **kind) == 404
    fine = [{"op": "replace", "path": "/status", "value": "corrected"}]
    assert await status("PATCH", "/Observation/lab-hb", fine, **kind) == 200
    for one, expected in ((lab, 200), (pulse, 403)):
        entry = [{"request": {"method": "POST", "url": "Observation"}, "resource": one}]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entry}
        assert await status("POST", "/", bundle) == expected
    assert (await read(place, token, "/Observation?category=vital-signs", "DELETE")).status_code in {204, 200, 404}
    assert await status("POST", "/Patient", {"resourceType": "Patient"}) == 403
    gate = place.house.platform.access.for_system("test")
    kept = await place.house.platform.store.read(gate, "Observation", "pulse")
    assert kept.resource["category"][0]["coding"][0]["code"] == "vital-signs" and kept.version == 1
    row = (await place.rows("interaction = 'create' and allowed"))[-1]
    assert row["actor"] == "service" and row["through"] == "App Service (service)" and row["ground"] == "record-system"


async def test_rights_differ_by_narrowing(place: Place) -> None:
    """May read all, may change only what is tagged."""
    await place.keyed()
    await place.write(*region())
    answer = await place.system("service", "system/Observation.rs system/Observation.u?_tag=shared")
    token, tagged = answer.json()["access_token"], {"tag": [{"system": "urn:t", "code": "shared"}]}

    async def put(identifier: str, **more: Any) -> int:
        body = coded(identifier, "social-history", **more)
        return (await read(place, token, f"/Observation/{identifier}", "PUT", json=body)).status_code

    assert await put("smoking", meta=tagged, status="amended") == 200
    assert await put("smoking") == 403, "the tag taken away"
    assert await put("pulse", meta=tagged) == 403, "seen, not to be changed"
    assert (await read(place, token, "/Observation/pulse")).status_code == 200


def test_python_and_sql_agree_on_what_meets_a_narrowing() -> None:
    """The table's own expectations, judged from content alone."""
    for text, expected in TABLE.items():
        grant = parse_scopes(words("system", text))
        for one in region():
            if one["resourceType"] == "Observation" and one["subject"]["reference"] == "Patient/kari":
                assert grant.admits(Interaction.VREAD, "Observation", one) is (one["id"] in expected), (text, one["id"])
    rows = extract("Observation", region()[0])
    assert met_by(rows, "Observation", read_narrowing("Observation", "subject=kari"))
