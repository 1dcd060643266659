"""The one gate, as the store sees it. Every call of the store takes a Gate; there is no call without one.

The store knows no law: who is let in and why is decided in `trust/`, whose `Scope` is a Gate. What the gate
hides is hidden everywhere, because its predicate is part of the SQL wherever a row of `resource` is touched:
read, search, counts, sort, chains, `_has`, `_include`, history, export.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class Interaction(StrEnum):
    """What is done to a resource type: FHIR's own names for interactions."""

    READ = "read"
    VREAD = "vread"
    HISTORY = "history"
    SEARCH = "search"
    CREATE = "create"
    UPDATE = "update"
    PATCH = "patch"
    DELETE = "delete"
    EXPORT = "export"

    @property
    def writes(self) -> bool:
        """Whether it changes the store."""
        return self in _WRITES


_WRITES = frozenset({Interaction.CREATE, Interaction.UPDATE, Interaction.PATCH, Interaction.DELETE})


_PLACEHOLDER = re.compile(r"\$(\d+)")


class Parameters:
    """Values of one SQL statement. `add` gives the placeholder to write into the text."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def add(self, value: Any) -> str:
        """Keep `value` and return its placeholder, "$1" and on."""
        self.values.append(value)
        return f"${len(self.values)}"

    def forget(self, kept: int) -> None:
        """Take back all but the first `kept` values: of text that is not sent after all. PostgreSQL knows no type of a
        value that the statement does not name."""
        del self.values[kept:]

    def named(self, text: str, kept: int) -> str:
        """`text` with placeholders for those of the values after the first `kept` that it names; the others are taken
        back. For text of which parts turned out to say nothing."""
        used = sorted({number for found in _PLACEHOLDER.findall(text) if (number := int(found)) > kept})
        if len(used) == len(self.values) - kept:
            return text
        places = {number: place for place, number in enumerate(used, start=kept + 1)}
        self.values[kept:] = [self.values[number - 1] for number in used]
        return _PLACEHOLDER.sub(lambda found: f"${places.get(int(found[1]), int(found[1]))}", text)


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One thing that was shown, changed or refused, to be written to the access log before it takes effect."""

    interaction: Interaction
    resource_type: str
    resource_ids: Sequence[str]
    """Ids shown or changed. Empty for a search that found nothing and for a refused try of unknown id."""
    patients: Sequence[int]
    """rid of each patient it tells of (column `patient`)."""
    allowed: bool = True
    query: str = ""
    """The search as asked, with values taken out (`identifier=&date=`): no personal data."""


class Gate(Protocol):
    """Who asks, for whom, why and with what right, as much of it as the store needs."""

    def allows(self, interaction: Interaction, resource_type: str) -> bool:
        """Whether this interaction may be tried at all on this type. False becomes 403 before any SQL."""
        ...

    def predicate(self, alias: str, resource_type: str | None, parameters: Parameters) -> str:
        """SQL condition on a row of `resource` (or `resource_history`) named `alias` that may be read.

        Only the columns both tables have may be used: rid, patient, type, bucket, security, id. `resource_type`
        is None where the type is only known in SQL (wildcard includes, system history). "true" is a full
        answer. Values go through `parameters`, never into the text.
        """
        ...

    def write_predicate(self, alias: str, resource_type: str, parameters: Parameters) -> str:
        """SQL condition on a row of `resource` that may be changed, and on a new row before it is kept."""
        ...

    def admits(self, interaction: Interaction, resource_type: str, content: bytes | Mapping[str, Any]) -> bool:
        """Whether content that the predicates cannot judge is within the gate: what is about to be written, what it
        replaces, and former versions. Asked beside the predicates, never instead of them."""
        ...

    async def record(self, disclosure: Disclosure, connection: Any | None) -> None:
        """Write the access log. With a connection: in its transaction. Without: durable when this returns.

        Raises when it cannot; the caller then shows nothing.
        """
        ...


class LoggingGate(Gate, Protocol):
    """A gate whose access log can be written by the very statement that reads or writes: one round trip and one
    commit for both. A gate without these methods is asked to `record` instead."""

    def log_found(self, interaction: Interaction, resource_type: str, found: str, parameters: Parameters) -> str | None:
        """An `insert` that logs each row of the relation `found` (disclosure uuid, patient bigint, allowed boolean,
        ids text[], query text); None when nothing is to be logged. The same rules as for a Disclosure hold: one row
        without a patient where one disclosure tells of several, and one a patient."""
        ...

    def log_values(self, disclosures: Sequence[Disclosure], parameters: Parameters) -> str | None:
        """An `insert` that logs `disclosures`; None when nothing is to be logged that way."""
        ...

    @property
    def judges_content(self) -> bool:
        """Whether `admits` may ever say no."""
        ...

    def takes_every(self, resource_type: str) -> bool:
        """Whether no new resource of the type is refused, so that it may be written together with others."""
        ...

    def log_key(self) -> Hashable:
        """Alike for gates whose `log_found` writes the same of who asks."""
        ...

    def log_id(self, identifier: str) -> str:
        """`identifier` as it may stand in the log."""
        ...

    @property
    def log_patience(self) -> float:
        """Seconds that an answer waits for its log at most."""
        ...


def logging_gate(gate: Gate) -> LoggingGate | None:
    """`gate`, if its log can be written by the statement itself."""
    return gate if hasattr(gate, "log_found") else None  # type: ignore[return-value]
