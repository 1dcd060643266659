"""SMS through a real HTTP server: what is asked, and what each answer means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import orjson
import pytest

from tests.edges.messages import mail, sms
from tests.edges.servers import Answer, Request, http_server
from varde.clock import SetClock
from varde.edges.notify import Channel, Channels
from varde.edges.notify.gateway import SmsGateway
from varde.work.outbox import Outcome, Passing, Permanent, Receipt, Unknown


async def sent(
    answer: Callable[[Request], Answer], clock: SetClock, *, keys: bool = True, seconds: float = 5
) -> tuple[Outcome, list[Request]]:
    with http_server(answer) as server:
        async with httpx.AsyncClient(timeout=seconds) as http:
            gateway = SmsGateway(f"{server.base}/sms", "token-1", clock, http, recognises_keys=keys)
            edge = Channels({Channel.SMS: gateway})
            assert edge.recognises_keys is keys
            (outcome,) = await edge.send([sms("brev/1")])
    return outcome, server.requests


async def test_posts_the_message_with_its_key(clock: SetClock) -> None:
    outcome, (request,) = await sent(lambda request: (202, b'{"id": "g-17"}'), clock)
    assert outcome == Receipt("brev/1", "received", clock.now(), "g-17")
    assert (request.method, request.path) == ("POST", "/sms")
    assert request.headers["idempotency-key"] == '"brev/1"'
    assert request.headers["authorization"] == "Bearer token-1"
    assert orjson.loads(request.body) == {
        "to": "+4799999999", "sender": "UNN", "text": "Du har fått et nytt brev fra UNN."
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "with_keys", "without"),
    [
        (200, Receipt, Receipt), (400, Permanent, Permanent), (404, Permanent, Permanent),
        (422, Permanent, Permanent), (401, Passing, Passing), (403, Passing, Passing), (408, Passing, Passing),
        (409, Passing, Passing), (429, Passing, Passing), (500, Passing, Unknown), (502, Passing, Unknown),
        (503, Passing, Passing), (504, Passing, Unknown), (0, Passing, Unknown),
    ],
)  # fmt: skip
async def test_what_an_answer_means(
    clock: SetClock, status: int, with_keys: type[Outcome], without: type[Outcome]
) -> None:
    assert isinstance((await sent(lambda request: (status, b""), clock))[0], with_keys)
    assert isinstance((await sent(lambda request: (status, b""), clock, keys=False))[0], without)


async def test_silence_is_unclear(clock: SetClock) -> None:
    quiet = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(request: Request) -> Answer:
        asyncio.run_coroutine_threadsafe(quiet.wait(), loop).result()
        return 200, b""

    async with asyncio.timeout(10):
        task = asyncio.create_task(sent(slow, clock, keys=False, seconds=0.2))
        await asyncio.sleep(0.6)
        quiet.set()
        assert isinstance((await task)[0], Unknown)


async def test_nobody_there_is_passing(clock: SetClock) -> None:
    async with httpx.AsyncClient() as http:
        gateway = SmsGateway("http://127.0.0.1:9/sms", "t", clock, http, recognises_keys=False)
        outcomes = await Channels({Channel.SMS: gateway}).send([sms("a"), mail("b")])
    assert [type(outcome) for outcome in outcomes] == [Passing, Permanent]


async def test_many_at_once_keep_their_order(clock: SetClock) -> None:
    def answer(request: Request) -> Answer:
        return (200, b"{}") if orjson.loads(request.body)["to"].endswith("0") else (400, b"")

    with http_server(answer) as server:
        async with httpx.AsyncClient() as http:
            edge = Channels({Channel.SMS: SmsGateway(server.base, "t", clock, http)})
            outcomes = await edge.send([sms(f"k{n}", f"+479999999{n % 10}") for n in range(100)])
    assert [isinstance(outcome, Receipt) for outcome in outcomes] == [n % 10 == 0 for n in range(100)]
