"""Fixtures of services/family: a household in a house of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.browsing import chromium
from tests.services.family.household import Household, household_on
from varde.clock import SetClock


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium for the tests of one file."""
    async with chromium() as started:
        yield started


@pytest.fixture
async def home(database_url: str, clock: SetClock, tmp_path: Path) -> AsyncIterator[Household]:
    """A house with a ward, and no family yet."""
    async with household_on(database_url, clock, tmp_path) as made:
        yield made
