"""What the tests of letters' pages need: the files that browsers fetch, and a ward."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.services.letters.ward import Ward, ward_on
from varde.clock import SetClock
from varde.db import Database
from varde.web.assets import VENDOR
from varde.web.build import build


@pytest.fixture(scope="session")
def built() -> None:
    """The built files, made when they are missing."""
    if not (VENDOR / "manifest.json").is_file():
        build()


@pytest.fixture
async def ward(database: Database, clock: SetClock, tmp_path: Path) -> AsyncIterator[Ward]:
    """A ward without patients, on a Tuesday morning at 10 in Norway."""
    async with ward_on(database, clock, tmp_path) as made:
        yield made
