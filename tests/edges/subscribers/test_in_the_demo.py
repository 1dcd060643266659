"""Subscriptions and $graphql in a running demo: web process, worker, real web hook and real websocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.demo_server import DemoServer
from tests.edges.subscribers.receiver import events, focuses, numbers, receiver, said
from tests.edges.subscribers.ward import Resource, subscription, until

SCOPES = "system/*.cruds"


@pytest.fixture
async def client(demo: DemoServer) -> AsyncIterator[httpx.AsyncClient]:
    headers = {**demo.headers("--system", "subscriber", "--scopes", SCOPES), "content-type": "application/fhir+json"}
    async with httpx.AsyncClient(base_url=f"{demo.fhir}/", headers=headers, timeout=60) as made:
        yield made


@pytest.fixture
async def patient(client: httpx.AsyncClient) -> str:
    made = (await client.post("Patient", json={"resourceType": "Patient", "name": [{"family": "Abonnement"}]})).json()
    return str(made["id"])


async def make(client: httpx.AsyncClient, wish: Resource) -> str:
    """A subscription that has become active; its id."""
    answer = await client.post("Subscription", json=wish)
    assert answer.status_code == 201, answer.text
    identifier = answer.json()["id"]
    for _ in range(400):
        if (await client.get(f"Subscription/{identifier}")).json()["status"] == "active":
            return str(identifier)
        await asyncio.sleep(0.05)
    raise AssertionError((await client.get(f"Subscription/{identifier}")).json())


async def observe(client: httpx.AsyncClient, patient: str, text: str = "x") -> str:
    made = await client.post("Observation", json={
        "resourceType": "Observation", "status": "final", "code": {"text": text},
        "subject": {"reference": f"Patient/{patient}"}})  # fmt: skip
    assert made.status_code == 201, made.text
    return f"Observation/{made.json()['id']}"


async def bind(client: httpx.AsyncClient, identifier: str, since: int | None = None) -> ClientConnection:
    answer = (await client.get(f"Subscription/{identifier}/$get-ws-binding-token")).json()
    named = {one["name"]: next(v for k, v in one.items() if k.startswith("value")) for one in answer["parameter"]}
    socket = await connect(named["websocket-url"])
    await socket.send(f"bind-with-token: {named['token']}" + (f" eventsSinceNumber={since}" if since else ""))
    return socket


async def hear(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(15):
        heard: dict[str, Any] = json.loads(await socket.recv())
        return heard


async def test_by_web_hook(demo: DemoServer, client: httpx.AsyncClient, patient: str) -> None:
    jwks = (await client.get(".well-known/jwks.json")).json()
    with receiver(jwks) as hook:
        wish = subscription("Observation", hook.base, content="full-resource", filters=[f"patient=Patient/{patient}"])
        made = await make(client, wish)
        seen = [await observe(client, patient) for _ in range(5)]
        await until(lambda: len(hook.numbers) >= 5)
        assert hook.numbers == [1, 2, 3, 4, 5]
        assert [focus for one in hook.of("event-notification") for focus in one.focuses] == seen
        assert (await client.delete(f"Subscription/{made}")).status_code == 204


async def test_by_websocket(client: httpx.AsyncClient, patient: str) -> None:
    made = await make(client, subscription("Observation", filters=[f"patient=Patient/{patient}"]))
    socket = await bind(client, made)
    handshake = await hear(socket)
    assert (said(handshake, "type"), said(handshake, "status")) == ("handshake", "active")
    first = await observe(client, patient)
    told = await hear(socket)
    assert (said(told, "type"), numbers(told), focuses(told)) == ("event-notification", [1], [first])
    await socket.close()

    missed = [await observe(client, patient) for _ in range(3)]
    socket = await bind(client, made, since=2)
    assert said(await hear(socket), "type") == "handshake"
    heard: list[dict[str, Any]] = []
    while sum(len(events(one)) for one in heard) < 3:
        heard.append(await hear(socket))
    assert [n for one in heard for n in numbers(one)] == [2, 3, 4]
    assert [f for one in heard for f in focuses(one)] == missed

    off = (await client.get(f"Subscription/{made}")).json()
    assert (await client.put(f"Subscription/{made}", json={**off, "status": "off"})).status_code == 200
    with pytest.raises(ConnectionClosed) as closed:
        await hear(socket)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1000


async def test_r4_criteria_by_websocket(client: httpx.AsyncClient, patient: str) -> None:
    wish = subscription(f"Observation?patient=Patient/{patient}", content=None)
    made = await make(client, wish)
    socket = await bind(client, made)
    async with asyncio.timeout(15):
        assert await socket.recv() == f"bound {made}"
        await observe(client, patient)
        assert await socket.recv() == f"ping {made}"
    await socket.close()


@pytest.mark.parametrize(
    "text", ["bind-with-token: " + "x" * 43, "hello", "", "bind 5", "x" * 100_000, "bind-with-token: " + "é" * 43]
)
async def test_who_has_no_token_is_shown_out(demo: DemoServer, text: str) -> None:
    async with connect(f"{demo.fhir.replace('http', 'ws')}/ws") as socket:
        await socket.send(text)
        with pytest.raises(ConnectionClosed) as closed:
            async with asyncio.timeout(15):
                await socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code in {1008, 1009}


async def test_a_token_binds_once(client: httpx.AsyncClient, patient: str) -> None:
    made = await make(client, subscription("Observation", filters=[f"patient=Patient/{patient}"]))
    answer = (await client.get(f"Subscription/{made}/$get-ws-binding-token")).json()
    named = {one["name"]: next(v for k, v in one.items() if k.startswith("value")) for one in answer["parameter"]}
    async with connect(named["websocket-url"]) as one, connect(named["websocket-url"]) as other:
        await one.send(f"bind-with-token: {named['token']}")
        assert said(await hear(one), "type") == "handshake"
        await other.send(f"bind-with-token: {named['token']}")
        with pytest.raises(ConnectionClosed):
            await hear(other)


async def test_no_other_websocket_is_there(demo: DemoServer) -> None:
    with pytest.raises(Exception):  # noqa: B017 however the server says no
        async with connect(f"{demo.fhir.replace('http', 'ws')}/other"):
            pass


async def test_graphql(client: httpx.AsyncClient, patient: str) -> None:
    await observe(client, patient, "Hb")
    query = f'{{Patient(id: "{patient}") {{name {{family}} ObservationList(_reference: subject) {{code {{text}}}}}}}}'
    answer = (await client.post("$graphql", json={"query": query})).json()
    assert answer["data"]["Patient"] == {
        "name": [{"family": "Abonnement"}], "ObservationList": [{"code": {"text": "Hb"}}],
    }  # fmt: skip
    statement = (await client.get("metadata")).json()
    assert "graphql" in {one["name"] for one in statement["rest"][0]["operation"]}
