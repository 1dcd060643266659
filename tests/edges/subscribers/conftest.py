"""A house with subscriptions on a database of the test's own, and a subscriber's web server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.edges.subscribers.receiver import Receiver, receiver
from tests.edges.subscribers.ward import House
from varde.clock import SetClock
from varde.db import Database


@pytest.fixture
async def house(database: Database, clock: SetClock, tmp_path: Path) -> AsyncIterator[House]:
    made = House(database, clock, tmp_path)
    await made.write({"resourceType": "Patient", "id": "p1"}, {"resourceType": "Patient", "id": "p2"})
    yield made
    await made.close()


@pytest.fixture
def hook(house: House) -> Iterator[Receiver]:
    with receiver(house.signer.jwks()) as running:
        yield running
