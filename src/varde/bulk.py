"""Data in bulk as this house runs it: the operations of `fhir/bulk`, done slice by slice as jobs of the worker.

Each slice is one job in one transaction, which also puts in the job of the next: so a killed worker has done a slice
or not, and another goes on from there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from varde.app import House
from varde.fhir.bulk import importing, inputs, records
from varde.fhir.bulk.exporting import CalledOff, export_slice
from varde.fhir.bulk.fetching import Sources
from varde.fhir.bulk.operations import operations as of_bulk
from varde.fhir.bulk.records import Bulk
from varde.fhir.errors import FhirError, Unavailable
from varde.fhir.gate import Gate
from varde.fhir.http.operations import Operation
from varde.lanes import Lanes, Task, usual
from varde.trust import keeping
from varde.trust.access import Refused
from varde.work import jobs
from varde.work.jobs import Handler, Job

SLICE = 8.0
"""Seconds of an import's slice."""
_KINDS = {"export": "bulk.export", "import": "bulk.import"}
_TIMEOUT = timedelta(hours=1)
"""Of a slice: fetching one file is the longest."""


class JobRunner:
    """Has data in bulk done by jobs."""

    def __init__(self, house: House) -> None:
        self._clock = house.platform.clock

    def owner(self, gate: Gate) -> str:
        """Who asks; see fhir.bulk.runner."""
        return keeping.owner(gate)

    def kept(self, gate: Gate) -> Mapping[str, Any]:
        """From what their scope is made again; see fhir.bulk.runner."""
        return keeping.kept(gate)

    async def begin(self, connection: Any, kind: str, bulk: UUID) -> None:
        """Put in the first job."""
        await jobs.enqueue(connection, Job(_KINDS[kind], {"bulk": str(bulk)}, self._clock.now()))


def operations(house: House) -> list[Operation]:
    """The operations of data in bulk."""
    return of_bulk(JobRunner(house), _sources(house))


def _sources(house: House) -> Sources:
    return Sources(house.platform.settings.import_sources)


class Bulks:
    """The jobs of one worker process."""

    def __init__(self, house: House) -> None:
        self._platform = house.platform
        self._keeper = house.keeper
        self._sources = _sources(house)
        self._lanes = Lanes(usual())
        self._loading = asyncio.Lock()

    def handlers(self) -> list[Handler]:
        """What the worker does."""
        return [
            Handler("bulk.export", self._each(self._export), timeout=_TIMEOUT),
            Handler("bulk.import", self._each(self._import), timeout=_TIMEOUT),
            Handler("bulk.forget", self._forget, every=timedelta(minutes=5)),
        ]

    async def stop(self) -> None:
        """End the processes that import, unless they are at work."""
        if not self._loading.locked():
            async with self._loading:
                await self._lanes.stop()

    def _each(self, slice_of: Callable[[Any, Bulk], Awaitable[bool]]) -> jobs.Run:
        """A handler of one kind: one slice, and the job of the next."""

        async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
            for payload in payloads:
                await self._slice(connection, UUID(payload["bulk"]), slice_of)

        return run

    async def _slice(self, connection: Any, number: UUID, slice_of: Callable[[Any, Bulk], Awaitable[bool]]) -> None:
        clock = self._platform.clock
        kind = "export" if slice_of == self._export else "import"
        bulk = await records.find(connection, number, kind, clock.now())
        if bulk is None or bulk.state != "running":
            return
        try:
            async with connection.transaction():
                more = await slice_of(connection, bulk)
                if more:
                    await jobs.enqueue(connection, Job(_KINDS[kind], {"bulk": str(number)}, clock.now()))
        except CalledOff:
            return
        except Unavailable:
            raise
        except (FhirError, Refused, LookupError) as error:
            said = str(error) if isinstance(error, FhirError) else "who asked is not let in any more"
            issue = {"severity": "error", "code": "exception", "diagnostics": said}
            await records.end(connection, number, clock.now(), issues=[issue], failed=True)

    async def _export(self, connection: Any, bulk: Bulk) -> bool:
        gate = await self._keeper.again(bulk.scope)
        return await export_slice(self._platform.store, gate, connection, bulk)

    async def _import(self, connection: Any, bulk: Bulk) -> bool:
        if await importing.fetch_next(connection, self._sources, bulk.id):
            if not await records.step(connection, bulk, progress="fetching"):
                raise CalledOff
            return True
        waiting = await inputs.waiting(connection, bulk.id)
        if waiting:
            until = time.monotonic() + SLICE

            async def tasks() -> AsyncIterator[Task]:
                for file, number in waiting:
                    if time.monotonic() >= until:
                        return
                    yield Task({"bulk": str(bulk.id), "file": file, "number": number})

            # The right to write is looked at in each slice.
            await self._keeper.again(bulk.scope)
            async with self._loading:
                await self._lanes.start(bulk.scope)
                await self._lanes.run(tasks(), lambda task, result: None)
        left = await inputs.waiting(connection, bulk.id)
        if left:
            if not await records.step(connection, bulk, progress=f"{len(left)} pieces left"):
                raise CalledOff
            return True
        await importing.finish(self._platform.store, connection, bulk)
        return False

    async def _forget(self, connection: Any, _: Sequence[Mapping[str, Any]]) -> None:
        now = self._platform.clock.now()
        await self.stop()
        lost = await connection.fetch(
            "select b.id from fhir_bulk b where b.state = 'running' and exists (select 1 from work_job j"
            " where j.kind = any($1::text[]) and j.state in ('dead', 'discarded')"
            " and j.payload ->> 'bulk' = b.id::text)",
            list(_KINDS.values()),
        )
        for row in lost:
            issue = {"severity": "error", "code": "exception", "diagnostics": "it failed again and again"}
            await records.end(connection, row["id"], now, issues=[issue], failed=True)
        await records.forget(connection, now)
