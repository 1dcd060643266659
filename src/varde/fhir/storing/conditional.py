"""What is written on a condition: conditional create, update, patch and delete, and PATCH. Part of the Store.

A condition must ask for something: one that is empty, or of which nothing is left once empty values are taken
away, would mean every resource of the type, and is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from varde.fhir.errors import BadRequest, Conflict, Gone, NotFound, Overtaken, PreconditionFailed
from varde.fhir.gate import Gate, Interaction
from varde.fhir.ids import Resource, check_id, read_resource, type_of
from varde.fhir.keys import resource_key
from varde.fhir.model import Stored, Written
from varde.fhir.patching.patch import PatchKind, apply_patch
from varde.fhir.search.parse import parse
from varde.fhir.storing.committing import Item, check_version
from varde.fhir.storing.joining import Alone
from varde.fhir.storing.searching import Searching
from varde.fhir.storing.writing import Writing

MAXIMUM_DELETED = 500
"""Matches that one conditional delete takes. More are refused, since they are more likely meant otherwise."""


def condition_of(resource_type: str, query: str) -> str:
    """`query` as a condition on resources of the type. Raises PreconditionFailed when it asks for nothing,
    BadRequest for parameters that are unknown or shape a result (`_count`, `_include`…)."""
    query = query.partition("?")[2] if "?" in query.partition("=")[0] else query
    search = parse(resource_type, query)
    if search.shaped:
        raise BadRequest.of("a condition takes search parameters only, none that shape a result")
    if not search.asks:
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

        async def work(own: Any) -> Written:
            if condition is not None:
                await self.serialize(own, [(kind, condition)])
                match = await self.one_match(gate, kind, condition, own)
                if match is not None:
                    return Written(match, created=False, changed=False)
            return (await self._write(gate, own, [Item(body, parsed, resource_id)], Interaction.CREATE))[0]

        return await self.retried(connection, work)

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
        given = parsed.get("id")
        if given is not None:
            check_id(given)

        async def work(own: Any) -> Written:
            await self.serialize(own, [(resource_type, condition)])
            match = await self.one_match(gate, resource_type, condition, own)
            if match is not None:
                if given not in {None, match.id}:
                    raise BadRequest.of("the resource's id is not that of the match", "Resource.id")
                check_version({"version": match.version, "deleted": False}, if_match)
                item = Item(body, parsed, match.id, match.version)
            else:
                if given is not None:
                    rows = await self._lock(gate, own, [resource_key(resource_type, given)]) if upsert else {}
                    if any(not row["deleted"] for row in rows.values()):
                        raise Conflict.of("nothing matches the condition, but the resource's id is taken")
                item = Item(body, parsed, given, if_match)
            with overtaken_if(match is not None):
                return (await self._write(gate, own, [item], Interaction.UPDATE, upsert=upsert))[0]

        return await self.retried(connection, work)

    async def conditional_delete(
        self,
        gate: Gate,
        resource_type: str,
        query: str,
        *,
        multiple: bool = False,
        if_match: int | None = None,
        connection: Any = None,
    ) -> int:
        """Delete the match of `query` (or, with `multiple`, every match, all or none); how many were deleted.

        Raises PreconditionFailed for more matches than are taken: MAXIMUM_DELETED, or one."""
        await self.allow(gate, Interaction.DELETE, resource_type)
        condition = condition_of(resource_type, query)
        limit = MAXIMUM_DELETED if multiple else 1

        async def work(own: Any) -> int:
            await self.serialize(own, [(resource_type, condition)])
            matches = await self.matches(gate, resource_type, condition, own, limit)
            held = await self.hold(own, [match.reference for match in matches])
            if held != {match.reference: match.version for match in matches}:
                raise Overtaken.of("what the condition names was changed at the same time")
            ids = [match.id for match in matches]
            return len(await self._delete(gate, own, resource_type, ids, if_match)) if ids else 0

        return await self.retried(connection, work)

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

        async def work(own: Any) -> Written:
            current = await self.read(gate, resource_type, resource_id, connection=own, for_update=True)
            check_version({"version": current.version, "deleted": False}, if_match)
            changed = apply_patch(current.body, patch, kind)
            _, parsed = read_resource(changed)
            if parsed.get("id") != resource_id or parsed.get("resourceType") != resource_type:
                raise BadRequest.of("a patch may not change the resource's id or type")
            return (await self._write(gate, own, [Item(changed, parsed, resource_id)], Interaction.PATCH))[0]

        return await self.retried(connection, work)

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
        """Patch the one match of `query`. Raises NotFound when nothing matches, PreconditionFailed for several."""
        await self.allow(gate, Interaction.PATCH, resource_type)
        condition = condition_of(resource_type, query)

        async def work(own: Any) -> Written:
            await self.serialize(own, [(resource_type, condition)])
            match = await self.one_match(gate, resource_type, condition, own)
            if match is None:
                raise NotFound.of("nothing matches the condition")
            check_version({"version": match.version, "deleted": False}, if_match)
            with overtaken_if(True):
                return await self.patch(
                    gate, resource_type, match.id, patch, kind, if_match=match.version, connection=own
                )

        return await self.retried(connection, work)

    async def one_match(self, gate: Gate, resource_type: str, condition: str, connection: Any) -> Stored | None:
        """What meets the condition, if anything does. Raises PreconditionFailed when several do."""
        found = await self.matches(gate, resource_type, condition, connection, 1)
        return found[0] if found else None

    async def matches(
        self, gate: Gate, resource_type: str, condition: str, connection: Any, limit: int
    ) -> list[Stored]:
        """What meets the condition. Raises PreconditionFailed for more than `limit`."""
        asked = f"{condition}&_sort=_id&_count={limit + 1}" if limit > 1 else f"{condition}&_count=2"
        page = await self.search(gate, resource_type, asked, connection=connection)
        if len(page.matches) > limit:
            what = "more than one resource" if limit == 1 else f"more than {limit} resources"
            raise PreconditionFailed.of(f"the condition matches {what}", code="multiple-matches")
        return page.matches

    @staticmethod
    async def serialize(connection: Any, conditions: Sequence[tuple[str, str]]) -> None:
        """Let conditional writes with the same (type, condition) come one after another. All conditions of a
        transaction in one call: they are locked in the same order by everyone."""
        for key in sorted({resource_key(kind, query) for kind, query in conditions}):
            await connection.execute("select pg_advisory_xact_lock($1)", key)


@contextmanager
def overtaken_if(matched: bool) -> Iterator[None]:
    """When the version that a condition just named is no longer there, another writer came in between: the
    condition must be asked again, and nobody's If-Match was wrong."""
    try:
        yield
    except (PreconditionFailed, Gone):
        if matched:
            raise Overtaken.of("what the condition names was changed at the same time") from None
        raise
