"""The log's recurring work: looking for snooping, and questions whose time is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from varde.services.family import log_questions
from varde.services.family.log_ties import RegisteredTies
from varde.trust.log.watching import WATCH_EVERY, Watch
from varde.work.jobs import Handler

if TYPE_CHECKING:
    from varde.services import Platform


def handlers(platform: Platform) -> Sequence[Handler]:
    """See Service.handlers."""
    watch = Watch(RegisteredTies(platform))

    async def run(connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
        await watch.run(connection, platform.clock.now())

    return [
        Handler("family.log-watch", run, timeout=timedelta(minutes=5), every=WATCH_EVERY),
        log_questions.handler(platform),
    ]
