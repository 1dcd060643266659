"""SMS and e-mail. Who is told what, and when, is the services' to decide.

Edge name "notify"; payload {"channel": "sms"|"email", "to", "sender", "subject"?, "text"}. `embedded.py` is the
default; `gateway.py` (SMS) and `smtp.py` (e-mail) are real, and `Channels` makes them one edge.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from varde.work.outbox import Message, Outcome, Permanent, Receipt

EDGE = "notify"

_MOBILE = re.compile(r"\+[1-9]\d{7,14}")
_EMAIL = re.compile(r"[^\s@<>,;:\"]+@[^\s@<>,;:\"]+")


class Channel(StrEnum):
    """By what a person is told."""

    SMS = "sms"
    EMAIL = "email"


@dataclass(frozen=True, slots=True)
class Notification:
    """The payload, read. `to` is a telephone number with country code (E.164) or an e-mail address."""

    channel: Channel
    to: str
    sender: str
    """The name it comes from (LET-20)."""
    text: str
    subject: str = ""


def read(payload: Mapping[str, Any]) -> Notification | Permanent:
    """The payload as a notification, or why nobody could ever send it. No personal data in the reason."""
    texts = {name: payload.get(name) or "" for name in ("channel", "to", "sender", "text", "subject")}
    if not all(isinstance(text, str) for text in texts.values()):
        return Permanent("a field is not text")
    missing = [name for name in ("channel", "to", "sender", "text") if not texts[name]]
    if missing:
        return Permanent(f"no {', '.join(missing)}")
    if texts["channel"] not in set(Channel):
        return Permanent("unknown channel")
    if any(not texts[name].isprintable() for name in ("to", "sender", "subject")):
        return Permanent("a control character in a header")
    channel = Channel(texts["channel"])
    pattern = _MOBILE if channel is Channel.SMS else _EMAIL
    if not texts["to"].isascii() or not pattern.fullmatch(texts["to"]):
        return Permanent("not a telephone number" if channel is Channel.SMS else "not an e-mail address")
    return Notification(channel, texts["to"], texts["sender"], texts["text"], texts["subject"])


class Carrier(Protocol):
    """What carries notifications of one channel."""

    recognises_keys: bool

    async def carry(self, notifications: Sequence[tuple[str, Notification]]) -> Sequence[Outcome]:
        """Hand over (key, notification); one outcome for each, in their order."""
        ...


class Channels:
    """The edge "notify" with a carrier for each channel. A message of a channel without one is a dead letter."""

    edge = EDGE
    batch = 100

    def __init__(self, carriers: Mapping[Channel, Carrier]) -> None:
        self._carriers = carriers

    @property
    def recognises_keys(self) -> bool:
        """Only when every carrier does: the edge is sent again as one."""
        return all(carrier.recognises_keys for carrier in self._carriers.values())

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Hand each message to its channel's carrier, the channels at once."""
        outcomes: list[Outcome] = [Permanent("no carrier is set up for the channel")] * len(messages)
        readable: dict[Channel, list[tuple[int, str, Notification]]] = {channel: [] for channel in self._carriers}
        for place, message in enumerate(messages):
            notification = read(message.payload)
            if isinstance(notification, Permanent):
                outcomes[place] = notification
            elif notification.channel in readable:
                readable[notification.channel].append((place, message.key, notification))

        async def carried(channel: Channel) -> None:
            waiting = readable[channel]
            told = await self._carriers[channel].carry([(key, notification) for _, key, notification in waiting])
            for (place, _, _), outcome in zip(waiting, told, strict=True):
                outcomes[place] = outcome

        await asyncio.gather(*(carried(channel) for channel, waiting in readable.items() if waiting))
        return outcomes

    async def receipts(self) -> Sequence[Receipt]:
        """None come later."""
        return ()

    async def acknowledge(self, receipts: Sequence[Receipt]) -> None:
        """Nothing to acknowledge."""
