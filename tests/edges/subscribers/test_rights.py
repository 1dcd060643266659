"""Under whose rights: what a subscriber may see now decides what is told, and nothing tells of what is hidden."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import orjson
import pytest
from joserfc.jwk import RSAKey

from tests.edges.subscribers.receiver import Receiver, said
from tests.edges.subscribers.ward import House, observation, subscription
from varde.fhir.errors import Forbidden, NotFound
from varde.fhir.gate import Interaction
from varde.trust.keeping import Keeper
from varde.trust.sessions import Limits, Sessions
from varde.trust.smart.authorizations import Authorizations
from varde.trust.smart.clients import Authentication, Client, Clients, Side
from varde.trust.smart.grant import Origin, grant_of
from varde.trust.smart.opening import AppTokens, system_scope
from varde.trust.smart.scopes import read_words
from varde.trust.subscribers import Subscribers, owner_of


async def rows(house: House) -> list[Any]:
    async with house.database.connection() as connection:
        return list(await connection.fetch("select * from trust_audit order by id"))


async def test_a_client_whose_access_ended_is_told_nothing(house: House, hook: Receiver) -> None:
    made = await house.subscribe(subscription("Observation", hook.base))
    await house.settle()
    await house.write(observation("o1"))
    del house.registry.scopes["ehr"]
    await house.settle()
    await house.write(observation("o2"))
    await house.settle(10)
    assert hook.of("event-notification") == []
    assert await house.status(made) == ("error", "the subscriber is no longer let in")


async def test_let_out_between_numbering_and_leaving(house: House, hook: Receiver) -> None:
    made = await house.subscribe(subscription("Observation", hook.base))
    await house.settle()
    await house.write(observation("o1"))
    async with house.database.transaction() as connection:
        (rid,) = [row["rid"] for row in await connection.fetch("select rid from subscription")]
        await house.delivery._number(connection, [{"subscriptions": [rid]}])
    assert len(await house.events(made)) == 1
    del house.registry.scopes["ehr"]
    await house.settle()
    assert hook.of("event-notification") == []
    assert (await house.status(made))[0] == "error"


async def test_a_type_that_its_scopes_do_not_open_is_never_told_of(house: House, hook: Receiver) -> None:
    house.registry.scopes["ehr"] = "system/Subscription.cruds system/Patient.rs"
    made = await house.subscribe(subscription("Observation", hook.base))
    await house.settle()
    await house.write(observation("o1"))
    await house.settle()
    assert hook.of("event-notification") == []
    assert await house.events(made) == []
    async with house.client() as client:
        status = (await client.get(f"Subscription/{made}/$status")).json()
    parameters = {"entry": [{"resource": status["entry"][0]["resource"]}]}
    assert said(parameters, "events-since-subscription-start") == "0"


async def test_narrowed_after_it_was_numbered_an_event_is_a_number_alone(house: House, hook: Receiver) -> None:
    made = await house.subscribe(subscription("Observation", hook.base, content="full-resource"))
    await house.settle()
    await house.write(observation("o1"))
    await house.settle()
    house.registry.scopes["ehr"] = "system/Subscription.cruds"
    async with house.client() as client:
        answer = await client.get(f"Subscription/{made}/$events", params={"content": "full-resource"})
    assert answer.status_code == 200
    assert b"o1" not in answer.content and b"Observation/" not in answer.content
    assert len(answer.json()["entry"]) == 1


async def test_what_leaves_is_in_the_access_log_before(house: House, hook: Receiver) -> None:
    await house.subscribe(subscription("Observation", hook.base))
    await house.settle()
    await house.write(observation("o1"))
    seen: list[int] = []

    def answer(notification: Any) -> tuple[int, bytes]:
        seen.append(1)
        return 200, b""

    hook.answer = answer
    before = len(await rows(house))
    await house.settle()
    assert seen
    told = [r for r in (await rows(house))[before:] if r["actor"] == "ehr" and r["interaction"] == "read"]
    (row,) = told
    assert (row["resource_type"], row["resource_ids"], row["allowed"]) == ("Observation", ["o1"], True)
    assert row["patient"] is not None


async def test_a_subscription_is_its_makers_alone(house: House, hook: Receiver) -> None:
    made = await house.subscribe(subscription("Observation", hook.base, headers=["Authorization: Bearer secret"]))
    await house.settle()
    async with house.client("other") as other, house.client() as own:
        missing = await other.get("Subscription/no-such-one")
        for path in (f"Subscription/{made}", f"Subscription/{made}/$status", f"Subscription/{made}/$events",
                     f"Subscription/{made}/$get-ws-binding-token", f"Subscription/{made}/_history/1"):  # fmt: skip
            answer = await other.get(path)
            assert (answer.status_code, answer.json()) == (404, missing.json()), path
        for path in (
            "Subscription",
            "?_type=Subscription",
            "Subscription/_history",
            "_history",
            "Subscription/$status",
        ):
            answer = await other.get(path)
            assert made not in answer.text and "secret" not in answer.text, path
        assert (await other.get("Subscription?_total=accurate")).json()["total"] == 0
        body = (await own.get(f"Subscription/{made}")).json()
        changed = {**body, "status": "off"}
        assert (await other.put(f"Subscription/{made}", content=orjson.dumps(changed))).status_code == 404
        assert (await other.delete(f"Subscription/{made}")).status_code == 404
        assert (await own.get(f"Subscription/{made}")).json() == body
        assert (await own.get("Subscription")).json()["total"] == 1


async def test_twins(house: House, hook: Receiver) -> None:
    """To a subscriber a house with hidden resources is like one in which they never were."""
    house.registry.scopes["ehr"] = "system/Subscription.cruds system/Observation.rs"
    made = await house.subscribe(subscription("result-final", hook.base, content="id-only"))
    await house.settle()
    report = {"resourceType": "DiagnosticReport", "status": "final", "code": {"text": "x"},
              "subject": {"reference": "Patient/p1"}}  # fmt: skip
    for n in range(4):
        await house.write({**report, "id": f"hidden{n}"}, observation(f"o{n}", "final"))
        await house.write({**report, "id": f"more{n}"})
    await house.settle()
    assert hook.numbers == [1, 2, 3, 4]
    assert [f for one in hook.of("event-notification") for f in one.focuses] == [f"Observation/o{n}" for n in range(4)]
    async with house.client() as client:
        answer = await client.get(f"Subscription/{made}/$events")
    assert b"DiagnosticReport" not in answer.content
    assert said(answer.json(), "events-since-subscription-start") == "4"


async def test_persons_and_the_house_do_not_subscribe(house: House, hook: Receiver) -> None:
    with pytest.raises(Forbidden):
        await house.write({**subscription("Observation", hook.base), "id": "own"})
    assert not house.gate("ehr", "system/Observation.rs").allows(Interaction.CREATE, "Subscription")


async def test_another_never_takes_over_a_deleted_subscription(house: House, hook: Receiver) -> None:
    made = await house.subscribe(subscription("Observation", hook.base))
    await house.store.delete(house.gate(), "Subscription", made)
    with pytest.raises(NotFound):
        await house.store.update(
            house.gate("other"), "Subscription", made, {**subscription("Observation", hook.base), "id": made}
        )


async def test_a_registered_app_is_told_by_what_it_is_registered_with_until_it_is_closed(
    house: House, hook: Receiver
) -> None:
    clients = Clients(house.database, house.clock)
    key = RSAKey.generate_key(2048)
    key.ensure_kid()
    keys = orjson.dumps({"keys": [key.as_dict(private=False)]}).decode()
    scopes = "system/Subscription.cruds system/Observation.rs"
    app = Client("lab-system", "Lab", "Laben AS", Authentication.KEY, frozenset({Side.SYSTEM}), scopes, jwks=keys)
    await clients.add(app)
    sessions = Sessions(house.database, house.clock, Limits(timedelta(hours=1), timedelta(hours=8)))
    apps = AppTokens(house.database, house.access, clients, Authorizations(house.database, house.clock), sessions)
    keeper = Keeper(house.access, clients, apps, demo=True)  # closed, also where the demo's own tokens are good
    house.subscribers._keeper = keeper
    scope = system_scope(house.access, app, grant_of(read_words(scopes)[0], origin=Origin("lab-system")))
    owner = owner_of(scope)
    assert owner is not None and owner.client == "lab-system"
    made = (await house.store.create(scope, orjson.dumps(subscription("Observation", hook.base)))).stored.id
    await house.settle()
    house.look_again()
    await house.write(observation("o1"))
    await house.settle()
    assert hook.numbers == [1]

    await clients.close("lab-system")
    await house.write(observation("o2"))
    await house.settle(10)
    assert hook.numbers == [1]
    assert await house.status(made) == ("error", "the subscriber is no longer let in")
    assert await Subscribers(keeper).gate_of(owner) is None


async def test_a_token_with_narrowed_scopes_makes_a_narrowed_subscription(house: House, hook: Receiver) -> None:
    narrowed = house.gate("ehr", "system/Subscription.cruds system/Observation.rs?category=laboratory")
    await house.store.create(narrowed, orjson.dumps(subscription("Observation", hook.base)))
    await house.settle()
    house.look_again()
    await house.write(observation("o1"))
    await house.settle()
    assert hook.numbers == []
    laboratory = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}
    await house.write(observation("o2", category=[{"coding": [laboratory]}]))
    await house.settle()
    assert hook.numbers == [1]
