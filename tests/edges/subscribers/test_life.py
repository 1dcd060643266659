"""The life of a subscription by web hook: handshake, active, events, heartbeats, errors and back, end."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from tests.edges.subscribers.receiver import Notification, Receiver
from tests.edges.subscribers.ward import House, observation, subscription
from varde.clock import SetClock
from varde.edges.subscribers import ABANDONED, HANDSHAKES
from varde.fhir.errors import FhirError, Unprocessable
from varde.work import dead


async def test_it_becomes_active_after_the_handshake_and_is_told(house: House, hook: Receiver) -> None:
    made = await house.subscribe(
        subscription("Observation", f"{hook.base}/hook?x=1", headers=["Authorization: Bearer abc"])
    )
    assert await house.status(made) == ("requested", None)
    assert hook.got == []
    await house.settle()
    assert await house.status(made) == ("active", None)
    (handshake,) = hook.got
    assert (handshake.method, handshake.path) == ("POST", "/hook?x=1")
    assert handshake.said("type") == "handshake"
    assert handshake.said("status") == "requested"
    assert handshake.said("subscription") == {"reference": f"http://test/fhir/Subscription/{made}"}
    assert handshake.headers["authorization"] == "Bearer abc"

    await house.write(observation("o1"))
    await house.write(observation("o1", "final"))
    await house.store.delete(house.access.for_system("test"), "Observation", "o1")
    await house.settle()
    assert hook.numbers == [1, 2, 3]
    (event,) = hook.of("event-notification")
    assert event.focuses == ["Observation/o1"] * 3
    assert event.said("events-since-subscription-start") == "3"
    assert event.said("topic") == "https://varde.no/fhir/SubscriptionTopic/Observation"
    assert event.bundle["type"] == "history"
    assert len(event.bundle["entry"]) == 1, "id-only carries no resources"


async def test_the_signature_binds_body_time_name_and_address(house: House, hook: Receiver, clock: SetClock) -> None:
    made = await house.subscribe(subscription("Observation", f"{hook.base}/a"))
    await house.settle()
    (handshake,) = hook.got
    assert handshake.signed["iat"] == int(clock.now().timestamp())
    assert handshake.signed["aud"] == f"{hook.base}/a"
    assert handshake.signed["sub"] == made
    assert handshake.signed["jti"] == handshake.headers["x-notification-id"] == f"{made}.1"


async def test_full_resources_come_as_they_are_now_each_once(house: House, hook: Receiver) -> None:
    await house.subscribe(subscription("Observation", hook.base, content="full-resource"))
    await house.settle()
    await house.write(observation("o1"))
    await house.write(observation("o1", "final"), observation("o2"))
    await house.settle()
    (event,) = hook.of("event-notification")
    assert sorted(event.numbers) == [1, 2, 3]
    entries = event.bundle["entry"][1:]
    assert {(e["resource"]["id"], e["resource"]["status"]) for e in entries} == {("o1", "final"), ("o2", "preliminary")}
    assert {e["request"]["method"] for e in entries} == {"PUT", "POST"}


async def test_empty_content_names_nothing(house: House, hook: Receiver) -> None:
    await house.subscribe(subscription("Observation", hook.base, content="empty"))
    await house.settle()
    await house.write(observation("o1"))
    await house.settle()
    (event,) = hook.of("event-notification")
    assert b"Observation" not in event.body
    assert event.numbers == [1]


async def test_no_more_than_the_subscriber_wants_at_a_time(house: House, hook: Receiver) -> None:
    await house.subscribe(subscription("Observation", hook.base, count=4))
    await house.settle()
    await house.write(*(observation(f"o{n}") for n in range(10)))
    await house.settle()
    assert [len(one.numbers) for one in hook.of("event-notification")] == [4, 4, 2]
    assert hook.numbers == list(range(1, 11))


async def test_conditions_on_the_version_before(house: House, hook: Receiver) -> None:
    await house.subscribe(subscription("result-final", hook.base))
    await house.settle()
    await house.write(observation("o1"))
    await house.write(observation("o1", "final"))
    await house.write(observation("o1", "final", issued="2026-11-24T10:00:00Z"))
    await house.write(observation("o1", "amended"))
    await house.write(observation("o2", "final"))
    await house.settle()
    assert [f for one in hook.of("event-notification") for f in one.focuses] == [
        "Observation/o1", "Observation/o1", "Observation/o2",
    ]  # fmt: skip


async def test_filters_narrow_a_topic(house: House, hook: Receiver) -> None:
    await house.subscribe(
        subscription("Observation", hook.base, filters=["Observation?patient=Patient/p1", "status=final"])
    )
    await house.settle()
    await house.write(observation("o1", "final"), observation("o2", "final", "p2"), observation("o3"))
    await house.settle()
    assert [f for one in hook.of("event-notification") for f in one.focuses] == ["Observation/o1"]


async def test_a_handshake_that_is_not_taken_is_an_error_and_can_be_asked_for_again(
    house: House, hook: Receiver, clock: SetClock
) -> None:
    hook.answer = lambda notification: (500, b"")
    made = await house.subscribe(subscription("Observation", hook.base))
    for _ in range(HANDSHAKES):
        await house.settle(120)
        clock.advance(timedelta(seconds=120))
    assert await house.status(made) == ("error", "the endpoint answered 500")
    assert len(hook.got) == HANDSHAKES
    assert {one.headers["x-notification-id"] for one in hook.got} == {f"{made}.1"}
    await house.write(observation("o1"))  # what happens meanwhile is kept

    hook.answer = lambda notification: (200, b"")
    resource = (await house.store.read(house.gate(), "Subscription", made)).resource
    assert resource["error"] == "the endpoint answered 500"
    await house.store.update(house.gate(), "Subscription", made, {**resource, "status": "requested"})
    await house.settle()
    assert await house.status(made) == ("active", None)
    assert hook.numbers == [1]


async def test_growing_waits_then_given_up_then_told_and_sent_again_by_an_operator(
    house: House, hook: Receiver, clock: SetClock
) -> None:
    made = await house.subscribe(subscription("Observation", hook.base))
    await house.settle()
    hook.answer = lambda notification: (503, b"")
    await house.write(observation("o1"))
    moments = []

    def refuse(notification: Notification) -> tuple[int, bytes]:
        moments.append(clock.now())
        return 503, b""

    hook.answer = refuse
    await house.worker().drain(clock.now() + timedelta(days=3), moving=lambda at: clock.set(max(at, clock.now())))
    waits = [later - before for before, later in pairwise(moments)]
    assert len(moments) == 30
    assert waits[0] < timedelta(seconds=10) < waits[4] < waits[7] <= timedelta(minutes=90)
    status, error = await house.status(made)
    assert status == "error" and error is not None and "503" in error

    async with house.database.transaction() as connection:
        (letter,) = await dead.page(connection)
        await dead.retry(
            connection, letter.kind, letter.id, actor="operator", reason="they are up again", now=clock.now()
        )
    hook.answer = lambda notification: (200, b"")
    await house.settle()
    assert await house.status(made) == ("active", None)
    assert hook.numbers[-1] == 1


async def test_gone_for_good(house: House, hook: Receiver) -> None:
    made = await house.subscribe(subscription("Observation", hook.base))
    await house.settle()
    hook.answer = lambda notification: (410, b"")
    await house.write(observation("o1"))
    await house.settle()
    assert await house.status(made) == ("error", "the endpoint answered 410: it is gone")


async def test_heartbeats_come_where_nothing_happens(house: House, hook: Receiver, clock: SetClock) -> None:
    await house.subscribe(subscription("Observation", hook.base, heartbeat=60))
    await house.settle()
    await house.settle(30)
    assert hook.of("heartbeat") == []
    clock.advance(timedelta(seconds=61))
    await house.settle(1)
    (beat,) = hook.of("heartbeat")
    assert beat.said("events-since-subscription-start") == "0"
    assert beat.said("status") == "active"


async def test_it_ends_when_it_says_so(house: House, hook: Receiver, clock: SetClock) -> None:
    end = (clock.now() + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    made = await house.subscribe(subscription("Observation", hook.base, end=end))
    await house.settle()
    clock.advance(timedelta(hours=1))
    await house.settle(6)
    assert await house.status(made) == ("off", None)
    house.look_again()
    await house.write(observation("o1"))
    await house.settle()
    assert hook.numbers == []


async def test_in_error_for_long_it_is_off(house: House, hook: Receiver, clock: SetClock) -> None:
    made = await house.subscribe(subscription("Observation", hook.base))
    await house.settle()
    hook.answer = lambda notification: (410, b"")
    await house.write(observation("o1"))
    await house.settle()
    clock.advance(ABANDONED)
    await house.settle(6)
    assert (await house.status(made))[0] == "off"


async def test_turned_off_and_deleted(house: House, hook: Receiver) -> None:
    made, other = [await house.subscribe(subscription("Observation", hook.base)) for _ in range(2)]
    await house.settle()
    resource = (await house.store.read(house.gate(), "Subscription", made)).resource
    await house.store.update(house.gate(), "Subscription", made, {**resource, "status": "off"})
    await house.store.delete(house.gate(), "Subscription", other)
    house.look_again()
    await house.write(observation("o1"))
    await house.settle()
    assert hook.of("event-notification") == []
    assert await house.status(made) == ("off", None)


async def test_what_was_on_its_way_when_it_was_turned_off_does_not_leave(house: House, hook: Receiver) -> None:
    made = await house.subscribe(subscription("Observation", hook.base))
    await house.settle()
    await house.write(observation("o1"))
    resource = (await house.store.read(house.gate(), "Subscription", made)).resource
    await house.store.update(house.gate(), "Subscription", made, {**resource, "status": "off"})
    await house.settle()
    assert hook.of("event-notification") == []


async def test_only_the_server_makes_it_active(house: House, hook: Receiver) -> None:
    with pytest.raises(Unprocessable):
        await house.subscribe(subscription("Observation", hook.base, status="active"))
    made = await house.subscribe(subscription("Observation", hook.base))
    resource = (await house.store.read(house.gate(), "Subscription", made)).resource
    with pytest.raises(Unprocessable):
        await house.store.update(house.gate(), "Subscription", made, {**resource, "status": "active"})
    await house.settle()
    active = (await house.store.read(house.gate(), "Subscription", made)).resource
    await house.store.update(house.gate(), "Subscription", made, {**active, "reason": "other words"})
    assert await house.status(made) == ("active", None)
    active["channel"]["endpoint"] = "http://127.0.0.1:9/elsewhere"
    with pytest.raises(Unprocessable):
        await house.store.update(house.gate(), "Subscription", made, active)


@pytest.mark.parametrize(
    "wish",
    [
        subscription("no-such-topic", "http://127.0.0.1/"),
        subscription("https://elsewhere.example/topic", "http://127.0.0.1/"),
        subscription("Observation", "http://127.0.0.1/", filters=["Patient?name=x"]),
        subscription("Observation", "http://127.0.0.1/", filters=["subject.name=x"]),
        subscription("Observation", "http://127.0.0.1/", filters=["nonsense=x"]),
        subscription("result-final", "http://127.0.0.1/", filters=["Observation?value-quantity=5"]),
        subscription("result-final", "http://127.0.0.1/", filters=["code=5"]),
        subscription("Observation?subject.name=x", "http://127.0.0.1/", content=None),
        subscription("Nothing?x=y", "http://127.0.0.1/", content=None),
        subscription("Observation?date=yesterday", "http://127.0.0.1/", content=None),
        subscription("Observation?_sort=date", "http://127.0.0.1/", content=None),
        subscription("Subscription", "http://127.0.0.1/"),
        subscription("Observation", "http://127.0.0.1/", heartbeat=1),
        subscription("Observation", "http://127.0.0.1/", headers=["Host: other"]),
        subscription("Observation", "http://127.0.0.1/", headers=["X: a\r\nY: b"]),
        subscription("Observation", "http://127.0.0.1/", headers=["Content-Length: 5"]),
        subscription("Observation", "http://127.0.0.1/", end="2020-01-01T00:00:00Z"),
        {**subscription("Observation"), "channel": {"type": "email", "endpoint": "mailto:x@example.org"}},
        {**subscription("Observation"), "channel": {"type": "rest-hook"}},
    ],
    ids=lambda wish: str(wish)[:60],
)  # fmt: skip
async def test_what_cannot_be_served_is_refused(house: House, wish: dict[str, object]) -> None:
    with pytest.raises(FhirError) as refused:
        await house.subscribe(wish)
    assert refused.value.status == 422


async def test_r4_criteria_with_a_payload_are_an_update_at_the_subscriber(house: House, hook: Receiver) -> None:
    made = await house.subscribe(
        subscription("Observation?code=http://loinc.org|718-7", f"{hook.base}/r4/", content=None)
    )
    await house.settle()
    assert await house.status(made) == ("active", None), "R4 has no handshake"
    await house.write(observation("o1"))
    await house.write(observation("o1", "final"), {**observation("o2"), "code": {"text": "other"}})
    await house.store.delete(house.access.for_system("test"), "Observation", "o1")
    await house.settle()
    assert hook.got == [], "it was gone when it would have left"
    await house.write(observation("o3"))
    await house.settle()
    (one,) = hook.got
    assert (one.method, one.path, one.bundle["id"]) == ("PUT", "/r4/Observation/o3", "o3")


async def test_r4_criteria_without_a_payload_are_an_empty_post(house: House, hook: Receiver) -> None:
    wish = subscription("Observation?status=final", f"{hook.base}/r4", content=None)
    del wish["channel"]["payload"]
    await house.subscribe(wish)
    await house.settle()
    await house.write(observation("o1"))
    await house.write(observation("o1", "final"))
    await house.settle()
    assert [(one.method, one.path, one.body) for one in hook.got] == [("POST", "/r4", b"")]
