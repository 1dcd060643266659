"""The files of an import: expected, fetched into pieces of whole lines, and told of when they are taken care of.

A piece is some hundred lines, gzipped. It is taken care of in one transaction with the resources that it holds
(`lane.py`), so that a killed worker leaves nothing half done and nothing is written twice.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from varde.fhir.errors import Unprocessable

LINES = 1500
"""Lines of a piece at most."""
_BYTES = 4 * 1024 * 1024
"""Bytes of a piece that end it."""
MAXIMUM_LINE = 16 * 1024 * 1024
"""A resource is no longer here than in a request."""
BODY = "body"
"""In place of the address of what came with the request itself."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one input."""

    type: str
    source: str
    written: int
    unchanged: int


async def expect(connection: Any, bulk: UUID, listed: Sequence[Mapping[str, str]], body: bytes | None) -> None:
    """Note the inputs of an import; the `body` of the request is one that is here already."""
    for number, one in enumerate(listed):
        await connection.execute(
            "insert into fhir_bulk_file (bulk, number, role, type, source) values ($1, $2, 'input', $3, $4)",
            bulk, number, one["type"], one["url"],
        )  # fmt: skip
    if body is not None:
        await connection.execute(
            "insert into fhir_bulk_file (bulk, number, role, type, source) values ($1, 0, 'input', '', $2)", bulk, BODY
        )

        async def whole() -> AsyncIterator[bytes]:
            yield body

        await keep(connection, bulk, 0, whole())


async def next_expected(connection: Any, bulk: UUID) -> tuple[int, str] | None:
    """(number, address) of the first input that is not here yet."""
    row = await connection.fetchrow(
        "select number, source from fhir_bulk_file where bulk = $1 and role = 'input' and not whole"
        " order by number limit 1",
        bulk,
    )
    return (row["number"], row["source"]) if row else None


async def keep(connection: Any, bulk: UUID, number: int, content: AsyncIterator[bytes]) -> None:
    """Keep an input as pieces. Raises Unprocessable for a line that is too long, and for what is packed wrongly."""
    pending, lines, pieces = b"", 0, 0

    async def piece(text: bytes) -> None:
        nonlocal lines, pieces
        held = text.count(b"\n") + (not text.endswith(b"\n"))
        body = await asyncio.to_thread(zlib.compress, text, 1)
        await connection.execute(
            "insert into fhir_bulk_piece (bulk, file, number, start, size, body) values ($1, $2, $3, $4, $5, $6)",
            bulk, number, pieces, lines, held, body,
        )  # fmt: skip
        lines += held
        pieces += 1

    async for block in _unpacked(content):
        pending += block
        while cut := _cut(pending):
            await piece(pending[:cut])
            pending = pending[cut:]
        if len(pending) > MAXIMUM_LINE:
            raise Unprocessable.of(f"a line is longer than {MAXIMUM_LINE} bytes", code="too-long")
    if pending.strip():
        await piece(pending)
    await connection.execute("update fhir_bulk_file set whole = true where bulk = $1 and number = $2", bulk, number)


def _cut(pending: bytes) -> int:
    """Where the first piece of a text ends; 0 while there is less than a piece."""
    first = pending[:_BYTES].split(b"\n", LINES)
    if len(first) > LINES:
        return sum(len(line) + 1 for line in first[:-1])
    return pending.rfind(b"\n", 0, _BYTES) + 1 or pending.find(b"\n") + 1 if len(pending) >= _BYTES else 0


async def _unpacked(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The text of a file that may be gzipped, as its first bytes tell."""
    unpacking: Any = None
    begun = False
    async for block in content:
        if not begun and block:
            begun = True
            unpacking = zlib.decompressobj(31) if block.startswith(b"\x1f\x8b") else None
        if unpacking is None:
            yield block
            continue
        try:
            while block:
                text = unpacking.decompress(block, _BYTES)
                yield text
                block = unpacking.unconsumed_tail
                if unpacking.eof:  # gzip files may be several, one after the other
                    block, unpacking = unpacking.unused_data, zlib.decompressobj(31)
        except zlib.error:
            raise Unprocessable.of("the file is not packed as gzip should be", code="structure") from None


async def waiting(connection: Any, bulk: UUID) -> list[tuple[int, int]]:
    """(file, number) of the pieces that are not taken care of, in their order."""
    rows = await connection.fetch(
        "select p.file, p.number from fhir_bulk_piece p join fhir_bulk_file f on f.bulk = p.bulk and f.number = p.file"
        " where p.bulk = $1 and f.role = 'input' and not p.done order by p.file, p.number",
        bulk,
    )
    return [(row["file"], row["number"]) for row in rows]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some lines of an input."""

    bulk: UUID
    file: int
    number: int
    first: int
    """Its first line's place in the file, from 0."""
    type: str
    """What the input was said to hold; "" for any."""
    source: str
    text: bytes


async def read_piece(connection: Any, bulk: UUID, file: int, number: int) -> Piece | None:
    """A piece that is not taken care of yet."""
    row = await connection.fetchrow(
        "select p.start, p.body, f.type, f.source from fhir_bulk_piece p join fhir_bulk_file f on f.bulk = p.bulk"
        " and f.number = p.file where p.bulk = $1 and p.file = $2 and p.number = $3 and not p.done",
        bulk, file, number,
    )  # fmt: skip
    if row is None:
        return None
    text = await asyncio.to_thread(zlib.decompress, row["body"])
    return Piece(bulk, file, number, row["start"], row["type"], row["source"], text)


async def take(connection: Any, piece: Piece) -> bool:
    """Hold a piece until the transaction ends, which writes what it holds. False when another has taken care of it,
    or the import was called off."""
    return bool(
        await connection.fetchval(
            "select true from fhir_bulk_piece p where bulk = $1 and file = $2 and number = $3 and not done"
            " and exists (select 1 from fhir_bulk b where b.id = p.bulk and b.state = 'running') for update",
            piece.bulk, piece.file, piece.number,
        )
    )  # fmt: skip


async def finish(connection: Any, piece: Piece, written: int, unchanged: int, refused: Sequence[bytes]) -> None:
    """Note in the same transaction that a piece is taken care of; its text is needed no more."""
    await connection.execute(
        "update fhir_bulk_piece set done = true, body = null, written = $4, unchanged = $5, refused = $6"
        " where bulk = $1 and file = $2 and number = $3",
        piece.bulk, piece.file, piece.number, written, unchanged,
        zlib.compress(b"\n".join(refused), 1) if refused else None,
    )  # fmt: skip


async def told(connection: Any, bulk: UUID) -> list[Told]:
    """What became of each input so far."""
    rows = await connection.fetch(
        "select f.type, f.source, coalesce(sum(p.written), 0)::bigint as written,"
        " coalesce(sum(p.unchanged), 0)::bigint as unchanged from fhir_bulk_file f"
        " left join fhir_bulk_piece p on p.bulk = f.bulk and p.file = f.number"
        " where f.bulk = $1 and f.role = 'input' group by f.number, f.type, f.source order by f.number",
        bulk,
    )
    return [Told(row["type"], row["source"], row["written"], row["unchanged"]) for row in rows]


async def refusals(connection: Any, bulk: UUID) -> AsyncIterator[tuple[int, bytes]]:
    """(file, OperationOutcome) of everything that was refused, in the order of the inputs. In a transaction."""
    async for row in connection.cursor(
        "select file, refused from fhir_bulk_piece where bulk = $1 and refused is not null order by file, number", bulk
    ):
        for line in zlib.decompress(row["refused"]).split(b"\n"):
            yield row["file"], line
