"""The file in which an embedded outside world keeps what reached it: SQLite, shared by all processes.

SQLite gives what such a world must have: a key taken once among any number of processes, and a file that is whole
after SIGKILL at any moment. What a world keeps, and what it means, is its own. The folder must be on a local disk.
"""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

_WAIT_SECONDS = 30


class Ledger:
    """One SQLite file, made with `schema` when it is new, readable by its owner only.

    `durable`: each change is on disk when it is done, and outlives a loss of power. Otherwise it outlives the death
    of the process, not of the machine. Safe from any thread; opened at first use, so that it may be made before a
    process forks.
    """

    def __init__(self, file: Path, schema: str, *, durable: bool) -> None:
        self._file = file
        self._schema = schema
        self._durable = durable
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """The file, for reading."""
        with self._lock:
            yield self._open()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """The file, for one change: kept whole at the end, or not at all after an error. One writer at a time."""
        with self._lock:
            connection = self._open()
            connection.execute("begin immediate")
            try:
                yield connection
            except BaseException:
                connection.execute("rollback")
                raise
            connection.execute("commit")

    def close(self) -> None:
        """Close the file; it opens again at the next use."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # One process at a time: SQLite does not wait for others while it turns a new file to its journal mode.
            with self._file.with_suffix(".opening").open("w") as opening:
                fcntl.flock(opening, fcntl.LOCK_EX)
                self._file.touch(mode=0o600)
                self._connection = self._opened()
        return self._connection

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("pragma journal_mode = wal")
        connection.execute(f"pragma synchronous = {'full' if self._durable else 'off'}")
        connection.executescript(self._schema)
        return connection


def written(moment: datetime) -> str:
    """A moment as it stands in a ledger: UTC, of one width, so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
    """The moment that `written` wrote."""
    return datetime.fromisoformat(text)
