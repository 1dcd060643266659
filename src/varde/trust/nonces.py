"""Nonces that the API asks proofs of possession to carry (RFC 9449 8 and 9), where it is set to: then nobody can make
proofs ahead of time. Nothing is kept of them: every process knows one again by a key that they share.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode

from varde.clock import Clock
from varde.db import Database

_SLOT = 60
_GOOD_FOR = 5
"""Slots that a nonce is good in, its own among them."""
_BYTES = 18


class Nonces:
    """Makes nonces and knows them again. One a process."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._key: bytes | None = None

    async def fresh(self) -> str:
        """A nonce that is good for some minutes."""
        return _nonce(await self._shared(), self._slot())

    async def knows(self, nonce: str | None) -> bool:
        """Whether it is one of ours, and of these minutes."""
        if nonce is None or not nonce.isascii():
            return False
        key, slot = await self._shared(), self._slot()
        return any(hmac.compare_digest(nonce, _nonce(key, slot - back)) for back in range(_GOOD_FOR))

    def _slot(self) -> int:
        return int(self._clock.now().timestamp()) // _SLOT

    async def _shared(self) -> bytes:
        if self._key is None:
            async with self._database.connection() as connection:
                await connection.execute(
                    "insert into trust_nonce (key) values ($1) on conflict do nothing", secrets.token_bytes(32)
                )
                self._key = await connection.fetchval("select key from trust_nonce")
        assert self._key is not None
        return self._key


def _nonce(key: bytes, slot: int) -> str:
    return urlsafe_b64encode(hmac.digest(key, slot.to_bytes(8), "sha256")[:_BYTES]).decode()
