"""A worker in a process of its own, to be killed: `python -m tests.edges.subscribers.process URL FOLDER`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.edges.subscribers.ward import House
from varde.clock import SystemClock
from varde.db import Database


async def main(url: str, folder: str) -> None:
    house = House(Database(url), SystemClock(), Path(folder))
    print("started", flush=True)
    await house.worker().run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
