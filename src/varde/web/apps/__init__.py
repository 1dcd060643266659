"""Pages about apps: a person's answer to what an app asks for, what was let in, and staff's way into an app.

What an answer means is `trust/smart`'s.
"""

from __future__ import annotations

from starlette.routing import BaseRoute

from varde.trust.sessions import Sessions
from varde.trust.smart.endpoints import AuthorizationServer
from varde.web.apps.answering import Answering
from varde.web.apps.authorizing import Authorizing
from varde.web.apps.launching import Launching
from varde.web.apps.listing import PATIENT_MENU, STAFF_MENU, Listing

__all__ = ["PATIENT_MENU", "STAFF_MENU", "routes"]


def routes(server: AuthorizationServer, sessions: Sessions) -> list[BaseRoute]:
    """All of them."""
    return [
        *Authorizing(server).routes(),
        *Answering(server, sessions).routes(),
        *Launching(server).routes(),
        *Listing(server).routes(),
    ]
