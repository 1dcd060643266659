"""The words of an SMS or e-mail that tells of a letter: never the ward, the reason or anything of health (LET-20).
Texts only; when and to whom is `sending.py`'s. Sámi texts await review, as docs/languages.md says.
"""

from __future__ import annotations

from collections.abc import Mapping

SENDER = "Helsevarsel"
"""Sender's name of an SMS: at most 11 letters and figures."""

NEW: Mapping[str, str] = {
    "nb": "Du har et nytt brev fra {trust}. Logg inn på {portal} for å lese det.",
    "nn": "Du har eit nytt brev frå {trust}. Logg inn på {portal} for å lese det.",
    "se": "Dus lea ođđa reive {trust} bealis. Logge sisa {portal} vai beasat lohkat dan.",
    "en": "You have a new letter from {trust}. Log in at {portal} to read it.",
}
REMINDER: Mapping[str, str] = {
    "nb": "Du har et brev fra {trust} som ikke er lest. Logg inn på {portal} for å lese det.",
    "nn": "Du har eit brev frå {trust} som ikkje er lese. Logg inn på {portal} for å lese det.",
    "se": "Dus lea reive {trust} bealis mii ii leat lohkkojuvvon. Logge sisa {portal} vai beasat lohkat dan.",
    "en": "You have an unread letter from {trust}. Log in at {portal} to read it.",
}
SUBJECT: Mapping[str, str] = {
    "nb": "Nytt brev fra {trust}",
    "nn": "Nytt brev frå {trust}",
    "se": "Ođđa reive {trust} bealis",
    "en": "New letter from {trust}",
}


def notice(trust: str, portal: str, *, channel: str, to: str, language: str, reminder: bool = False) -> dict[str, str]:
    """The payload of the edge "notify". `channel` is sms or email."""
    texts = REMINDER if reminder else NEW
    made = {
        "channel": channel,
        "to": to,
        "sender": SENDER,
        "text": texts.get(language, texts["nb"]).format(trust=trust, portal=portal),
    }
    if channel == "email":
        made["subject"] = SUBJECT.get(language, SUBJECT["nb"]).format(trust=trust)
    return made
