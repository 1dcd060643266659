"""What the pages about apps share: where a form may lead, and the note in the access log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from varde.fhir.gate import Disclosure, Interaction
from varde.fhir.keys import resource_key
from varde.trust.scope import Scope
from varde.trust.smart.clients import Client
from varde.trust.smart.requests import origin_of
from varde.web.shell import CONTENT_SECURITY_POLICY


def with_forms_to(response: Response, address: str) -> Response:
    """A page whose form leads on to an app: a form may go nowhere that its page does not name."""
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY.replace(
        "form-action 'self'", f"form-action 'self' {origin_of(address)}"
    )
    return response


async def note(
    scope: Scope, client: Client, interaction: Interaction, numbers: Sequence[int], patient: str | None, connection: Any
) -> None:
    """Log that a person let an app in or out: in the log of the patient whom it concerns."""
    keys = [resource_key("Patient", patient)] if patient is not None else []
    disclosure = Disclosure(interaction, "Consent", [f"app-{number}" for number in numbers], keys)
    await replace(scope, through=client.through).record(disclosure, connection)
