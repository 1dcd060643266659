"""The processes of an installation: the web server, the worker, and the supervisor that keeps several running.

What a process does when it runs is `asgi.py`'s and `work/`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from varde.observe import share_metrics
from varde.settings import Settings

_GRACE_SECONDS = 10
"""From SIGTERM to SIGKILL."""
_BACKOFF_SECONDS = (0.2, 1.0, 3.0, 10.0)
"""Waits before a process that died is started again; the last is repeated."""
_STEADY_SECONDS = 60
"""After so long a process that dies is as good as new."""
_PR_SET_PDEATHSIG = 1


def serve(settings: Settings) -> None:
    """Run the web server until SIGTERM or SIGINT, with `web_processes` processes.

    Raises ValueError when nobody could log in: better than processes that start and die again and again.
    """
    if not settings.demo and not (settings.patient_issuer and settings.staff_issuer):
        raise ValueError("VARDE_PATIENT_ISSUER and VARDE_STAFF_ISSUER must be set: nobody could log in")
    from granian import Granian
    from granian.constants import Interfaces, Loops
    from granian.log import LogLevels

    share_metrics(settings.data / "metrics")
    Granian(
        "varde.asgi:application",
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=settings.web_processes,
        loop=Loops.uvloop,
        websockets=True,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=_GRACE_SECONDS,
        log_level=LogLevels.warning,
        backlog=2048,
    ).serve()


@dataclass(slots=True)
class Child:
    """A process to be kept running."""

    name: str
    command: Sequence[str]
    log: Path
    """Where its standard output and error go."""
    folder: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def own_command(*arguments: str) -> list[str]:
    """A command of Varde's own, run by this Python."""
    return [sys.executable, "-m", "varde.cli", *arguments]


class Supervisor:
    """Starts children, starts again those that die, and stops them all, with whatever they started, at the end."""

    def __init__(self, said: Callable[[str], None]) -> None:
        """`said` hears of deaths, in a sentence for the console."""
        self._said = said
        self._tasks: list[asyncio.Task[None]] = []
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()

    def start(self, child: Child) -> None:
        """Keep `child` running from now on."""
        self._tasks.append(asyncio.create_task(self._keep(child), name=child.name))

    def pid(self, name: str) -> int | None:
        """Process id of a running child."""
        process = self._running.get(name)
        return process.pid if process else None

    async def _keep(self, child: Child) -> None:
        deaths = 0
        while not self._stopping.is_set():
            child.log.parent.mkdir(parents=True, exist_ok=True)
            started = time.monotonic()
            with child.log.open("ab") as log:
                process = await asyncio.create_subprocess_exec(
                    *child.command,
                    stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd=child.folder,
                    env={**os.environ, **child.environment}, start_new_session=True, preexec_fn=_die_with_parent,
                )  # fmt: skip
            self._running[child.name] = process
            if self._stopping.is_set():
                process.terminate()
            code = await process.wait()
            # What it had started must not hold its port or its work.
            _signal_group(process.pid, signal.SIGKILL)
            self._running.pop(child.name, None)
            if self._stopping.is_set():
                return
            deaths = 1 if time.monotonic() - started > _STEADY_SECONDS else deaths + 1
            wait = _BACKOFF_SECONDS[min(deaths, len(_BACKOFF_SECONDS)) - 1]
            self._said(f"{child.name} stopped ({code}) and is started again; see {child.log}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)

    async def stop(self) -> None:
        """End every child: SIGTERM, and SIGKILL to what is left after the grace."""
        self._stopping.set()
        for process in list(self._running.values()):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_GRACE_SECONDS)
        for process in list(self._running.values()):
            _signal_group(process.pid, signal.SIGKILL)
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _die_with_parent() -> None:
    """Let the kernel end a child whose supervisor was killed. Runs in the child, before its program."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


@contextlib.contextmanager
def cancelled_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGINT cancel the task that the block runs in; the block ends quietly then."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    except asyncio.CancelledError:
        task.uncancel()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def until_ready(ask: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Ask until the answer is yes; False when it has not become so."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if await ask():
            return True
        await asyncio.sleep(0.05)
    return False
