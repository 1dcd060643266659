"""One call of a terminology operation: its rights, its connection, what it names, and its line in the access log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from varde.fhir.errors import BadRequest, FhirError, NotFound
from varde.fhir.http.operations import Call
from varde.fhir.terminology.arguments import Arguments
from varde.fhir.terminology.composing import split
from varde.fhir.terminology.resolving import Resolver, admit


@dataclass(slots=True)
class Asking:
    """What an operation works with."""

    call: Call
    arguments: Arguments
    resolver: Resolver
    now: datetime

    @property
    def accept_language(self) -> str | None:
        """The languages that the request's header names, where `displayLanguage` says nothing."""
        return self.call.request.headers.get("accept-language")

    async def instance(self) -> Mapping[str, Any] | None:
        """The resource in the address, for a call on an instance. Raises NotFound, Gone."""
        if self.call.id is None or self.call.type is None:
            return None
        stored = await self.call.store.read(
            self.call.gate, self.call.type, self.call.id, connection=self.call.request.connection
        )
        return stored.resource

    async def value_set(self) -> Mapping[str, Any]:
        """The value set that is asked of. Raises NotFound, BadRequest."""
        given = await self.instance() or self.arguments.one("valueSet")
        url = self.arguments.text("url")
        if given is not None:
            if given.get("resourceType") != "ValueSet":
                raise BadRequest.of("'valueSet' is a ValueSet")
            return given
        if url is None:
            raise BadRequest.of("a value set is named by its url, given, or in the address", code="required")
        address, version = split(url)
        found = await self.resolver.value_set(address, self.arguments.text("valueSetVersion") or version)
        if found is None:
            raise NotFound.of(f"the value set {url} is not known")
        return found


@asynccontextmanager
async def asking(call: Call, arguments: Arguments, *kinds: str) -> AsyncIterator[Asking]:
    """What the operation works with; afterwards the access log is told what of the store it used, and only then is
    anything answered. `kinds`: the types that must be open to who asks. Raises Forbidden."""
    await admit(call.gate, *kinds)
    extra = [one for one in arguments.all("tx-resource") if isinstance(one, dict)]
    async with call.store.reading(call.request.connection) as connection:
        resolver = Resolver(connection, call.gate, extra=extra, versions=arguments.versions(), on=arguments.one("date"))
        try:
            yield Asking(call, arguments, resolver, call.store.clock.now())
        except FhirError:
            # What an error says may come of what was read, too.
            await resolver.record(call.request.connection)
            raise
    await resolver.record(call.request.connection)
