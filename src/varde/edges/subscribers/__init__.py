"""Those who subscribe: systems outside that are told of changes, by their web hook or their websocket.

What they are told is `fhir/subscriptions`'; here is how it leaves. A subscription has one message on its way at a
time, which names events by their numbers alone. So events arrive in order, and each is read and judged when it leaves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from varde.fhir.gate import Gate
from varde.fhir.subscriptions.state import Owner

EDGE = "subscribers"
NUMBER = "subscriptions.number"
BEGIN = "subscriptions.begin"
UPKEEP = "subscriptions.upkeep"
CHANNEL = "varde_subscriptions"
"""Processes with websockets are told here, at commit, that a subscription (its id) has news."""

DELIVERED, WITHDRAWN, REFUSED = "delivered", "withdrawn", "refused"
"""States of receipts: the subscriber took it; it did not leave, since it is no longer asked for or may no longer be
told; a handshake that was not taken."""
LET_OUT = "the subscriber is no longer let in"
HANDSHAKES = 5
"""Tries of a handshake before the subscription is in error."""
KEEP_EVENTS = timedelta(days=30)
"""How long events can be asked for again."""
ABANDONED = timedelta(days=14)
"""In error for so long, a subscription is turned off."""

Rights = Callable[[Owner], Awaitable[Gate | None]]
"""What the owner of a subscription may see now; None for one who is no longer let in."""
