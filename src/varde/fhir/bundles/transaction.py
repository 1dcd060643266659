"""Transactions: all entries or none, as if they happened at once (R4 3.1.0.11.2). One database transaction.

The order is the standard's: DELETE, POST, PUT and PATCH, then reads; conditional references last, so that they find
what the transaction itself makes. Creates and updates are written in one statement wherever nothing holds one back.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from varde.fhir import splice
from varde.fhir.bundles.entries import METHODS, Entry, Single, patch_of
from varde.fhir.bundles.links import Rewriting, add_name, in_query, local
from varde.fhir.definitions import is_type
from varde.fhir.errors import BadRequest, Conflict, FhirError, NotFound, Overtaken, PreconditionFailed, Unprocessable
from varde.fhir.gate import Gate, Interaction
from varde.fhir.http.headers import expected_version
from varde.fhir.http.rendering import outcome_done
from varde.fhir.keys import new_id
from varde.fhir.model import Stored, Written
from varde.fhir.store import Store, reaches_all
from varde.fhir.storing.conditional import MAXIMUM_DELETED, condition_of
from varde.fhir.storing.writing import ATTEMPTS, RETRIED, bucket_for, check_id, check_version

_WRITES = frozenset({"DELETE", "POST", "PUT", "PATCH"})
_RIGHT = {"DELETE": Interaction.DELETE, "POST": Interaction.CREATE, "PUT": Interaction.UPDATE,
          "PATCH": Interaction.PATCH}  # fmt: skip
Response = dict[str, Any]


@dataclass(slots=True)
class _Write:
    """An entry that changes something, as far as it is settled what."""

    entry: Entry
    kind: str
    condition: str | None
    """What it is conditional on, as asked."""
    resource: dict[str, Any] | None
    identity: str | None = None
    """"Type/id" of what it writes; None for a delete or conditional create that finds otherwise."""
    matches: Sequence[Stored] = ()
    """What its condition named."""
    made: bool = False
    """Whether the id is the server's own."""
    fresh: bool = False
    """Whether it was made just now, so that nothing can be there."""
    expected: int | None = None
    """The version that it expects."""

    @property
    def touched(self) -> list[str]:
        """Every resource that it changes."""
        if self.entry.method == "DELETE" and self.condition is not None:
            return [match.reference for match in self.matches]
        return [self.identity] if self.identity else []


async def transact(store: Store, gate: Gate, entries: Sequence[Entry], single: Single) -> list[Response]:
    """The response entries, in the order of `entries`. Raises what made it fail, pointing to the entry; then
    nothing was done. Tried again when other writers were in the way."""
    for _ in range(ATTEMPTS):
        with suppress(*RETRIED):
            async with store.transaction() as connection:
                return await _Transaction(store, gate, single, connection).run(entries)
    raise Overtaken.of("other writers were in the way every time; try again")


@contextmanager
def _pointing(entry: Entry) -> Iterator[None]:
    try:
        yield
    except FhirError as error:
        entry.fault(error)
        raise


def _rank(write: _Write) -> tuple[bool, int]:
    """Conditions that name other entries after those that do not; then the standard's order."""
    return "urn" in (write.condition or ""), METHODS.index(write.entry.method)


def _linked(entry: Entry, names: Mapping[str, str]) -> str:
    """An entry's address with the fullUrls in its query replaced."""
    return f"{entry.path}?{in_query(entry.query, names)}" if entry.query else entry.url


class _Transaction:
    def __init__(self, store: Store, gate: Gate, single: Single, connection: Any) -> None:
        self.store = store
        self.gate = gate
        self.single = single
        self.connection = connection
        self.answers: dict[int, Response] = {}

    async def run(self, entries: Sequence[Entry]) -> list[Response]:
        writes: list[_Write] = []
        others: list[Entry] = []
        for entry in entries:
            with _pointing(entry):
                write = await self._write_of(entry)
            if write is None:
                others.append(entry)
            else:
                writes.append(write)
        rewriting = await self._settle(writes)
        await self._hold(writes)
        for write in writes:
            if write.entry.method == "DELETE":
                await self._delete(write)
        await self._store(writes, rewriting)
        for write in writes:
            if write.entry.method == "PATCH":
                await self._patch(write, rewriting)
        for entry in sorted(others, key=lambda one: METHODS.index(one.method)):
            with _pointing(entry):
                asked = replace(entry, url=_linked(entry, rewriting.names))
                self.answers[entry.place] = await self.single(asked, self.connection)
        return [self.answers[entry.place] for entry in entries]

    async def _write_of(self, entry: Entry) -> _Write | None:
        """The entry as a write; None for reads, searches and operations."""
        path = entry.path.strip("/")
        kind, _, rest = path.partition("/")
        if entry.method not in _WRITES or not path or "$" in path or rest == "_search":
            return None
        if not is_type(kind):
            raise NotFound.of("no such resource type", code="not-supported")
        resource = entry.resource if entry.method in {"POST", "PUT"} else None
        if entry.method in {"POST", "PUT"}:
            if resource is None or not is_type(resource.get("resourceType")):
                raise Unprocessable.of("resourceType names no resource type of R4", "Resource.resourceType")
            if resource["resourceType"] != kind:
                raise BadRequest.of("the resource is not of the type in the address")
        await self.store.allow(self.gate, _RIGHT[entry.method], kind)
        write = _Write(entry, kind, None, resource, expected=expected_version(entry.conditions))
        if entry.method == "POST":
            if rest:
                raise NotFound.of("no such address", code="not-supported")
            write.condition = entry.conditions.get("if-none-exist", entry.query or None)
            if write.condition is None:
                self._make(write)
        elif rest:
            if local(path) is None:
                raise NotFound.of("no such address", code="not-supported")
            if resource is not None and resource.get("id") != rest:
                raise BadRequest.of("the resource's id is not the one in the address", "Resource.id")
            write.identity = path
        else:
            write.condition = entry.query
        return write

    @staticmethod
    def _make(write: _Write) -> None:
        write.identity = f"{write.kind}/{new_id(bucket_for(write.resource or {}))}"
        write.made = write.fresh = True

    async def _settle(self, writes: Sequence[_Write]) -> Rewriting:
        """Which resources the conditional writes mean. What is deleted is no match any more for what comes after."""
        conditional = [write for write in writes if write.condition is not None]
        asked: list[tuple[str, str]] = []
        for write in conditional:
            with _pointing(write.entry):
                asked.append((write.kind, condition_of(write.kind, write.condition or "")))
                if asked[-1] in asked[:-1]:
                    raise BadRequest.of("the same condition stands twice in one transaction", code="duplicate")
        # Everything is locked first and in one order, so that transactions wait for each other, never deadlock.
        await self.store.serialize(self.connection, asked)
        names: dict[str, str] = {}
        for write in writes:
            add_name(names, write.entry, write.identity)
        gone = {write.identity for write in writes if write.entry.method == "DELETE" and write.identity}
        for write in sorted(conditional, key=_rank):
            with _pointing(write.entry):
                await self._match(write, in_query(condition_of(write.kind, write.condition or ""), names), gone)
            found = write.identity or (write.matches[0].reference if write.matches else None)
            add_name(names, write.entry, found)
        return Rewriting(names)

    async def _match(self, write: _Write, condition: str, gone: set[str]) -> None:
        method = write.entry.method
        limit = MAXIMUM_DELETED if method == "DELETE" else 1
        spare = sum(reference.startswith(f"{write.kind}/") for reference in gone) if method == "POST" else 0
        found = await self.store.matches(self.gate, write.kind, condition, self.connection, limit + spare)
        if method == "POST":
            found = [match for match in found if match.reference not in gone]
            if len(found) > 1:
                raise PreconditionFailed.of("the condition matches more than one resource", code="multiple-matches")
        write.matches = found
        if method == "DELETE":
            gone |= {match.reference for match in found}
        elif method == "POST":
            if not found:
                self._make(write)
        elif found:
            check_version({"version": found[0].version, "deleted": False}, write.expected)
            self._meant(write, found[0])
        elif method == "PATCH":
            raise NotFound.of("nothing matches the condition")
        else:
            await self._new(write)

    @staticmethod
    def _meant(write: _Write, match: Stored) -> None:
        if write.resource is not None and write.resource.get("id") not in {None, match.id}:
            raise BadRequest.of("the resource's id is not that of the match", "Resource.id")
        write.identity, write.made, write.expected = match.reference, True, None

    async def _new(self, write: _Write) -> None:
        """A conditional update that nothing matches creates; under its resource's own id, if it has one."""
        assert write.resource is not None
        if "id" not in write.resource:
            self._make(write)
            return
        check_id(write.resource["id"])
        write.identity = f"{write.kind}/{write.resource['id']}"
        if reaches_all(self.gate, write.kind) and await self.store.hold(self.connection, [write.identity]):
            raise Conflict.of("nothing matches the condition, but the resource's id is taken")

    async def _hold(self, writes: Sequence[_Write]) -> None:
        """Lock all that is changed; find out whether it is still what the conditions named."""
        touched: set[str] = set()
        for write in writes:
            again = touched.intersection(write.touched)
            if again:
                raise write.entry.fault(
                    BadRequest.of("the same resource is written twice in one transaction", code="duplicate")
                )
            touched.update(write.touched)
        fresh = {write.identity for write in writes if write.fresh}  # nobody else knows of them
        held = await self.store.hold(self.connection, sorted(touched - fresh))
        for write in writes:
            for match in write.matches:
                if match.reference in touched and held.get(match.reference) != match.version:
                    raise Overtaken.of("what a condition names was changed at the same time")

    async def _delete(self, write: _Write) -> None:
        with _pointing(write.entry):
            version = None
            for reference in write.touched:
                kind, _, identifier = reference.partition("/")
                version = await self.store.delete(
                    self.gate, kind, identifier, if_match=write.expected, upsert=reaches_all(self.gate, kind),
                    connection=self.connection,
                )  # fmt: skip
        response: Response = {"status": "204 No Content"}
        if version is not None and write.condition is None:
            response["etag"] = f'W/"{version}"'
        self.answers[write.entry.place] = {"response": response}

    async def _store(self, writes: Sequence[_Write], rewriting: Rewriting) -> None:
        """Creates and updates: as many at once as can be. Those whose conditional references name what others make
        come after these."""
        waiting = [write for write in writes if write.resource is not None and write.identity]
        for write in writes:
            if write.entry.method == "POST" and not write.identity:
                self._answer(write, Written(write.matches[0], created=False, changed=False))
        while waiting:
            ready: list[_Write] = []
            held_back: list[tuple[_Write, set[str]]] = []
            for write in waiting:
                missing = await self._linked(write, rewriting)
                if missing:
                    held_back.append((write, missing))
                else:
                    ready.append(write)
            if not ready:
                raise held_back[0][0].entry.fault(
                    PreconditionFailed.of("a conditional reference must match exactly one resource", code="not-found")
                )
            await self._write_all(ready)
            waiting = [write for write, _ in held_back]

    async def _linked(self, write: _Write, rewriting: Rewriting) -> set[str]:
        """Replace the links of a write's resource; the conditional references that match nothing (yet)."""
        assert write.resource is not None and write.identity is not None
        with _pointing(write.entry):
            rewritten = rewriting.rewrite(write.resource)
            for literal in sorted(rewriting.missing):
                match = await self._referred(literal, rewriting)
                if match is not None:
                    rewriting.found[literal] = match.reference
            if rewriting.missing:
                rewritten = rewriting.rewrite(write.resource)
        if not rewriting.missing:
            write.resource = {**rewritten, "id": write.identity.partition("/")[2]}
        return rewriting.missing

    async def _referred(self, literal: str, rewriting: Rewriting) -> Stored | None:
        kind, _, query = literal.partition("?")
        condition = in_query(condition_of(kind, query), rewriting.names)
        return await self.store.one_match(self.gate, kind, condition, self.connection)

    async def _write_all(self, writes: Sequence[_Write]) -> None:
        plain = [write for write in writes if write.expected is None]
        for write in writes:
            with _pointing(write.entry):
                faults = await self.store.faults_of(write.resource or {}, self.connection)
                if faults:
                    raise Unprocessable(faults)
        if plain:
            # An id that a client chose may only be taken where none can be hidden; those the server made are new.
            free = {str(w.identity) for w in plain if w.made or reaches_all(self.gate, w.kind)}
            fresh = {str(w.identity) for w in plain if w.fresh}
            with self._pointing_to_only(plain):
                done = await self.store.write_many(
                    self.gate, [write.resource or {} for write in plain], connection=self.connection, checked=True,
                    admitted=True, upsert=free, made=fresh,
                )  # fmt: skip
            for write, one in zip(plain, done, strict=True):
                self._answer(write, one)
        for write in writes:
            if write.expected is not None:
                assert write.identity is not None
                with _pointing(write.entry):
                    self._answer(write, await self.store.update(
                        self.gate, write.kind, write.identity.partition("/")[2], write.resource or {},
                        if_match=write.expected, upsert=write.made or reaches_all(self.gate, write.kind),
                        connection=self.connection,
                    ))  # fmt: skip

    @staticmethod
    @contextmanager
    def _pointing_to_only(writes: Sequence[_Write]) -> Iterator[None]:
        if len(writes) == 1:
            with _pointing(writes[0].entry):
                yield
        else:
            yield

    async def _patch(self, write: _Write, rewriting: Rewriting) -> None:
        assert write.identity is not None
        asked = write.entry
        with _pointing(asked):
            patch = await self._patch_linked(asked.resource, rewriting)
            entry = Entry(asked.place, "PATCH", write.identity, patch, asked.full, asked.conditions)
            self.answers[asked.place] = await self.single(entry, self.connection)

    async def _patch_linked(self, patch: dict[str, Any], rewriting: Rewriting) -> dict[str, Any]:
        """The patch with its links replaced; also inside a JSON Patch that a Binary carries."""
        binary = patch.get("resourceType") == "Binary"
        inner = {"patch": splice.parse_exact(patch_of(patch)[0])} if binary else patch
        rewritten = rewriting.rewrite(inner)
        for literal in sorted(rewriting.missing):
            match = await self._referred(literal, rewriting)
            if match is None:
                raise PreconditionFailed.of("a conditional reference must match exactly one resource", code="not-found")
            rewriting.found[literal] = match.reference
        if rewriting.missing:
            rewritten = rewriting.rewrite(inner)
        if binary:
            return {**patch, "data": base64.b64encode(splice.dump(rewritten["patch"])).decode()}
        return rewritten

    def _answer(self, write: _Write, written: Written) -> None:
        stored = written.stored
        response: Response = {
            "status": "201 Created" if written.created else "200 OK",
            "location": f"{stored.reference}/_history/{stored.version}",
            "etag": stored.etag,
            "lastModified": stored.last_updated,
        }
        answer: Response = {"response": response}
        if self.single.returns == "representation":
            answer["resource"] = splice.parse_exact(stored.body)
        elif self.single.returns == "OperationOutcome":
            response["outcome"] = outcome_done()
        self.answers[write.entry.place] = answer
