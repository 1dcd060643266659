"""The ledger of embedded outside worlds: opened by many at once, whole after an error, private, in order of time."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from varde.clock import OSLO
from varde.edges.ledger import Ledger, moment, written

SCHEMA = "create table if not exists thing (name text primary key)"


def names(ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        return [row[0] for row in connection.execute("select name from thing order by name")]


def test_many_open_a_new_file_at_once(tmp_path: Path) -> None:
    for number in range(30):
        together = threading.Barrier(6)
        faults: list[Exception] = []

        def opened(file: Path, together: threading.Barrier, faults: list[Exception]) -> None:
            ledger = Ledger(file, SCHEMA, durable=False)
            together.wait()
            try:
                with ledger.write() as connection:
                    connection.execute("insert into thing values ('a') on conflict do nothing")
            except Exception as error:
                faults.append(error)
            ledger.close()

        file = tmp_path / f"{number}.sqlite"
        threads = [threading.Thread(target=opened, args=(file, together, faults)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not faults
        assert names(Ledger(file, SCHEMA, durable=False)) == ["a"]


def test_a_change_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "folder" / "x.sqlite", SCHEMA, durable=True)
    with pytest.raises(RuntimeError), ledger.write() as connection:
        connection.execute("insert into thing values ('a')")
        raise RuntimeError
    with ledger.write() as connection:
        connection.execute("insert into thing values ('b')")
    ledger.close()
    assert names(ledger) == ["b"]
    assert (tmp_path / "folder").stat().st_mode & 0o077 == 0
    assert (tmp_path / "folder" / "x.sqlite").stat().st_mode & 0o077 == 0


def test_moments_stand_in_order_of_time() -> None:
    start = datetime(2026, 11, 24, 23, 59, 59, 999_999, tzinfo=UTC)
    moments = [start + timedelta(microseconds=step) for step in range(-2, 3)]
    assert sorted(map(written, moments)) == [written(one.astimezone(OSLO)) for one in moments]
    assert [moment(written(one)) for one in moments] == moments
