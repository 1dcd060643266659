"""One-time messages after a redirect ("Brevet er trukket tilbake"). They name nothing and nobody.

A message is a key registered here by the service that uses it, and at most one number; nothing else is taken
from the cookie, so it can neither carry personal data nor be made to say something of another's choosing.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

COOKIE = "varde_message"


@dataclass(frozen=True, slots=True)
class Flash:
    """A message to show: text in the source language (may hold `%(count)s`), and its tone."""

    message: str
    tone: str
    """success, info, warning or danger."""
    count: int = 0


_known: dict[str, tuple[str, str]] = {}


def register(key: str, message: str, tone: str = "success") -> str:
    """Make a message known under `key`, and return the key. Raises ValueError if it is taken."""
    if _known.setdefault(key, (message, tone)) != (message, tone):
        raise ValueError(f"the message {key} is registered twice")
    return key


def put(response: Response, key: str, count: int = 0, *, secure: bool = False) -> None:
    """Let the next page show the message `key`. Raises KeyError for an unknown key."""
    _ = _known[key]
    response.set_cookie(COOKIE, f"{key}:{count}", max_age=60, httponly=True, samesite="lax", secure=secure)


def read(request: Request) -> list[Flash]:
    """Messages to show now; anything not registered is ignored."""
    key, _, number = request.cookies.get(COOKIE, "").partition(":")
    if key not in _known or not (number.isascii() and number.isdigit()) or len(number) > 9:
        return []
    message, tone = _known[key]
    return [Flash(message, tone, int(number))]


def forget(response: Response) -> None:
    """Shown once."""
    response.delete_cookie(COOKIE)
