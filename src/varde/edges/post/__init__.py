"""Print and mail. Which letters are posted is the services' to decide.

Edge name "post"; payload {"recipient": {"name", "lines", "postal_code", "city", "country"}, "pages", "digest"}, where
digest is the SHA-256 of the body in hexadecimal; body = PDF. Receipts: received at once, then printed, posted and
perhaps returned. `embedded.py` is the default print house; `sftp.py` is a real one's door.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from varde.work.outbox import Message, Permanent

EDGE = "post"
STATES = ("received", "printed", "posted", "returned")


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where the envelope goes, as printed in its window."""

    name: str
    lines: tuple[str, ...]
    postal_code: str
    city: str
    country: str = "NO"


@dataclass(frozen=True, slots=True)
class Print:
    """A message, read and checked."""

    key: str
    recipient: Recipient
    pages: int
    digest: str
    document: bytes


def read(message: Message) -> Print | Permanent:
    """The message as something to print, or why it can never be. No personal data in the reason."""
    recipient = _recipient(message.payload.get("recipient"))
    if recipient is None:
        return Permanent("no address")
    pages, digest, document = message.payload.get("pages"), message.payload.get("digest"), message.body
    if not isinstance(pages, int) or pages < 1:
        return Permanent("no number of pages")
    if not document or not document.startswith(b"%PDF-") or b"%%EOF" not in document[-1024:]:
        return Permanent("not a whole PDF")
    if sha256(document).hexdigest() != digest:
        return Permanent("the digest is another document's")
    return Print(message.key, recipient, pages, digest, document)


def _recipient(given: Any) -> Recipient | None:
    """A name and somewhere to go: lines, or at least a postal place."""
    if not isinstance(given, Mapping):
        return None
    lines = given.get("lines") or ()
    texts = [given.get(name) or "" for name in ("name", "postal_code", "city")]
    country = given.get("country") or "NO"
    if not isinstance(lines, list | tuple) or not all(isinstance(text, str) for text in (*texts, *lines, country)):
        return None
    name, postal_code, city = texts
    return (
        Recipient(name, tuple(lines), postal_code, city, country)
        if name and (lines or (postal_code and city))
        else None
    )
