"""Processes that are started and killed."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

Killed = Callable[[str, Path, int, float], Awaitable[None]]
ROOT = Path(__file__).parent.parent.parent


async def start(edge: str, folder: Path, name: str, count: int) -> asyncio.subprocess.Process:
    """A process that sends `count` messages to an embedded edge in `folder`."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.edges.killing", edge, str(folder), name, str(count),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture
def killed() -> Killed:
    """Starts a sending process, and kills it with SIGKILL so many seconds after its first answered batch."""

    async def run(edge: str, folder: Path, number: int, after: float) -> None:
        process = await start(edge, folder, str(number), 2_000)
        assert process.stdout is not None
        await process.stdout.readline()
        await asyncio.sleep(after)
        process.send_signal(signal.SIGKILL)
        await process.communicate()

    return run
