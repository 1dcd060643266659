"""Handing messages over: claimed in one short transaction, spoken of with the edge while no connection is held,
stored with the receiver's reaction in another. What a dead process left is taken up here too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import structlog

from varde.db import Connection, Database
from varde.work import jobs, sending, waits
from varde.work.jobs import Handler, Job
from varde.work.outbox import Message, Outcome, Receiver, Sender, Told
from varde.work.presence import Presence, is_away, is_dead, senders
from varde.work.running import Moment
from varde.work.sending import Claimed

_log = structlog.get_logger("varde.work")

SEND_TIMEOUT = timedelta(minutes=5)
"""Longer than this no edge is listened to; what it did then is not known."""
RECEIPTS_TIMEOUT = timedelta(minutes=1)
TELL = "work.tell"
"""Kind of the job that tells a receiver again what it failed to take in."""
_STORE_TRIES = 10
_STORE_PAUSES = (0.0, 0.05, 0.2, 0.5, 1.0, 2.0)


class Handing:
    """Hands over for one process. Made by the worker."""

    def __init__(
        self, database: Database, presence: Presence, edges: Mapping[str, Sender], receivers: Mapping[str, Receiver]
    ) -> None:
        self._database = database
        self._presence = presence
        self._edges = edges
        self._receivers = receivers
        self._held: set[int] = set()
        self._claiming = asyncio.Lock()
        self._lost_claim = False
        self._dead_since: dict[int, float] = {}

    @property
    def handler(self) -> Handler:
        """Who does the jobs that tell a receiver again."""
        return Handler(TELL, self._tell_again, batch=1, attempts=12)

    async def send(self, edge: str, moment: Moment, until: datetime) -> int:
        """Hand over up to a batch of an edge's messages that are due by `until`. Returns how many were claimed.

        Raises one of BROKEN when the database is away before anything was handed over.
        """
        sender = self._edges[edge]
        claimed = await self._claim(sender, moment, until)
        if not claimed:
            return 0
        owner = self._presence.owner
        try:
            outcomes = await self._speak(sender, claimed)
            await self._store(edge, claimed, outcomes, owner, moment)
        finally:
            # Cancelled in the middle, the messages stay in sending: whoever finds this process gone takes them up.
            self._held.difference_update(one.message.id for one in claimed)
        return len(claimed)

    async def _claim(self, sender: Sender, moment: Moment, until: datetime) -> list[Claimed]:
        async with self._claiming:
            owner = await self._presence.hold()
            try:
                async with self._database.connection() as connection:
                    claimed = await sending.claim(connection, sender.edge, until, sender.batch, owner, moment.now())
            except BaseException:
                self._lost_claim = True
                raise
            self._held.update(one.message.id for one in claimed)
            return claimed

    async def _speak(self, sender: Sender, claimed: Sequence[Claimed]) -> list[Outcome]:
        messages = [one.message for one in claimed]
        try:
            async with asyncio.timeout(SEND_TIMEOUT.total_seconds()):
                outcomes = await sender.send(messages)
        except Exception as error:
            why = waits.fault(error)
            _log.warning("edge failed", edge=sender.edge, messages=len(messages), why=why)
            return sending.doubt(why, claimed, recognises_keys=sender.recognises_keys)
        return sending.outcomes_of(claimed, outcomes, recognises_keys=sender.recognises_keys)

    async def _store(
        self, edge: str, claimed: Sequence[Claimed], outcomes: Sequence[Outcome], owner: int, moment: Moment
    ) -> None:
        """Store what is known, however long the database is away: what is known only here must not be lost.

        Raises what else hinders it, when it has been tried often enough. The messages then stay in sending, which
        a check finds, until this process ends.
        """

        async def settle(connection: Connection, some: Sequence[int]) -> list[tuple[Message, Told]]:
            return await sending.settle(
                connection, [claimed[n] for n in some], [outcomes[n] for n in some], owner, moment.now()
            )

        tries = 0
        while True:
            await asyncio.sleep(_STORE_PAUSES[min(tries, len(_STORE_PAUSES) - 1)])
            tries += 1
            try:
                await self._tell(edge, settle, len(claimed), moment)
                return
            except Exception as error:
                _log.warning("outcomes not stored yet", edge=edge, tries=tries, why=waits.fault(error))
                if tries >= _STORE_TRIES and not await is_away(self._database, error):
                    raise

    async def _tell(
        self,
        edge: str,
        store: Callable[[Connection, Sequence[int]], Awaitable[Sequence[tuple[Message, Told]]]],
        number: int,
        moment: Moment,
    ) -> None:
        """Store with the receiver's reaction in one transaction; when the receiver fails, one by one; when it
        fails for one alone, store that outcome all the same and leave the telling to a job."""
        receiver = self._receivers.get(edge)
        try:
            await self._store_and_tell(store, range(number), receiver)
            return
        except Exception as error:
            if await is_away(self._database, error):
                raise
            _log.warning("receiver failed", edge=edge, outcomes=number, why=waits.fault(error))
        for n in range(number):
            try:
                await self._store_and_tell(store, [n], receiver)
            except Exception as error:
                if await is_away(self._database, error):
                    raise
                _log.warning("receiver failed", edge=edge, outcomes=1, why=waits.fault(error))
                async with self._database.transaction() as connection:
                    for message, told in await store(connection, [n]):
                        payload = {"message": message.id, "outcome": sending.outcome_as_json(told)}
                        await jobs.enqueue(connection, Job(TELL, payload, moment.now(), patient=message.patient))

    async def _store_and_tell(
        self,
        store: Callable[[Connection, Sequence[int]], Awaitable[Sequence[tuple[Message, Told]]]],
        some: Sequence[int],
        receiver: Receiver | None,
    ) -> None:
        async with self._database.transaction() as connection:
            told = await store(connection, some)
            if receiver is not None and told:
                await receiver(connection, told)

    async def _tell_again(self, connection: Connection, payloads: Sequence[Mapping[str, Any]]) -> None:
        for payload in payloads:
            message = await sending.by_id(connection, payload["message"])
            receiver = self._receivers.get(message.edge)
            if receiver is None:
                raise LookupError("no receiver for the edge")
            await receiver(connection, [(message, sending.outcome_from_json(payload["outcome"]))])

    async def fetch_receipts(self, edge: str, moment: Moment) -> int:
        """Ask an edge for what came in later, store it, tell the receiver, and acknowledge. Returns how many
        receipts the edge gave. An edge that cannot be asked is asked again the next time."""
        sender = self._edges[edge]
        try:
            async with asyncio.timeout(RECEIPTS_TIMEOUT.total_seconds()):
                given = await sender.receipts()
        except Exception as error:
            _log.warning("edge gives no receipts", edge=edge, why=waits.fault(error))
            return 0
        receipts = [receipt for receipt in given if sending.is_fit(receipt)]
        if len(receipts) < len(given):
            _log.error("receipts cannot be stored", edge=edge, receipts=len(given) - len(receipts))
        if not receipts:
            return 0

        async def hear(connection: Connection, some: Sequence[int]) -> Sequence[tuple[Message, Told]]:
            return await sending.hear_late(connection, edge, [receipts[n] for n in some], moment.now())

        await self._tell(edge, hear, len(receipts), moment)
        try:
            async with asyncio.timeout(RECEIPTS_TIMEOUT.total_seconds()):
                await sender.acknowledge(receipts)
        except Exception as error:
            # The edge gives them again, and each is told once all the same.
            _log.warning("edge takes no acknowledgement", edge=edge, why=waits.fault(error))
            return 0
        return len(receipts)

    async def take_up(self, grace: float, moment: Moment) -> int:
        """Take up what dead processes left in sending: again where the edge recognises keys, else unknown
        (LET-56). Dead is who was found so twice, `grace` real seconds apart, which lets a living process find its
        way back after the database was away. Returns how many messages were taken up."""
        await self._take_back()
        async with self._database.connection() as connection:
            present = [owner for owner in await senders(connection) if owner != self._presence.owner]
        self._dead_since = {owner: since for owner, since in self._dead_since.items() if owner in present}
        taken = 0
        for owner in present:
            taken += await self._take_up_from(owner, grace, moment)
        return taken

    async def _take_up_from(self, owner: int, grace: float, moment: Moment) -> int:
        async with self._database.transaction() as connection:
            if not await is_dead(connection, owner):
                self._dead_since.pop(owner, None)
                return 0
            if monotonic() - self._dead_since.setdefault(owner, monotonic()) < grace:
                return 0
        taken = 0
        for edge, sender in self._edges.items():

            async def settle(
                connection: Connection, some: Sequence[int], edge: str = edge, sender: Sender = sender
            ) -> list[tuple[Message, Told]]:
                if not await is_dead(connection, owner):
                    return []
                some_left = await sending.abandoned(connection, owner, edge, len(some))
                outcomes = sending.doubt(sending.DIED, some_left, recognises_keys=sender.recognises_keys, at_once=True)
                return await sending.settle(connection, some_left, outcomes, owner, moment.now())

            async with self._database.connection() as connection:
                left = await sending.count_abandoned(connection, owner, edge)
            if left:
                await self._tell(edge, settle, left, moment)
                _log.warning("took up after a dead sender", edge=edge, messages=left, owner=owner)
                taken += left
        return taken

    async def _take_back(self) -> None:
        if not self._lost_claim:
            return
        async with self._claiming:
            async with self._database.connection() as connection:
                await sending.unclaim(connection, self._presence.owner, list(self._held))
            self._lost_claim = False
