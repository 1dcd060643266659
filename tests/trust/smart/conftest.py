"""The region of tests in a whole Varde, with a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.trust.region import CHILD, KARI, YOUTH, Register, everybody
from tests.trust.smart.place import BASE, Place
from varde.app import build
from varde.asgi import Varde
from varde.clock import SetClock
from varde.settings import Settings
from varde.trust.policy import Parenthood
from varde.trust.smart.clients import Clients


@pytest.fixture
async def place(database_url: str, clock: SetClock, tmp_path: Path, one_registry: None) -> AsyncIterator[Place]:
    settings = Settings(
        mode="production", data=tmp_path, database_url=database_url, public_base=BASE,
        patient_issuer="http://issuer.test/patient", staff_issuer="http://issuer.test/staff",
    )  # fmt: skip
    house = build(settings, process="test", clock=clock)
    together = Parenthood(responsible=True, a_parent_at_childs_address=True, protected=False)
    register = Register({(KARI, CHILD): together, (KARI, YOUTH): together})
    house.platform.access._mandates = register  # the embedded register needs no filling for two children
    made = Place(house, Varde(house), clock, register, Clients(house.platform.database, clock))
    await made.write(*everybody())
    yield made
    await made.varde._http.aclose()
    await house.close()
