"""Single writes that come at the same time, written together: one statement and one commit for all. Part of the Store.

Only writes that nothing can refuse any more are joined: of those whom no new resource of the type is refused
(systems), validated, and of rows that the writer may change and nobody else holds at that moment. Every other goes
its own way, and so does each when one of them spoils the common statement. What each is answered, and what the log
says of it, is as if it had come alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from varde.fhir.errors import Overtaken, PreconditionFailed, Unprocessable
from varde.fhir.gate import Gate, Interaction, LoggingGate, Parameters, logging_gate
from varde.fhir.model import Written
from varde.fhir.storing.committing import Committing, Item, check_version, new_version, one_each
from varde.fhir.storing.gathering import Gathering
from varde.fhir.storing.versions import NewVersion


@dataclass(frozen=True, slots=True)
class _Wish:
    """A write to be joined with others."""

    gate: LoggingGate
    item: Item


class Alone(Exception):
    """The write was not joined: it must go its own way."""


class Joining(Committing):
    """The fast lanes of single creates and updates."""

    @cached_property
    def _creates(self) -> Gathering[_Wish, Written]:
        return Gathering(self._create_together)

    @cached_property
    def _updates(self) -> Gathering[_Wish, Written]:
        return Gathering(self._update_together)

    async def join(self, gate: Gate, item: Item, interaction: Interaction) -> Written:
        """Write `item` together with others: a create without an id, or an update. Raises Alone when that cannot be,
        Unprocessable, PreconditionFailed."""
        logging = logging_gate(gate)
        kind = item.parsed["resourceType"]
        if logging is None or not logging.takes_every(kind):
            raise Alone
        faults = await self.faults_of(item.parsed)
        if faults:
            raise Unprocessable(faults)
        lane = self._creates if interaction is Interaction.CREATE else self._updates
        try:
            return await lane.ask(logging.log_key(), _Wish(logging, item))
        except Overtaken:
            raise Alone from None

    async def _create_together(self, batch: Sequence[_Wish]) -> list[Written | Exception]:
        async with self.database.transaction() as connection:
            if self.custom.due:
                await self.custom.refresh(connection)
            versions = [new_version(wish.item, wish.gate) for wish in batch]
            told = one_each(versions, Interaction.CREATE)
            written = await self._keep(_AllOpen(batch[0].gate), connection, versions, Interaction.CREATE, told)
        return [written[version.rid] for version in versions]

    async def _update_together(self, batch: Sequence[_Wish]) -> list[Written | Exception]:
        answers: list[Written | Exception] = [Alone() for _ in batch]
        first: dict[int, int] = {}
        every = [new_version(wish.item, wish.gate) for wish in batch]
        for place, version in enumerate(every):
            first.setdefault(version.rid, place)
        gate = _AllOpen(batch[0].gate)
        async with self.database.transaction() as connection:
            if self.custom.due:
                await self.custom.refresh(connection)
            present = await self._lock(batch[0].gate, connection, list(first), wait=False)
            versions: list[NewVersion] = []
            for rid, place in first.items():
                row = present.get(rid)
                if row is None or not row["writable"]:
                    continue  # new, or somebody holds it, or not the writer's to change
                try:
                    check_version(row, batch[place].item.if_match)
                except PreconditionFailed as error:
                    answers[place] = error
                    continue
                every[place].follow(row)
                versions.append(every[place])
            if versions:
                told = one_each(versions, Interaction.UPDATE)
                written = await self._keep(gate, connection, versions, Interaction.UPDATE, told)
                for version in versions:
                    answers[first[version.rid]] = written[version.rid]
        return answers


class _AllOpen:
    """A gate of which it is known that it lets all that is written here be written."""

    def __init__(self, gate: LoggingGate) -> None:
        self._gate = gate
        self.log_found, self.log_values, self.log_key = gate.log_found, gate.log_values, gate.log_key
        self.log_id, self.log_patience, self.record = gate.log_id, gate.log_patience, gate.record

    def allows(self, interaction: Interaction, resource_type: str) -> bool:
        return self._gate.allows(interaction, resource_type)

    def predicate(self, alias: str, resource_type: str | None, parameters: Parameters) -> str:
        return "true"

    def write_predicate(self, alias: str, resource_type: str, parameters: Parameters) -> Any:
        return "true"

    def admits(self, interaction: Interaction, resource_type: str, content: bytes | Mapping[str, Any]) -> bool:
        return True
