"""A patient whose every text holds a marker, and nobody who may see it: planted in the shared demo (and in the worlds
of tests/access), and looked for in all that the whole run of tests is answered. docs/proofs.md says what is covered.

Looked through at once, in the test that was answered: every HTTP answer that a test reads by httpx, whatever server
gave it, and every answer that a browser of tests/browsing.py receives. Looked through when the demo ends: its logs, its
e-mails and text messages, and the text of every PDF that its print house got. Systems whose token opens every patient
may see the marker; nobody else.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pypdf
from playwright.async_api import Browser, BrowserContext, Error, Response

MARK = "qz7merke"
WHOSE, UNIT = "merket", "merket-unit"
_STRUCTURE = frozenset(
    {
        "resourceType", "id", "reference", "system", "code", "url", "status", "intent", "mode", "use", "gender",
        "contentType", "data", "questionnaire", "linkId", "language", "priority", "versionId", "mimeType", "valueCode",
    }
)  # fmt: skip
"""Elements whose text is no free text."""
_SYSTEM = "system"
_ONLY_READ = "AuditEvent"
"""What is made of the access log, and not written over the API."""


class MarkerSeen(AssertionError):
    """Somebody was shown what is another's."""


def marked(resource: Any, name: str = "") -> Any:
    """The resource with the marker in every free text of it."""
    if isinstance(resource, Mapping):
        return {
            key: value if key in _STRUCTURE and isinstance(value, str) else marked(value, key)
            for key, value in resource.items()
        }
    if isinstance(resource, list):
        return [marked(one, name) for one in resource]
    if not isinstance(resource, str) or resource[:4].isdigit():
        return resource
    if name == "div":
        return resource.replace("</div>", f" {MARK}</div>")
    return f"{resource} {MARK}"


def record() -> list[dict[str, Any]]:
    """The Patient, and one thing of nearly every kind, each text marked."""
    from tests.access import things

    person = {
        "resourceType": "Patient", "id": WHOSE, "active": True, "birthDate": "1971-02-03", "gender": "female",
        "name": [{"family": "Merket", "given": ["Merke"]}], "address": [{"line": ["Gata 1"], "city": "TROMSØ"}],
        "identifier": [{"system": "urn:markers", "value": "1"}], "telecom": [{"system": "email", "value": "a@b.no"}],
        "contact": [{"name": {"text": "Nabo"}}], "maritalStatus": {"text": "gift"},
    }  # fmt: skip
    own = [
        one for one in things.things(WHOSE, WHOSE, WHOSE, unit=UNIT, apart=True) if one["resourceType"] != _ONLY_READ
    ]
    return [marked(person), *(one if _is_letter(one) else marked(one) for one in own)]


def _is_letter(resource: Mapping[str, Any]) -> bool:
    """A letter's own texts are made by its document, and marked by its title."""
    return str(resource["id"]).endswith("-letter")


def look(text: str, where: str) -> None:
    """Raise MarkerSeen when the marker stands in what somebody was given."""
    if MARK in text.lower():
        raise MarkerSeen(f"{where} holds the text of a patient whom nobody may see")


def _sees_all(headers: Mapping[str, str]) -> bool:
    """Whether the token is a system's: it may be shown every patient."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer":
        return False
    parts = token.split(".")
    if len(parts) != 3:
        return True  # an app's own token: whose it is, is not written in it; apps are looked at in tests/access
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return False
    return bool(claims.get("kind") == _SYSTEM)


def _look_at(answer: httpx.Response) -> None:
    if MARK.encode() not in answer.content.lower():
        return
    request = answer._request
    if request is not None and _sees_all(request.headers):
        return
    asked = MARK.encode() in answer.url.query.lower() if request is not None else False
    text = re.sub(f'=[^&"]*{MARK}', "=", answer.text) if asked else answer.text  # links give back what was asked
    look(text, f"{request.method if request else ''} {answer.url if request else ''}")


@contextmanager
def swept_answers() -> Iterator[None]:
    """Look through every answer that httpx reads meanwhile."""
    read, aread = httpx.Response.read, httpx.Response.aread

    def looked(self: httpx.Response) -> bytes:
        content = read(self)
        _look_at(self)
        return content

    async def looked_at(self: httpx.Response) -> bytes:
        content = await aread(self)
        _look_at(self)
        return content

    httpx.Response.read, httpx.Response.aread = looked, looked_at  # type: ignore[method-assign]
    try:
        yield
    finally:
        httpx.Response.read, httpx.Response.aread = read, aread  # type: ignore[method-assign]


class BrowserWatch:
    """Looks through what a browser receives. `end` waits for the last of it, and raises MarkerSeen."""

    def __init__(self, browser: Browser) -> None:
        self._waiting: list[asyncio.Task[None]] = []
        self._seen: list[str] = []
        new_context, new_page = browser.new_context, browser.new_page

        async def watched_context(**named: Any) -> BrowserContext:
            context = await new_context(**named)
            context.on("response", self._received)
            return context

        async def watched_page(**named: Any) -> Any:
            page = await new_page(**named)
            page.on("response", self._received)
            return page

        browser.new_context, browser.new_page = watched_context, watched_page  # type: ignore[method-assign, assignment]

    def _received(self, answer: Response) -> None:
        self._waiting.append(asyncio.ensure_future(self._look(answer)))

    async def _look(self, answer: Response) -> None:
        try:
            content = await answer.body()
        except Error:
            return  # a redirect has no body, and a page that was left keeps none
        if MARK.encode() in content.lower():
            self._seen.append(answer.url)

    async def end(self) -> None:
        """All that was received has been looked through."""
        await asyncio.gather(*self._waiting, return_exceptions=True)
        if self._seen:
            raise MarkerSeen(f"a browser was shown the text of a patient whom nobody may see: {self._seen}")


def plant(fhir: str, headers: Mapping[str, str]) -> None:
    """Put the marked patient into a running Varde, as a system does."""
    entries = [
        {"request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}, "resource": one} for one in record()
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    sent = {**headers, "content-type": "application/fhir+json"}
    httpx.post(fhir, json=bundle, headers=sent, timeout=60).raise_for_status()
    found = httpx.get(f"{fhir}/Observation/{WHOSE}-lab", headers=headers, timeout=60)
    assert MARK in found.text, "the marked patient is not there"


def sweep_folder(folder: Path) -> int:
    """Look through the logs and what the embedded edges keep in a data folder; how many files there were."""
    looked = 0
    for name in ("log", "notify", "post"):
        for file in sorted((folder / name).rglob("*")):
            if file.is_file():
                looked += 1
                content = file.read_bytes()
                look(content.decode("utf-8", "replace"), str(file))
                if content.startswith(b"%PDF"):
                    pages = pypdf.PdfReader(io.BytesIO(content)).pages
                    look("\n".join(page.extract_text() for page in pages), str(file))
    return looked
