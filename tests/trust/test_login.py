"""Logging in and out with the demo's real identity provider, and everything that must not get in."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.trust.login_site import (
    OTHER_TRUST,
    Browser,
    RunningIssuer,
    Site,
    patient_choice,
    running_issuer,
    site,
    staff_choice,
)
from tests.trust.region import CHILD, DEAD, DOCTOR, KARI, OLA, TWO_WARDS, WARD, World, patient
from varde.clock import OSLO, MovableClock, today
from varde.trust.access import ROLE_SYSTEM
from varde.trust.identity import helseid
from varde.trust.persons import make_number
from varde.trust.policy import Parenthood

STRANGER = next(made for n in range(100) if (made := make_number(date(1990, 9, 9), 400 + n)))


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningIssuer]:
    with running_issuer(tmp_path_factory.mktemp("issuer")) as made:
        yield made


@pytest.fixture
def clock(issuer: RunningIssuer) -> MovableClock:
    """The demo's clock, which the provider keeps too; only forward, and for all tests here."""
    return issuer.clock


@pytest.fixture
async def served(world: World, issuer: RunningIssuer) -> AsyncIterator[Site]:
    issuer.persons(
        patient=[
            *(patient_choice(number) for number in (KARI, OLA, DEAD, CHILD, STRANGER)),
            patient_choice(KARI, key="low", acr="idporten-loa-substantial"),
            patient_choice("x", key="numberless", claims={}),
        ],
        staff=[staff_choice(DOCTOR), staff_choice(TWO_WARDS), staff_choice("9"),
               staff_choice(DOCTOR, key="low", claims={helseid.ASSURANCE: "substantial"}),
               staff_choice(DOCTOR, key="elsewhere", claims={helseid.PARENT: OTHER_TRUST})],
    )  # fmt: skip
    async with site(world, issuer) as made:
        yield made


def why(answer: Any) -> str:
    """The problem that a callback's answer leads to."""
    assert answer.status_code == 303
    target = urlsplit(answer.headers["location"])
    assert target.path == "/login/problem", target
    return parse_qs(target.query)["hvorfor"][0]


async def test_a_patient_logs_in(served: Site) -> None:
    browser = Browser(served.base)
    answer = await browser.log_in(f"k{KARI}")
    assert answer.headers["location"] == "/me"
    (cookie,) = [c for c in answer.headers.get_list("set-cookie") if c.startswith("varde_session=")]
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert parts == {"httponly", "path=/", "samesite=lax"}  # ends with the browser; https is tested below
    me = await browser.me()
    assert (me["kind"], me["person"], me["patient"], me["ground"]) == ("patient", "kari", "kari", "own-record")
    async with served.world.database.connection() as connection:
        assert await connection.fetchval("select count(*) from trust_login") == 0
        assert await connection.fetchval("select count(*) from trust_portal_use") == 1


async def test_staff_log_in(served: Site) -> None:
    browser = Browser(served.base)
    answer = await browser.log_in(f"k{DOCTOR}", "staff", "/arbeid/brev")
    assert answer.headers["location"] == "/arbeid/brev"
    me = await browser.me()
    assert (me["kind"], me["person"], me["unit"], me["ground"]) == ("staff", DOCTOR, WARD, "treatment")
    several = await Browser(served.base).log_in(f"k{TWO_WARDS}", "staff", "/arbeid/brev")
    assert several.headers["location"] == "/arbeid/enhet?til=/arbeid/brev"
    assert (await Browser(served.base).log_in(f"k{DOCTOR}", "staff", "/")).headers["location"] == "/arbeid"


async def test_the_browser_carries_nothing_but_a_name_of_the_pushed_request(served: Site) -> None:
    """PAR: state, nonce, challenge and scope go from us to the provider; no person's number is in any address."""
    browser = Browser(served.base)
    answer = await browser.log_in(f"k{KARI}")
    sent = next(a for a in browser.addresses if "/auth?" in a)
    assert set(parse_qs(urlsplit(sent).query)) == {"client_id", "request_uri"}
    callback = next(a for a in browser.addresses if "/login/callback?" in a)
    assert set(parse_qs(urlsplit(callback).query)) == {"code", "state", "iss"}
    csrf = (await browser.me())["csrf"]
    out = (await browser.http.post("/logout", data={"csrf": csrf})).json()
    everything = " ".join([*browser.addresses, answer.headers["location"], out["address"]])
    assert KARI not in everything and "id_token" not in everything
    assert out["fields"]["id_token_hint"].count(".") == 2  # goes by a form, in no address
    async with served.world.database.connection() as connection:
        rows = [
            *await connection.fetch("select * from trust_session"),
            *await connection.fetch("select * from trust_login"),
        ]
    assert KARI not in str([tuple(row) for row in rows])


@pytest.mark.parametrize(
    ("key", "side", "problem"),
    [
        (f"k{CHILD}", "patient", "own-child"),  # FAM-06
        (f"k{DEAD}", "patient", "own-dead"),  # FAM-16
        (f"k{STRANGER}", "patient", "unknown"),
        ("low", "patient", "refused"),  # the level is in the id_token, whatever was asked for
        ("numberless", "patient", "refused"),
        ("low", "staff", "refused"),
        ("k9", "staff", "unknown"),
        ("elsewhere", "staff", "unknown"),  # vouched for by a trust in which they do not work
    ],
)
async def test_who_does_not_get_in(served: Site, key: str, side: str, problem: str) -> None:
    browser = Browser(served.base)
    answer = await browser.log_in(key, side)
    assert why(answer) == problem
    assert not [c for c in answer.headers.get_list("set-cookie") if "varde_session=" in c]
    assert await browser.me() is None
    if problem in {"own-child", "own-dead"}:
        (row,) = await served.world.rows("not allowed")
        assert row["actor"] in {"child", "dead"}


async def test_an_answer_is_good_once_and_in_its_own_browser(served: Site) -> None:
    """State is bound to the browser, used once, and of its own side; a code is used once."""
    browser, thief = Browser(served.base), Browser(served.base)
    callback = await browser.to_callback(f"k{KARI}")
    assert why(await thief.get(callback)) == "old"
    assert why(await browser.get(callback)) == "old"  # the thief's try used it up: safe, and one logs in anew
    callback = await browser.to_callback(f"k{KARI}")
    assert (await browser.get(callback)).headers["location"] == "/me"
    assert why(await browser.get(callback)) == "old"
    used = parse_qs(urlsplit(callback).query)["code"][0]
    other = Browser(served.base)
    fresh = await other.to_callback(f"k{OLA}")
    state = parse_qs(urlsplit(fresh).query)["state"][0]
    assert why(await other.get(f"/login/callback?code={used}&state={state}")) == "refused"
    third = Browser(served.base)
    fresh = await third.to_callback(f"k{OLA}")
    crossed = fresh.replace("/login/callback", "/arbeid/login/callback")
    assert why(await third.get(crossed)) == "old"
    for query in ("", "?state=&code=x", "?state=x&code=x", "?code=x"):
        assert why(await third.get(f"/login/callback{query}")) == "old"


async def test_a_login_from_another_issuer_or_without_its_name_is_refused(served: Site) -> None:
    """RFC 9207: the provider says that it names itself, so an answer that does not is not its own."""
    for change in (lambda a: re.sub(r"&iss=[^&]*", "&iss=https%3A%2F%2Fevil.example", a),
                   lambda a: re.sub(r"&iss=[^&]*", "", a)):  # fmt: skip
        browser = Browser(served.base)
        assert why(await browser.get(change(await browser.to_callback(f"k{KARI}")))) == "refused"


async def test_who_breaks_off_comes_to_the_front_page(served: Site) -> None:
    browser = Browser(served.base)
    callback = await browser.to_callback("nobody")
    assert "error=access_denied" in callback
    answer = await browser.get(callback)
    assert answer.headers["location"] == "/" and await browser.me() is None


async def test_a_login_that_took_more_than_an_hour_is_too_old(served: Site) -> None:
    browser = Browser(served.base)
    callback = await browser.to_callback(f"k{KARI}")
    served.issuer.clock.advance(timedelta(minutes=61))
    assert why(await browser.get(callback)) == "old"


@pytest.mark.parametrize(
    "til", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "", "/%0d%0ax", "javascript:x"]
)
async def test_the_way_back_is_on_our_own_site(served: Site, til: str) -> None:
    answer = await Browser(served.base).log_in(f"k{KARI}", til=til)
    assert answer.headers["location"] == "/"


async def test_five_days_ahead_by_the_demos_clock_one_still_logs_in(served: Site) -> None:
    served.issuer.clock.advance(timedelta(days=5))
    browser = Browser(served.base)
    await browser.log_in(f"k{KARI}")
    assert (await browser.me())["person"] == "kari"


async def test_two_visitors_never_share_a_login(served: Site) -> None:
    """Nor at the provider: a fresh browser is asked who it is, whoever logged in before it."""
    first = Browser(served.base)
    await first.log_in(f"k{KARI}")
    second = Browser(served.base)
    address = await second.until("/login", "/interaction/")
    assert (await second.get(address)).status_code == 200
    stolen = await Browser(served.base).get(address)
    assert stolen.status_code == 303  # another browser's choice of person is not one's own to make


async def test_logging_out_ends_the_session_and_the_providers(served: Site) -> None:
    browser = Browser(served.base)
    await browser.log_in(f"k{KARI}")
    me = await browser.me()
    cookie = browser.http.cookies["varde_session"]
    for answer in (
        await browser.get("/logout"),
        await browser.http.post("/logout"),
        await browser.http.post("/logout", data={"csrf": "x" * 32}),
    ):  # a link, another site's form, a guess
        assert answer.headers["location"] == "/" and (await browser.me())["person"] == "kari"
    answer = await browser.http.post("/logout", data={"csrf": me["csrf"]})
    assert urlsplit(answer.json()["address"]).path == "/demo/issuer/patient/session/end"
    assert await browser.me() is None
    thief = Browser(served.base)
    thief.http.cookies.set("varde_session", cookie)
    assert await thief.me() is None
    asked = await browser.http.post(answer.json()["address"], data=answer.json()["fields"])
    assert asked.status_code == 200 and "Du er logget ut av Varde" in asked.text
    assert (await browser.http.post("/arbeid/logout")).headers["location"] == "/"


async def test_a_session_ends_when_idle_and_at_its_age(served: Site) -> None:
    browser, clock = Browser(served.base), served.issuer.clock
    await browser.log_in(f"k{KARI}")
    for _ in range(16):
        clock.advance(timedelta(minutes=29))
        assert await browser.me() is not None
    clock.advance(timedelta(minutes=16))  # eight hours since the login
    assert await browser.me() is None
    await browser.log_in(f"k{KARI}")
    clock.advance(timedelta(minutes=30))
    assert await browser.me() is None
    async with served.world.database.connection() as connection:
        await served.sessions.sweep(connection)
        assert await connection.fetchval("select count(*) from trust_session") == 0


async def test_nobody_can_plant_a_session_and_a_new_login_ends_the_old(served: Site) -> None:
    browser = Browser(served.base)
    browser.http.cookies.set("varde_session", "planted")
    answer = await browser.log_in(f"k{KARI}")
    first = re.search(r"varde_session=([^;]+)", " ".join(answer.headers.get_list("set-cookie")))
    assert first and first[1] != "planted" and len(first[1]) >= 43
    thief = Browser(served.base)
    thief.http.cookies.set("varde_session", "planted")
    assert await thief.me() is None
    thief = Browser(served.base)
    thief.http.cookies.set("varde_session", first[1])
    assert (await thief.me())["person"] == "kari"
    again = Browser(served.base)
    again.http.cookies.set("varde_session", first[1])
    await again.log_in(f"k{OLA}")
    assert await thief.me() is None


async def test_each_session_has_its_own_token_for_forms_and_a_switch_gives_no_longer_life(served: Site) -> None:
    one, two = Browser(served.base), Browser(served.base)
    await one.log_in(f"k{KARI}")
    await two.log_in(f"k{KARI}")
    assert (await one.me())["csrf"] != (await two.me())["csrf"]
    former = await served.sessions.find(one.http.cookies["varde_session"])
    assert former is not None
    served.issuer.clock.advance(timedelta(minutes=20))
    secret = await served.sessions.replace(former, unit_name="x")
    changed = await served.sessions.find(secret)
    assert changed is not None and changed.csrf != former.csrf and changed.digest != former.digest
    assert await one.me() is None
    with pytest.raises(LookupError):  # what was logged out is not brought back by a page still open
        await served.sessions.replace(former)
    for _ in range(16):
        served.issuer.clock.advance(timedelta(minutes=28))
        await served.sessions.find(secret)
    served.issuer.clock.advance(timedelta(minutes=12))
    assert await served.sessions.find(secret) is None


async def _as_parent(served: Site, child_born: date) -> tuple[Browser, str]:
    number = next(made for n in range(500) if (made := make_number(child_born, 500 + n)))
    world = served.world
    await world.write(patient(KARI, date(1980, 5, 17), "Lite Barn") | {
        "id": "little", "birthDate": child_born.isoformat(),
        "identifier": [{"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": number}],
    })  # fmt: skip
    world.register.parents[(KARI, number)] = Parenthood(True, True, False)
    browser = Browser(served.base)
    await browser.log_in(f"k{KARI}")
    own = await served.sessions.find(browser.http.cookies["varde_session"])
    assert own is not None
    secret = await served.sessions.replace(own, kind="representative", patient="little", acting_for_name="Lite Barn")
    browser.http.cookies.set("varde_session", secret, domain="127.0.0.1", path="/")
    browser.http.cookies.delete("varde_session", domain="127.0.0.1", path="/")
    browser.http.cookies.set("varde_session", secret)
    return browser, number


@pytest.mark.parametrize(
    ("years", "before", "after"), [(12, "parent-of-child", "parent-of-youth"), (16, "parent-of-youth", "own-record")]
)
async def test_a_child_s_birthday_changes_what_a_parent_may_at_midnight(
    served: Site, years: int, before: str, after: str
) -> None:
    """FAM-03, FAM-10, FAM-15: in the open session, at the next request. At 16 one is back at one's own things."""
    clock = served.issuer.clock
    tomorrow = today(clock) + timedelta(days=1)
    midnight = datetime.combine(tomorrow, datetime.min.time(), OSLO).astimezone(UTC)
    clock.advance(midnight - clock.now() - timedelta(minutes=5))
    browser, _ = await _as_parent(served, tomorrow.replace(year=tomorrow.year - years))
    assert (await browser.me())["ground"] == before
    clock.advance(midnight - clock.now() - timedelta(seconds=2))
    me = await browser.me()
    assert (me["patient"], me["ground"]) == ("little", before)
    clock.advance(timedelta(seconds=2))
    me = await browser.me()
    assert (me["patient"], me["ground"]) == ("little" if years == 12 else "kari", after)


async def test_acting_for_a_child_ends_when_the_register_says_so(served: Site) -> None:
    """FAM-15: lost responsibility, a protected address, the child's death; each at the next request."""
    for facts in (Parenthood(False, True, False), Parenthood(True, False, False), Parenthood(True, True, True),
                  Parenthood(True, True, False, child_dead=True)):  # fmt: skip
        browser, number = await _as_parent(served, today(served.issuer.clock) - timedelta(days=1000))
        assert await browser.me() is not None
        served.world.register.parents[(KARI, number)] = facts
        assert (await browser.me())["patient"] == "kari"


async def test_a_session_ends_when_its_person_dies_or_leaves_the_unit(served: Site) -> None:
    """FAM-16, FAM-30: at the next request."""
    kari, doctor = Browser(served.base), Browser(served.base)
    await kari.log_in(f"k{KARI}")
    await doctor.log_in(f"k{DOCTOR}", "staff")
    assert await kari.me() is not None and await doctor.me() is not None
    await served.world.write(patient(KARI, date(1980, 5, 17), "Kari", deceasedBoolean=True))
    role = await served.world.store.read(served.world.access.for_system("t"), "PractitionerRole", f"r{DOCTOR}-{WARD}")
    await served.world.write(role.resource | {"active": False})
    assert await kari.me() is None and await doctor.me() is None


async def test_a_session_ends_when_its_person_gets_another_role(served: Site) -> None:
    """FAM-31: an operator's page or a clinician's reach does not outlive the role."""
    doctor = Browser(served.base)
    await doctor.log_in(f"k{DOCTOR}", "staff")
    assert await doctor.me() is not None
    system = served.world.access.for_system("t")
    role = (await served.world.store.read(system, "PractitionerRole", f"r{DOCTOR}-{WARD}")).resource
    code = {"coding": [{"system": ROLE_SYSTEM, "code": "secretary"}], "text": "sekretær"}
    await served.world.write(role | {"code": [code]})
    assert await doctor.me() is None
    await doctor.log_in(f"k{DOCTOR}", "staff")
    assert (await doctor.me())["ground"] == "administration"


async def test_the_provider_away_is_said_calmly_and_running_sessions_go_on(served: Site) -> None:
    browser, late = Browser(served.base), Browser(served.base)
    await browser.log_in(f"k{KARI}")
    callback = await late.to_callback(f"k{OLA}")
    assert isinstance(served.issuer, RunningIssuer)
    served.issuer.stop()
    try:
        assert why(await Browser(served.base).get("/login")) == "provider"
        assert why(await late.get(callback)) == "provider"
        assert (await browser.me())["person"] == "kari"
    finally:
        served.issuer.start()
    # It came back with new keys: known without a restart of ours, within a minute of the first try.
    served.issuer.clock.advance(timedelta(seconds=61))
    again = Browser(served.base)
    await again.log_in(f"k{OLA}")
    assert (await again.me())["person"] == "ola"


async def test_over_https_the_cookies_go_to_this_host_alone(world: World, issuer: RunningIssuer) -> None:
    issuer.persons(patient=[patient_choice(KARI)], staff=[])
    async with site(world, issuer, secure=True) as served:
        browser = Browser(served.base)
        answer = await browser.get("/login")
        (cookie,) = answer.headers.get_list("set-cookie")
        assert cookie.startswith("__Host-varde_login=")
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= {p.strip().lower() for p in cookie.split(";")}
        assert "domain" not in cookie.lower()
        async with world.database.transaction() as connection:
            secret = await served.sessions.start(
                connection, kind="patient", person="kari", patient="kari", display_name="K"
            )
        plain = {"cookie": f"varde_session={secret}"}
        assert (await browser.http.get("/me", headers=plain)).status_code == 401
        host = {"cookie": f"__Host-varde_session={secret}"}
        assert (await browser.http.get("/me", headers=host)).status_code == 200
