"""What may be used once, remembered where all processes look: client assertions and proofs of possession (DPoP). The
one home of such memories.

An assertion is remembered durably. A proof, one a request, lies in a table without a log on disk, which a crash of the
server empties: it is then known from when on all is remembered, and what was issued before is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from varde.clock import Clock
from varde.db import Database

AHEAD = timedelta(seconds=5)
"""How far the clocks of others may be ahead of ours."""
_DIGEST = 16
_ONCE = """
with kept as (
    insert into trust_proof (digest, expires) select $1, $2
    where exists (select from trust_proof_memory where since <= $3)
    on conflict (digest) do nothing returning true
)
select exists (select from kept) as fresh, exists (select from trust_proof_memory) as remembers"""


class Replays:
    """Tells the first use from every other, whichever process each came to."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def assertion(self, client: str, jti: str, until: datetime) -> bool:
        """Whether a client's assertion is used for the first time; from now on it was. `until`: when it is good no
        more anyway."""
        async with self._database.connection() as connection:
            fresh = await connection.fetchval(
                "insert into smart_assertion (client, digest, expires) values ($1, $2, $3)"
                " on conflict (client, digest) do nothing returning true",
                client, sha256(jti.encode()).digest(), until,
            )  # fmt: skip
        return bool(fresh)

    async def proof(self, thumbprint: str, jti: str, issued: datetime, until: datetime) -> bool:
        """The same of a proof by the key with this thumbprint, which says that it was issued at `issued`. False also
        for one that is older than the memory."""
        digest = sha256(f"{thumbprint}\n{jti}".encode()).digest()[:_DIGEST]
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_ONCE, digest, until, issued)
            if not row["remembers"]:
                await connection.execute(
                    "insert into trust_proof_memory (since) values ($1) on conflict do nothing",
                    self._clock.now() + AHEAD,
                )
        return bool(row["fresh"])

    async def sweep(self, connection: Any, payloads: Sequence[Mapping[str, Any]] = ()) -> None:
        """Forget what is good no more anyway. The `run` of a recurring job."""
        now = self._clock.now()
        await connection.execute("delete from trust_proof where expires <= $1", now)
        await connection.execute("delete from smart_assertion where expires <= $1", now)
