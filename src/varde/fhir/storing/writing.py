"""Creating, replacing and deleting, as callers use them. Part of the Store.

The steps of a write are in committing.py; what is written on a condition is in `conditional.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import asyncpg

from varde.fhir.errors import BadRequest, Overtaken
from varde.fhir.gate import Gate, Interaction
from varde.fhir.ids import Resource, bucket_for, check_id, is_id, read_resource, type_of
from varde.fhir.model import Written
from varde.fhir.storing.committing import Item, check_version
from varde.fhir.storing.joining import Alone, Joining

_Result = TypeVar("_Result")
ATTEMPTS = 8
"""Tries of a write that others overtake."""
RETRIED = (Overtaken, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


class Writing(Joining):
    """create, update, delete and the fast lane of many at once."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A connection in a transaction, for use cases of several steps."""
        async with self.database.transaction() as connection:
            yield connection

    @asynccontextmanager
    async def within(self, connection: Any | None) -> AsyncIterator[Any]:
        """The caller's transaction, or one of its own."""
        if connection is not None:
            yield connection
        else:
            async with self.database.transaction() as own:
                yield own

    async def retried(self, connection: Any | None, work: Callable[[Any], Awaitable[_Result]]) -> _Result:
        """`work` in the caller's transaction, or in one of its own: then tried again when others were in the way
        (two writers created the same id at once; what a condition named was changed). Raises Overtaken when that
        goes on."""
        if connection is not None:
            return await work(connection)
        for _ in range(ATTEMPTS):
            with suppress(*RETRIED):
                async with self.database.transaction() as own:
                    return await work(own)
        raise Overtaken.of("other writers were in the way every time; try again")

    async def update(
        self,
        gate: Gate,
        resource_type: str,
        resource_id: str,
        resource: Resource,
        *,
        if_match: int | None = None,
        upsert: bool = True,
        connection: Any = None,
    ) -> Written:
        """Replace a resource, or, unless `upsert` is False, create it under this id when it is not there.

        Raises Unprocessable, PreconditionFailed when `if_match` is not the current version, NotFound for what
        exists and may not be seen (and, without `upsert`, for what is not there: the two are alike), Forbidden.
        """
        body, parsed = read_resource(resource)
        if type_of(parsed) != resource_type:
            raise BadRequest.of("the resource is not of the type in the address")
        if parsed.get("id") != resource_id:
            raise BadRequest.of("the resource's id is not the one in the address", "Resource.id")
        await self.allow(gate, Interaction.UPDATE, resource_type)
        items = [Item(body, parsed, resource_id, if_match)]
        if connection is None:
            with suppress(Alone):
                return await self.join(gate, items[0], Interaction.UPDATE)

        async def work(own: Any) -> Written:
            return (await self._write(gate, own, items, Interaction.UPDATE, upsert=upsert))[0]

        return await self.retried(connection, work)

    async def write_many(
        self,
        gate: Gate,
        resources: Sequence[Resource],
        *,
        connection: Any = None,
        checked: bool = False,
        admitted: bool = False,
        upsert: bool | Collection[str] = True,
        made: Collection[str] = (),
    ) -> list[Written]:
        """Create, or where an id is given update, many resources in one statement, all or none.

        `checked` says that the caller validated them, `admitted` that it called `allow` for each; `upsert` as in
        `update`, or the references ("Type/id") that may be new; `made` those whose id the server made just now.
        Raises as `update` does.
        """
        if not resources:
            return []
        items = []
        for resource in resources:
            body, parsed = read_resource(resource)
            if not admitted:
                await self.allow(gate, Interaction.UPDATE, type_of(parsed))
            identifier = parsed.get("id")
            new = bool(made) and f"{parsed['resourceType']}/{identifier}" in made
            items.append(Item(body, parsed, identifier, new=new))

        async def work(own: Any) -> list[Written]:
            return await self._write(gate, own, items, Interaction.UPDATE, checked=checked, upsert=upsert)

        return await self.retried(connection, work)

    async def write_parsed(
        self, gate: Gate, resources: Sequence[tuple[dict[str, Any], bytes]], *, connection: Any = None
    ) -> list[Written]:
        """Like `write_many`, for (parsed and validated, its text) with ids: the lane of loading. What is there
        already with the same text is left alone: Written.changed is False."""
        items = []
        for parsed, text in resources:
            await self.allow(gate, Interaction.UPDATE, type_of(parsed))
            items.append(Item(text, parsed, parsed["id"]))

        async def work(own: Any) -> list[Written]:
            return await self._write(gate, own, items, Interaction.UPDATE, checked=True, skip_same=True)

        return await self.retried(connection, work) if items else []

    async def delete(
        self,
        gate: Gate,
        resource_type: str,
        resource_id: str,
        *,
        if_match: int | None = None,
        upsert: bool = True,
        connection: Any = None,
    ) -> int | None:
        """Delete a resource; its history stays. The version that says so, None when it was not there: that is no
        error (R4 3.1.0.7), except without `upsert`: then it is NotFound, as is what may not be seen.

        Raises PreconditionFailed when `if_match` is not the current version, NotFound, Forbidden.
        """
        await self.allow(gate, Interaction.DELETE, resource_type)

        async def work(own: Any) -> int | None:
            deleted = await self._delete(gate, own, resource_type, [resource_id], if_match, upsert=upsert)
            return deleted[0].version if deleted else None

        return await self.retried(connection, work)


__all__ = [
    "ATTEMPTS", "RETRIED", "Item", "Resource", "Writing", "bucket_for", "check_id", "check_version", "is_id",
    "read_resource", "type_of",
]  # fmt: skip
