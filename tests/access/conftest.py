"""A Varde with a family, neighbours and two wards in it, for the proofs that ask one world."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests import markers
from tests.access import decisions, people
from tests.access.people import WARD
from tests.access.things import things
from tests.access.varde_in_process import InProcess, in_process
from tests.databases import fresh_database
from varde.embedded import EmbeddedPostgres

OTHER = "skjult"
"""A patient whom nobody of the callers may see."""
FAR_WARD = "ward-c"
"""Where that patient is treated, and none of the callers works."""


async def fill(varde: InProcess) -> None:
    """Everybody, with one thing of nearly every kind each, under ids that begin with their names."""
    await people.register(varde)
    await varde.write(*markers.record())
    await varde.write(*people.places(), *(people.patient(name) for name in people.BORN), people.episode("kari", WARD),
                      people.episode(OTHER, FAR_WARD))  # fmt: skip
    await varde.write(
        *(one for name in ("kari", "barn", "ung", "seksten") for one in things(name, name, name, apart=True)),
        *things(OTHER, OTHER, OTHER, unit=FAR_WARD, apart=True),
        decisions.youth_access("ung", "kari"), decisions.assessment("ung-referral", "ung", "ung"),
        decisions.power("kari", "fullmektig", "letters", "appointments"),
    )  # fmt: skip


@pytest.fixture(scope="module")
async def varde(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[InProcess]:
    async with fresh_database(postgres) as url, in_process(url, tmp_path_factory.mktemp("varde")) as made:
        await fill(made)
        yield made
