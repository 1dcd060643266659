"""A process of its own that sends without end to an embedded edge, to be killed at any moment.

Started as `python -m tests.edges.killing post|notify FOLDER NAME COUNT`: sends the keys k0 … k(COUNT-1) in batches,
in an order of its own, prints a line for each batch that was answered, and ends.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from tests.edges.messages import letter, sms
from varde.clock import SetClock
from varde.edges.notify.embedded import EmbeddedNotify
from varde.edges.post.embedded import EmbeddedPost
from varde.work.outbox import Receipt


async def main(edge: str, folder: Path, name: str, count: int) -> None:
    clock = SetClock(datetime(2026, 11, 24, 9, 0, tzinfo=UTC))
    sender = EmbeddedPost(folder, clock) if edge == "post" else EmbeddedNotify(folder, clock)
    make = letter if edge == "post" else sms
    keys = [f"k{number}" for number in range(count)]
    Random(name).shuffle(keys)
    for start in range(0, count, 20):
        told = await sender.send([make(key) for key in keys[start : start + 20]])
        assert all(isinstance(outcome, Receipt) for outcome in told)
        print(start, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
