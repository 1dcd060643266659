"""The demo's own addresses: its clock, what left, and that neither is there outside demo mode."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.demo_server import DemoServer
from varde.app import build
from varde.asgi import Varde
from varde.demo.endpoints import duration
from varde.settings import Settings


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("P5D", timedelta(days=5)),
        ("PT36H", timedelta(hours=36)),
        ("P1DT2H30M", timedelta(days=1, hours=2, minutes=30)),
        ("P2W", timedelta(weeks=2)),
        ("PT90S", timedelta(seconds=90)),
        ("PT0S", timedelta(0)),
    ],
)
def test_a_duration_is_read(text: str, meant: timedelta) -> None:
    assert duration(text) == meant


@pytest.mark.parametrize("text", ["", "P", "PT", "5D", "P5DT", "P-5D", "P1Y", "P1M", "P999D", None, 5, "P5D "])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"366 days|ISO 8601"):
        duration(text)


async def test_the_clock_goes_forward_for_every_process(demo: DemoServer) -> None:
    async with demo.client() as client:
        before = datetime.fromisoformat((await client.get("/demo/clock")).json()["now"])
        after = datetime.fromisoformat(await demo.advance("PT2H"))
        assert timedelta(hours=2) <= after - before < timedelta(hours=2, minutes=2)
        assert datetime.fromisoformat((await client.get("/demo/clock")).json()["now"]) >= after
        # Logging in goes on working: the issuer goes by the demo's clock too.
        page = await demo.log_in(client, demo.person("Ingrid Solberg")["fnr"])
        assert page.status_code == 200


async def test_what_is_not_a_duration_moves_nothing(demo: DemoServer) -> None:
    async with demo.client() as client:
        for body in (b"", b"[]", b'{"advance": "yesterday"}', b'{"advance": "P-1D"}', b"P5D"):
            answer = await client.post("/demo/clock", content=body)
            assert answer.status_code == 400 and "error" in answer.json()
        assert (await client.delete("/demo/clock")).status_code == 405


async def test_the_outbox_is_listed_and_narrowed(demo: DemoServer) -> None:
    async with demo.client() as client:
        found = (await client.get("/demo/outbox?edge=no-such-edge")).json()
        assert found == {"messages": [], "next": None}
        assert (await client.get("/demo/outbox?count=many")).status_code == 400
        assert (await client.get("/demo/outbox?colour=blue")).status_code == 400


async def test_outside_demo_mode_there_is_no_demo(database_url: str, tmp_path: Path) -> None:
    settings = Settings(
        database_url=database_url, data=tmp_path, patient_issuer="https://idporten.no",
        staff_issuer="https://helseid-sts.nhn.no",
    )  # fmt: skip
    house = build(settings, process="test")
    transport = httpx.ASGITransport(Varde(house))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://varde") as client:
        for path in ("/demo/clock", "/demo/outbox", "/demo/issuer/patient/.well-known/openid-configuration"):
            assert (await client.get(path)).status_code == 404
        assert (await client.post("/demo/clock", json={"advance": "P5D"})).status_code == 404
        assert (await client.get("/fhir/Patient", headers={"authorization": "Bearer x"})).status_code == 401
        assert "oppdiktet" not in (await client.get("/")).text
    await house.close()
