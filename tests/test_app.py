"""The composed house, through its own front door: login, whose services one sees, tokens, health. A real demo runs."""

from __future__ import annotations

import re

import httpx

from tests.demo_server import DemoServer


async def test_a_patient_logs_in_and_sees_their_own(demo: DemoServer) -> None:
    async with demo.client() as client:
        page = await demo.log_in(client, demo.person("Ingrid Solberg")["fnr"], "/timer")
        assert page.url.path == "/timer" and "Ingrid Solberg" in page.text
        assert "Ortopedisk poliklinikk" in page.text
        assert "Ingrid" in (await client.get("/logout")).text, "a link logs nobody out"
        out = await client.post("/logout", data={"csrf": csrf(page)})
        assert "/demo/issuer/" in out.text, "a form that goes on to the provider, so that nothing stands in an address"
        assert "Ingrid" not in (await client.get("/")).text


async def test_a_parent_acts_for_a_child_and_switches_back(demo: DemoServer) -> None:
    child = demo.person("Tuva Myrvang")
    async with demo.client() as client:
        await demo.log_in(client, demo.person("Nora Myrvang")["fnr"])
        page = await client.get("/familie/velg")
        assert "Emil Myrvang" in page.text and "Tuva Myrvang" in page.text
        page = await client.post("/familie/velg", data={"hvem": child["id"], "csrf": csrf(page)})
        assert "Du handler for <strong>Tuva Myrvang" in page.text and "Nora Myrvang" in page.text
        assert (await client.get("/timer")).status_code == 200
        page = await client.get("/familie/velg")
        page = await client.post("/familie/velg", data={"hvem": demo.person("Nora Myrvang")["id"], "csrf": csrf(page)})
        assert "Du handler for" not in page.text


async def test_a_parent_of_a_youth_sees_no_letter_that_is_not_opened_to_them(demo: DemoServer) -> None:
    """FAM-03, FAM-19, FAM-24."""
    async with demo.client() as client:
        await demo.log_in(client, demo.person("Turid Fjellheim")["fnr"])
        page = await client.get("/familie/velg")
        sara = demo.person("Sara Fjellheim")["id"]
        page = await client.post("/familie/velg", data={"hvem": sara, "csrf": csrf(page)})
        assert "Du handler for <strong>Sara Fjellheim" in page.text
        letters = await client.get("/brev")
        assert letters.status_code == 200 and not re.search(r'href="/brev/(?!arkiv)', letters.text)


async def test_nobody_acts_for_a_strangers_child_or_at_a_protected_address(demo: DemoServer) -> None:
    async with demo.client() as client:
        await demo.log_in(client, demo.person("Turid Fjellheim")["fnr"])
        page = await client.get("/familie/velg")
        for child in ("Tuva Myrvang", "Noah Lund"):
            refused = await client.post("/familie/velg", data={"hvem": demo.person(child)["id"], "csrf": csrf(page)})
            assert refused.status_code == 404
    async with demo.client() as client:
        await demo.log_in(client, demo.person("Anne Lund")["fnr"])
        assert "Noah" not in (await client.get("/familie/velg")).text


async def test_the_young_come_in_from_13_years_and_are_told_why_not_before(demo: DemoServer) -> None:
    """FAM-06."""
    async with demo.client() as client:
        assert (await demo.log_in(client, demo.person("Sara Fjellheim")["fnr"])).status_code == 200
    async with demo.client() as client:
        page = await demo.log_in(client, demo.person("Emil Myrvang")["fnr"])
        assert page.status_code == 403 and page.url.path == "/login/problem" and "Du må være 13 år" in page.text


async def test_staff_log_in_at_their_unit(demo: DemoServer) -> None:
    secretary = demo.worker("secretary")
    async with demo.client() as client:
        page = await demo.log_in(client, secretary["hpr"], "/arbeid/enhet")
        assert secretary["unit"]["name"] in page.text


async def test_staff_of_two_units_choose_where_they_work_now(demo: DemoServer) -> None:
    doctor = demo.worker("doctor", units=2)
    async with demo.client() as client:
        page = await demo.log_in(client, doctor["hpr"], "/arbeid")
        assert page.url.path == "/arbeid/enhet" and all(unit["name"] in page.text for unit in doctor["units"])
        unit = doctor["units"][1]
        await client.post("/arbeid/enhet?til=/arbeid/enhet", data={"enhet": unit["id"], "csrf": csrf(page)})
        menu = (await client.get("/arbeid/enhet")).text.split("me__who")[1].split("</p>")[0]
        assert unit["name"] in menu


async def test_a_stranger_s_unit_is_not_to_be_chosen(demo: DemoServer) -> None:
    async with demo.client() as client:
        page = await demo.log_in(client, demo.worker("secretary")["hpr"], "/arbeid/enhet")
        other = demo.worker("doctor", units=2)["units"][1]["id"]
        assert (await client.post("/arbeid/enhet", data={"enhet": other, "csrf": csrf(page)})).status_code == 404


async def test_a_person_s_token_shows_their_own_and_nothing_else(demo: DemoServer) -> None:
    ingrid, other = demo.person("Ingrid Solberg"), demo.person("Knut Haugen")
    async with httpx.AsyncClient(base_url=demo.fhir, headers=demo.headers("--person", ingrid["fnr"])) as client:
        assert (await client.get(f"/Patient/{ingrid['id']}")).json()["birthDate"]
        found = (await client.get("/Appointment")).json()
        assert found["entry"]
        hidden = await client.get(f"/Patient/{other['id']}")
        absent = await client.get("/Patient/no-such-patient")
        assert (hidden.status_code, hidden.json()) == (absent.status_code, absent.json())
        assert hidden.status_code == 404
        assert (await client.get("/Patient", params={"name": "Haugen"})).json().get("entry", []) == []
        assert (await client.get("/Patient", params={"no-such": "1"})).status_code == 400


async def test_a_parent_s_token_is_for_the_child(demo: DemoServer) -> None:
    nora, tuva, sara = (demo.person(n)["fnr"] for n in ("Nora Myrvang", "Tuva Myrvang", "Sara Fjellheim"))
    async with httpx.AsyncClient(base_url=demo.fhir) as client:
        headers = demo.headers("--person", nora, "--for", tuva)
        assert (await client.get(f"/Patient/{demo.person('Tuva Myrvang')['id']}", headers=headers)).status_code == 200
        assert (await client.get(f"/Patient/{demo.person('Nora Myrvang')['id']}", headers=headers)).status_code == 404
        refused = await client.get("/Patient", headers=demo.headers("--person", nora, "--for", sara))
        assert refused.status_code == 401 and refused.json()["resourceType"] == "OperationOutcome"


async def test_staff_see_the_patients_of_their_unit(demo: DemoServer) -> None:
    secretary, ingrid = demo.worker("secretary"), demo.person("Ingrid Solberg")
    far = next(one for one in demo.everybody if one.get("hpr") and "Kirkenes" in one["unit"]["name"])
    async with httpx.AsyncClient(base_url=demo.fhir) as client:
        address = f"/Patient/{ingrid['id']}"
        for words in ([], ["--org", secretary["unit"]["org"]]):
            headers = demo.headers("--staff", secretary["hpr"], *words)
            assert (await client.get(address, headers=headers)).status_code == 200
            assert (await client.get("/Observation", headers=headers)).status_code == 403
        assert (await client.get(address, headers=demo.headers("--staff", far["hpr"]))).status_code == 404


async def test_a_system_s_token_reaches_as_far_as_its_scopes(demo: DemoServer) -> None:
    async with httpx.AsyncClient(base_url=demo.fhir) as client:
        headers = demo.headers("--system", "dips", "--scopes", "system/Patient.read")
        assert (await client.get("/Patient?_count=1", headers=headers)).status_code == 200
        assert (await client.get("/Appointment", headers=headers)).status_code == 403
        written = await client.post(
            "/Patient", json={"resourceType": "Patient"}, headers=headers | {"content-type": "application/fhir+json"}
        )
        assert written.status_code == 403


async def test_the_api_tells_what_it_is_and_asks_for_a_token(demo: DemoServer) -> None:
    async with httpx.AsyncClient(base_url=demo.fhir) as client:
        assert (await client.get("/metadata")).json()["resourceType"] == "CapabilityStatement"
        assert (await client.get("/.well-known/smart-configuration")).json()["grant_types_supported"]
        assert (await client.get("/Patient")).status_code == 401


async def test_health_and_metrics_tell_of_the_house_and_of_nobody(demo: DemoServer) -> None:
    async with demo.client() as client:
        assert (await client.get("/health/live")).json() == {"live": True}
        ready = (await client.get("/health/ready")).json()
        assert isinstance(ready.pop("being_indexed"), list)
        assert ready == {"ready": True, "database": True, "migrations": True, "worker": True}
        ingrid = demo.person("Ingrid Solberg")
        await client.get(f"/fhir/Patient/{ingrid['id']}", headers=demo.headers("--person", ingrid["fnr"]))
        metrics = (await client.get("/metrics")).text
        assert 'varde_request_seconds_count{method="GET",route="/fhir/{type}/{id}",status="2xx"}' in metrics
        assert ingrid["id"] not in metrics and ingrid["fnr"] not in metrics


async def test_every_answer_carries_the_headers_of_a_site(demo: DemoServer) -> None:
    async with demo.client() as client:
        for path in ("/", "/login/problem", "/health/live", "/no-such-page", "/metrics", "/robots.txt"):
            headers = (await client.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]


async def test_logs_hold_no_person(demo: DemoServer) -> None:
    async with demo.client() as client:
        await demo.log_in(client, demo.person("Ingrid Solberg")["fnr"])
        await client.get("/timer")
    log = demo.log()
    for person in demo.everybody:
        assert person.get("fnr", "-" * 11) not in log
        assert person["name"] not in log


def csrf(page: httpx.Response) -> str:
    """The token of the page's forms."""
    return page.text.split('name="csrf" value="')[1].split('"')[0]
