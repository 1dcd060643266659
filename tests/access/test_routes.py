"""Every route for every kind of actor, as the table `routes.md` says: each cell is called. One without a line fails.

Where a path names a thing, a cell tells of the actor's own and of another's: "ok/404". What is said of another's thing
is held, word for word, to what is said of one that never was; so is, for every row, that a session or token which is
over opens what nobody is opened, and that a form without its session's token does nothing.

With VARDE_WRITE_ROUTES=1 the table is written anew, to be read line by line before it is committed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from tests.access import people
from tests.access.conftest import FAR_WARD, OTHER
from tests.access.people import WARD
from tests.access.routes import APPLICATIONS, Address, addresses, body_of, target
from tests.access.things import things
from tests.access.varde_in_process import NOBODY, Caller, InProcess, Said

TABLE = Path(__file__).parent / "routes.md"


@dataclass(frozen=True, slots=True)
class Kind:
    """A column: who calls, and whose things are their own."""

    name: str
    caller: Caller
    own: str
    forged: bool = False


KINDS = [
    Kind("nobody", NOBODY, "kari"),
    Kind("patient", replace(people.person("kari"), name="column-patient"), "kari"),
    Kind("parent", people.person("kari", "barn"), "barn"),
    Kind("parent without", people.person("kari", "seksten"), "seksten"),
    Kind("young", people.person("ung"), "ung"),
    Kind("proxy", people.person("fullmektig", "kari"), "kari"),
    Kind("clinician", people.CLINICIAN, "kari"),
    Kind("clinician elsewhere", people.ELSEWHERE_CLINICIAN, "kari"),
    Kind("secretary", people.SECRETARY_CALLER, "kari"),
    Kind("operator", people.OPERATOR_CALLER, "kari"),
    Kind("system", people.system("system", "system/*.cruds"), "kari"),
    Kind("app", people.system("app", "system/Communication.rs"), "kari"),
    Kind("expired", replace(people.person("kari"), name="column-expired"), "kari"),
    Kind("forged", replace(people.person("kari"), name="column-forged"), "kari", forged=True),
]
NEVER = "never"
_SEE_ALL = {"system", "app"}
"""Columns to which no patient is another's."""
_RESTORED = ("kari", OTHER)


async def ask(varde: InProcess, kind: Kind, address: Address, whose: str) -> Said:
    """One call of a column, with the session fresh as after a login."""
    caller = kind.caller
    if caller.session is not None:
        await varde.log_in(caller)
    if kind.name == "expired":
        at = varde.clock.now()
        varde.clock.set(at - timedelta(hours=9))
        varde._headers.pop(caller.name, None)
        await varde.headers_of(caller)
        varde.clock.set(at)
        varde._headers[caller.name] = (at + timedelta(days=1), varde._headers[caller.name][1])
    csrf = "forged" if kind.forged else caller.csrf
    where = target(address, whose)
    body, form, headers = body_of(address, whose, whose if whose in people.BORN else kind.own, csrf)
    if "forwarded" not in headers and address.method == "WEBSOCKET":
        return Said(await _socket(varde, kind, where), (), b"")
    return await varde.ask(caller, address.method, where, body=body, kind=form, headers=headers)


async def _socket(varde: InProcess, kind: Kind, path: str) -> int:
    """101 for a socket that is kept open before anything was proved; 403 for one closed or asked to prove itself."""
    sent = await varde.headers_of(kind.caller)
    told: list[str] = []
    waiting = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "bind-with-token x"},
               {"type": "websocket.disconnect", "code": 1000}]  # fmt: skip

    async def receive() -> Mapping[str, object]:
        return waiting.pop(0) if waiting else {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Mapping[str, object]) -> None:
        told.append(str(message.get("text") or message["type"]))

    scope = {"type": "websocket", "path": path, "query_string": b"", "subprotocols": [], "scheme": "ws",
             "headers": [(k.encode(), v.encode()) for k, v in sent.items()], "client": ("127.0.0.1", 1)}  # fmt: skip
    await varde.varde(scope, receive, send)
    return 101 if any("event" in one or "Bundle" in one for one in told) else 403


def word(answer: Said) -> str:
    """An answer's class, as the table has it."""
    status, to = answer.status, answer.header("location")
    if status in range(300, 400):
        return "login" if "/login?" in to or to.endswith("/login") else "go"
    if status in {401, 403, 404, 410}:
        return str(status)
    if status == 200 and "<title>Du handler ikke lenger" in answer.text:
        return "ended"
    return "ok" if status < 300 else "bad" if status < 500 else "away" if status in {502, 503} else str(status)


def masked(answer: Said, whose: str) -> str:
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "id", answer.text)
    text = re.sub(r'name="csrf" value="[^"]*"', "", text)
    return f"{answer.status} {text}".replace(whose, "WHOSE")


async def _rows(varde: InProcess) -> tuple[dict[str, list[str]], list[str]]:
    """(the table as the running Varde has it, what is wrong whatever the table says)."""
    found: dict[str, list[str]] = {}
    wrong: list[str] = []
    for address in addresses(varde):
        cells = []
        for kind in KINDS:
            answer = await ask(varde, kind, address, kind.own)
            cell = word(answer)
            if address.writes and kind.name == "system":
                await _restore(varde)
            if address.names_a_thing:
                other = await ask(varde, kind, address, OTHER)
                if kind.name not in _SEE_ALL:  # these would write it, so that it was
                    never = await ask(varde, kind, address, NEVER)
                    if masked(other, OTHER) != masked(never, NEVER):
                        wrong.append(f"{address.line} as {kind.name}: another's is told from what never was:"
                                     f" {masked(other, OTHER)[:300]} | {masked(never, NEVER)[:300]}")  # fmt: skip
                cell = f"{cell}/{word(other)}"
                if address.writes and kind.name == "system":
                    await _restore(varde)
            if answer.status >= 500 and word(answer) != "away":
                wrong.append(f"{address.line} as {kind.name}: {answer.status}")
            cells.append(cell)
        by = dict(zip((kind.name for kind in KINDS), cells, strict=True))
        if by["expired"] != by["nobody"] and not address.path.startswith("/auth/"):  # where apps prove themselves
            wrong.append(f"{address.line}: what is over opens {by['expired']}, nobody {by['nobody']}")
        if (
            address.method == "POST"
            and not address.path.startswith(("/fhir", "/demo", "/auth"))
            and "ok" in by["forged"]
        ):
            wrong.append(f"{address.line}: a forged form is answered {by['forged']}")
        found[address.line] = cells
    return found, wrong


async def _restore(varde: InProcess) -> None:
    """What a system changed or took away, as it was."""
    await varde.write(*(one for name in _RESTORED for one in _own(name)), *people.places())


def _own(name: str) -> list[people.Resource]:
    unit = FAR_WARD if name == OTHER else WARD
    kept = {"Observation", "Communication", "Encounter"}
    return [one for one in things(name, name, name, unit=unit, apart=True) if one["resourceType"] in kept]


def read_table() -> dict[str, list[str]]:
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    return {parts[1].strip().strip("`"): [one.strip() for one in parts[2:-1]]
            for parts in (line.split("|") for line in lines)}  # fmt: skip


HEAD = """# Every route for every kind of actor

Held by tests/access/test_routes.py, which calls each cell. Written by `VARDE_WRITE_ROUTES=1 pytest
tests/access/test_routes.py`, and read by a person before it is committed.

ok: answered. go: sent on. login: sent to log in. ended: told that one
no longer acts for another, and shown nothing. 401, 403, 404, 410: as HTTP has them. bad: not understood, or not as it
is now (400, 405, 412, 422…). away: an outside part that does not run in this test. Where the path names a thing:
own/another's. `parent` acts for a child of 10, `parent without` for one who has turned 16, `young` is 14 and has one
referral open, `proxy` has a power of attorney for letters and appointments, `expired` presents a session and a token
that are over, `forged` is the patient with another form token than the session's. The app has the scope
system/Communication.rs, the system system/*.cruds.

"""


def written(rows: Mapping[str, list[str]]) -> str:
    names = [kind.name for kind in KINDS]
    lines = [f"| route | {' | '.join(names)} |", f"|{'---|' * (len(names) + 1)}"]
    lines += [f"| `{line}` | {' | '.join(cells)} |" for line, cells in rows.items()]
    return HEAD + "\n".join(lines) + "\n"


async def test_every_route_answers_every_actor_as_the_table_says(varde: InProcess) -> None:
    rows, wrong = await _rows(varde)
    assert not wrong, "\n".join(wrong)
    if os.environ.get("VARDE_WRITE_ROUTES"):
        TABLE.write_text(written(rows), encoding="utf-8")
    expected = read_table()
    missing = [f"| `{line}` | {' | '.join(cells)} |" for line, cells in rows.items() if line not in expected]
    assert not missing, "routes without a line in tests/access/routes.md:\n" + "\n".join(missing)
    gone = sorted(expected.keys() - rows.keys())
    assert not gone, f"lines of routes that are no more: {gone}"
    names = [kind.name for kind in KINDS]
    differing = [
        f"{line} as {name}: {said}, not {wanted}"
        for line, cells in rows.items()
        for name, said, wanted in zip(names, cells, expected[line], strict=True)
        if said != wanted
    ]
    assert not differing, "\n".join(differing)


async def test_no_address_of_the_application_is_forgotten(varde: InProcess) -> None:
    """What the application sends requests to is what `routes.addresses` goes through."""
    callables = {name for name, value in vars(varde.varde).items()
                 if callable(value)
                 and type(value).__module__.startswith(("varde", "starlette"))}  # fmt: skip
    assert callables <= APPLICATIONS, callables - APPLICATIONS
