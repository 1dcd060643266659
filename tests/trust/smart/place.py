"""The whole of Varde over HTTP without a network, with the region of tests in it, and an app's way through it."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import orjson
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tests.trust.region import DOCTOR, WARD, Register
from varde.app import House
from varde.asgi import Varde
from varde.clock import SetClock
from varde.trust.smart.clients import Authentication, Client, Clients, Side
from varde.trust.smart.proving import ASSERTION

BASE = "http://varde.test"
FHIR = f"{BASE}/fhir"
BACK = "https://app.test/callback"
LAUNCH = "https://app.test/launch"
EVERY = "patient/*.cruds user/*.cruds offline_access online_access"


@dataclass
class Place:
    """A running Varde, and what its tests look into."""

    house: House
    varde: Varde
    clock: SetClock
    register: Register
    clients: Clients
    secrets: dict[str, str] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)

    def browser(self) -> httpx.AsyncClient:
        """Somebody's browser, or a program: keeps cookies, follows nothing."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.varde), base_url=BASE)  # type: ignore[arg-type]

    def proving(self) -> Any:
        """The part that finds who an app is, for what it remembers."""
        return self.varde.smart.proving

    async def write(self, *resources: dict[str, Any]) -> None:
        """As the system."""
        gate = self.house.platform.access.for_system("test")
        await self.house.platform.store.write_many(gate, list(resources))

    async def rows(self, condition: str = "true") -> list[Any]:
        """Rows of the access log, in order."""
        async with self.house.platform.database.connection() as connection:
            return list(await connection.fetch(f"select * from trust_audit where {condition} order by id"))

    async def app(self, name: str = "app", **more: Any) -> Client:
        """Register an app: public, of patients and staff, unless said otherwise."""
        values: dict[str, Any] = {
            "publisher": "Test AS", "authentication": Authentication.NONE,
            "sides": frozenset({Side.PATIENT, Side.STAFF}), "scopes": EVERY, "redirect_uris": (BACK,),
            "launch_uri": LAUNCH,
        } | more  # fmt: skip
        if Side.STAFF not in values["sides"]:
            values["launch_uri"] = None
        if not values["sides"] & {Side.PATIENT, Side.STAFF}:
            values["redirect_uris"] = ()
        client = Client(name, name.title(), **values)
        secret = await self.clients.add(client)
        if secret is not None:
            self.secrets[name] = secret
        return client

    async def keyed(self, name: str = "service", algorithm: str = "ES384", **more: Any) -> Client:
        """Register an app with a key: a system, unless said otherwise."""
        key: Any = ECKey.generate_key("P-384") if algorithm == "ES384" else RSAKey.generate_key(2048)
        self.keys[name] = (key, algorithm)
        public = key.as_dict(private=False) | {"kid": f"{name}-key"}
        values = {"sides": frozenset({Side.SYSTEM}), "scopes": "system/*.cruds"} | more
        return await self.app(
            name, authentication=Authentication.KEY, jwks=orjson.dumps({"keys": [public]}).decode(), **values
        )

    def assertion(self, name: str, key: Any = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A client assertion; claims given as None are left out."""
        own, algorithm = self.keys[name]
        now = int(self.clock.now().timestamp())
        full = {
            "iss": name, "sub": name, "aud": f"{BASE}/auth/token", "exp": now + 240, "jti": secrets.token_hex(12),
        } | claims  # fmt: skip
        head = {"alg": algorithm, "typ": "JWT", "kid": f"{name}-key"} | (header or {})
        chosen = {k: v for k, v in full.items() if v is not None}
        head = {k: v for k, v in head.items() if v is not None}
        return jwt.encode(head, chosen, key or own, algorithms=[head["alg"]])

    async def system(self, name: str, scope: str, assertion: str | None = None) -> httpx.Response:
        """Ask for a token as SMART Backend Services do."""
        form = {
            "grant_type": "client_credentials", "scope": scope, "client_assertion_type": ASSERTION,
            "client_assertion": assertion or self.assertion(name),
        }  # fmt: skip
        async with self.browser() as browser:
            return await browser.post("/auth/token", data=form)

    async def patient(self, patient_id: str, name: str = "Kari Nordmann", focus: str | None = None) -> Visitor:
        """A logged-in patient."""
        return await self._visitor(kind="patient", person=patient_id, patient=focus or patient_id, display_name=name)

    async def staff(self, hpr: str = DOCTOR, unit: str = WARD, role: str = "clinician") -> Visitor:
        """A logged-in health worker."""
        return await self._visitor(
            kind="staff", person=hpr, display_name="Lege", unit=unit, unit_name=unit, role=role
        )  # fmt: skip

    async def _visitor(self, **session: Any) -> Visitor:
        async with self.house.platform.database.transaction() as connection:
            secret = await self.house.sessions.start(connection, **session)
        browser = self.browser()
        browser.cookies.set(self.house.sessions.cookie, secret)
        return Visitor(self, browser)


@dataclass
class Flow:
    """What an app sent, to be held against what comes back."""

    client: str
    verifier: str
    parameters: dict[str, str]


def flow(client: str = "app", **more: str | None) -> Flow:
    """An app's good request; parameters given as None are left out."""
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    parameters: dict[str, str | None] = {
        "response_type": "code", "client_id": client, "redirect_uri": BACK, "scope": "patient/*.rs", "state": "s-1",
        "aud": FHIR, "code_challenge": challenge, "code_challenge_method": "S256",
    }  # fmt: skip
    return Flow(client, verifier, {k: v for k, v in (parameters | more).items() if v is not None})


@dataclass
class Visitor:
    """One person's browser."""

    place: Place
    browser: httpx.AsyncClient

    async def ask(self, asked: Flow) -> httpx.Response:
        """Follow the app's request as far as the house goes."""
        answer = await self.browser.get("/auth/authorize", params=asked.parameters)
        while answer.is_redirect and answer.headers["location"].startswith("/"):
            answer = await self.browser.get(answer.headers["location"])
        return answer

    async def post(self, page: httpx.Response, **fields: Any) -> httpx.Response:
        """Send a page's form; follow inside the house."""
        csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert csrf is not None, page.text[:500]
        answer = await self.browser.post(str(page.url), data={"csrf": csrf[1], **fields})
        while answer.is_redirect and answer.headers["location"].startswith("/"):
            answer = await self.browser.get(answer.headers["location"])
        return answer

    async def say_yes(self, page: httpx.Response, **fields: Any) -> dict[str, str]:
        """Answer yes to all of it (or to `omfang`); what the app gets."""
        given = fields.pop("omfang", scopes_on(page))
        return back(await self.post(page, svar="ja", omfang=given, **fields))

    async def authorize(self, asked: Flow, **fields: Any) -> dict[str, str]:
        """From the request to the app's address; what it gets there."""
        page = await self.ask(asked)
        return back(page) if page.is_redirect else await self.say_yes(page, **fields)

    async def tokens(self, asked: Flow, **fields: Any) -> dict[str, Any]:
        """The whole way: the token response."""
        return (await redeem(self.place, asked, (await self.authorize(asked, **fields))["code"])).json()  # type: ignore[no-any-return]


def scopes_on(page: httpx.Response) -> list[str]:
    """Values of the check boxes of a page."""
    return [unescape(value) for value in re.findall(r'name="omfang" value="([^"]+)"', page.text)]


def back(answer: httpx.Response) -> dict[str, str]:
    """The parameters that an app gets at its own address."""
    assert answer.is_redirect, (answer.status_code, answer.text[:2000])
    assert answer.headers["location"].startswith(BACK), answer.headers["location"]
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


async def redeem(place: Place, asked: Flow, code: str | None, **more: str | None) -> httpx.Response:
    """Exchange a code; form fields given as None are left out."""
    form: dict[str, str | None] = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": asked.verifier,
        "client_id": asked.client,
    }  # fmt: skip
    return await post(place, "/auth/token", **(form | more))


async def post(place: Place, path: str, auth: tuple[str, str] | None = None, **form: str | None) -> httpx.Response:
    """One call of an endpoint."""
    async with place.browser() as browser:
        return await browser.post(path, data={k: v for k, v in form.items() if v is not None}, auth=auth)


async def read(place: Place, token: str, path: str, method: str = "GET", **more: Any) -> httpx.Response:
    """One call of the API."""
    headers = {"authorization": f"Bearer {token}", "content-type": "application/fhir+json"}
    async with place.browser() as browser:
        return await browser.request(method, f"/fhir{path}", headers=headers | more.pop("headers", {}), **more)


async def ids(place: Place, token: str, path: str) -> set[str]:
    """References of all entries of a searchset or history."""
    answer = await read(place, token, path)
    assert answer.status_code == 200, answer.text
    return {f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in answer.json().get("entry", ())}
