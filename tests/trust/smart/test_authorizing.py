"""The way from an app's request to its tokens, and all the ways that must lead nowhere."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet

from tests.trust.region import CHILD, DOCTOR, IDS, KARI, OLA, OTHER_WARD, TWO_WARDS, WARD, episode, observation
from tests.trust.smart.place import BACK, BASE, FHIR, LAUNCH, Place, back, flow, ids, post, read, redeem, scopes_on
from varde.trust.log.events import as_fhir
from varde.trust.smart.clients import Authentication, Side
from varde.trust.smart.requests import PUSHED


async def test_a_patient_lets_an_app_read_their_own(place: Place) -> None:
    await place.app()
    kari = await place.patient("kari")
    asked = flow(scope="launch/patient openid fhirUser profile patient/Observation.rs patient/Patient.r", nonce="n-1")
    page = await kari.ask(asked)
    assert page.status_code == 200 and "Målinger og prøvesvar" in page.text and "én time" in page.text
    got = await kari.say_yes(page)
    assert got["state"] == "s-1" and got["iss"] == f"{BASE}/auth"
    answer = await redeem(place, asked, got["code"])
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    token = answer.json()
    assert token["token_type"] == "Bearer" and token["expires_in"] == 3600 and "refresh_token" not in token
    assert token["patient"] == "kari" and token["need_patient_banner"] is True
    assert token["smart_style_url"] == f"{BASE}/auth/smart-style.json"
    assert set(token["scope"].split()) == set(asked.parameters["scope"].split())
    async with place.browser() as browser:
        keys = KeySet.import_key_set((await browser.get("/auth/jwks")).json())
        assert (await browser.get("/auth/smart-style.json")).json()["color_text"].startswith("#")
    read_token = jwt.decode(token["id_token"], keys, algorithms=["RS256"])
    claims = read_token.claims
    assert claims["iss"] == f"{BASE}/auth" and claims["aud"] == "app" and claims["nonce"] == "n-1"
    assert claims["fhirUser"] == f"{FHIR}/Patient/kari" and claims["name"] == "Kari Nordmann"
    assert "kari" not in claims["sub"] and read_token.header["kid"]
    access = token["access_token"]
    assert await ids(place, access, "/Observation") == {"Observation/result-kari"}
    assert (await read(place, access, "/Patient/kari")).status_code == 200
    assert (await read(place, access, "/Communication")).status_code == 403
    assert (await read(place, access, "/Observation/result-ola")).status_code == 404
    row = (await place.rows("interaction = 'search' and resource_type = 'Observation'"))[-1]
    assert row["through"] == "App App (app)" and row["actor_name"] == "Kari Nordmann" and row["purpose"] == "PATRQT"
    person, app = as_fhir(row, "kari", [])["agent"]
    assert (person["who"]["reference"], person["requestor"]) == ("Patient/kari", True)
    assert (app["who"]["identifier"]["value"], app["requestor"]) == ("app", False)
    assert [r["resource_ids"] for r in await place.rows("resource_type = 'Consent'")] == [["app-1"]]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_type": None}, "unsupported_response_type"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"state": None}, "invalid_request"),
    ({"state": "13018812345"}, "invalid_request"),
    ({"code_challenge": None}, "invalid_request"),
    ({"code_challenge": "short"}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge_method": None}, "invalid_request"),
    ({"aud": None}, "invalid_request"),
    ({"aud": "https://evil.test/fhir"}, "invalid_request"),
    ({"request": "eyJ"}, "request_not_supported"),
    ({"scope": None}, "invalid_scope"),
    ({"scope": "phone email"}, "invalid_scope"),
    ({"scope": "system/*.rs"}, "invalid_scope"),
    ({"scope": "patient/Foo.rs"}, "invalid_scope"),
    ({"scope": "patient/Observation.sr"}, "invalid_scope"),
    ({"scope": "patient/Observation."}, "invalid_scope"),
    ({"scope": "patient/Observation.rs?value-quantity=gt5"}, "invalid_scope"),
    ({"scope": "patient/Observation.rs?category:not=laboratory"}, "invalid_scope"),
    ({"scope": "patient/Observation.rs?subject.name=Ola"}, "invalid_scope"),
    ({"scope": "patient/Observation.rs?_count=1"}, "invalid_scope"),
    ({"scope": "patient/Observation.rs?date=2020"}, "invalid_scope"),
    ({"scope": "patient/Observation.rs?_has:Provenance:target:agent=x"}, "invalid_scope"),
    ({"scope": "patient/Observation.rs?category=a|b|c"}, "invalid_scope"),
    ({"scope": "patient/Observation.read?category=laboratory"}, "invalid_scope"),
    ({"scope": "patient/*.rs?category=laboratory"}, "invalid_scope"),
    ({"scope": "launch patient/*.rs"}, "invalid_request"),
    ({"launch": "x"}, "invalid_request"),
    ({"scope": "launch patient/*.rs", "launch": "no-such"}, "invalid_request"),
    ({"scope": "offline_access online_access patient/*.rs"}, "invalid_scope"),
    ({"prompt": "none"}, "interaction_required"),
]


async def test_a_wrong_request_goes_back_to_the_app(place: Place) -> None:
    await place.app()
    kari = await place.patient("kari")
    for change, error in WRONG:
        got = back(await kari.ask(flow(**change)))
        assert got["error"] == error and "code" not in got, change
        assert got.get("state") == (None if change.get("state", "") is None else change.get("state", "s-1"))


UNTRUSTED: list[dict[str, Any]] = [
    {"client_id": "unknown"}, {"client_id": None}, {"redirect_uri": None}, {"redirect_uri": f"{BACK}/"},
    {"redirect_uri": f"{BACK}?x=1"}, {"redirect_uri": "https://app.test/callback/../evil"},
    {"redirect_uri": "https://app.test.evil.test/callback"}, {"redirect_uri": "https://app.test@evil.test/callback"},
    {"redirect_uri": "http://app.test/callback"}, {"redirect_uri": "https://APP.test/callback"},
    {"redirect_uri": f"{BACK}#f"}, {"redirect_uri": f"{BACK}%00"}, {"redirect_uri": "//app.test/callback"},
]  # fmt: skip


async def test_nobody_is_sent_to_an_address_that_is_not_registered(place: Place) -> None:
    await place.app()
    kari = await place.patient("kari")
    for change in UNTRUSTED:
        answer = await kari.ask(flow(**change))
        assert answer.status_code == 400 and "location" not in answer.headers and "evil" not in answer.text, change


async def test_a_parameter_that_stands_twice_is_refused(place: Place) -> None:
    await place.app()
    kari = await place.patient("kari")
    twice = [*flow().parameters.items(), ("redirect_uri", "https://evil.test/")]
    assert (await kari.browser.get("/auth/authorize", params=twice)).status_code == 400


async def test_one_who_is_not_logged_in_logs_in_first(place: Place) -> None:
    await place.app("mine", sides=frozenset({Side.PATIENT}))
    await place.app("ours", sides=frozenset({Side.STAFF}))
    await place.app("both")
    for name, login in (("mine", "/login?til=/apper/samtykke/"), ("ours", "/arbeid/login?til=/arbeid/apper/samtykke/")):
        async with place.browser() as browser:
            first = await browser.get("/auth/authorize", params=flow(name).parameters)
            second = await browser.get(first.headers["location"])
            assert second.headers["location"].replace("%2F", "/").startswith(login)
            quiet = await browser.get("/auth/authorize", params=flow(name, prompt="none").parameters)
            assert back(quiet)["error"] == "login_required"
    async with place.browser() as browser:
        choice = await browser.get(
            (await browser.get("/auth/authorize", params=flow("both").parameters)).headers["location"]
        )
        assert "Jeg er pasient" in choice.text and "/arbeid/apper/samtykke/" in choice.text


async def test_a_posted_request_and_a_pushed_one_are_taken(place: Place) -> None:
    await place.app()
    await place.app("secret", authentication=Authentication.SECRET)
    kari = await place.patient("kari")
    posted = await kari.browser.post("/auth/authorize", data=flow().parameters)
    assert posted.status_code == 303 and posted.headers["location"].startswith("/auth/velg/")
    assert "kari" not in posted.headers["location"]
    for name, auth in (("app", None), ("secret", ("secret", place.secrets["secret"]))):
        asked = flow(name)
        pushed = await post(place, "/auth/par", auth=auth, **asked.parameters)
        assert pushed.status_code == 201 and pushed.json()["expires_in"] == 90
        named = flow(name).parameters | {"request_uri": pushed.json()["request_uri"]}
        other = await kari.browser.get("/auth/authorize", params={"client_id": "app" if name == "secret" else "secret",
                                                                "request_uri": named["request_uri"]})  # fmt: skip
        assert other.status_code == 400
        asked.parameters = {"client_id": name, "request_uri": named["request_uri"]}
        code = (await kari.authorize(asked))["code"]
        fields = {"client_id": None} if auth else {}
        async with place.browser() as browser:
            form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK,
                    "code_verifier": asked.verifier} | ({} if fields else {"client_id": name})  # fmt: skip
            assert (await browser.post("/auth/token", data=form, auth=auth)).status_code == 200
        again = await kari.browser.get("/auth/authorize", params=asked.parameters)
        assert again.status_code == 400, "a pushed request is opened once"
    assert (await post(place, "/auth/par", **flow("secret").parameters)).json()["error"] == "invalid_client"
    assert (await post(place, "/auth/par", **flow(redirect_uri="https://evil.test/").parameters)).status_code == 400
    bad = await post(place, "/auth/par", **flow(code_challenge_method="plain").parameters)
    assert bad.status_code == 400 and bad.json()["error"] == "invalid_request"
    late = await post(place, "/auth/par", **flow().parameters)
    place.clock.advance(timedelta(seconds=91))
    assert (await kari.browser.get("/auth/authorize", params={
        "client_id": "app", "request_uri": late.json()["request_uri"]})).status_code == 400  # fmt: skip
    foreign = {"client_id": "app", "request_uri": "https://evil.test/request"}
    assert (await kari.browser.get("/auth/authorize", params=foreign)).status_code == 400
    assert late.json()["request_uri"].startswith(PUSHED)


async def test_more_than_the_app_is_registered_with_is_refused(place: Place) -> None:
    await place.app(scopes="patient/Observation.rs?category=laboratory patient/Patient.r")
    kari = await place.patient("kari")
    for scope, good in [
        ("patient/Patient.r", True), ("patient/Observation.rs?category=laboratory", True),
        ("patient/Observation.r?category=laboratory", True), ("patient/Observation.rs", False),
        ("patient/Observation.rs?category=vital-signs", False), ("patient/*.r", False), ("user/Patient.r", False),
        ("patient/Patient.rs", False), ("patient/Patient.r offline_access", False), ("openid patient/Patient.r", True),
    ]:  # fmt: skip
        page = await kari.ask(flow(scope=scope))
        assert (page.status_code == 200) is good, scope
        if not good:
            assert back(page)["error"] == "invalid_scope"


async def test_a_person_narrows_refuses_and_is_not_asked_twice(place: Place) -> None:
    await place.app()
    kari = await place.patient("kari")
    asked = flow(scope="patient/Observation.rs patient/Patient.rs patient/Observation.c")
    page = await kari.ask(asked)
    assert sorted(scopes_on(page)) == ["patient/Observation.rs", "patient/Patient.rs"], "no right that Kari lacks"
    nothing = await kari.post(page, svar="ja")
    assert nothing.status_code == 422 and "minst én" in nothing.text
    got = await kari.say_yes(page, omfang=["patient/Patient.rs"])
    token = (await redeem(place, asked, got["code"])).json()
    assert token["scope"] == "patient/Patient.rs"
    assert (await read(place, token["access_token"], "/Observation")).status_code == 403
    assert (await kari.post(page, svar="ja", omfang=["patient/Patient.rs"])).status_code == 404
    page = await kari.ask(flow())
    assert back(await kari.post(page, svar="nei"))["error"] == "access_denied"
    page = await kari.ask(flow(scope="patient/Patient.r"))
    widened = await kari.post(page, svar="ja", omfang=["patient/Observation.rs"])
    assert widened.status_code == 422, "a form gives no more than was asked for"
    none = await kari.ask(flow(scope="patient/Observation.write"))
    assert none.status_code == 403 and "Appen kan ikke brukes her" in none.text
    page = await kari.ask(flow())
    place.clock.advance(timedelta(minutes=29))
    kari = await place.patient("kari")
    assert (await kari.browser.get(str(page.url))).status_code == 200
    place.clock.advance(timedelta(minutes=1))
    kari = await place.patient("kari")
    assert (await kari.browser.get(str(page.url))).status_code == 404


async def test_a_foreign_form_answers_nothing(place: Place) -> None:
    await place.app()
    kari = await place.patient("kari")
    page = await kari.ask(flow())
    answer = await kari.browser.post(str(page.url), data={"svar": "ja", "omfang": "patient/*.rs", "csrf": "wrong"})
    assert answer.status_code == 403
    policy = page.headers["content-security-policy"]
    assert "form-action 'self' https://app.test;" in policy and "frame-ancestors 'none'" in policy


async def test_a_parent_chooses_whose(place: Place) -> None:
    """FAM-02, FAM-03, FAM-18: a child's things by the child's scope, and no longer than the parent may see them
    (FAM-15)."""
    await place.app()
    kari = await place.patient("kari")
    asked = flow(scope="launch/patient openid fhirUser patient/*.rs offline_access")
    page = await kari.ask(asked)
    assert "Lille Nordmann" in page.text and "Unge Nordmann" in page.text
    token = (await redeem(place, asked, (await kari.say_yes(page, hvem="child", varighet="30"))["code"])).json()
    assert token["patient"] == "child"
    assert await ids(place, token["access_token"], "/Observation") == {"Observation/result-child"}
    row = (await place.rows("resource_type = 'Observation'"))[-1]
    assert row["acting_for"] == "child" and row["actor"] == "kari" and row["through"] == "App App (app)"
    for stranger in ("ola", "no-such"):
        page = await kari.ask(flow())
        answer = await kari.post(page, svar="ja", omfang=scopes_on(page), hvem=stranger)
        assert answer.status_code == 404
    place.clock.advance(timedelta(days=2))  # Lille turns twelve

    async def refreshed(token: dict[str, Any]) -> dict[str, Any]:
        asked = {"grant_type": "refresh_token", "client_id": "app", "refresh_token": token["refresh_token"]}
        return (await post(place, "/auth/token", **asked)).json()  # type: ignore[no-any-return]

    renewed = await refreshed(token)
    assert await ids(place, renewed["access_token"], "/Observation") == set(), "tied to no referral that is open"
    place.register.parents.clear()
    assert (await refreshed(renewed))["error"] == "invalid_grant"
    place.clock.advance(timedelta(seconds=61))
    assert (await read(place, renewed["access_token"], "/Observation")).status_code == 401


async def test_staff_open_an_app_for_a_patient(place: Place) -> None:
    """SMART's EHR launch: context by an opaque name, for the one who opened it, once."""
    await place.app()
    await place.write({"resourceType": "Encounter", "id": "visit", "status": "in-progress", "class": {"code": "AMB"},
                       "subject": {"reference": "Patient/kari"}, "period": {"start": "2026-11-24"}})  # fmt: skip
    doctor = await place.staff()
    listed = await doctor.browser.get("/arbeid/apper")
    assert "/arbeid/apper/aapne/app" in listed.text
    choice = await doctor.browser.get("/arbeid/apper/aapne/app")
    assert "Nordmann" not in choice.text, "nobody is shown unasked"
    found = await doctor.post(choice, q="kari")
    assert "Kari Nordmann" in found.text and "Ola Nordmann" not in found.text
    assert "Kari Nordmann" in (await doctor.post(choice, q=KARI)).text
    assert "Ingen pasienter" in (await doctor.post(choice, q=OLA)).text
    opened = await doctor.post(choice, pasient="kari")
    target = opened.headers["location"]
    assert target.startswith(f"{LAUNCH}?iss=http%3A%2F%2Fvarde.test%2Ffhir&launch=")
    assert "kari" not in target and DOCTOR not in target
    assert (await doctor.post(choice, pasient="ola")).status_code == 404
    launch = target.rpartition("=")[2]
    asked = flow(scope="launch launch/encounter openid fhirUser patient/*.rs user/Practitioner.rs", launch=launch)
    page = await doctor.ask(asked)
    assert "Kari Nordmann" in page.text and "Navn på behandlere" in page.text and "alle pasienter" not in page.text
    other = await place.staff(TWO_WARDS)
    assert (await other.browser.get(str(page.url))).status_code == 403, "another than who opened it"
    kari = await place.patient("kari")
    assert (await kari.browser.get(str(page.url).replace("/arbeid", ""))).status_code == 404
    token = (await redeem(place, asked, (await doctor.say_yes(page))["code"])).json()
    assert token["patient"] == "kari" and token["encounter"] == "visit"
    assert token["fhirContext"] == [{"reference": f"Organization/{WARD}"}]
    access = token["access_token"]
    assert (await read(place, access, f"/Practitioner/p{DOCTOR}")).status_code == 200
    assert await ids(place, access, "/Observation") == {"Observation/result-kari"}
    assert back(await doctor.ask(flow(scope="launch patient/*.rs", launch=launch)))["error"] == "invalid_request"
    row = (await place.rows("resource_type = 'Observation'"))[-1]
    assert row["actor"] == DOCTOR and row["unit"] == WARD and row["through"] == "App App (app)"
    again = (await doctor.post(choice, pasient="kari")).headers["location"].rpartition("=")[2]
    place.clock.advance(timedelta(minutes=6))
    assert back(await (await place.staff()).ask(flow(scope="launch patient/*.rs", launch=again)))["error"]


async def test_staff_choose_a_patient_for_an_app_opened_alone(place: Place) -> None:
    """patient/ is the patient in focus, user/ all whom the unit treats (FAM-30); never more."""
    await place.app()
    await place.write(episode("ola", WARD, "2026-10-01"))
    doctor = await place.staff()
    asked = flow(scope="launch/patient patient/Observation.rs user/Communication.rs openid fhirUser")
    page = await doctor.ask(asked)
    assert "Velg pasient" in page.text and "Nordmann" not in page.text
    found = await doctor.post(page, q="ola")
    assert "Ola Nordmann" in found.text and "Kari Nordmann" not in found.text
    assert (await doctor.post(page, pasient="child")).status_code == 404
    page = await doctor.post(page, pasient="kari")
    assert "Pasient: <strong>Kari Nordmann" in page.text
    token = (await redeem(place, asked, (await doctor.say_yes(page))["code"])).json()
    access = token["access_token"]
    assert token["patient"] == "kari" and "encounter" not in token and "fhirContext" not in token
    assert await ids(place, access, "/Observation") == {"Observation/result-kari"}
    assert await ids(place, access, "/Communication") == {"Communication/letter-kari", "Communication/letter-ola"}
    assert await ids(place, access, "/?_type=Observation,Communication,Patient") == {
        "Observation/result-kari", "Communication/letter-kari", "Communication/letter-ola"}  # fmt: skip
    assert (await read(place, access, "/Observation/result-ola")).status_code == 404
    assert (await read(place, access, f"/Practitioner/p{DOCTOR}")).status_code == 200, "fhirUser may be read"
    assert (await read(place, access, f"/Practitioner/p{TWO_WARDS}")).status_code == 404
    assert (await read(place, access, "/Communication", "POST", json=observation("x", "kari"))).status_code >= 400


async def test_what_is_withheld_stays_hidden_and_the_unit_is_the_limit(place: Place) -> None:
    """FAM-05, FAM-30, FAM-35: an app sees no more than who uses it."""
    await place.app()
    await place.write(observation("hidden", "kari", "NORU"), observation("secret", "kari", "NORS"),
                      episode("kari", OTHER_WARD, "2026-01-01", "2026-01-02"))  # fmt: skip
    kari = await place.patient("kari")
    token = await kari.tokens(flow(scope="patient/Observation.rs"))
    assert await ids(place, token["access_token"], "/Observation") == {"Observation/result-kari", "Observation/secret"}
    doctor = await place.staff()
    asked = flow(scope="user/Observation.rs")
    token = await doctor.tokens(asked)
    assert await ids(place, token["access_token"], "/Observation") == {"Observation/result-kari", "Observation/hidden"}
    assert IDS[CHILD] == "child"
    operator = await place.staff("8100004", role="operator")
    page = await operator.ask(flow(scope="user/Observation.rs"))
    assert page.status_code == 403
