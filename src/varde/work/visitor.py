"""A visitor of the live system: a browser without a window, over HTTP, with cookies and forms. Used by journeys.

It sees pages as a person does: it can only follow what is linked and send forms that stand on a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http.cookiejar import Cookie
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import httpx
from lxml import html

_PATIENCE = 20.0


class Refused(Exception):
    """The system answered otherwise than a visitor could go on with. Texts are Norwegian and tell of no person."""

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"ventet {expected}; så {seen}")
        self.expected = expected
        self.seen = seen


class PageSeen:
    """One page as it came."""

    def __init__(self, answer: httpx.Response) -> None:
        self.path = answer.url.path
        self.url = str(answer.url)
        self.status = answer.status_code
        self.content = answer.content
        self._tree: Any = None

    @property
    def tree(self) -> Any:
        """The page's elements."""
        if self._tree is None:
            self._tree = html.document_fromstring(self.content or b"<html></html>")
        return self._tree

    @property
    def text(self) -> str:
        """All words on the page, with single spaces."""
        return " ".join(str(self.tree.text_content()).split())

    def has(self, xpath: str) -> bool:
        """Whether the page has such an element."""
        return bool(self.tree.xpath(xpath))

    def all(self, xpath: str) -> Sequence[Any]:
        """The elements or attributes that an XPath finds."""
        found: Sequence[Any] = self.tree.xpath(xpath)
        return found

    def form(self, having: str) -> Any:
        """The form that has a field or button named `having`. Raises Refused."""
        for form in self.tree.forms:
            if form.xpath(f".//*[@name='{having}']"):
                return form
        raise Refused(f"et skjema med «{having}»", f"ikke noe på siden (svar {self.status})")


class Visitor:
    """One person's browser."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._client = httpx.AsyncClient(base_url=base, follow_redirects=True, timeout=_PATIENCE, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    @property
    def cookies(self) -> list[Cookie]:
        """What the browser keeps."""
        return list(self._client.cookies.jar)

    async def get(self, path: str, status: int = 200) -> PageSeen:
        """Open a page. Raises Refused for another status."""
        return _checked(await self._client.get(path), status)

    async def send(
        self,
        page: PageSeen,
        having: str,
        values: Mapping[str, str | Sequence[str]],
        button: tuple[str, str] | None = None,
    ) -> PageSeen:
        """Fill in the form that has a field named `having`, and send it by `button` (name, value).

        Raises Refused when the page has no such form or the answer is no page.
        """
        return await self._send(page, page.form(having), values, button)

    async def submit(self, page: PageSeen, action: str) -> PageSeen:
        """Send the form whose address ends with `action`, as it stands. Raises Refused as `send` does."""
        for form in page.tree.forms:
            if str(form.get("action")).endswith(action):
                return await self._send(page, form, {}, None)
        raise Refused("skjemaet på siden", f"ikke noe (svar {page.status})")

    async def _send(
        self,
        page: PageSeen,
        form: Any,
        values: Mapping[str, str | Sequence[str]],
        button: tuple[str, str] | None,
    ) -> PageSeen:
        fields: dict[str, list[str]] = {}
        for name, value in form.form_values():
            fields.setdefault(name, []).append(value)
        for name, value in values.items():
            fields[name] = [value] if isinstance(value, str) else list(value)
        if button is not None:
            fields[button[0]] = [button[1]]
        address = urljoin(page.url, form.get("action") or page.url)
        if urlsplit(address).netloc != urlsplit(self.base).netloc:
            raise Refused("et skjema som sender til Varde", "et som sender et annet sted")
        if str(form.get("method", "get")).lower() == "post":
            return _checked(await self._client.post(address, data=fields), 200)
        return _checked(await self._client.get(address, params=fields), 200)

    async def log_in(self, path: str, key: str) -> PageSeen:
        """Ask for `path`, log in at the provider as the person that `key` names there, and see the page."""
        choice = await self.get(f"{'/arbeid' if path.startswith('/arbeid') else ''}/login?til={path}")
        if choice.has("//form//input[@name='q']"):
            choice = await self.send(choice, "q", {"q": key})
        if not choice.has(f"//button[@name='person'][@value='{key}']"):
            raise Refused("personen i listen ved innlogging", f"ikke der (svar {choice.status})")
        seen = await self.send(choice, "person", {}, ("person", key))
        if seen.path != path:
            raise Refused("siden som ble bedt om, etter innlogging", "en annen side")
        return seen

    async def json(self, method: str, path: str, token: str, body: object = None, status: int = 200) -> Any:
        """One request of the API as another system makes it. Raises Refused for another status."""
        headers = {"authorization": f"Bearer {token}", "accept": "application/fhir+json"}
        if body is not None:
            headers["content-type"] = "application/fhir+json"
        answer = await self._client.request(method, path, json=body, headers=headers)
        _checked(answer, status)
        return answer.json() if answer.content else None

    async def look_up(self, path: str, token: str, form: Mapping[str, str]) -> Any:
        """A search whose values may stand in no address (`_search` by form)."""
        headers = {"authorization": f"Bearer {token}", "accept": "application/fhir+json"}
        answer = await self._client.post(f"{path}/_search", data=dict(form), headers=headers)
        _checked(answer, 200)
        return answer.json()


def _checked(answer: httpx.Response, status: int) -> PageSeen:
    if answer.status_code != status:
        raise Refused(f"svar {status}", f"svar {answer.status_code}")
    return PageSeen(answer)
