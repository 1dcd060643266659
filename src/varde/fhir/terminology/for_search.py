"""Terminology as search asks for it (`:in`, `:above`, `:below`): codes of a value set, and along a hierarchy.

All errors are BadRequest: what cannot be told is a fault of the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from varde.fhir.errors import BadRequest, FhirError
from varde.fhir.gate import Gate
from varde.fhir.terminology.composing import Composer, split
from varde.fhir.terminology.expanding import Expander
from varde.fhir.terminology.resolving import Resolver

MAXIMUM = 50_000
"""Codes that a search compares with."""


class SearchTerminology:
    """What search asks of terminology; `connection` is the search's own, `gate` that of who asks."""

    async def expand(self, connection: Any, gate: Gate, url: str) -> Sequence[tuple[str, str]]:
        """(system, code) of everything in the value set: a canonical url, with |version or not, or a local reference.
        Raises BadRequest when it is unknown or cannot be listed."""
        resolver = Resolver(connection, gate)
        try:
            if url.startswith("ValueSet/"):
                value_set = await resolver.stored_value_set(url.removeprefix("ValueSet/"))
            else:
                value_set = await resolver.value_set(*split(url))
            if value_set is None:
                raise BadRequest.of("the value set is not known here", code="not-found")
            parts = await Composer(resolver).parts(value_set)
            page = await Expander(resolver, maximum=MAXIMUM).page(parts, None)
        except BadRequest:
            raise
        except FhirError as error:
            raise BadRequest(error.issues) from None
        await resolver.record(connection if connection.is_in_transaction() else None)
        return [(item.system, item.concept.code) for item in page.items]

    async def descendants(self, connection: Any, gate: Gate, system: str, code: str) -> Sequence[tuple[str, str]]:
        """The code itself and all that it subsumes. Raises BadRequest when the code system is unknown."""
        return await self._along(connection, gate, system, code, up=False)

    async def ancestors(self, connection: Any, gate: Gate, system: str, code: str) -> Sequence[tuple[str, str]]:
        """The code itself and all that subsume it. Raises BadRequest when the code system is unknown."""
        return await self._along(connection, gate, system, code, up=True)

    async def _along(
        self, connection: Any, gate: Gate, system: str, code: str, *, up: bool
    ) -> Sequence[tuple[str, str]]:
        resolver = Resolver(connection, gate)
        codes = await resolver.code_system(system)
        if codes is None or codes.header.content == "not-present":
            raise BadRequest.of("the code system is not known here", code="not-found")
        found = (await codes.relatives([code], up=up, direct=False))[code]
        await resolver.record(connection if connection.is_in_transaction() else None)
        return [(system, one) for one in dict.fromkeys([code, *found])]
