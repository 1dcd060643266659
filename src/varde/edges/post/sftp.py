"""A real print house's door: SFTP, a PDF and a manifest for each letter, receipts fetched from a folder.

The inbox gets NAME-DIGEST.pdf, then NAME.json (the manifest), each written under a name of its own ending in `.part`
and renamed when whole. The manifest is what hands a letter over: the print house takes a letter when its manifest is
there, and moves both away. A manifest that is there already is never replaced.

Manifest: {"version": 1, "key", "document", "sha256", "size", "pages", "recipient", "handed_over"}.
Receipts: files *.json holding {"receipts": [{"key", "state": received|printed|posted|returned, "at", "reference"?}]},
made whole by renaming as well. One whose receipts are all stored is removed.
"""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncssh
import orjson
import structlog

from varde.clock import Clock
from varde.edges.post import EDGE, STATES, Print, read
from varde.work.outbox import Message, Outcome, Passing, Permanent, Receipt, Unknown

_AT_ONCE = 8
_LETTER_SECONDS = 60
_CONNECT_SECONDS = 15
_RECEIPT_FILES_AT_ONCE = 200
_BROKEN = (OSError, asyncssh.Error)
_REFUSED = (
    asyncssh.SFTPFailure,
    asyncssh.SFTPPermissionDenied,
    asyncssh.SFTPNoSuchFile,
    asyncssh.SFTPFileAlreadyExists,
)
"""The server's own answer that it did not rename."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Door:
    """Where the print house's server is and how we are let in."""

    host: str
    port: int
    user: str
    key_file: Path
    known_hosts: Path
    inbox: str
    receipts: str


class SftpPost:
    """The edge "post" at a real print house."""

    edge = EDGE
    batch = 50

    def __init__(self, door: Door, clock: Clock, *, recognises_keys: bool = False) -> None:
        self.recognises_keys = recognises_keys
        self._door = door
        self._clock = clock
        self._files: dict[str, set[tuple[str, str]]] = {}
        """Receipt files that were read, with those of their receipts (key, state) that are not yet stored."""

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Hand over, some at once over one connection."""
        prints = [read(message) for message in messages]
        outcomes: list[Outcome] = [one if isinstance(one, Permanent) else Passing("no connection") for one in prints]
        free = asyncio.Semaphore(_AT_ONCE)

        async def handed(place: int, one: Print, sftp: asyncssh.SFTPClient) -> None:
            async with free:
                outcomes[place] = await self._hand_over(sftp, one)

        try:
            async with self._connected() as sftp:
                await asyncio.gather(
                    *(handed(place, one, sftp) for place, one in enumerate(prints) if isinstance(one, Print))
                )
        except _BROKEN as error:
            _log.warning("the print house cannot be reached", fault=type(error).__name__)
        return outcomes

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncssh.SFTPClient]:
        """Raises OSError, asyncssh.Error."""
        door = self._door
        connection = await asyncssh.connect(
            door.host,
            door.port,
            username=door.user,
            client_keys=[str(door.key_file)],
            known_hosts=str(door.known_hosts),
            agent_path=None,
            config=None,
            preferred_auth="publickey",
            connect_timeout=_CONNECT_SECONDS,
            login_timeout=_CONNECT_SECONDS,
            keepalive_interval=15,
        )
        async with connection, connection.start_sftp_client() as sftp:
            yield sftp

    async def _hand_over(self, sftp: asyncssh.SFTPClient, one: Print) -> Outcome:
        """One letter. Until its manifest is being renamed nothing is handed over; from then on it may be."""
        manifest = f"{self._door.inbox}/{sha256(one.key.encode()).hexdigest()[:32]}.json"
        document = f"{manifest.removesuffix('.json')}-{one.digest[:16]}.pdf"
        try:
            async with asyncio.timeout(_LETTER_SECONDS):
                if (known := await self._known(sftp, manifest, one)) is not None:
                    return known
                await _put(sftp, document, one.document)
                part = await _write(sftp, manifest, self._manifest(one, document))
        except _BROKEN as error:
            return Passing(type(error).__name__)
        try:
            async with asyncio.timeout(_LETTER_SECONDS):
                try:
                    await sftp.rename(part, manifest)
                except _REFUSED as error:
                    known = await self._known(sftp, manifest, one)
                    await sftp.remove(part)
                    return known or Passing(type(error).__name__)
        except _BROKEN as error:
            why = f"while it was handed over: {type(error).__name__}"
            return Passing(why) if self.recognises_keys else Unknown(why)
        return Receipt(one.key, "received", self._clock.now())

    def _manifest(self, one: Print, document: str) -> bytes:
        return orjson.dumps(
            {
                "version": 1,
                "key": one.key,
                "document": document.rpartition("/")[2],
                "sha256": one.digest,
                "size": len(one.document),
                "pages": one.pages,
                "recipient": asdict(one.recipient),
                "handed_over": self._clock.now().isoformat(),
            },
            option=orjson.OPT_INDENT_2,
        )

    async def _known(self, sftp: asyncssh.SFTPClient, manifest: str, one: Print) -> Receipt | Permanent | None:
        """What a manifest that lies there already says of the key; None when there is none."""
        try:
            there = orjson.loads(await _content(sftp, manifest))
        except asyncssh.SFTPNoSuchFile:
            return None
        if not isinstance(there, dict) or (there.get("key"), there.get("sha256")) != (one.key, one.digest):
            return Permanent("another document has this key")
        return Receipt(one.key, "received", datetime.fromisoformat(there["handed_over"]))

    async def receipts(self) -> Sequence[Receipt]:
        """What lies in the receipts folder; () when the print house cannot be reached just now."""
        found: list[Receipt] = []
        try:
            async with self._connected() as sftp:
                for name in await _receipt_files(sftp, self._door.receipts):
                    path = f"{self._door.receipts}/{name}"
                    try:
                        read_now = _receipts(await _content(sftp, path))
                    except ValueError:
                        _log.error("a receipt file cannot be read and is laid aside", file=name)
                        await sftp.rename(path, f"{path}.rejected")
                        continue
                    except asyncssh.SFTPNoSuchFile:
                        continue
                    self._files[path] = {(receipt.key, receipt.state) for receipt in read_now}
                    found += read_now
        except _BROKEN as error:
            _log.warning("receipts cannot be fetched", fault=type(error).__name__)
        return found

    async def acknowledge(self, receipts: Sequence[Receipt]) -> None:
        """These are stored: files that hold no others are removed. When that fails they are read again later."""
        stored = {(receipt.key, receipt.state) for receipt in receipts}
        for path, waiting in self._files.items():
            self._files[path] = waiting - stored
        done = [path for path, waiting in self._files.items() if not waiting]
        if not done:
            return
        try:
            async with self._connected() as sftp:
                for path in done:
                    if await sftp.exists(path):
                        await sftp.remove(path)
                    del self._files[path]
        except _BROKEN as error:
            _log.warning("receipts cannot be removed", fault=type(error).__name__)


async def _receipt_files(sftp: asyncssh.SFTPClient, folder: str) -> list[str]:
    """The oldest names of whole receipt files."""
    entries = [entry async for entry in sftp.scandir(folder)]
    names = [
        str(entry.filename)
        for entry in entries
        if str(entry.filename).endswith(".json") and stat.S_ISREG(entry.attrs.permissions or 0)
    ]
    return sorted(names)[:_RECEIPT_FILES_AT_ONCE]


def _receipts(content: bytes) -> list[Receipt]:
    """The receipts of a file. Raises ValueError when it is not of the form told above."""
    body = orjson.loads(content)
    if not isinstance(body, dict) or not isinstance(body.get("receipts"), list):
        raise ValueError("not a list of receipts")
    return [_receipt(given) for given in body["receipts"]]


def _receipt(given: Any) -> Receipt:
    if not isinstance(given, dict) or not isinstance(given.get("key"), str) or given.get("state") not in STATES:
        raise ValueError("not a receipt")
    at = datetime.fromisoformat(str(given.get("at")))
    if at.tzinfo is None:
        raise ValueError("a moment without time zone")
    reference = given.get("reference")
    if "\0" in f"{given['key']}{reference}":
        raise ValueError("a null character")
    return Receipt(given["key"], given["state"], at, None if reference is None else str(reference)[:100])


async def _content(sftp: asyncssh.SFTPClient, path: str) -> bytes:
    async with sftp.open(path, "rb") as file:
        return await file.read()


async def _write(sftp: asyncssh.SFTPClient, path: str, content: bytes) -> str:
    """Write under a name that nobody takes for whole, and return it."""
    part = f"{path}.{uuid4().hex}.part"
    async with sftp.open(part, "xb") as file:
        await file.write(content)
    return part


async def _put(sftp: asyncssh.SFTPClient, path: str, content: bytes) -> None:
    """Put a file in place. Its name holds its digest, so that one that is there already is the same."""
    if await sftp.exists(path):
        return
    part = await _write(sftp, path, content)
    try:
        await sftp.rename(part, path)
    except asyncssh.SFTPFailure:
        if not await sftp.exists(path):
            raise
        await sftp.remove(part)
