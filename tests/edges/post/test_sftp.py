"""The print house's door against a real OpenSSH server: handed over whole and once, receipts fetched and removed."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import asyncssh
import orjson
import pytest

from tests.edges.messages import HOME, document, letter
from varde.clock import SetClock
from varde.edges.post.sftp import Door, SftpPost
from varde.work.outbox import Passing, Permanent, Receipt, Unknown

CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp -d {folder}/house
"""


def descendants(process: int) -> list[int]:
    """The processes that a process started, and theirs: sshd has one or two for each connection."""
    parents: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(file.read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(file.parent.name))
    found = list(parents.get(process, ()))
    for one in found:
        found += parents.get(one, ())
    return found


class PrintHouse:
    """A running OpenSSH server with the folders of a print house."""

    def __init__(self, folder: Path) -> None:
        self.house = folder / "house"
        self.inbox = self.house / "in"
        self.receipts = self.house / "receipts"
        for made in (self.inbox, self.receipts):
            made.mkdir(parents=True)
        host, client = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        host.write_private_key(str(folder / "host"))
        client.write_private_key(str(folder / "client"))
        client.write_public_key(str(folder / "authorized"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        public = host.export_public_key().decode().strip()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}\n")
        (folder / "config").write_text(CONFIG.format(port=port, folder=folder))
        for secret in ("host", "client"):
            (folder / secret).chmod(0o600)
        self.door = Door(
            "127.0.0.1", port, getpass.getuser(), folder / "client", folder / "known_hosts", "in", "receipts"
        )  # fmt: skip
        program = shutil.which("sshd") or "/usr/sbin/sshd"
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        self._server = subprocess.Popen(
            [program, "-D", "-e", "-f", str(folder / "config")],
            stderr=(folder / "log").open("wb"),
        )
        self._wait(port)

    def _wait(self, port: int) -> None:
        for _ in range(200):
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", port)) == 0:
                    return
            assert self._server.poll() is None, "sshd did not start"
            signal.sigtimedwait([], 0.05)
        raise AssertionError("sshd does not listen")

    def stop(self) -> None:
        """End the server, and every connection with it."""
        if self._server.poll() is None:
            for process in (self._server.pid, *descendants(self._server.pid)):
                with contextlib.suppress(ProcessLookupError):  # a connection may end by itself meanwhile
                    os.kill(process, signal.SIGKILL)
            self._server.wait()

    def names(self) -> list[str]:
        """What lies in the inbox."""
        return sorted(path.name for path in self.inbox.iterdir())

    def manifests(self) -> list[dict[str, object]]:
        """What was handed over."""
        return [orjson.loads(path.read_bytes()) for path in sorted(self.inbox.glob("*.json"))]

    def give(self, name: str, *receipts: dict[str, str]) -> Path:
        """Put a receipt file in its folder."""
        path = self.receipts / name
        path.write_bytes(orjson.dumps({"receipts": receipts}))
        return path


@pytest.fixture
def house(tmp_path: Path) -> Iterator[PrintHouse]:
    made = PrintHouse(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def post(house: PrintHouse, clock: SetClock) -> SftpPost:
    return SftpPost(house.door, clock)


async def test_hands_over_the_document_and_its_manifest(house: PrintHouse, post: SftpPost, clock: SetClock) -> None:
    outcomes = await post.send([letter("brev/1"), letter("brev/2", b"no pdf")])
    assert outcomes[0] == Receipt("brev/1", "received", clock.now())
    assert isinstance(outcomes[1], Permanent)
    (manifest,) = house.manifests()
    body = document("brev/1")
    assert manifest == {
        "version": 1, "key": "brev/1", "document": manifest["document"], "sha256": sha256(body).hexdigest(),
        "size": len(body), "pages": 2, "recipient": HOME, "handed_over": clock.now().isoformat(),
    }  # fmt: skip
    assert (house.inbox / str(manifest["document"])).read_bytes() == body
    assert len(house.names()) == 2
    assert not any("brev" in name or "Sara" in name for name in house.names())


async def test_a_key_that_lies_there_is_handed_over_once(house: PrintHouse, post: SftpPost, clock: SetClock) -> None:
    first = await post.send([letter("a")])
    clock.advance(timedelta(hours=1))
    assert await post.send([letter("a")]) == first
    assert isinstance((await post.send([letter("a", document("another"))]))[0], Permanent)
    assert len(house.names()) == 2
    both = await asyncio.gather(*(SftpPost(house.door, clock).send([letter("b")]) for _ in range(4)))
    assert all(isinstance(outcomes[0], Receipt) for outcomes in both)
    assert len(house.names()) == 4


async def test_a_batch_goes_over_one_connection(house: PrintHouse, post: SftpPost) -> None:
    outcomes = await post.send([letter(f"k{n}", document(f"k{n}", 60_000)) for n in range(50)])
    assert all(isinstance(outcome, Receipt) for outcome in outcomes)
    assert {manifest["key"] for manifest in house.manifests()} == {f"k{n}" for n in range(50)}
    assert len(house.names()) == 100


async def test_what_was_cut_off_before_the_manifest_is_not_handed_over(house: PrintHouse, post: SftpPost) -> None:
    name = sha256(b"a").hexdigest()[:32]
    digest = sha256(document("a")).hexdigest()[:16]
    (house.inbox / f"{name}-{digest}.pdf").write_bytes(document("a"))
    (house.inbox / f"{name}.json.x.part").write_bytes(b'{"key"')
    assert isinstance((await post.send([letter("a")]))[0], Receipt)
    assert [manifest["key"] for manifest in house.manifests()] == ["a"]


async def test_a_server_that_is_gone_or_refuses_is_passing(house: PrintHouse, post: SftpPost, clock: SetClock) -> None:
    house.inbox.rename(house.house / "elsewhere")
    assert isinstance((await post.send([letter("a")]))[0], Passing)
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    stranger.write_private_key(str(house.house / "stranger"))
    refused = SftpPost(replace(house.door, key_file=house.house / "stranger"), clock)
    assert isinstance((await refused.send([letter("a")]))[0], Passing)
    house.door.known_hosts.write_text("")
    assert isinstance((await post.send([letter("a")]))[0], Passing)
    house.stop()
    assert isinstance((await post.send([letter("a")]))[0], Passing)
    assert await post.receipts() == []


async def test_broken_off_while_the_manifest_is_renamed_is_for_a_person_let_56(
    house: PrintHouse, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = asyncssh.SFTPClient.rename

    async def dies(self: asyncssh.SFTPClient, old: str, new: str, *rest: object) -> None:
        if new.endswith(".json"):
            house.stop()
        await rename(self, old, new)

    monkeypatch.setattr(asyncssh.SFTPClient, "rename", dies)
    assert isinstance((await SftpPost(house.door, clock).send([letter("a")]))[0], Unknown)


async def test_the_same_where_keys_are_recognised_is_tried_again(
    house: PrintHouse, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = asyncssh.SFTPClient.rename

    async def dies(self: asyncssh.SFTPClient, old: str, new: str, *rest: object) -> None:
        if new.endswith(".json"):
            house.stop()
        await rename(self, old, new)

    monkeypatch.setattr(asyncssh.SFTPClient, "rename", dies)
    post = SftpPost(house.door, clock, recognises_keys=True)
    assert isinstance((await post.send([letter("a")]))[0], Passing)


async def test_receipts_are_fetched_until_stored(house: PrintHouse, post: SftpPost, clock: SetClock) -> None:
    printed = {"key": "a", "state": "printed", "at": "2026-11-24T12:00:00+01:00", "reference": "P-7"}
    posted = {"key": "a", "state": "posted", "at": "2026-11-25T15:00:00+01:00"}
    returned = {"key": "b", "state": "returned", "at": "2026-11-25T15:00:00Z"}
    first, second = house.give("0001.json", printed, posted), house.give("0002.json", returned)
    house.give("0003.json.part")
    found = await post.receipts()
    assert found == [
        Receipt("a", "printed", datetime(2026, 11, 24, 11, tzinfo=UTC), "P-7"),
        Receipt("a", "posted", datetime(2026, 11, 25, 14, tzinfo=UTC)),
        Receipt("b", "returned", datetime(2026, 11, 25, 15, tzinfo=UTC)),
    ]
    await post.acknowledge([found[0], found[2]])
    assert (first.exists(), second.exists()) == (True, False)
    again = SftpPost(house.door, clock)
    assert await again.receipts() == list(found[:2])
    await post.acknowledge([found[1]])
    await again.acknowledge(found[:2])
    assert not first.exists()
    assert await again.receipts() == []


@pytest.mark.parametrize(
    "content",
    [
        b"not json", b"[]", b'{"receipts": [{"key": "a"}]}',
        b'{"receipts": [{"key": "a", "state": "lost", "at": "x"}]}',
        b'{"receipts": [{"key": "a", "state": "posted", "at": "2026-11-25T15:00:00"}]}',
        b'{"receipts": [{"key": "a\\u0000", "state": "posted", "at": "2026-11-25T15:00:00Z"}]}',
    ],
)  # fmt: skip
async def test_a_receipt_file_that_cannot_be_read_is_laid_aside(
    house: PrintHouse, post: SftpPost, content: bytes
) -> None:
    (house.receipts / "0001.json").write_bytes(content)
    house.give("0002.json", {"key": "b", "state": "posted", "at": "2026-11-25T15:00:00Z"})
    assert [receipt.key for receipt in await post.receipts()] == ["b"]
    assert (house.receipts / "0001.json.rejected").read_bytes() == content
