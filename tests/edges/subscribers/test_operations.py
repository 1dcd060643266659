"""$status, $events, $get-ws-binding-token, $topics, by HTTP; and that the CapabilityStatement declares them."""

from __future__ import annotations

from tests.edges.subscribers.receiver import Receiver, focuses, numbers, said
from tests.edges.subscribers.ward import BASE, House, observation, subscription
from varde.fhir.http.capability import capability_statement
from varde.fhir.subscriptions.operations import Asking
from varde.fhir.validate import validate
from varde.trust.subscribers import owner_of


async def test_status_of_one_and_of_all(house: House, hook: Receiver) -> None:
    one = await house.subscribe(subscription("Observation", hook.base))
    two = await house.subscribe(subscription("Patient"))
    async with house.client() as client:
        answer = await client.get(f"Subscription/{one}/$status")
        assert answer.status_code == 200
        bundle = answer.json()
        validate(bundle)
        assert bundle["type"] == "searchset"
        assert said(bundle, "status") == "requested"
        assert said(bundle, "type") == "query-status"
        await house.settle()
        every = (await client.get("Subscription/$status")).json()
        assert {said({"entry": [e]}, "subscription")["reference"] for e in every["entry"]} == {
            f"{BASE}/Subscription/{one}", f"{BASE}/Subscription/{two}",
        }  # fmt: skip
        some = (await client.get(f"Subscription/$status?id={two}")).json()
        assert len(some["entry"]) == 1
        assert (await client.get("Subscription/$status?status=off")).json()["total"] == 0
        posted = await client.post("Subscription/$status", json={
            "resourceType": "Parameters", "parameter": [{"name": "status", "valueCode": "active"}]})  # fmt: skip
        assert posted.json()["total"] == 2
        assert (await client.get("Subscription/$status?id=nobody")).status_code == 404
        assert (await client.get("Subscription/$status?nonsense=1")).status_code == 400


async def test_status_tells_what_went_wrong(house: House, hook: Receiver) -> None:
    hook.answer = lambda notification: (410, b"")
    made = await house.subscribe(subscription("Observation", hook.base))
    await house.settle()
    async with house.client() as client:
        bundle = (await client.get(f"Subscription/{made}/$status")).json()
    assert said(bundle, "status") == "error"
    assert said(bundle, "error") == {"text": "the endpoint answered 410: it is gone"}


async def test_events_again(house: House, hook: Receiver) -> None:
    made = await house.subscribe(subscription("Observation", hook.base))
    await house.settle()
    for n in range(1, 8):
        await house.write(observation(f"o{n}"))
    await house.settle()
    async with house.client() as client:
        path = f"Subscription/{made}/$events"
        every = (await client.get(path)).json()
        validate(every)
        assert (said(every, "type"), numbers(every)) == ("query-event", list(range(1, 8)))
        some = (await client.get(f"{path}?eventsSinceNumber=3&eventsUntilNumber=5&content=full-resource")).json()
        assert numbers(some) == [3, 4, 5]
        assert focuses(some) == ["Observation/o3", "Observation/o4", "Observation/o5"]
        assert [entry["resource"]["id"] for entry in some["entry"][1:]] == ["o3", "o4", "o5"]
        assert said(some, "events-since-subscription-start") == "7"
        empty = (await client.get(f"{path}?content=empty")).json()
        assert focuses(empty) == [None] * 7
        assert numbers((await client.get(f"{path}?eventsSinceNumber=8")).json()) == []
        for wrong in ("eventsSinceNumber=-1", "eventsSinceNumber=x", "content=much", "since=1"):
            assert (await client.get(f"{path}?{wrong}")).status_code == 400, wrong
        assert (await client.get("Subscription/$events")).status_code == 404


async def test_binding_tokens(house: House, hook: Receiver) -> None:
    socket = await house.subscribe(subscription("Observation"))
    other = await house.subscribe(subscription("Observation", hook.base))
    async with house.client() as client:
        answer = (await client.get(f"Subscription/{socket}/$get-ws-binding-token")).json()
        validate(answer)
        named = {one["name"]: one for one in answer["parameter"]}
        assert named["websocket-url"]["valueUrl"] == "ws://test/fhir/ws"
        assert named["subscription"]["valueString"] == socket
        assert len(named["token"]["valueString"]) > 40
        assert (await client.get(f"Subscription/{other}/$get-ws-binding-token")).status_code == 400
        assert (await client.get(f"Subscription/$get-ws-binding-token?id={socket}")).status_code == 200
        every = (await client.get("Subscription/$get-ws-binding-token")).json()
        assert [p["valueString"] for p in every["parameter"] if p["name"] == "subscription"] == [socket]


async def test_topics_are_listed_as_r4_carries_them(house: House) -> None:
    async with house.client() as client:
        bundle = (await client.get("Subscription/$topics")).json()
    validate(bundle)
    urls = {entry["fullUrl"] for entry in bundle["entry"]}
    assert {"https://varde.no/fhir/SubscriptionTopic/encounter-end",
            "https://varde.no/fhir/SubscriptionTopic/Observation"} <= urls  # fmt: skip
    assert {entry["resource"]["resourceType"] for entry in bundle["entry"]} == {"Basic"}


async def test_the_capability_statement_declares_what_there_is(house: House) -> None:
    operations = Asking(house.clock, owner_of, "ws://test/fhir/ws").operations()
    statement = capability_statement(BASE, "2026-11-24", operations)
    (declared,) = [one for one in statement["rest"][0]["resource"] if one["type"] == "Subscription"]
    assert {"status", "events", "get-ws-binding-token", "topics"} <= {one["name"] for one in declared["operation"]}
    async with house.client() as client:
        listed = (await client.get("Subscription/$topics")).json()
    assert {e["valueUri"] for e in declared["extension"]} == {e["fullUrl"] for e in listed["entry"]}
    assert "extension" not in capability_statement(BASE, "2026-11-24")["rest"][0]["resource"][-1]
