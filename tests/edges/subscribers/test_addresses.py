"""Where notifications may go: SSRF. Names are resolved once and connected to as judged; redirects are not followed."""

from __future__ import annotations

import socket
import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpcore
import pytest

from tests.edges.servers import certificate
from tests.edges.subscribers.receiver import Receiver
from tests.edges.subscribers.ward import House, observation, subscription
from varde.edges.subscribers.addresses import Allowed, NotAllowed, Pinned, pool

PRODUCTION = Allowed(["ehr.example.no", "*.helse.example.no"], ["10.20.0.0/16", "fd00:20::/32"])


@pytest.mark.parametrize(
    "url", ["https://ehr.example.no/x", "https://EHR.example.no:8443/x?y=z", "https://a.b.helse.example.no/"]
)
def test_hosts_of_the_settings(url: str) -> None:
    PRODUCTION.judge(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://ehr.example.no/", "https://other.example.no/", "https://helse.example.no/", "https://ehr.example.no.evil.example/",
        "https://evil.example/ehr.example.no", "https://user@ehr.example.no/", "https://ehr.example.no@evil.example/",
        "https://127.0.0.1/", "https://localhost/", "http://127.0.0.1/", "https://[::1]/", "https://10.20.0.1/",
        "file:///etc/passwd", "ftp://ehr.example.no/", "https://ehr.example.no/#x", "https://ehr.example.no:0/",
        "https://ehr.example.no:x/", "https://", "", "ehr.example.no", "https://ehr.example.no/ x", "https://ehr.examplé.no/",
        "https://169.254.169.254/latest/meta-data",
    ],
)  # fmt: skip
def test_everything_else_is_refused(url: str) -> None:
    with pytest.raises(NotAllowed):
        PRODUCTION.judge(url)


@pytest.mark.parametrize(
    ("address", "reached"),
    [
        ("93.184.216.34", True), ("2606:2800:220:1::1", True), ("10.20.3.4", True), ("fd00:20::1", True),
        ("10.21.0.1", False), ("127.0.0.1", False), ("::1", False), ("169.254.169.254", False), ("192.168.0.1", False),
        ("172.16.0.1", False), ("100.64.0.1", False), ("0.0.0.0", False), ("::", False), ("224.0.0.1", False),
        ("255.255.255.255", False), ("::ffff:127.0.0.1", False), ("::ffff:10.20.0.1", True), ("fe80::1", False),
        ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False),
    ],
)  # fmt: skip
def test_addresses_that_a_name_may_lead_to(address: str, reached: bool) -> None:
    assert PRODUCTION.reaches(ip_address(address)) is reached


async def test_a_name_that_leads_inside_is_not_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS is the attacker's: the name of an allowed host leads to this machine, where a server listens."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    async def lead_inside(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    import asyncio

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lead_inside, raising=False)
    with pytest.raises(NotAllowed):
        await Pinned(PRODUCTION).connect_tcp("ehr.example.no", port, 1)
    listener.settimeout(0.1)
    with pytest.raises(TimeoutError):
        listener.accept()
    listener.close()


async def test_tls_is_verified_against_the_name_and_the_connection_goes_to_the_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, client = certificate(tmp_path)
    async with pool(Allowed([], loopback=True), client) as connections:
        with pytest.raises(httpcore.ConnectError):
            await connections.request("GET", "https://localhost:9/")
    assert client.verify_mode is ssl.CERT_REQUIRED and client.check_hostname


async def test_an_endpoint_outside_the_list_is_refused_when_it_is_asked_for(house: House) -> None:
    async with house.client() as client:
        answer = await client.post("Subscription", json=subscription("Observation", "https://intranet.example.no/x"))
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["Subscription.channel.endpoint"]


async def test_an_endpoint_that_is_no_longer_allowed_is_not_spoken_to(house: House, hook: Receiver) -> None:
    made = await house.subscribe(subscription("Observation", hook.base))
    await house.settle()
    house.hooks._allowed = Allowed([])
    await house.write(observation("o1"))
    await house.settle()
    assert hook.of("event-notification") == []
    status, error = await house.status(made)
    assert status == "error" and error == "the endpoint is an https address"


async def test_redirects_are_not_followed(house: House, hook: Receiver) -> None:
    made = await house.subscribe(subscription("Observation", hook.base))
    hook.answer = lambda notification: (307, b"")
    await house.settle(1000)
    assert {one.path for one in hook.got} == {"/"}
    status, error = await house.status(made)
    assert status == "error" and error is not None and "redirects are not followed" in error
