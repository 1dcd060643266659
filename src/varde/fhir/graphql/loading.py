"""The resources of one GraphQL request, read and searched through the caller's gate and never twice.

What is asked for in the same turn of the event loop is read together: one statement for all references that lead to a
type, one search for all resources that are referred to in the same way. So a query costs as many statements as it has
levels, not as many as it finds resources.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError

from varde.fhir.definitions import is_type, search_parameters
from varde.fhir.errors import BadRequest
from varde.fhir.gate import Gate
from varde.fhir.keys import resource_key
from varde.fhir.search.extract import extract
from varde.fhir.splice import parse_exact
from varde.fhir.store import Store
from varde.fhir.storing.writing import is_id

MAXIMUM_RESOURCES = 5000
"""Resources that one request may bring forth."""
MAXIMUM_SEARCHES = 100
_PER_RESOURCE = 100
"""How many a reverse reference gives, where nothing is said."""
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a search."""

    resources: list[dict[str, Any]]
    total: int | None
    next: str | None
    count: int

    def connection(self) -> dict[str, Any]:
        """As a connection. There is no first, previous or last: pages go forward by their keys."""
        return {
            "count": self.total,
            "pagesize": self.count,
            "next": self.next,
            "edges": [{"mode": "match", "resource": one} for one in self.resources],
        }


class Loader:
    """The context of one request. Raises FhirError as the store does."""

    def __init__(self, store: Store, gate: Gate, base: str) -> None:
        self._store = store
        self._gate = gate
        self._base = base
        self._known: dict[tuple[str, str], asyncio.Future[dict[str, Any] | None]] = {}
        self._wanted: dict[str, set[str]] = {}
        self._referring: dict[tuple[Any, ...], dict[str, asyncio.Future[list[dict[str, Any]]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._brought = 0
        self._searches = 0

    # Resources by id.

    async def resource(self, resource_type: str, identifier: str) -> dict[str, Any] | None:
        """The resource; None when it is not there or may not be seen."""
        if not is_id(identifier):
            return None
        key = (resource_type, identifier)
        if key not in self._known:
            self._known[key] = asyncio.get_running_loop().create_future()
            if resource_type not in self._wanted:
                self._wanted[resource_type] = set()
                self._later(self._read(resource_type))
            self._wanted[resource_type].add(identifier)
        return await asyncio.shield(self._known[key])

    def give(self, resource: dict[str, Any]) -> None:
        """A resource that is known already."""
        done = asyncio.get_running_loop().create_future()
        done.set_result(resource)
        self._known[(resource["resourceType"], resource["id"])] = done

    async def _read(self, resource_type: str) -> None:
        await asyncio.sleep(0)
        ids = sorted(self._wanted.pop(resource_type))
        waiting = {one: self._known[(resource_type, one)] for one in ids}
        try:
            self._bring(len(ids))
            found = await self._store.read_many(self._gate, resource_type, ids)
        except Exception as error:
            _fail(waiting.values(), error)
            return
        for one, future in waiting.items():
            future.set_result(parse_exact(found[one].body) if one in found else None)

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _bring(self, number: int) -> None:
        self._brought += number
        if self._brought > MAXIMUM_RESOURCES:
            raise BadRequest.of(f"the query brings forth more than {MAXIMUM_RESOURCES} resources", code="too-costly")

    # References.

    def local(self, literal: str) -> tuple[str, str] | None:
        """(type, id) of a literal reference to a resource of this server."""
        parts = literal.removeprefix(f"{self._base}/").split("/")
        return (parts[0], parts[1]) if len(parts) in {2, 4} and is_type(parts[0]) and is_id(parts[1]) else None

    def contained(self, identifier: str, reference: Mapping[str, Any]) -> dict[str, Any] | None:
        """The contained resource that a `#id` names: of the resource in which that very reference stands."""
        done = (future for future in self._known.values() if future.done() and not future.exception())
        for one in (future.result() for future in done):
            if one is not None and "contained" in one and _stands_in(one, reference):
                inner = (i for i in one["contained"] if isinstance(i, dict))
                return next((i for i in inner if i.get("id") == identifier), None)
        return None

    # Searches.

    async def search(
        self, resource_type: str, query: Sequence[tuple[str, str]], *, reference: str | None = None
    ) -> Found:
        """One page. `reference`: a parameter of the query that must be a reference."""
        if reference is not None:
            _check_reference(resource_type, reference)
        asked = [(_parameter(resource_type, name), value) for name, value in query]
        self._count_search()
        page = await self._store.search(self._gate, resource_type, asked)
        self._bring(len(page.entries))
        resources = [parse_exact(one.body) for one in page.matches]
        for one in resources:
            self.give(one)
        sizes = [int(value) for name, value in asked if name == "_count" and value.isdigit()]
        return Found(resources, page.total, page.next, sizes[-1] if sizes else len(resources))

    def _count_search(self) -> None:
        self._searches += 1
        if self._searches > MAXIMUM_SEARCHES:
            raise BadRequest.of(f"the query takes more than {MAXIMUM_SEARCHES} searches", code="too-costly")

    async def referring(
        self, resource_type: str, code: str, target: Mapping[str, Any], query: Sequence[tuple[str, str]]
    ) -> list[dict[str, Any]]:
        """Those that refer to `target` by a search parameter, searched for together with those of its neighbours."""
        code = _parameter(resource_type, code)
        _check_reference(resource_type, code)
        asked = tuple((_parameter(resource_type, name), value) for name, value in query)
        kind, identifier = target.get("resourceType"), target.get("id")
        if not isinstance(identifier, str):
            return []  # a contained resource, which nothing refers to
        key = (resource_type, code, kind, asked)
        if key not in self._referring:
            self._referring[key] = {}
            self._later(self._search_referring(key))
        waiting = self._referring[key]
        if identifier not in waiting:
            waiting[identifier] = asyncio.get_running_loop().create_future()
        return await asyncio.shield(waiting[identifier])

    async def _search_referring(self, key: tuple[Any, ...]) -> None:
        await asyncio.sleep(0)
        waiting = self._referring.pop(key)
        resource_type, code, kind, asked = key
        try:
            found = await self._all_referring(resource_type, code, kind, list(waiting), list(asked))
        except Exception as error:
            _fail(waiting.values(), error)
            return
        for identifier, future in waiting.items():
            future.set_result(found[identifier])

    async def _all_referring(
        self, resource_type: str, code: str, kind: str, ids: list[str], asked: list[tuple[str, str]]
    ) -> dict[str, list[dict[str, Any]]]:
        limit, rest = _PER_RESOURCE, []
        for name, value in asked:
            if name == "_count":
                if not value.isascii() or not value.isdigit() or len(value) > 9:
                    raise BadRequest.of("_count is a whole number, 0 or more")
                limit = int(value)
            elif name == "_page":
                raise BadRequest.of("a list has no pages; a connection has")
            else:
                rest.append((name, value))
        wanted = ",".join(f"{kind}/{one}" for one in ids)
        size = str(min(_PAGE, limit) if len(ids) == 1 else _PAGE)
        found: dict[str, list[dict[str, Any]]] = {one: [] for one in ids}
        by_key = {resource_key(kind, one): one for one in ids}
        parameter = search_parameters(resource_type)[code].key
        page_key: str | None = None
        while True:
            self._count_search()
            paging = [("_page", page_key)] if page_key else []
            page = await self._store.search(
                self._gate, resource_type, [(code, wanted), *rest, ("_count", size), *paging]
            )
            self._bring(len(page.entries))
            for one in page.matches:
                resource = parse_exact(one.body)
                self.give(resource)
                targets = {row[1] for row in extract(resource_type, resource).references if row[0] == parameter}
                for target in targets & by_key.keys():
                    found[by_key[target]].append(resource)
            page_key = page.next
            if page_key is None or all(len(some) >= limit for some in found.values()):
                return {one: some[:limit] for one, some in found.items()}


def _stands_in(holder: Any, wanted: Any) -> bool:
    if holder is wanted:
        return True
    inner = holder.values() if isinstance(holder, dict) else holder if isinstance(holder, list) else ()
    return any(_stands_in(one, wanted) for one in inner)


def _fail(futures: Any, error: Exception) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)


def _parameter(resource_type: str, name: str) -> str:
    """The search parameter that an argument names: GraphQL has no hyphens."""
    if name == "_cursor":
        return "_page"
    if name in search_parameters(resource_type):
        return name
    return name if name.startswith("_") else name.replace("_", "-")


def _check_reference(resource_type: str, code: str) -> None:
    parameter = search_parameters(resource_type).get(code)
    if parameter is None or parameter.kind != "reference":
        raise GraphQLError("_reference names a search parameter that is a reference")
