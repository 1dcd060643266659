"""Types whose resources are not rows of the store: made when they are asked for, of what is kept elsewhere, and only
read. What they are made of, and who may see them, is their owner's.

Such a type is answered on its own addresses and in a patient's compartment ([type], [type]/id, Patient/id/[type]),
alone and in bundles; searches over several types, `_include`, `$graphql` and `$export` know the store's rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol
from urllib.parse import quote

from varde.fhir.errors import FhirError, MethodNotAllowed, NotFound
from varde.fhir.gate import Gate
from varde.fhir.http import rendering
from varde.fhir.http.exchange import Answer, Request
from varde.fhir.http.headers import preference
from varde.fhir.model import Page, Stored
from varde.fhir.store import ABSENT
from varde.fhir.storing.writing import is_id


class Elsewhere(Protocol):
    """One such type."""

    @property
    def type(self) -> str:
        """Its name."""
        ...

    @property
    def parameters(self) -> Sequence[str]:
        """The search parameters that it takes beside those of a search's result."""
        ...

    async def search(
        self, gate: Gate, query: Sequence[tuple[str, str]], *, patient: str | None, lenient: bool, connection: Any
    ) -> Page:
        """One page of those that match and may be seen; `patient` holds it to one patient's. Logs what it shows.
        Raises BadRequest, Forbidden."""
        ...

    async def read(self, gate: Gate, resource_id: str, *, connection: Any) -> Stored:
        """One of them. Logs what it shows. Raises NotFound, Forbidden."""
        ...


def which(every: Sequence[Elsewhere], segments: Sequence[str]) -> Elsewhere | None:
    """The type that an address without an operation speaks of, if it is one of these."""
    named = segments[2] if len(segments) >= 3 and segments[0] == "Patient" else segments[0]
    return next((one for one in every if one.type == named), None)


async def perform(kept: Elsewhere, gate: Gate, request: Request) -> Answer:
    """Answer a request on its addresses. Raises FhirError."""
    parts = [part for part in request.segments if part != "_search"]
    searching = len(parts) != 2
    if request.method not in ({"GET", "POST"} if request.segments[-1] == "_search" else {"GET"}):
        raise _only_read()
    if searching and len(parts) in {1, 3} and "_history" not in parts:
        patient = parts[1] if len(parts) == 3 else None
        if patient is not None and not is_id(patient):
            raise NotFound.of("no such address", code="not-supported")
        page = await kept.search(
            gate, request.query, patient=patient, lenient=preference(request.headers).lenient,
            connection=request.connection,
        )  # fmt: skip
        return Answer(200, rendering.bundle(request, page, "/".join(quote(part) for part in parts), "searchset"))
    if searching or not is_id(parts[1]):
        raise NotFound.of(ABSENT)
    return rendering.resource(request, await kept.read(gate, parts[1], connection=request.connection))


def _only_read() -> FhirError:
    error = MethodNotAllowed.of("resources of this type are only read: what is done makes them")
    error.headers = {"allow": "GET, HEAD"}
    return error
