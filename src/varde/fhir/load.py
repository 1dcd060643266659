"""Loading files into the store: many resources at once, going on where it stopped, nothing twice.

How far it came stands in the table `fhir_load`, by the file's digest, in the transaction of the resources
themselves: a killed load goes on exactly where its last commit was. A resource that is already there with the
same text makes no new version. One that is refused holds up no other.

Here files are read and what became of them is told; what is read is checked and written by lanes: the one of this
process, or the processes of a higher floor.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from varde.fhir import splice
from varde.fhir.bulk.checking import Ready, Refused, check
from varde.fhir.bulk.lane import Lane, Taken
from varde.fhir.gate import Gate
from varde.fhir.sources import Found, Source, read, sources
from varde.fhir.store import Store

CHUNK = 1500
_BYTES = 4 * 1024 * 1024
"""Bytes of text that end a chunk."""


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
class Mark:
    """How far a chunk brings one source."""

    digest: bytes
    source: str
    done: int = 0
    finished: bool = False
    refused: int = 0
    """Already when it was read."""


@dataclass(slots=True)
class Texts:
    """Some resources as text, and how far they bring their sources."""

    texts: list[bytes] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    """Of each text: the place of its source among the marks."""
    places: list[str] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    size: int = 0
    """Bytes of all texts."""

    def checked(self) -> tuple[list[Ready], list[Refused]]:
        """Those that may be written, and the others."""
        ready: list[Ready] = []
        refused: list[Refused] = []
        for place, text in enumerate(self.texts):
            one = check(place, text)
            if isinstance(one, Ready):
                ready.append(one)
            else:
                refused.append(one)
        return ready, refused

    async def mark(self, connection: Any, refused: Sequence[Refused], now: datetime) -> None:
        """Note in the transaction of the resources how far they bring their sources."""
        counts = [mark.refused for mark in self.marks]
        for one in refused:
            counts[self.owners[one.place]] += 1
        await connection.executemany(
            "insert into fhir_load as l (digest, source, done, refused, finished, updated)"
            " values ($1, $2, $3, $4, $5, $6) on conflict (digest, source) do update set done = excluded.done,"
            " refused = l.refused + excluded.refused, finished = excluded.finished, updated = excluded.updated",
            [
                (mark.digest, mark.source, mark.done, count, mark.finished, now)
                for mark, count in zip(self.marks, counts, strict=True)
            ],
        )

    def packed(self) -> tuple[dict[str, Any], bytes]:
        """As plain JSON and one text, for another process."""
        marks = [[mark.digest.hex(), mark.source, mark.done, mark.finished, mark.refused] for mark in self.marks]
        header = {"sizes": [len(text) for text in self.texts], "owners": self.owners, "marks": marks}
        return header, b"".join(self.texts)

    @classmethod
    def unpacked(cls, header: Mapping[str, Any], text: bytes) -> Texts:
        """From what `packed` gave; without places."""
        made = cls(owners=list(header["owners"]))
        start = 0
        for size in header["sizes"]:
            made.texts.append(text[start : start + size])
            start += size
        made.marks = [Mark(bytes.fromhex(mark[0]), *mark[1:]) for mark in header["marks"]]
        return made


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a chunk."""

    written: int
    unchanged: int
    refused: Sequence[tuple[int, str, str]]
    """(place in the chunk, Type/id, reason)"""


Told = Callable[[Texts, Result], None]


class Writer(Protocol):
    """Who checks and writes chunks, strictly one after the other."""

    async def write(self, chunks: AsyncIterator[Texts], told: Told) -> None:
        """Take care of all chunks, and tell of each."""
        ...


class OwnLane:
    """The lane of this process."""

    def __init__(self, store: Store, gate: Gate) -> None:
        self._lane = Lane(store)
        self._gate = gate

    async def write(self, chunks: AsyncIterator[Texts], told: Told) -> None:
        """Take care of all chunks, and tell of each."""
        async for chunk in chunks:
            await self._lane.ready()
            taken = await write_texts(self._lane, self._gate, chunk, *chunk.checked())
            told(
                chunk, Result(taken.written, taken.unchanged, [(r.place, r.reference, r.reason) for r in taken.refused])
            )


async def write_texts(
    lane: Lane, gate: Gate, chunk: Texts, ready: Sequence[Ready], refused: Sequence[Refused]
) -> Taken:
    """Write a checked chunk and mark it, in one transaction."""

    async def mark(connection: Any, taken: Taken) -> bool:
        await chunk.mark(connection, [*refused, *taken.refused], lane.clock.now())
        return True

    taken = await lane.put(gate, ready, mark)
    taken.refused += refused
    return taken


async def load(
    store: Store,
    gate: Gate,
    paths: Sequence[Path],
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    refused: Callable[[Refusal], None] = lambda _: None,
    again: bool = False,
    writer: Writer | None = None,
) -> Progress:
    """Load everything at `paths` and tell how it went. `again`: also the files that were loaded before. `writer`: who
    writes; None for this process, through `gate`.

    Raises FileNotFoundError for a path that is not there, and what the database raises when it is away; what is
    wrong with a resource is told to `refused`.
    """
    work = _Load(store, sources(paths), progress, refused, again=again)
    await (writer or OwnLane(store, gate)).write(work.chunks(), work.told)
    progress(work.state)
    return work.state


class _Load:
    def __init__(
        self,
        store: Store,
        found: list[Source],
        progress: Callable[[Progress], None],
        refused: Callable[[Refusal], None],
        *,
        again: bool,
    ) -> None:
        self._store = store
        self._sources = found
        self._tell = progress
        self._report = refused
        self._again = again
        self._chunk = Texts()
        self.state = Progress(total=sum(source.size for source in found))

    async def chunks(self) -> AsyncIterator[Texts]:
        """Everything that is to be loaded, in its order."""
        before = 0
        for source in self._sources:
            self.state.source = source.name
            mark = Mark(source.digest(), source.name)
            start, finished = (0, False) if self._again else await self._position(mark)
            if finished:
                self.state.skipped += 1
            else:
                mark.done = start
                own = self._open(mark)
                for found in _after(read(source), start):
                    if len(self._chunk.texts) >= CHUNK or self._chunk.size >= _BYTES:
                        yield self._cut()
                        own = self._open(own)
                    own.done += 1
                    self._add(source, found, own)
                    if found.place.startswith("line"):
                        self.state.passed = min(
                            before + source.size, self.state.passed + len(found.resource or b"") + 1
                        )
                own.finished = True
            before += source.size
            self.state.passed = before
            self._tell(self.state)
            if len(self._chunk.marks) >= CHUNK:
                yield self._cut()
        if self._chunk.marks:
            yield self._cut()

    def _cut(self) -> Texts:
        chunk, self._chunk = self._chunk, Texts()
        return chunk

    def _open(self, mark: Mark) -> Mark:
        """How far the chunk brings a source, to be counted on from where `mark` was."""
        self._chunk.marks.append(Mark(mark.digest, mark.source, mark.done))
        return self._chunk.marks[-1]

    def _add(self, source: Source, found: Found, mark: Mark) -> None:
        if found.resource is None:
            mark.refused += 1
            self._refuse(Refusal(source.name, found.place, "", found.fault))
            return
        text = found.resource if isinstance(found.resource, bytes) else splice.dump(found.resource)
        self._chunk.texts.append(text)
        self._chunk.size += len(text)
        self._chunk.owners.append(len(self._chunk.marks) - 1)
        self._chunk.places.append(found.place)

    def told(self, chunk: Texts, result: Result) -> None:
        """Hear what became of a chunk."""
        self.state.written += result.written
        self.state.unchanged += result.unchanged
        for place, reference, reason in sorted(result.refused):
            source = chunk.marks[chunk.owners[place]].source
            self._refuse(Refusal(source, chunk.places[place], reference, reason))
        self._tell(self.state)

    def _refuse(self, refusal: Refusal) -> None:
        self.state.refused += 1
        self._report(refusal)

    async def _position(self, mark: Mark) -> tuple[int, bool]:
        async with self._store.database.connection() as connection:
            row = await connection.fetchrow(
                "select done, finished from fhir_load where digest = $1 and source = $2", mark.digest, mark.source
            )
        return (row["done"], row["finished"]) if row else (0, False)


def _after(found: Iterator[Found], start: int) -> Iterator[Found]:
    for place, one in enumerate(found):
        if place >= start:
            yield one


__all__ = ["CHUNK", "Progress", "Refusal", "load"]
