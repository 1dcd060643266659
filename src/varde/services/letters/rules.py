"""Rules of letters (LET-…), pure: states and channels, routes and deadlines. No input or output."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a letter is in its life (LET-50)."""

    DRAFT = "draft"
    WAITING = "waiting"
    SENT = "sent"
    NOTIFIED = "notified"
    OPENED = "opened"
    DUE_FOR_PRINT = "due-for-print"
    PRINTING = "printing"
    PRINTED = "printed"
    POSTED = "posted"
    RETURNED = "returned"
    WITHDRAWN = "withdrawn"
    REPLACED = "replaced"
    FAILED = "failed"


class Channel(StrEnum):
    """The way a letter goes."""

    DIGITAL = "digital"
    PAPER = "paper"
    BOTH = "both"
    DIGITAL_MAILBOX = "digital-mailbox"
    NONE = "none"
