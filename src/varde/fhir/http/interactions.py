"""FHIR's RESTful interactions: a request already read and let in, to an answer. No ASGI, no SQL.

One method an interaction; `perform` finds which one a method and path mean. Bundles are `bundle.py`'s, what an
answer looks like is `rendering.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, urlencode

from varde.fhir import splice
from varde.fhir.bundles import bundle
from varde.fhir.compartments import compartments
from varde.fhir.definitions import is_type
from varde.fhir.errors import FhirError, Gone, MethodNotAllowed, NotFound, UnsupportedMediaType
from varde.fhir.gate import Gate
from varde.fhir.http import elsewhere, rendering
from varde.fhir.http.elsewhere import Elsewhere
from varde.fhir.http.exchange import Answer, Request
from varde.fhir.http.headers import expected_version, preference
from varde.fhir.http.history_query import history_query
from varde.fhir.http.meta import META, META_ADD, META_DELETE
from varde.fhir.http.negotiation import PATCH_TYPES, media_type
from varde.fhir.http.operations import Operation, Operations
from varde.fhir.http.validating import VALIDATE
from varde.fhir.patching.patch import PatchKind
from varde.fhir.store import ABSENT, Store, reaches_all
from varde.fhir.storing.conditional import MAXIMUM_DELETED
from varde.fhir.storing.writing import is_id

OWN = (VALIDATE, META, META_ADD, META_DELETE)
"""The operations of every store."""
_SHAPING = frozenset({"_format", "_pretty", "_summary", "_elements"})
_ON_BASE = "GET, HEAD, POST"
_ON_TYPE = "GET, HEAD, POST, PUT, PATCH, DELETE"
_ON_INSTANCE = "GET, HEAD, PUT, PATCH, DELETE"
_ONLY_READ = "GET, HEAD"


class Interactions:
    """Carries out requests against one store. `base` is the public address of the FHIR API; `operations` are what it
    does beside those that every store has; `others` the types that are not rows of the store."""

    def __init__(
        self, store: Store, base: str, operations: Sequence[Operation] = (), others: Sequence[Elsewhere] = ()
    ) -> None:
        self.store = store
        self.others = tuple(others)
        self.operations = Operations([*OWN, *operations])
        self.base = base.rstrip("/")

    async def perform(self, gate: Gate, request: Request) -> Answer:
        """Raises FhirError of every kind."""
        request.base = request.base or self.base
        parts, method = request.segments, request.method
        if not parts:
            return await self._on_base(gate, request)
        last = parts[-1]
        if not last.startswith("$") and (kept := elsewhere.which(self.others, parts)) is not None:
            return await elsewhere.perform(kept, gate, request)
        if last == "_search":
            if method not in {"GET", "POST"}:
                raise _only(_ON_BASE)
            return await self._search(gate, request, parts[:-1])
        if last == "_history" and len(parts) <= 3:
            if method != "GET":
                raise _only(_ONLY_READ)
            return await self._history(gate, request, parts[:-1])
        if last.startswith("$"):
            return await self.operations.call(gate, self.store, request.base, request)
        if not is_type(parts[0]):
            raise NotFound.of("no such resource type", code="not-supported")
        if len(parts) == 1:
            return await self._on_type(gate, request, parts[0])
        if len(parts) == 2:
            return await self._on_instance(gate, request, parts[0], parts[1])
        if method != "GET":
            raise _only(_ONLY_READ)
        if len(parts) == 4 and parts[2] == "_history":
            return await self._vread(gate, request, parts)
        return await self._search(gate, request, parts)

    async def _on_base(self, gate: Gate, request: Request) -> Answer:
        if request.method == "POST":
            return await bundle.process(self.store, gate, request, self.perform)
        if request.method == "GET":
            return await self._search(gate, request, [])
        raise _only(_ON_BASE)

    async def _on_type(self, gate: Gate, request: Request, kind: str) -> Answer:
        if request.method == "GET":
            return await self._search(gate, request, [kind])
        if request.method == "POST":
            return await self._create(gate, request, kind)
        condition = _condition(request)
        if request.method == "PUT":
            written = await self.store.conditional_update(
                gate, kind, condition, request.body, if_match=expected_version(request.headers),
                upsert=reaches_all(gate, kind), connection=request.connection,
            )  # fmt: skip
            return rendering.written(request, written)
        if request.method == "DELETE":
            await self.store.conditional_delete(
                gate, kind, condition, multiple=MAXIMUM_DELETED > 1, if_match=expected_version(request.headers),
                connection=request.connection,
            )  # fmt: skip
            return rendering.deleted(request)
        if request.method == "PATCH":
            patched = await self.store.conditional_patch(
                gate, kind, condition, request.body, _patch_kind(request),
                if_match=expected_version(request.headers), connection=request.connection,
            )  # fmt: skip
            return rendering.written(request, patched)
        raise _only(_ON_TYPE)

    async def _on_instance(self, gate: Gate, request: Request, kind: str, identifier: str) -> Answer:
        if request.method == "GET":
            return await self._read(gate, request, kind, identifier)
        if request.method not in {"PUT", "PATCH", "DELETE"}:
            raise _only(_ON_INSTANCE)
        if not is_id(identifier):
            raise NotFound.of(ABSENT)
        expected = expected_version(request.headers)
        if request.method == "PUT":
            written = await self.store.update(
                gate, kind, identifier, request.body, if_match=expected, upsert=reaches_all(gate, kind),
                connection=request.connection,
            )  # fmt: skip
            return rendering.written(request, written)
        if request.method == "PATCH":
            patched = await self.store.patch(
                gate, kind, identifier, request.body, _patch_kind(request), if_match=expected,
                connection=request.connection,
            )  # fmt: skip
            return rendering.written(request, patched)
        version = await self.store.delete(
            gate, kind, identifier, if_match=expected, upsert=reaches_all(gate, kind), connection=request.connection
        )
        return rendering.deleted(request, version)

    async def _create(self, gate: Gate, request: Request, kind: str) -> Answer:
        """A condition may also stand in the address, where fhirpy puts it: passing it over would make doubles."""
        condition = request.headers.get("if-none-exist")
        written = await self.store.create(
            gate,
            request.body,
            resource_type=kind,
            if_none_exist=(_condition(request) or None) if condition is None else condition,
            connection=request.connection,
        )
        return rendering.written(request, written)

    async def _read(self, gate: Gate, request: Request, kind: str, identifier: str) -> Answer:
        if not is_id(identifier):
            raise NotFound.of(ABSENT)
        try:
            stored = await self.store.read(gate, kind, identifier, connection=request.connection)
        except Gone as gone:
            version = gone.headers["etag"].strip('W/"')
            gone.headers["location"] = f"{request.base}/{kind}/{identifier}/_history/{version}"
            raise
        return rendering.resource(request, stored)

    async def _vread(self, gate: Gate, request: Request, parts: list[str]) -> Answer:
        number = parts[3]
        if not (number.isascii() and number.isdigit() and len(number) <= 9 and is_id(parts[1])):
            raise NotFound.of(ABSENT)
        stored = await self.store.vread(gate, parts[0], parts[1], int(number), connection=request.connection)
        return rendering.resource(request, stored)

    async def _search(self, gate: Gate, request: Request, place: Sequence[str]) -> Answer:
        """Of everything ([]), of a type ([type]), or within a compartment ([compartment, id, type or *])."""
        kind, compartment = None, None
        if len(place) == 1:
            kind = place[0]
        elif place:
            if len(place) > 3 or place[0] not in compartments() or not is_id(place[1]):
                raise NotFound.of("no such address", code="not-supported")
            kind = place[2] if len(place) == 3 else "*"
            compartment = f"{place[0]}/{place[1]}"
        if kind not in {None, "*"} and not is_type(kind):
            raise NotFound.of("no such resource type", code="not-supported")
        page = await self.store.search(
            gate, None if kind == "*" else kind, request.query, compartment=compartment,
            lenient=preference(request.headers).lenient, connection=request.connection,
        )  # fmt: skip
        path = "/".join(quote(part, safe="*") for part in (*(compartment or "").split("/"), kind or "") if part)
        return Answer(200, rendering.bundle(request, page, path, "searchset"))

    async def _history(self, gate: Gate, request: Request, parts: list[str]) -> Answer:
        if parts and not is_type(parts[0]):
            raise NotFound.of("no such resource type", code="not-supported")
        if len(parts) == 2 and not is_id(parts[1]):
            raise NotFound.of(ABSENT)
        asked = history_query(request.query)
        page = await self.store.history(
            gate, *parts, since=asked.since, at=asked.at, listed=asked.list, count=asked.count, page=asked.page,
            connection=request.connection,
        )  # fmt: skip
        return Answer(200, rendering.bundle(request, page, "/".join([*parts, "_history"]), "history"))


def _condition(request: Request) -> str:
    """The condition that an address's query makes."""
    return urlencode([(name, value) for name, value in request.query if name not in _SHAPING])


def _patch_kind(request: Request) -> PatchKind:
    kind = media_type(request.headers)
    if kind in PATCH_TYPES:
        return PatchKind(kind)
    if kind == "application/json":
        return _general(request.body)
    if kind == PatchKind.FHIRPATH:
        return PatchKind.FHIRPATH
    raise UnsupportedMediaType.of("a patch is " + ", ".join(PatchKind))


def _general(body: bytes) -> PatchKind:
    """The kind of a patch that is only called JSON: fhirpy, and those who follow Aidbox, send merge patches so."""
    patch = splice.loads(body)
    if isinstance(patch, list):
        return PatchKind.JSON
    is_parameters = isinstance(patch, dict) and patch.get("resourceType") == "Parameters"
    return PatchKind.FHIRPATH if is_parameters else PatchKind.MERGE


def _only(methods: str) -> FhirError:
    error = MethodNotAllowed.of(f"this address takes {methods}")
    error.headers = {"allow": methods}
    return error
