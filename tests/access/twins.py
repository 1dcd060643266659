"""Two worlds alike but for what is hidden from those who ask, and what each says to the same question.

Ids that the store draws, and the times it writes, come from the test in both worlds, so that what they say can be
compared byte for byte. What is masked is listed in `said`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from tests.access import decisions, people
from tests.access.people import OTHER_WARD, WARD, Resource
from tests.access.questions import Asked
from tests.access.things import things
from tests.access.varde_in_process import START, Caller, InProcess, Said, in_process
from tests.databases import fresh_database
from varde.embedded import EmbeddedPostgres
from varde.fhir import keys
from varde.fhir.definitions import resource_types
from varde.fhir.search.fulltext import index_words
from varde.trust.law.things import Thing, thing_of
from varde.trust.scope import Scope

ACTING = "x-proof-acting"
"""Header by which a test asks as a service does that writes on behalf of the person: `Scope.acting`."""
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PAGE = re.compile(r"(_history\?[^\"]*_page=)\d+")
_LINE = re.compile(r"(\baudit-|_page=\d+\.|/innsyn/)(\d+)\b")
"""A line of the log, and the key of the page after it."""


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of hiding: what is hidden, from whom, in whose record."""

    name: str
    rule: str
    focus: str
    callers: Sequence[Caller]
    hidden: Callable[[], list[Resource]]
    common: Callable[[], list[Resource]] = list
    writes: bool = False
    """Whether the callers may write by their own token."""
    chooses: bool = False
    """Whether they choose the ids of what they write (fhir/storing/reading.py: reaches_all)."""
    first: Sequence[str] = ("kari", "per", "barn", "ung", "ola", "fullmektig")
    """Whose Patients are there in both worlds."""
    treated: Sequence[str] = ("kari",)
    """Whom the ward treats."""
    apart: bool = False
    """See `things`: what is seen is not taken in with what is hidden."""

    def seen(self) -> list[Resource]:
        """What those who ask may see of the patient, and is in both worlds."""
        return things("open", "hid", self.focus, apart=self.apart)


def withheld(code: str, whose: str) -> Callable[[], list[Resource]]:
    """Things withheld by a code of 9603."""
    return lambda: things("hid", "open", whose, code=code)


def of_another() -> list[Resource]:
    """Somebody whom those who ask have nothing to do with, and all that is recorded of them."""
    return [people.patient("skjult"), people.episode("skjult", OTHER_WARD),
            *things("hid", "open", "skjult", unit=OTHER_WARD)]  # fmt: skip


def not_assessed() -> list[Resource]:
    """Things of a referral that nobody has assessed (FAM-19); vaccines are shown to parents all the same (table A)."""
    return [one for one in things("hid", "open", "ung", apart=True) if one["resourceType"] != "Immunization"]


def open_to(*who: str) -> Callable[[], list[Resource]]:
    """Of the same young person: the services are theirs to use, and one referral is open to these."""
    return lambda: [decisions.youth_access("ung", "kari"), decisions.assessment("open-referral", "ung", *who)]


def of_other_things() -> list[Resource]:
    """What a power of attorney for letters and appointments does not take in (FAM-12)."""
    return [
        one for one in things("hid", "open", "kari", apart=True)
        if thing_of(one["resourceType"], one) not in {Thing.LETTERS, Thing.APPOINTMENTS}
    ]  # fmt: skip


def blocked() -> list[Resource]:
    """A visit that the patient blocked, with all that belongs to it, and the block (FAM-33)."""
    visit = things("hid", "open", "kari", apart=True)
    return [decisions.block("kari", resources=[f"{one['resourceType']}/{one['id']}" for one in visit]), *visit]


def blocked_for_one() -> list[Resource]:
    """A patient of the ward who blocked one who works there, and all that is recorded of them."""
    return [people.patient("kari"), people.episode("kari", WARD), decisions.block("kari", hpr=people.NAMED),
            *things("hid", "open", "kari", apart=True)]  # fmt: skip


CASES = [
    Case("withheld for the child's sake", "FAM-04", "barn", [people.person("kari", "barn"),
         people.person("per", "barn")], withheld("NORN_FORANS", "barn")),
    Case("withheld until lifted", "FAM-05", "kari", [people.person("kari")], withheld("N", "kari")),
    Case("withheld until lifted, of a child", "FAM-05", "barn", [people.person("kari", "barn")], withheld("N", "barn")),
    Case("delayed", "FAM-35", "kari", [people.person("kari")], withheld("NORU", "kari")),
    Case("blocked for staff", "FAM-36", "kari", [people.CLINICIAN, people.SECRETARY_CALLER], withheld("NORS", "kari")),
    Case("somebody else", "FAM-01", "kari", [people.person("kari"), people.person("kari", "barn"), people.CLINICIAN,
         people.SECRETARY_CALLER, people.person("ola")], of_another),
    Case("another unit's patient", "FAM-30", "kari", [people.CLINICIAN, people.SECRETARY_CALLER,
         people.OPERATOR_CALLER], of_another),
    Case("another unit sees nobody", "FAM-30", "kari", [people.ELSEWHERE_CLINICIAN],
         lambda: things("hid", "open", "kari")),
    Case("a referral nobody assessed", "FAM-19", "ung", [people.person("ung"), people.person("kari", "ung"),
         people.person("per", "ung")], not_assessed, open_to("ung", "kari", "per"), apart=True),
    Case("a referral open to the other parent", "FAM-19", "ung", [people.person("per", "ung"), people.person("ung")],
         lambda: [*not_assessed(), decisions.assessment("hid-referral", "ung", "kari")], open_to("ung", "per"),
         apart=True),
    Case("that a referral was assessed", "FAM-24", "ung", [people.person("ung"), people.person("kari", "ung")],
         lambda: [decisions.assessment("hid-referral", "ung")],
         lambda: [*open_to("ung", "kari")(), *not_assessed()], apart=True),
    Case("that a referral was assessed, later on", "FAM-24", "seksten", [people.person("seksten")],
         lambda: [decisions.assessment("open-referral", "seksten")], first=("kari", "per", "seksten", "ola")),
    Case("withheld from the young person", "FAM-05", "ung", [people.person("ung")],
         lambda: [*things("hid", "open", "ung", code="NORN_UNGDOM", apart=True),
                  decisions.assessment("hid-referral", "ung", "ung", "kari")], open_to("ung", "kari"), apart=True),
    Case("beyond a power of attorney", "FAM-12", "kari", [people.person("fullmektig", "kari")], of_other_things,
         lambda: [decisions.power("kari", "fullmektig", "letters", "appointments")], apart=True),
    Case("a blocked visit", "FAM-33", "kari", [people.CLINICIAN, people.SECRETARY_CALLER, people.NAMED_CLINICIAN],
         blocked, apart=True),
    Case("one who is named in a block", "FAM-33", "ola", [people.NAMED_CLINICIAN], blocked_for_one, apart=True,
         first=("per", "barn", "ung", "ola", "fullmektig"), treated=("ola",)),
    Case("a system with types", "SMART", "kari",
         [people.system("narrow", "system/Observation.rs system/Patient.rs system/Encounter.rs")],
         lambda: [one for one in things("hid", "open", "kari")
                  if one["resourceType"] not in {"Observation", "Patient", "Encounter"}]),
    Case("a system with a narrowed scope", "SMART", "kari",
         [people.system("laboratory", "system/Observation.cruds?category=laboratory")],
         lambda: [one for one in things("hid", "open", "kari") if one["id"] != "hid-lab"], writes=True),
    Case("a visit blocked for systems too", "FAM-33", "kari",
         [people.system("journal", "system/Observation.cruds system/Encounter.rs system/Communication.rs")],
         blocked, apart=True, writes=True, chooses=True),
]  # fmt: skip


class Drawn:
    """In the place of the operating system's chance and time, where ids are made: the same in both worlds."""

    def __init__(self) -> None:
        self.random = Random(0)

    def randbelow(self, below: int) -> int:
        return self.random.randrange(below)

    def randbits(self, bits: int) -> int:
        return self.random.getrandbits(bits)

    def time_ns(self) -> int:
        return 1_790_000_000_000_000_000 + self.random.randrange(10**15)


@dataclass
class Twins:
    """The world with what is hidden and the one where it never was."""

    case: Case
    worlds: tuple[InProcess, InProcess]
    drawn: Drawn
    asked: int = 0
    statements: dict[str, int] = field(default_factory=dict)

    async def both(self, caller: Caller, asked: Asked) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """What each world says, masked."""
        self.asked += 1
        found = []
        for varde in self.worlds:
            self.drawn.random = Random(self.asked)
            varde.clock.set(START + timedelta(milliseconds=20 * self.asked))
            headers = {**asked.headers, **({ACTING: "1"} if asked.acting else {})}
            answer = await varde.ask(
                caller, asked.method, asked.target, body=asked.body, kind=asked.kind, headers=headers
            )
            found.append(said(answer))
        return found[0], found[1]


def said(answer: Said) -> tuple[Any, ...]:
    """What is compared: status, headers and body. Masked are ids of uuid form in the order in which they come (of
    jobs, drawn anew by each world) and the numbers of the log's lines likewise, which count what anybody does; and
    the key of a history's next page, which counts all writes of the store."""
    known: dict[str, str] = {}

    def mask(text: str) -> str:
        text = _PAGE.sub(r"\1", text)
        text = _LINE.sub(lambda found: found[1] + known.setdefault(found[2], f"line-{len(known)}"), text)
        return _UUID.sub(lambda found: known.setdefault(found[0], f"id-{len(known)}"), text)

    headers = tuple(sorted((name, mask(value)) for name, value in answer.headers if name != "content-length"))
    return answer.status, headers, mask(answer.text)


async def fill(varde: InProcess, case: Case, *, hidden: bool) -> None:
    """Put a world's things in, what is hidden in between the others, each at the same moment in both worlds."""
    await people.register(varde)
    seen = case.seen()
    secret = case.hidden()
    before = [one for one in secret if one["resourceType"] in {"Patient", "EpisodeOfCare"}]
    secret = [one for one in secret if one not in before]
    steps: list[tuple[bool, list[Resource]]] = [
        (False, [*people.places(), *(people.patient(name) for name in case.first),
                 *(people.episode(name, WARD) for name in case.treated), *case.common()]),
        (True, before),
        (False, seen[::2]),
        (True, secret[::2]),
        (True, secret[1::2]),
        (False, seen[1::2]),
        (True, [{**one, "language": "nn"} for one in secret[::3]]),
        (False, [{**one, "language": "nn"} for one in seen[::3]]),
    ]  # fmt: skip
    for place, (is_secret, resources) in enumerate(steps):
        varde.clock.set(START - timedelta(minutes=100 - place))
        if resources and (hidden or not is_secret):
            await varde.write(*resources)
    async with varde.house.platform.store.transaction() as connection:
        await index_words(connection)
    varde.clock.set(START)


def let_services_act(varde: InProcess) -> None:
    """Let a request with the header ACTING write as a service may on behalf of whoever asks."""
    inner = varde.varde._fhir._authenticate

    async def authenticate(headers: Any, method: str, path: str) -> Any:
        gate = await inner(headers, method, path)
        if headers.get(ACTING) and isinstance(gate, Scope) and gate.actor.kind != "system":
            return gate.acting("proof", resource_types())
        return gate

    varde.varde._fhir._authenticate = authenticate


@asynccontextmanager
async def twins(postgres: EmbeddedPostgres, case: Case, folder: Path, monkeypatch: Any) -> AsyncIterator[Twins]:
    """The two worlds of a case, on databases of their own."""
    drawn = Drawn()
    monkeypatch.setattr(keys, "secrets", drawn)
    monkeypatch.setattr(keys, "time", drawn)
    async with AsyncExitStack() as stack:
        worlds = []
        for name in ("hidden", "never"):
            url = await stack.enter_async_context(fresh_database(postgres))
            varde = await stack.enter_async_context(in_process(url, folder / name))
            let_services_act(varde)
            drawn.random = Random(0)
            await fill(varde, case, hidden=name == "hidden")
            worlds.append(varde)
        yield Twins(case, (worlds[0], worlds[1]), drawn)
