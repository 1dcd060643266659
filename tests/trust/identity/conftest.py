"""One provider process for all tests here, and a site of Varde's that logs in by it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.trust.identity.providers import Providers, running_providers
from tests.trust.login_site import Site, site
from tests.trust.region import World
from varde.clock import MovableClock


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Providers]:
    with running_providers(tmp_path_factory.mktemp("providers")) as made:
        yield made


@pytest.fixture
def providers(process: Providers) -> Providers:
    """With nothing set by another test."""
    process.tell("reset")
    return process


@pytest.fixture
def clock(process: Providers) -> MovableClock:
    """The providers' clock too; only forward, and for all tests here."""
    return process.clock


@pytest.fixture
async def served(world: World, providers: Providers) -> AsyncIterator[Site]:
    async with site(world, providers, issuers=providers.issuers, patience=3) as made:
        yield made
