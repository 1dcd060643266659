"""What a browser says it is, in two words that a person knows their own device by. Guessed; nothing rests on it."""

from __future__ import annotations

_PROGRAMS = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser", "Samsung Internet"), ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"), ("Chrome", "Chrome"), ("CriOS", "Chrome"), ("Safari", "Safari"),
)  # fmt: skip
_MACHINES = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("CrOS", "Chromebook"),
    ("Macintosh", "Mac"), ("Linux", "Linux"),
)  # fmt: skip


def device_of(user_agent: str | None) -> str | None:
    """`Firefox, Windows`; None when it says nothing that is known."""
    said = user_agent or ""
    words = [
        next((name for mark, name in known if mark in said), None) for known in (_PROGRAMS, _MACHINES)
    ]  # the first that fits: the later ones are also said by others
    return ", ".join(word for word in words if word) or None
