"""Checks of letters: what should have happened against what did. They count, and show nobody's letter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from varde.services.letters import keeping, model
from varde.services.letters.rules import State
from varde.work.reconcile import Check, Finding, receipt_missing

if TYPE_CHECKING:
    from varde.services import Platform

LONGEST = timedelta(days=13)
"""LET-04's four days, and a holiday until the next working morning's batch."""
PRINT_WITHIN = timedelta(hours=2)
POST_WITHIN = timedelta(days=6)

_UNDER_WAY = (State.SENT, State.NOTIFIED, State.DUE_FOR_PRINT)
_AT_ONCE = 500


def checks(platform: Platform) -> Sequence[Check]:
    """Every check of letters."""

    async def count(query: Sequence[tuple[str, str]]) -> int:
        # Not on the check's connection, which may only read: even a count is written to the access log.
        page = await platform.store.search(
            keeping.own_scope(platform), "Communication", [*query, ("_summary", "count")]
        )
        return page.total or 0

    async def past_deadline(connection: Any, now: datetime) -> Finding:
        """LET-04: nothing lies unopened and unprinted longer than the longest deadline."""
        found = {}
        for state in _UNDER_WAY:
            before = f"lt{(now - LONGEST).strftime('%Y-%m-%dT%H:%M:%SZ')}"
            found[state.value] = await count([("_tag", f"{model.STATE}|{state.value}"), ("sent", before)])
        detail = "; ".join(f"{name}: {number}" for name, number in found.items() if number)
        return Finding(sum(found.values()), detail)

    async def printed_unknown(connection: Any, now: datetime) -> Finding:
        """LET-56: what the printer has, its letter says so."""
        rows = await connection.fetch(
            "select key from work_outbox where edge = 'post' and state in ('sending', 'received')"
            " and key like 'letter:%' and coalesce(ended, due) > $1",
            now - timedelta(days=2),
        )
        letters = [found for row in rows if (found := keeping.letter_of_key(row["key"]))]
        states = ",".join(f"{model.STATE}|{state.value}" for state in (*_UNDER_WAY, State.OPENED))
        wrong = 0
        for start in range(0, len(letters), _AT_ONCE):
            ids = ",".join(letters[start : start + _AT_ONCE])
            wrong += await count([("_id", ids), ("_tag", states)])
        return Finding(wrong, f"letters with the printer that do not say so: {wrong}" if wrong else "")

    async def stuck(connection: Any, now: datetime) -> Finding:
        """A batch that is not through."""
        rows = await connection.fetch(
            "select id, total - done as missing from letters_batch where done < total and created < $1",
            now - timedelta(hours=1),
        )
        detail = "; ".join(f"{row['id']}: {row['missing']}" for row in rows[:10])
        return Finding(sum(row["missing"] for row in rows), detail)

    return (
        Check("letters.past-deadline", past_deadline),
        Check("letters.printed-unknown", printed_unknown),
        Check("letters.batch-stuck", stuck),
        receipt_missing("post", ["printed", "posted", "returned"], PRINT_WITHIN),
        receipt_missing("post", ["posted", "returned"], POST_WITHIN),
    )
