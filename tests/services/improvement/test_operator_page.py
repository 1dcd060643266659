"""The operators' page over sample values: what stopped is seen, nothing is done without a reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.browsing import chromium, inspect, serving
from varde.clock import SetClock
from varde.services.improvement.operator import (
    CheckResult,
    DeadLetter,
    EdgeState,
    JobState,
    Situation,
    operator_routes,
)
from varde.web.assets import VENDOR, Assets
from varde.web.build import build
from varde.web.routes import install
from varde.web.shell import MenuItem, Shell, TemplateFolder

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@dataclass
class SampleOperations:
    """A double of the operations: something of everything."""

    done: list[tuple[str, ...]] = field(default_factory=list)
    empty: bool = False

    async def situation(self, scope: Any) -> Situation:
        if self.empty:
            return Situation([], 0, [], [], [])
        return Situation(
            [
                DeadLetter("17", "message", "print", "TimeoutError", NOW, 1, unknown=True),
                DeadLetter("18", "job", "letters.remind", "KeyError", NOW, 8),
            ],
            2,
            [EdgeState("print", 3, 2, 190, 0, 1, NOW), EdgeState("sms", 0, 0, 412, 0, 0)],
            [CheckResult("letters.unposted", NOW, 0), CheckResult("jobs.overdue", NOW, 2, "eldst kl. 08")],
            [JobState("letters.remind", 40, 2, NOW)],
        )

    async def retry(self, scope: Any, kind: str, dead_id: str, reason: str) -> None:
        self.done.append(("retry", kind, dead_id, reason))

    async def discard(self, scope: Any, kind: str, dead_id: str, reason: str) -> None:
        self.done.append(("discard", kind, dead_id, reason))


@dataclass(frozen=True)
class SampleSession:
    """What the shell reads of a session."""

    display_name: str = "Mona Drift"
    kind: str = "staff"
    unit_name: str = "Drift"
    role: str = "operator"
    csrf: str = "sample-token"


class _WithSession:
    def __init__(self, app: ASGIApp, role: str) -> None:
        self.app, self.role = app, role

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {}).update(session=SampleSession(role=self.role), scope=None)
        await self.app(scope, receive, send)


def sample_app(operations: SampleOperations, role: str = "operator") -> Starlette:
    """The page alone."""
    if not (VENDOR / "manifest.json").is_file():
        build()
    shell = Shell(
        SetClock(NOW),
        Assets(),
        staff_menu=[MenuItem("/arbeid", "Brev")],
        folders=[TemplateFolder("improvement", "varde.services.improvement")],
    )
    app = Starlette(
        routes=[*operator_routes(operations), Route("/static/{name}", shell.assets.serve)],
        middleware=[Middleware(_WithSession, role=role)],
    )
    install(app, shell)
    return app


def test_let_56_an_unknown_outcome_is_put_before_a_person() -> None:
    text = TestClient(sample_app(SampleOperations())).get("/drift").text
    assert "Ukjent utfall" in text and "Spør mottakeren før du prøver igjen" in text


@pytest.mark.parametrize(("button", "act"), [("prov", "retry"), ("forkast", "discard")])
def test_nothing_is_done_without_a_reason(button: str, act: str) -> None:
    operations = SampleOperations()
    browser = TestClient(sample_app(operations))
    fields = {"csrf": "sample-token", "gjor": button}
    assert browser.post("/drift/message/17", data=fields | {"grunn": " "}).status_code == 422
    assert operations.done == []
    browser.post("/drift/message/17", data=fields | {"grunn": "Trykkeriet svarte"})
    assert operations.done == [(act, "message", "17", "Trykkeriet svarte")]


def test_only_operators_see_it_and_act() -> None:
    operations = SampleOperations()
    browser = TestClient(sample_app(operations, role="secretary"))
    assert browser.get("/drift").status_code == 403
    fields = {"csrf": "sample-token", "grunn": "Fordi"}
    assert browser.post("/drift/message/17", data=fields).status_code == 403 and operations.done == []


@pytest.mark.browser
async def test_axe_finds_nothing() -> None:
    wrong: list[str] = []
    async with chromium() as browser:
        for operations in (SampleOperations(), SampleOperations(empty=True)):
            async with serving(sample_app(operations)) as base:
                context = await browser.new_context()
                wrong += await inspect(context, f"{base}/drift")
                await context.close()
    assert wrong == []
