"""`_text` (the narrative) and `_content` (every text of a resource): PostgreSQL's full text, as SQL.

Words are found in their Norwegian stems and as they stand, folded as string parameters are. `index_text` is filled
after the write, by `index_words`, so that writing costs nothing more; what was written since is read as it is, so
that a search never misses it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from varde.fhir.errors import BadRequest
from varde.fhir.gate import Parameters
from varde.fhir.search.fold import fold
from varde.fhir.search.names import unescape

_COLUMN = {"_text": "narrative", "_content": "content"}
_PART = re.compile(r'\s*(?:(?P<sign>[()])|"(?P<phrase>[^"]*)"|(?P<word>[^\s()"]+))')
_MAXIMUM_WORDS = 50
BATCH = 2000


def condition(parameters: Parameters, alias: str, code: str, values: Sequence[str]) -> str:
    """The resource at `alias` has the words of one of `values`: words (all of them), "a phrase", OR, AND, NOT and
    parentheses. Raises BadRequest."""
    query = "(" + " || ".join(_Words(parameters, unescape(value)).query() for value in values) + ")"
    column = _COLUMN[code]
    narrative = "true" if code == "_text" else "false"
    # Both parts are on rows that are the resource itself, on which the gate stands already.
    return (
        f"{alias}.rid in (select x.rid from index_text x join resource y on y.rid = x.rid and y.seq = x.seq"
        f" where x.{column} @@ {query} union all select z.rid from resource z where z.seq >"
        f" (select done from index_text_state) and not z.deleted and fhir_words(z.body, {narrative}) @@ {query})"
    )


class _Words:
    """Reads what was asked for into a tsquery, made of parameters only."""

    def __init__(self, parameters: Parameters, text: str) -> None:
        self._parameters = parameters
        self._parts = [match for match in _PART.finditer(text) if match[0].strip()]
        self._at = 0
        if not 1 <= len(self._parts) <= _MAXIMUM_WORDS:
            raise BadRequest.of(f"1 to {_MAXIMUM_WORDS} words are searched for at a time")

    def query(self) -> str:
        """The whole. Raises BadRequest for parentheses that do not match."""
        found = self._either(0)
        if self._at < len(self._parts):
            raise BadRequest.of("the parentheses of the words do not match")
        return found

    def _next(self) -> str:
        if self._at >= len(self._parts):
            return ""
        part = self._parts[self._at]
        word = str(part["word"] or "")
        return part["sign"] or (word.upper() if word.upper() in {"AND", "OR", "NOT"} else "word")

    def _either(self, depth: int) -> str:
        if depth > _MAXIMUM_WORDS:
            raise BadRequest.of("the parentheses of the words are too many")
        parts = [self._every(depth)]
        while self._next() == "OR":
            self._at += 1
            parts.append(self._every(depth))
        return "(" + " || ".join(parts) + ")"

    def _every(self, depth: int) -> str:
        parts = [self._one(depth)]
        while self._next() in {"AND", "NOT", "word", "("}:
            if self._next() == "AND":
                self._at += 1
            parts.append(self._one(depth))
        return "(" + " && ".join(parts) + ")"

    def _one(self, depth: int) -> str:
        kind = self._next()
        self._at += 1
        if kind == "NOT":
            return f"(!! {self._one(depth)})"
        if kind == "(":
            inner = self._either(depth + 1)
            if self._next() != ")":
                raise BadRequest.of("the parentheses of the words do not match")
            self._at += 1
            return inner
        if kind != "word":
            raise BadRequest.of("a word is missing")
        part = self._parts[self._at - 1]
        phrase = part["phrase"] is not None
        placed = f"{self._parameters.add(fold(str(part['phrase'] if phrase else part['word'])))}::text"
        reads = "phraseto_tsquery" if phrase else "plainto_tsquery"
        return f"({reads}('norwegian', {placed}) || {reads}('simple', {placed}))"


async def index_words(connection: Any, batch: int = BATCH) -> int:
    """Index the words of what was written since the last time, at most `batch` resources; how many. In a transaction.

    What is numbered up to `noted` is taken in only when every transaction that had begun by a later look has ended:
    a number whose row is not visible yet would be passed over for ever. So the last writes come in at the third call.
    """
    state = await connection.fetchrow(
        "select done, noted, horizon, pg_snapshot_xmin(pg_current_snapshot()) as oldest,"
        " pg_snapshot_xmax(pg_current_snapshot()) as newest, (select last_value from resource_seq) as last"
        " from index_text_state for update"
    )
    if state["noted"] == state["done"]:
        if state["last"] > state["done"]:
            await connection.execute("update index_text_state set noted = $1, horizon = null", state["last"])
        return 0
    if state["horizon"] is None:
        await connection.execute("update index_text_state set horizon = $1", state["newest"])
        return 0
    if state["oldest"] < state["horizon"]:
        return 0
    rows = await connection.fetch(
        "select rid, seq from resource where seq > $1 and seq <= $2 order by seq limit $3",
        state["done"], state["noted"], batch,
    )  # fmt: skip
    rids = [row["rid"] for row in rows]
    await connection.execute(
        "insert into index_text (rid, seq, bucket, narrative, content)"
        " select rid, seq, bucket, fhir_words(body, true), fhir_words(body, false) from resource"
        " where rid = any($1::bigint[]) and not deleted"
        " on conflict (rid) do update set seq = excluded.seq, bucket = excluded.bucket,"
        " narrative = excluded.narrative, content = excluded.content",
        rids,
    )
    await connection.execute(
        "delete from index_text x using resource r where r.rid = x.rid and r.rid = any($1::bigint[]) and r.deleted",
        rids,
    )
    done = rows[-1]["seq"] if len(rows) == batch else state["noted"]
    await connection.execute("update index_text_state set done = $1", done)
    return len(rows)
