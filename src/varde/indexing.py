"""The upkeep of search: words of full text, and search values whose definitions changed. Recurring jobs, no rules.

What is done, and in which steps, is `fhir/reindex.py`'s and `fhir/search/fulltext.py`'s.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from varde.fhir.reindex import recheck, reindex, stale, sweep
from varde.fhir.search.fulltext import BATCH, index_words
from varde.fhir.store import Store
from varde.work.jobs import Handler

_AT_A_TIME = 20.0
"""Seconds that one run may take; the next goes on where it stopped."""


def handlers(store: Store) -> list[Handler]:
    """The jobs, which keep connections of their own: their steps are committed one by one."""

    async def words(_: Any, __: Sequence[Mapping[str, Any]]) -> None:
        goes_on = _pace()
        while goes_on():
            async with store.transaction() as connection:
                if await index_words(connection) < BATCH:
                    return

    async def values(_: Any, __: Sequence[Mapping[str, Any]]) -> None:
        goes_on = _pace()
        await reindex(store.database, store.clock, store.custom, goes_on=goes_on)
        await recheck(store.database, store.custom)
        await sweep(store.database, store.clock, goes_on=goes_on)

    return [
        Handler("fhir.words", words, timeout=timedelta(minutes=2), every=timedelta(seconds=20)),
        Handler("fhir.reindex", values, timeout=timedelta(minutes=5), every=timedelta(minutes=1)),
    ]


def _pace() -> Any:
    # How long a process has worked, which is no time that anything is judged by: hence no Clock.
    until = time.monotonic() + _AT_A_TIME
    return lambda: time.monotonic() < until


async def stale_types(store: Store) -> list[str]:
    """The types by whose search values not everything is found yet."""
    async with store.database.connection() as connection:
        if store.custom.due:
            await store.custom.refresh(connection)
        return await stale(connection)
