"""The steps of an import: fetch what was named, take care of its pieces, tell what was refused.

A piece is checked by one process and written by the same, in a transaction of its own; which process when is a
higher floor's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from varde.fhir.bulk import inputs, records
from varde.fhir.bulk.checking import Ready, Refused, check, outcome
from varde.fhir.bulk.fetching import Sources
from varde.fhir.bulk.files import FileWriter
from varde.fhir.bulk.inputs import Piece
from varde.fhir.bulk.lane import Lane, Taken
from varde.fhir.bulk.records import Bulk
from varde.fhir.gate import Gate
from varde.fhir.store import Store


async def fetch_next(connection: Any, sources: Sources, bulk: UUID) -> bool:
    """Fetch one input that is not here yet; False when there is none. Raises Unprocessable when it cannot be had,
    httpx.HTTPError when it may be had later."""
    expected = await inputs.next_expected(connection, bulk)
    if expected is None:
        return False
    number, address = expected
    async with sources.fetch(address) as content:
        await inputs.keep(connection, bulk, number, content)
    return True


@dataclass(frozen=True, slots=True)
class Prepared:
    """A piece whose lines are checked."""

    piece: Piece
    ready: list[Ready]
    refused: list[Refused]


async def prepare(lane: Lane, bulk: UUID, file: int, number: int) -> Prepared | None:
    """Read and check a piece; None when it is taken care of already."""
    async with lane.database.connection() as connection:
        piece = await inputs.read_piece(connection, bulk, file, number)
    if piece is None:
        return None
    await lane.ready()
    ready: list[Ready] = []
    refused: list[Refused] = []
    for place, line in enumerate(piece.text.split(b"\n")):
        text = line.strip()
        if text:
            found = check(place, text, piece.type)
            if isinstance(found, Ready):
                ready.append(found)
            else:
                refused.append(found)
    return Prepared(piece, ready, refused)


async def write(lane: Lane, gate: Gate, prepared: Prepared) -> Taken:
    """Write a piece's resources, and that they are written, in one transaction. Raises lane.Undone."""
    piece = prepared.piece

    async def mark(connection: Any, taken: Taken) -> bool:
        if not await inputs.take(connection, piece):
            return False
        every = sorted([*prepared.refused, *taken.refused], key=lambda one: one.place)
        told = [orjson.dumps(outcome(one, _name(piece.source), piece.first + one.place + 1)) for one in every]
        await inputs.finish(connection, piece, taken.written, taken.unchanged, told)
        return True

    taken = await lane.put(gate, prepared.ready, mark)
    taken.refused += prepared.refused
    return taken


def _name(source: str) -> str:
    """A source as it is told of: the last part of its path."""
    return source.partition("?")[0].rpartition("/")[2] or "the input"


async def finish(store: Store, connection: Any, bulk: Bulk) -> None:
    """Gather what was refused into the error file, and end the import."""
    number = await connection.fetchval(
        "select coalesce(max(number) + 1, 0) from fhir_bulk_file where bulk = $1", bulk.id
    )
    writer: FileWriter | None = None
    async for _, line in inputs.refusals(connection, bulk.id):
        if writer is None:
            writer = await FileWriter(connection, bulk.id, number, "error", "OperationOutcome").open()
        await writer.add(line)
    if writer is not None:
        await writer.close()
    await records.end(connection, bulk.id, store.clock.now())
