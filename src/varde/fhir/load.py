"""Loading files into the store: many resources a statement, going on where it stopped, nothing twice.

How far it came stands in the table `fhir_load`, by the file's digest, in the transaction of the resources
themselves: a killed load goes on exactly where its last commit was. A resource that is already there with the
same text makes no new version. One that is refused holds up no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from varde.fhir import splice
from varde.fhir.errors import FhirError
from varde.fhir.gate import Gate
from varde.fhir.sources import Found, Source, id_of, read, sources
from varde.fhir.store import Store
from varde.fhir.writing import is_id, type_of

CHUNK = 500


@dataclass(frozen=True, slots=True)
class Refusal:
    """A resource, or a whole file, that was not loaded."""

    source: str
    place: str
    reference: str
    """Type/id as far as it is known."""
    reason: str


@dataclass(slots=True)
class Progress:
    """How far a load has come. Counts are of this run; `total` and `passed` are bytes of files."""

    total: int = 0
    passed: int = 0
    source: str = ""
    written: int = 0
    unchanged: int = 0
    refused: int = 0
    skipped: int = 0
    """Files that an earlier run had finished."""


@dataclass(slots=True)
class _Chunk:
    bodies: list[tuple[int, str, dict[str, Any], bytes]] = field(default_factory=list)
    """(index of the source, place, parsed resource, its text)"""
    keys: set[str] = field(default_factory=set)
    done: dict[int, int] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)
    finished: set[int] = field(default_factory=set)


async def load(
    store: Store,
    gate: Gate,
    paths: Sequence[Path],
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    refused: Callable[[Refusal], None] = lambda _: None,
    again: bool = False,
) -> Progress:
    """Load everything at `paths` and tell how it went. `again`: also the files that were loaded before.

    Raises FileNotFoundError for a path that is not there, and what the database raises when it is away; what is
    wrong with a resource is told to `refused`.
    """
    return await _Load(store, gate, sources(paths), progress, refused).run(again=again)


class _Load:
    def __init__(
        self,
        store: Store,
        gate: Gate,
        found: list[Source],
        progress: Callable[[Progress], None],
        refused: Callable[[Refusal], None],
    ) -> None:
        self._store = store
        self._gate = gate
        self._sources = found
        self._tell = progress
        self._report = refused
        self._digests: dict[int, bytes] = {}
        self._state = Progress(total=sum(source.size for source in found))

    async def run(self, *, again: bool) -> Progress:
        chunk = _Chunk()
        writing: asyncio.Task[None] | None = None

        async def flush() -> None:
            # One chunk is written while the next is read and checked; never two at once, so order is kept.
            nonlocal chunk, writing
            if writing is not None:
                await writing
            writing = asyncio.create_task(self._write(chunk))
            chunk = _Chunk()
            await asyncio.sleep(0)

        try:
            for number, source in enumerate(self._sources):
                self._state.source = source.name
                self._digests[number] = source.digest()
                start, finished = (0, False) if again else await self._position(number)
                if finished:
                    self._state.skipped += 1
                else:
                    count = start
                    for found in _after(read(source), start):
                        count += 1
                        taken = await self._check(number, source, found, chunk)
                        if taken is not None:
                            if taken[0] in chunk.keys or len(chunk.bodies) >= CHUNK:
                                await flush()
                            chunk.keys.add(taken[0])
                            chunk.bodies.append((number, found.place, taken[1], taken[2]))
                        chunk.done[number] = count
                    chunk.done.setdefault(number, count)
                    chunk.finished.add(number)
                self._state.passed += source.size
                self._tell(self._state)
                if len(chunk.finished) >= CHUNK:
                    await flush()
            await flush()
        finally:
            if writing is not None:
                await writing
        self._tell(self._state)
        return self._state

    async def _position(self, number: int) -> tuple[int, bool]:
        async with self._store.database.connection() as connection:
            row = await connection.fetchrow(
                "select done, finished from fhir_load where digest = $1 and source = $2",
                self._digests[number], self._sources[number].name,
            )  # fmt: skip
        return (row["done"], row["finished"]) if row else (0, False)

    async def _check(
        self, number: int, source: Source, found: Found, chunk: _Chunk
    ) -> tuple[str, dict[str, Any], bytes] | None:
        """(reference, parsed, text) of a resource that may be written; None for one that is refused."""
        reference = ""
        try:
            if found.resource is None:
                raise _Refused(found.fault)
            if isinstance(found.resource, bytes):
                text, parsed = found.resource, splice.parse(found.resource)
            else:
                text, parsed = splice.dump(found.resource), dict(found.resource)
            kind = type_of(parsed)
            given = parsed.get("id")
            identifier = id_of(text) if given is None else str(given)
            reference = f"{kind}/{identifier}" if is_id(identifier) else kind
            parsed["id"] = identifier
            faults = await self._store.faults_of(parsed)
            if faults:
                raise _Refused("; ".join(f"{i.expression}: {i.diagnostics}" if i.expression else i.diagnostics
                                         for i in faults))  # fmt: skip
            return reference, parsed, text
        except (FhirError, _Refused) as error:
            self._refuse(Refusal(source.name, found.place, reference, str(error)), number, chunk)
            return None

    def _refuse(self, refusal: Refusal, number: int, chunk: _Chunk) -> None:
        self._state.refused += 1
        chunk.refused[number] = chunk.refused.get(number, 0) + 1
        self._report(refusal)

    async def _write(self, chunk: _Chunk) -> None:
        resources = [(parsed, text) for _, _, parsed, text in chunk.bodies]
        try:
            async with self._store.transaction() as connection:
                written = await self._store.write_parsed(self._gate, resources, connection=connection)
                await self._mark(connection, chunk)
        except (FhirError, asyncpg.DataError, asyncpg.ProgramLimitExceededError):
            await self._one_by_one(chunk)
        else:
            changed = sum(one.changed for one in written)
            self._state.written += changed
            self._state.unchanged += len(written) - changed
        self._tell(self._state)

    async def _one_by_one(self, chunk: _Chunk) -> None:
        """Find out which resource of a chunk the store refuses; the others are written."""
        for number, place, parsed, text in chunk.bodies:
            try:
                (one,) = await self._store.write_parsed(self._gate, [(parsed, text)])
                self._state.written += one.changed
                self._state.unchanged += not one.changed
            except (FhirError, asyncpg.DataError, asyncpg.ProgramLimitExceededError) as error:
                reason = str(error) if isinstance(error, FhirError) else "a value is beyond what the store can index"
                reference = f"{parsed['resourceType']}/{parsed['id']}"
                self._refuse(Refusal(self._sources[number].name, place, reference, reason), number, chunk)
        async with self._store.transaction() as connection:
            await self._mark(connection, chunk)

    async def _mark(self, connection: Any, chunk: _Chunk) -> None:
        now = self._store.clock.now()
        await connection.executemany(
            "insert into fhir_load as l (digest, source, done, refused, finished, updated)"
            " values ($1, $2, $3, $4, $5, $6) on conflict (digest, source) do update set done = excluded.done,"
            " refused = l.refused + excluded.refused, finished = excluded.finished, updated = excluded.updated",
            [
                (self._digests[number], self._sources[number].name, done, chunk.refused.get(number, 0),
                 number in chunk.finished, now)
                for number, done in chunk.done.items()
            ],
        )  # fmt: skip


class _Refused(Exception):
    """Why a resource is not loaded."""


def _after(found: Iterator[Found], start: int) -> Iterator[Found]:
    for place, one in enumerate(found):
        if place >= start:
            yield one


__all__ = ["CHUNK", "Progress", "Refusal", "load"]
