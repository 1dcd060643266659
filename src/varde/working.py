"""A worker process: runs what is due and sends what leaves, until it is told to stop."""

from __future__ import annotations

import asyncio

from varde.observe import configure_logging, share_metrics
from varde.serving import until_stopped
from varde.settings import Settings


async def work(settings: Settings) -> None:
    """Run one worker until SIGTERM or SIGINT; what is under way is finished first."""
    share_metrics(settings.data / "metrics")
    configure_logging(settings, "worker")
    await until_stopped()
    await asyncio.sleep(0)
