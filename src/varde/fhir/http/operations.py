"""FHIR's extended operations (`$name`): how one is declared, found and called. Not what each one does.

An operation that stands in the list given to `FhirApplication` is routed and declared in the CapabilityStatement
from that one line.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any

import orjson

from varde.fhir import splice
from varde.fhir.definitions import is_type
from varde.fhir.errors import BadRequest, FhirError, MethodNotAllowed, NotFound
from varde.fhir.gate import Gate
from varde.fhir.http.exchange import Answer, Request
from varde.fhir.store import ABSENT, Store
from varde.fhir.storing.writing import is_id

_GENERAL = frozenset({"_format", "_pretty"})


class Level(Flag):
    """Where an operation may be called: [base]/$x, [base]/Type/$x, [base]/Type/id/$x."""

    SYSTEM = auto()
    TYPE = auto()
    INSTANCE = auto()


@dataclass(slots=True)
class Call:
    """One call of an operation: who calls, where, and with what."""

    gate: Gate
    store: Store
    base: str
    """The public address of the FHIR API, without a slash at its end."""
    request: Request
    type: str | None = None
    id: str | None = None

    @property
    def resource(self) -> dict[str, Any] | None:
        """The body, when it is a resource other than Parameters. Raises BadRequest for what is not JSON."""
        parsed = self._parsed()
        return parsed if parsed is not None and parsed.get("resourceType") != "Parameters" else None

    def parameters(self) -> list[tuple[str, Any]]:
        """(name, value) of the query and of a Parameters body, in order; a value is text in the query, and what
        stands in `value[x]`, `resource` or `part` in the body. Raises BadRequest."""
        found: list[tuple[str, Any]] = [(n, v) for n, v in self.request.query if n not in _GENERAL]
        parsed = self._parsed()
        if parsed is not None and parsed.get("resourceType") == "Parameters":
            listed = parsed.get("parameter", [])
            if not isinstance(listed, list):
                raise BadRequest.of("parameter is a list", "Parameters.parameter")
            found += [_named(one) for one in listed]
        return found

    def _parsed(self) -> dict[str, Any] | None:
        return splice.parse(self.request.body) if self.request.body else None


def _named(one: Any) -> tuple[str, Any]:
    if not isinstance(one, dict) or not isinstance(one.get("name"), str):
        raise BadRequest.of("a parameter has a name", "Parameters.parameter.name")
    values = [value for key, value in one.items() if key.startswith("value") or key in {"resource", "part"}]
    if len(values) != 1:
        raise BadRequest.of("a parameter has one value, resource or list of parts", "Parameters.parameter")
    return one["name"], values[0]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `definition` is the canonical url of its OperationDefinition, empty for an address that another
    operation's answer gives and that is declared nowhere; `types` None for every type.

    `changes` says that it affects the state of the server: then GET does not call it (R4 3.2.0.2). In a transaction
    such a one is called only when it is `transactional`: when it does all its work on `call.request.connection`.
    `removes` says that DELETE calls it too: to call off what it tells of."""

    name: str
    definition: str
    run: Callable[[Call], Awaitable[Answer]]
    level: Level
    types: frozenset[str] | None = None
    changes: bool = False
    transactional: bool = False
    removes: bool = False

    def fits(self, resource_type: str | None, identifier: str | None) -> bool:
        """Whether it is called at such a place."""
        if resource_type is None:
            return Level.SYSTEM in self.level
        if self.types is not None and resource_type not in self.types:
            return False
        return (Level.TYPE if identifier is None else Level.INSTANCE) in self.level


class Operations:
    """The operations of one server, by name. A name may stand more than once, for different types."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.every = tuple(operations)

    async def call(self, gate: Gate, store: Store, base: str, request: Request) -> Answer:
        """Find and run the operation that a request's last segment names. Raises NotFound, MethodNotAllowed, and
        what the operation raises."""
        name, place = request.segments[-1][1:], request.segments[:-1]
        if len(place) > 2 or (place and not is_type(place[0])):
            raise NotFound.of("no such operation", code="not-supported")
        kind = place[0] if place else None
        identifier = place[1] if len(place) == 2 else None
        found = next((o for o in self.every if o.name == name and o.fits(kind, identifier)), None)
        if found is None:
            raise NotFound.of("no such operation", code="not-supported")
        methods = ["POST", *(() if found.changes else ("GET", "HEAD")), *(("DELETE",) if found.removes else ())]
        if request.method not in methods:
            raise _only(", ".join(methods))
        if request.connection is not None and found.changes and not found.transactional:
            raise BadRequest.of("this operation is not done inside a transaction", code="not-supported")
        if identifier is not None and not is_id(identifier):
            raise NotFound.of(ABSENT)
        return await found.run(Call(gate, store, base, request, kind, identifier))

    def declared(self, resource_type: str | None) -> list[Mapping[str, str]]:
        """`operation` of a CapabilityStatement: of the system (None) or of a type."""
        return [
            {"name": o.name, "definition": o.definition}
            for o in self.every
            if o.definition
            and (
                Level.SYSTEM in o.level
                if resource_type is None
                else (o.types is None or resource_type in o.types) and bool(o.level & (Level.TYPE | Level.INSTANCE))
            )
        ]


def _only(methods: str) -> FhirError:
    error = MethodNotAllowed.of(f"this operation is called by {methods}")
    error.headers = {"allow": methods}
    return error


def parameters(*named: tuple[str, str, Any]) -> dict[str, Any]:
    """A Parameters resource of (name, member, value): `("result", "valueBoolean", True)`."""
    return {"resourceType": "Parameters", "parameter": [{"name": n, m: v} for n, m, v in named]}


def outcome(status: int, *issues: Mapping[str, Any]) -> Answer:
    """An OperationOutcome as an answer."""
    return Answer(status, orjson.dumps({"resourceType": "OperationOutcome", "issue": list(issues)}))
