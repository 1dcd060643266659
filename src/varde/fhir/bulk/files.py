"""Files of data in bulk: written as one gzip stream in pieces that can each be read alone, and read again whole, from
any byte on, packed or not. Never more than a piece in memory.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from varde.db import Database

PIECE = 512 * 1024
"""Bytes of a piece, unpacked, that end it."""
_LEVEL = 1
"""FHIR's JSON packs to a sixth already; more takes more time than the export itself."""
_HEADER = 10
"""Bytes before the first block of a gzip stream that has no name."""


class FileWriter:
    """Writes one file in the connection's transaction. `close` at the end."""

    def __init__(self, connection: Any, bulk: UUID, number: int, role: str, kind: str) -> None:
        self._connection = connection
        self._key = (bulk, number)
        self._about = (role, kind)
        self._stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
        self._lines: list[bytes] = []
        self._waiting = 0
        self._pieces = 0
        self._packed = 0
        self.size = 0
        """Bytes so far, unpacked."""
        self.resources = 0
        self.patients: set[int] = set()
        """Whom it tells of."""

    async def open(self) -> FileWriter:
        """Make room for it."""
        await self._connection.execute(
            "insert into fhir_bulk_file (bulk, number, role, type) values ($1, $2, $3, $4)", *self._key, *self._about
        )
        return self

    async def add(self, line: bytes) -> None:
        """One resource, as text without its line end."""
        self._lines.append(line)
        self._waiting += len(line) + 1
        self.resources += 1
        if self._waiting >= PIECE:
            await self._flush(zlib.Z_FULL_FLUSH)

    async def _flush(self, how: int) -> None:
        text = b"\n".join(self._lines) + b"\n" if self._lines else b""
        body = self._stream.compress(text) + self._stream.flush(how)
        await self._connection.execute(
            "insert into fhir_bulk_piece (bulk, file, number, start, size, body) values ($1, $2, $3, $4, $5, $6)",
            *self._key, self._pieces, self.size, len(text), body,
        )  # fmt: skip
        self.size += len(text)
        self._packed += len(body)
        self._pieces += 1
        self._lines, self._waiting = [], 0

    async def close(self) -> None:
        """Write what waits, and what the file is."""
        await self._flush(zlib.Z_FINISH)
        await self._connection.execute(
            "update fhir_bulk_file set whole = true, resources = $3, size = $4, packed = $5, patients = $6"
            " where bulk = $1 and number = $2",
            *self._key, self.resources, self.size, self._packed, sorted(self.patients),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class File:
    """A file that is whole."""

    bulk: UUID
    number: int
    role: str
    type: str
    resources: int
    size: int
    packed: int


async def packed(database: Database, file: File) -> AsyncIterator[bytes]:
    """The file as one gzip stream."""
    async for _, body in _pieces(database, file, 0, file.size):
        yield body


async def unpacked(database: Database, file: File, start: int, end: int) -> AsyncIterator[bytes]:
    """Bytes `start` up to `end` of the file."""
    async for at, body in _pieces(database, file, start, end):
        # Each piece begins anew (Z_FULL_FLUSH), so that it needs none before it.
        text = zlib.decompressobj(-15).decompress(body if at else body[_HEADER:])
        yield text[max(start - at, 0) : end - at]


async def _pieces(database: Database, file: File, start: int, end: int) -> AsyncIterator[tuple[int, bytes]]:
    async with database.connection() as connection:
        numbers = [
            row["number"]
            for row in await connection.fetch(
                "select number from fhir_bulk_piece where bulk = $1 and file = $2 and start + size >= $3"
                " and start <= $4 order by number",
                file.bulk, file.number, start, end,
            )
        ]  # fmt: skip
    for number in numbers:
        # No connection is held while a slow client takes its time.
        async with database.connection() as connection:
            row = await connection.fetchrow(
                "select start, body from fhir_bulk_piece where bulk = $1 and file = $2 and number = $3",
                file.bulk, file.number, number,
            )  # fmt: skip
        if row is None:
            raise ConnectionAbortedError("the file was removed while it was read")
        yield row["start"], row["body"]


def one_line(body: bytes) -> bytes:
    """A resource's text on one line. In JSON a line end stands between tokens only, where a space is the same."""
    if b"\n" in body or b"\r" in body:
        return body.replace(b"\r", b" ").replace(b"\n", b" ")
    return body
