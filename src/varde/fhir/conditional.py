"""What is written on a condition: conditional create, update, patch and delete, and PATCH. Part of the Store.

A condition must ask for something: one that is empty, or of which nothing is left once empty values are taken
away, would mean every resource of the type, and is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from varde.fhir.errors import BadRequest, Conflict, PreconditionFailed
from varde.fhir.gate import Gate, Interaction
from varde.fhir.joining import Alone
from varde.fhir.keys import resource_key
from varde.fhir.model import Stored, Written
from varde.fhir.patch import PatchKind, apply_patch
from varde.fhir.search.parse import parse
from varde.fhir.searching import Searching
from varde.fhir.writing import Item, Resource, Writing, check_id, read_resource, type_of

_STEP = 500


def condition_of(resource_type: str, query: str) -> str:
    """`query` as a condition on resources of the type. Raises PreconditionFailed when it asks for nothing,
    BadRequest for parameters that are unknown or shape a result (`_count`, `_include`…)."""
    query = query.partition("?")[2] if "?" in query.partition("=")[0] else query
    search = parse(resource_type, query)
    if search.shaped:
        raise BadRequest.of("a condition takes search parameters only, none that shape a result")
    if not (search.conditions or search.ids or search.updated or search.lists):
        raise PreconditionFailed.of("a condition must ask for something")
    return query


class Conditional(Searching, Writing):
    """create, conditional update and delete, patch."""

    async def create(
        self,
        gate: Gate,
        resource: Resource,
        *,
        if_none_exist: str | None = None,
        resource_id: str | None = None,
        resource_type: str | None = None,
        connection: Any = None,
    ) -> Written:
        """Store a new resource under an id made by the server (or `resource_id`, for callers in this house). With
        `resource_type` it must be of that type.

        With `if_none_exist` (a search) nothing is written when one resource matches: Written.changed is False.
        Raises Unprocessable, Forbidden, PreconditionFailed when several match.
        """
        body, parsed = read_resource(resource)
        kind = type_of(parsed)
        if resource_type not in {None, kind}:
            raise BadRequest.of("the resource is not of the type in the address")
        await self.allow(gate, Interaction.CREATE, kind)
        condition = None if if_none_exist is None else condition_of(kind, if_none_exist)
        if connection is None and condition is None and resource_id is None:
            with suppress(Alone):
                return await self.join(gate, Item(body, parsed), Interaction.CREATE)
        async with self.within(connection) as own:
            if condition is not None:
                await self.serialize(own, [(kind, condition)])
                match = await self.one_match(gate, kind, condition, own)
                if match is not None:
                    return Written(match, created=False, changed=False)
            return (await self._write(gate, own, [Item(body, parsed, resource_id)], Interaction.CREATE))[0]

    async def conditional_update(
        self,
        gate: Gate,
        resource_type: str,
        query: str,
        resource: Resource,
        *,
        if_match: int | None = None,
        upsert: bool = True,
        connection: Any = None,
    ) -> Written:
        """Update the one match of `query`; create when none matches (under the resource's own id only with
        `upsert`). Raises PreconditionFailed for several, Conflict when none matches and the id is taken."""
        body, parsed = read_resource(resource)
        if type_of(parsed) != resource_type:
            raise BadRequest.of("the resource is not of the type in the address")
        await self.allow(gate, Interaction.UPDATE, resource_type)
        condition = condition_of(resource_type, query)
        async with self.within(connection) as own:
            await self.serialize(own, [(resource_type, condition)])
            match = await self.one_match(gate, resource_type, condition, own)
            given = parsed.get("id")
            if given is not None:
                check_id(given)
            if match is not None and given not in {None, match.id}:
                raise BadRequest.of("the resource's id is not that of the match", "Resource.id")
            if match is None and given is not None:
                rows = await self._lock(gate, own, [resource_key(resource_type, given)]) if upsert else {}
                if any(not row["deleted"] for row in rows.values()):
                    raise Conflict.of("nothing matches the condition, but the resource's id is taken")
            item = Item(body, parsed, match.id if match else given, if_match)
            return (await self._write(gate, own, [item], Interaction.UPDATE, upsert=upsert))[0]

    async def conditional_delete(
        self, gate: Gate, resource_type: str, query: str, *, multiple: bool = False, connection: Any = None
    ) -> int:
        """Delete the match of `query` (or, with `multiple`, every match); how many were deleted."""
        await self.allow(gate, Interaction.DELETE, resource_type)
        condition = condition_of(resource_type, query)
        async with self.within(connection) as own:
            deleted = 0
            while True:
                asked = f"{condition}&_sort=_id&_count={_STEP if multiple else 2}"
                page = await self.search(gate, resource_type, asked, connection=own)
                if len(page.matches) > 1 and not multiple:
                    raise PreconditionFailed.of("the condition matches more than one resource", code="multiple-matches")
                if not page.matches:
                    return deleted
                ids = [match.id for match in page.matches]
                deleted += await self._delete(gate, own, resource_type, ids, None)

    async def patch(
        self,
        gate: Gate,
        resource_type: str,
        resource_id: str,
        patch: bytes,
        kind: PatchKind,
        *,
        if_match: int | None = None,
        connection: Any = None,
    ) -> Written:
        """Change a resource by a patch. Raises BadRequest for no patch, Unprocessable for one that does not fit,
        Conflict when a test of it fails, and as `read` and `update` do."""
        await self.allow(gate, Interaction.PATCH, resource_type)
        async with self.within(connection) as own:
            current = await self.read(gate, resource_type, resource_id, connection=own, for_update=True)
            if if_match is not None and if_match != current.version:
                raise PreconditionFailed.of("If-Match names another version than the current one")
            changed = apply_patch(current.body, patch, kind)
            _, parsed = read_resource(changed)
            if parsed.get("id") != resource_id or parsed.get("resourceType") != resource_type:
                raise BadRequest.of("a patch may not change the resource's id or type")
            return (await self._write(gate, own, [Item(changed, parsed, resource_id)], Interaction.PATCH))[0]

    async def conditional_patch(
        self,
        gate: Gate,
        resource_type: str,
        query: str,
        patch: bytes,
        kind: PatchKind,
        *,
        if_match: int | None = None,
        connection: Any = None,
    ) -> Written:
        """Patch the one match of `query`. Raises PreconditionFailed unless exactly one matches."""
        await self.allow(gate, Interaction.PATCH, resource_type)
        condition = condition_of(resource_type, query)
        async with self.within(connection) as own:
            match = await self.one_match(gate, resource_type, condition, own)
            if match is None:
                raise PreconditionFailed.of("the condition must match exactly one resource")
            return await self.patch(gate, resource_type, match.id, patch, kind, if_match=if_match, connection=own)

    async def one_match(self, gate: Gate, resource_type: str, condition: str, connection: Any) -> Stored | None:
        """What meets the condition, if anything does. Raises PreconditionFailed when several do."""
        page = await self.search(gate, resource_type, f"{condition}&_count=2", connection=connection)
        if len(page.matches) > 1:
            raise PreconditionFailed.of("the condition matches more than one resource", code="multiple-matches")
        return page.matches[0] if page.matches else None

    @staticmethod
    async def serialize(connection: Any, conditions: Sequence[tuple[str, str]]) -> None:
        """Let conditional writes with the same (type, condition) come one after another. All conditions of a
        transaction in one call: they are locked in the same order by everyone."""
        for key in sorted({resource_key(kind, query) for kind, query in conditions}):
            await connection.execute("select pg_advisory_xact_lock($1)", key)
