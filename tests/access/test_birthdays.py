"""Birthdays by the clock: every page and the API of a child of 11 years and 364 days, and of one of 15 years and 364
days, with two parents, one of whom lives elsewhere: ten seconds before midnight in Norway, and at midnight, in sessions
and with tokens that were there before. Pages are taken from the running app, so that those to come join by themselves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from tests.access import decisions, people
from tests.access.people import Resource
from tests.access.routes import Address, addresses
from tests.access.things import letter, things
from tests.access.varde_in_process import FORM, Caller, InProcess, TestClock, in_process
from tests.databases import fresh_database
from varde.clock import OSLO
from varde.embedded import EmbeddedPostgres

_NOT_A_PERSONS = ("/arbeid", "/drift", "/auth", "/static", "/login", "/logout", "/sprak", "/status", "/robots.txt",
                  "/favicon.ico", "/health", "/metrics", "/demo", "/fhir")  # fmt: skip
WORDS = {"åpenhet": "open", "hemmelighet": "hid", "forbehold": "kept"}
"""What pages say of the three visits: one that is open, one that the patient blocked for staff, and one that clinicians
keep from the parents."""
TYPES = ("Appointment", "Communication", "Encounter", "Observation", "DocumentReference", "ServiceRequest")
ALL, NOTHING = frozenset({"open", "hid", "kept"}), frozenset[str]()


@dataclass(frozen=True, slots=True)
class Birthday:
    """One young person, and whose eyes see which visits before and after."""

    whose: str
    years: int
    more: Callable[[], list[Resource]]
    before: dict[str, frozenset[str]]
    after: dict[str, frozenset[str]]
    rule: str


def _things(whose: str, day: date) -> list[Resource]:
    """Three visits, each with a thread of dialogue, a letter, and an appointment after the birthday."""
    found = [
        *things("open", "open", whose, apart=True),
        *things("hid", "hid", whose, apart=True),
        *things("kept", "kept", whose, apart=True, code="NORN_FORANS"),
    ]
    words = {short: word for word, short in WORDS.items()}
    for one in found:
        short = one["id"].split("-")[0]
        if one["resourceType"] == "Appointment":
            one["start"] = datetime(day.year, day.month, day.day, 10, 0, tzinfo=OSLO).isoformat()
            one["start"] = (datetime.fromisoformat(one["start"]) + timedelta(days=20)).isoformat()
            one["end"] = (datetime.fromisoformat(one["start"]) + timedelta(minutes=30)).isoformat()
            one["description"] = f"Time for {words[short]}"
    sent = datetime(day.year, day.month, day.day, 10, 0, tzinfo=OSLO) - timedelta(days=10)
    for short, word in words.items():
        kept = next(one for one in found if one["id"] == f"{short}-letter")
        meta = kept["meta"]
        made = letter(f"{short}-letter", whose, word, sent, people.WARD, appointment=f"{short}-appointment")
        kept.clear()
        kept.update(made)
        if "security" in meta:
            kept["meta"] = {**kept["meta"], "security": meta["security"]}
    block = decisions.block(
        whose, resources=[f"{one['resourceType']}/{one['id']}" for one in found if one["id"].startswith("hid-")]
    )
    return [people.patient(whose), people.episode(whose, people.WARD), *found, block]


TWELVE = Birthday(
    "barn", 12, list,
    before={"kari": frozenset({"open", "hid"}), "per": frozenset({"open", "hid"}), "barn": NOTHING},
    after={"kari": NOTHING, "per": NOTHING, "barn": NOTHING},
    rule="FAM-02 FAM-03 FAM-19",
)  # fmt: skip
SIXTEEN = Birthday(
    "ung", 16,
    lambda: [decisions.youth_access("ung", "kari"), decisions.assessment("open-referral", "ung", "ung", "kari")],
    before={"kari": frozenset({"open"}), "per": NOTHING, "ung": frozenset({"open"})},
    after={"kari": NOTHING, "per": NOTHING, "ung": ALL},
    rule="FAM-06 FAM-10 FAM-19 FAM-21",
)  # fmt: skip


def caller(who: str, whose: str) -> Caller:
    """Somebody in the young person's name, or the young person."""
    return people.person(who) if who == whose else people.person(who, whose)


async def seen(varde: InProcess, who: Caller) -> tuple[frozenset[str], frozenset[str]]:
    """(visits that the pages tell of, visits that the API tells of)."""
    on_pages: set[str] = set()
    for address in addresses(varde):
        if address.method == "GET" and not address.path.startswith(_NOT_A_PERSONS):
            for path in _paths(address):
                text = (await varde.ask(who, "GET", path)).text
                on_pages |= {short for word, short in WORDS.items() if word in text}
    by_api: set[str] = set()
    for kind in TYPES:
        answer = await varde.ask(who, "GET", f"/fhir/{kind}?_count=100")
        if answer.status == 200:
            by_api |= {e["resource"]["id"].split("-")[0] for e in answer.json.get("entry", ())}
        for short in WORDS.values():
            names = {"Appointment": "appointment", "Communication": "letter", "Encounter": "encounter"}
            read = await varde.ask(who, "GET", f"/fhir/{kind}/{short}-{names.get(kind, 'lab')}")
            by_api |= {short} if read.status == 200 else set()
    return frozenset(on_pages), frozenset(by_api - {"episode"})


def _paths(address: Address) -> list[str]:
    if not address.names_a_thing:
        return [address.path]
    found = []
    for short in WORDS.values():
        for name in ("letter", "appointment", "message", "referral", "encounter"):
            path = address.path
            while "{" in path:
                path = path[: path.index("{")] + f"{short}-{name}" + path[path.index("}") + 1 :]
            found.append(path)
    return found


@pytest.fixture
async def varde(postgres: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[InProcess]:
    async with fresh_database(postgres) as url, in_process(url, tmp_path, TestClock()) as made:
        await people.register(made)
        yield made


@pytest.mark.parametrize("birthday", [TWELVE, SIXTEEN], ids=lambda one: f"{one.years} years, {one.rule}")
async def test_every_page_before_and_after_midnight(varde: InProcess, birthday: Birthday) -> None:
    born = people.BORN[birthday.whose]
    day = born.replace(year=born.year + birthday.years)
    midnight = datetime(day.year, day.month, day.day, tzinfo=OSLO)
    await varde.write(*people.places(), *(people.patient(name) for name in ("kari", "per")))
    await varde.write(*_things(birthday.whose, day), *birthday.more())
    varde.clock.set(midnight - timedelta(seconds=10))
    for who, wanted in birthday.before.items():
        pages, api = await seen(varde, caller(who, birthday.whose))
        assert api == wanted, f"the API before midnight, {who}: {sorted(api)}"
        assert pages <= wanted, f"pages before midnight, {who}: {sorted(pages)}"
        if wanted:
            assert pages, f"the pages show {who} nothing"
    varde.clock.set(midnight)
    for who, wanted in birthday.after.items():
        pages, api = await seen(varde, caller(who, birthday.whose))
        assert api == wanted, f"the API after midnight, {who}: {sorted(api)}"
        assert pages <= wanted, f"pages after midnight, {who}: {sorted(pages)}"
    # What happens by itself that night opens nothing again.
    await varde.house.worker().drain(varde.clock.now() + timedelta(hours=8), moving=varde.clock.set)
    for who, wanted in birthday.after.items():
        pages, api = await seen(varde, caller(who, birthday.whose))
        assert api <= wanted and pages <= wanted, who


async def test_what_a_parent_had_open_at_midnight_is_not_sent(varde: InProcess) -> None:
    """FAM-10: a form that was opened for the child before midnight does nothing after it."""
    day = people.BORN["ung"].replace(year=people.BORN["ung"].year + 16)
    midnight = datetime(day.year, day.month, day.day, tzinfo=OSLO)
    await varde.write(*people.places(), people.patient("kari"), people.patient("per"), *_things("ung", day))
    await varde.write(decisions.assessment("open-referral", "ung", "kari"))
    parent = caller("kari", "ung")
    varde.clock.set(midnight - timedelta(seconds=10))
    page = await varde.ask(parent, "GET", "/brev/open-letter")
    assert page.status == 200
    varde.clock.set(midnight)
    body = f"csrf={parent.csrf}".encode()
    answer = await varde.ask(parent, "POST", "/brev/open-letter/arkiver", body=body, kind=FORM)
    assert answer.status in {403, 404} and "åpenhet" not in answer.text
    kept = await varde.house.platform.store.read(varde.system(), "Communication", "open-letter")
    assert "letter-folder" not in kept.body.decode()
    assert "Unge" not in (await varde.ask(parent, "GET", "/brev")).text
