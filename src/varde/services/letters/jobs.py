"""What happens later to letters: the jobs of this service, each kind with how it is run. What they do is in the
files they name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from varde.services.letters import posting, receipts, sending, telling
from varde.work.jobs import Handler
from varde.work.outbox import Receiver

if TYPE_CHECKING:
    from varde.services import Platform

PATIENT_WAIT = 40
"""Tries of what asks the registers: days, not minutes, since nothing is guessed and nothing is lost meanwhile."""

Payloads = Sequence[Mapping[str, Any]]


def handlers(platform: Platform) -> Sequence[Handler]:
    """Every kind of job of letters."""

    async def send(connection: Any, payloads: Payloads) -> None:
        for payload in payloads:
            await sending.send_chunk(platform, connection, payload)

    async def deadline(connection: Any, payloads: Payloads) -> None:
        await posting.post_unopened(platform, connection, [one["letter"] for one in payloads])

    async def hand_over(connection: Any, payloads: Payloads) -> None:
        await posting.print_letters(platform, connection, [one["letter"] for one in payloads])

    async def remind(connection: Any, payloads: Payloads) -> None:
        await telling.remind(platform, connection, payloads)

    async def tell_otherwise(connection: Any, payloads: Payloads) -> None:
        await telling.tell_otherwise(platform, connection, payloads)

    def handler(kind: str, run: Callable[[Any, Payloads], Awaitable[None]], batch: int) -> Handler:
        return Handler(kind, run, batch=batch, attempts=PATIENT_WAIT, timeout=timedelta(minutes=2))

    return (
        handler(sending.SEND, send, 1),
        handler(sending.DEADLINE, deadline, 50),
        handler(posting.PRINT, hand_over, 20),
        handler(sending.REMIND, remind, 50),
        handler(receipts.TELL_OTHERWISE, tell_otherwise, 20),
    )


def receivers(platform: Platform) -> Mapping[str, Receiver]:
    """What this service does when an edge tells of its messages."""
    return {"notify": receipts.notified(platform), "post": receipts.printed(platform)}
