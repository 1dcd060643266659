"""How the steps of bench/fhir.py grow with the store: fills one with many patients by the fastest lane there is, and
sets the medians side by side."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import asyncpg
from bench.fhir_data import history

from varde.clock import SystemClock
from varde.db import Database
from varde.fhir.store import Store
from varde.trust.access import Access
from varde.trust.audit import AuditLog
from varde.trust.care import CareRelations

if TYPE_CHECKING:
    from bench.fhir_machine import Result

_PATIENTS_AT_ONCE = 40
_MOST = 1.5
"""How many times slower the median of a step may be in the largest store than in the smallest."""


def fill(url: str, patients: int, observations: int) -> list[str]:
    """Load `patients` patients with their histories; the Patients' ids in the order of their numbers. The indexes that
    loading does not need are made at the end, from what is sorted then."""
    lanes = os.cpu_count() or 1
    began = time.perf_counter()
    made = asyncio.run(_without_indexes(url))
    with ProcessPoolExecutor(lanes) as pool:
        counts = list(pool.map(_fill, [url] * lanes, range(lanes), [lanes] * lanes, [patients] * lanes,
                               [observations] * lanes))  # fmt: skip
    asyncio.run(_with_indexes(url, made))
    seconds = time.perf_counter() - began
    print(f"  filled with {sum(counts):,} resources, {sum(counts) / seconds:,.0f}/s", file=sys.stderr)
    return [f"p{number}" for number in range(1, patients + 1)]


async def _without_indexes(url: str) -> list[str]:
    """Drop the indexes of the store's tables but those that a load asks; the statements that make them again."""
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetch(
            "select indexname, indexdef from pg_indexes where tablename ~ '^(resource|index_)'"
            " and indexname !~ '(_pkey|_logical)$'"
        )
        for row in found:
            await connection.execute(f"drop index {row['indexname']}")
        return [row["indexdef"] for row in found]
    finally:
        await connection.close()


async def _with_indexes(url: str, made: list[str]) -> None:
    connection = await asyncpg.connect(url, command_timeout=3600)
    try:
        await connection.execute("set maintenance_work_mem = '1GB'; set max_parallel_maintenance_workers = 1")
        for statement in made:
            await connection.execute(statement)
    finally:
        await connection.close()


def _fill(url: str, lane: int, lanes: int, patients: int, observations: int) -> int:
    async def filled() -> int:
        database, clock = Database(url, connections=1), SystemClock()
        store, count = Store(database, clock, [CareRelations()]), 0
        gate = Access(store, clock, AuditLog(database, clock)).for_system("bench")
        mine = range(1 + lane, patients + 1, lanes)
        for start in range(0, len(mine), _PATIENTS_AT_ONCE):
            made = [one for n in mine[start : start + _PATIENTS_AT_ONCE] for one in history(n, observations)]
            await store.write_parsed(gate, [(one, json.dumps(one).encode()) for one in made])
            count += len(made)
        return count

    return asyncio.run(filled())


def growth(figures: dict[str, list[Result]]) -> str:
    """The medians of each step at each size, and how many times the largest is the smallest."""
    sizes = list(figures)
    lines = ["", f"{'median ms':20}" + "".join(f"{int(size):>12,}" for size in sizes) + f"{'grows to':>12}"]
    for place, result in enumerate(figures[sizes[0]]):
        medians = [figures[size][place].median for size in sizes]
        times = medians[-1] / medians[0] if medians[0] else 0
        told = f"{times:.2f} x" + ("" if times <= _MOST else "  TOO MUCH")
        lines.append(f"{result.step:20}" + "".join(f"{one:12.2f}" for one in medians) + f"{told:>12}")
    return "\n".join(lines)
