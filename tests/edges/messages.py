"""Messages for the senders under test."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from varde.work.outbox import Message

HOME = {"name": "Ánde Sara", "lines": ["Storgata 4"], "postal_code": "9008", "city": "Tromsø", "country": "NO"}


def document(text: str, size: int = 0) -> bytes:
    """Bytes that open and close as a PDF does."""
    return b"%PDF-1.7\n" + text.encode() + b"\n" + b"x" * size + b"\n%%EOF\n"


def letter(key: str, body: bytes | None = None, **changes: Any) -> Message:
    """A message to the edge "post"."""
    body = document(key) if body is None else body
    payload = {"recipient": HOME, "pages": 2, "digest": sha256(body).hexdigest(), **changes}
    return message("post", key, payload, body)


def sms(key: str, to: str = "+4799999999", **changes: Any) -> Message:
    """An SMS to the edge "notify"."""
    payload = {"channel": "sms", "to": to, "sender": "UNN", "text": "Du har fått et nytt brev fra UNN.", **changes}
    return message("notify", key, payload)


def mail(key: str, to: str = "ande@example.no", **changes: Any) -> Message:
    """An e-mail to the edge "notify"."""
    return sms(key, to, **{"channel": "email", "subject": "Nytt brev", **changes})


def message(edge: str, key: str, payload: Mapping[str, Any], body: bytes | None = None) -> Message:
    """A message as the outbox hands it over."""
    return Message(id=1, edge=edge, key=key, payload=payload, body=body, patient=None, attempts=1)
