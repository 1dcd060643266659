"""Letters (Brev): from ward to patient, on screen or on paper. Each file has one part; see DESIGN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from varde.services import Card, Platform, Service
from varde.services.letters import ending, flow
from varde.services.letters.called import Called
from varde.services.letters.jobs import handlers, receivers
from varde.services.letters.journey import JOURNEYS
from varde.services.letters.patient import patient_routes
from varde.services.letters.reconciling import checks
from varde.services.letters.rules import State
from varde.services.letters.showing import ShownToPatients, ShownToStaff
from varde.services.letters.staff import staff_routes

if TYPE_CHECKING:
    from varde.trust.scope import Scope

ON_HOME = 8


async def home_cards(platform: Platform, scope: Scope) -> Sequence[Card]:
    """The newest letters, for the front page: the unread ones are things to do, by the day they go on paper."""
    found, _ = await flow.inbox(platform, scope, most=ON_HOME)
    cards = []
    for letter in found:
        gone = letter.state is State.WITHDRAWN or letter.replaced_by is not None
        unread = not letter.opened and not gone
        cards.append(
            Card(
                title=letter.title,
                text=letter.unit.name,
                href=f"/brev/{letter.id}",
                due=letter.deadline if unread else None,
                urgent=unread and letter.urgent,
                kind="letter" if unread else "letter-read",
            )
        )
    return cards


def _patient_routes(platform: Platform) -> Sequence[BaseRoute]:
    return patient_routes(ShownToPatients(platform))


def _staff_routes(platform: Platform) -> Sequence[BaseRoute]:
    return staff_routes(ShownToStaff(platform))


SERVICE = Service(
    name="letters",
    title={"nb": "Brev", "nn": "Brev", "se": "Reivvet", "en": "Letters"},
    deliverables=(1,),
    patient_routes=_patient_routes,
    staff_routes=_staff_routes,
    patient_menu=(("/brev", "Brev"),),
    staff_menu=(("/arbeid", "Brev"), ("/arbeid/arbeidsliste", "Arbeidsliste")),
    handlers=handlers,
    receipts=receivers,
    projections=(Called(),),
    checks=checks,
    died=ending.stop_all,
    journeys=JOURNEYS,
    home_cards=home_cards,
    templates=("varde.services.letters", "templates"),
)
