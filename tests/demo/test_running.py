"""`varde demo` as processes: starts again with what it held, keeps its children running, leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.browsing import free_port
from tests.demo_server import DemoServer, start, stop

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a demo of the test's own."""
    yield tmp_path / "data"


def processes(word: str) -> list[int]:
    """Process ids whose command line holds `word`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and word in (entry / "cmdline").read_text().replace("\0", " "):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def of_folder(folder: Path) -> list[int]:
    """Processes of the demo in `folder`: those that name it, and those that were told of it."""
    found = processes(str(folder))
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"VARDE_DATA={folder}\0".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def test_a_restart_keeps_everything_and_is_quick(folder: Path) -> None:
    server = start(folder, free_port(), patients=80)
    headers = server.headers("--system", "test", "--scopes", "system/*.cruds")
    made = httpx.post(
        f"{server.fhir}/Basic", json={"resourceType": "Basic", "code": {"text": "kept"}},
        headers=headers | {"content-type": "application/fhir+json"},
    )  # fmt: skip
    assert made.status_code == 201
    httpx.post(f"{server.base}/demo/clock", json={"advance": "P1D"}, timeout=60).raise_for_status()
    moved = httpx.get(f"{server.base}/demo/clock").json()["now"]
    assert stop(server) == 0
    assert [_command(pid) for pid in of_folder(folder)] == []
    began = time.monotonic()
    again = start(folder, server.port, patients=80)
    took = time.monotonic() - began
    kept = httpx.get(
        f"{again.fhir}/Basic/{made.json()['id']}", headers=again.headers("--system", "t", "--scopes", "system/*.rs")
    )
    assert kept.status_code == 200
    assert httpx.get(f"{again.base}/demo/clock").json()["now"] > moved
    assert again.everybody == server.everybody
    assert stop(again, signal.SIGINT) == 0
    # 3.4 s on a quiet machine; here only that it is no new beginning.
    assert took < 30, took


def test_a_child_that_dies_is_started_again(folder: Path) -> None:
    server = start(folder, free_port(), patients=60)
    try:
        for command in ("varde.cli serve", "varde.cli worker", "issuer.mjs"):
            mine = [pid for pid in processes(command) if pid in of_folder(folder)]
            assert mine, command
            for pid in mine:
                os.kill(pid, signal.SIGKILL)
            assert _ready(server), f"{command} did not come back"
    finally:
        assert stop(server) == 0
    assert [_command(pid) for pid in of_folder(folder)] == []


def _ready(server: DemoServer) -> bool:
    time.sleep(0.3)
    for _ in range(200):
        try:
            issuer = httpx.get(f"{server.base}/demo/issuer/patient/.well-known/openid-configuration")
            if httpx.get(f"{server.base}/health/ready").is_success and issuer.is_success:
                return True
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    return False


def test_another_size_is_said_and_a_taken_port_or_folder_refused(demo: DemoServer) -> None:
    port = demo.varde("demo", "--port", str(demo.port), "--data", str(demo.data.parent / "other"), check=False)
    assert port.returncode == 1 and "in use" in port.stderr
    folder = demo.varde("demo", "--port", str(free_port()), "--data", str(demo.data), check=False)
    assert folder.returncode == 1 and "already runs" in folder.stderr


def test_a_region_of_another_size_is_used_as_it_is_and_said_to_be(folder: Path) -> None:
    server = start(folder, free_port(), patients=60)
    stop(server)
    other = start(folder, server.port, patients=70, seed=8)
    said = (folder.parent / f"{folder.name}.out").read_text()
    stop(other)
    assert "60 patients made from seed 7" in " ".join(said.split())
    assert other.everybody == server.everybody


def test_the_supervisor_s_death_takes_its_children_along(folder: Path) -> None:
    server = start(folder, free_port(), patients=60)
    server.process.kill()
    server.process.wait()
    for _ in range(100):
        left = [pid for pid in of_folder(folder) if "postgres" not in _command(pid)]
        if not left:
            break
        time.sleep(0.1)
    assert left == []
    again = start(folder, server.port, patients=60)
    assert stop(again) == 0


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return "postgres"


def test_against_a_database_of_one_s_own(database_url: str, folder: Path) -> None:
    environment = os.environ | {"VARDE_DATABASE_URL": database_url}
    port = free_port()
    process = subprocess.Popen(
        [*_varde(), "demo", "--port", str(port), "--data", str(folder), "--patients", "60"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert _ready(DemoServer(port, folder, process))
    assert not (folder / "postgres").exists()
    process.terminate()
    assert process.wait(30) == 0


def _varde() -> list[str]:
    import sys

    return [sys.executable, "-m", "varde.cli"]
