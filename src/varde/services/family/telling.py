"""Telling people about who acts for whom: the notice in their own record, and a word that there is one. The words are
`notices.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from varde.fhir.errors import Gone, NotFound
from varde.fhir.keys import resource_key
from varde.services.family import notices
from varde.services.family.notices import Notice
from varde.trust.access import national_number
from varde.work import jobs, outbox
from varde.work.jobs import Job
from varde.work.outbox import Dispatch

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope

TELL = "family.tell"
SERVICE = "family"
MOST = 20
"""Notices shown."""


def own_scope(platform: Platform) -> Scope:
    """The service's own scope, for what no person does: notices, birthdays."""
    return platform.access.for_system(
        SERVICE,
        types=frozenset({"Patient", "Communication", "QuestionnaireResponse", "Organization"}),
        write_types=frozenset({"Communication", "QuestionnaireResponse"}),
    )


async def tell(platform: Platform, connection: Any, told: Sequence[Notice]) -> None:
    """Write these notices in the connection's transaction; the SMS or e-mail follows by a job, which asks the
    registers."""
    if not told:
        return
    resources = [notices.to_fhir(one) for one in told]
    await platform.store.write_many(own_scope(platform), resources, connection=connection)
    now = platform.clock.now()
    await jobs.enqueue_many(
        connection,
        [
            Job(TELL, {"patient": one.to, "notice": made["id"]}, now, f"family:{made['id']}:tell",
                resource_key("Patient", one.to))
            for one, made in zip(told, resources, strict=True)
        ],
    )  # fmt: skip


async def send(platform: Platform, connection: Any, payloads: Sequence[Mapping[str, Any]]) -> None:
    """The jobs: SMS where there is a number, else e-mail, else nothing but the notice. Raises RegisterUnavailable."""
    for payload in payloads:
        try:
            patient = await platform.store.read(
                own_scope(platform), "Patient", payload["patient"], connection=connection
            )
            number = national_number(patient.resource)
        except (NotFound, Gone, LookupError):
            continue
        contact = (await platform.registers.contacts([number])).get(number)
        if contact is None or contact.reserved or not contact.notifiable:
            continue
        channel, to = ("sms", contact.mobile) if contact.mobile else ("email", contact.email)
        if not to:
            continue
        now = platform.clock.now()
        said = notices.message(platform.settings.base, channel=channel, to=to, language=contact.language or "nb")
        due = notices.awake(now) if channel == "sms" else now
        key = f"family:{payload['notice']}:notify"
        await outbox.put(
            connection, Dispatch("notify", key, said, due, patient=resource_key("Patient", payload["patient"]))
        )


async def told(platform: Platform, scope: Scope) -> Sequence[Notice]:
    """The newest notices of the person whose scope it is, the newest first."""
    page = await platform.store.search(
        scope, "Communication", [("category", f"{notices.CATEGORY}|"), ("_sort", "-sent"), ("_count", str(MOST))]
    )
    return [notices.from_fhir(match.resource) for match in page.matches]
