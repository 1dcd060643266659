"""An app's authorization request: checked, kept while the person logs in and answers, and how the answer goes back.

Sources: RFC 6749 4.1, RFC 7636 (PKCE), RFC 9126 (PAR), RFC 9207 (iss), RFC 9700 (best practice); SMART App Launch
2.2, "Obtain authorization code".
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson

from varde.clock import Clock
from varde.db import Database
from varde.trust.smart.authorizations import LAUNCH, PUSHED_SECONDS, REQUEST, digest
from varde.trust.smart.clients import Client, Side
from varde.trust.smart.scopes import InvalidScope, covered, read_words

PUSHED = "urn:ietf:params:oauth:request_uri:"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_LONGEST = 2000
_NUMBER = re.compile(r"(?<!\d)\d{11}(?!\d)")


class Refused(Exception):
    """A request that is told to be wrong to the app. `error` is OAuth's, the text for its developer."""

    def __init__(self, error: str, why: str) -> None:
        super().__init__(why)
        self.error = error


@dataclass(frozen=True, slots=True)
class Asked:
    """A checked request."""

    client: str
    redirect_uri: str
    scopes: str
    state: str
    challenge: str
    nonce: str | None = None
    launched: bool = False
    """From a page of staff's."""
    hpr: str | None = None
    """Who launched it: nobody else answers."""
    unit: str | None = None
    patient: str | None = None
    encounter: str | None = None
    quiet: bool = False
    """prompt=none: no page may be shown."""
    thumbprint: str | None = None
    """Of the key that will redeem the code (dpop_jkt, RFC 9449 10)."""

    @property
    def wants_patient(self) -> bool:
        """Whether it is of use only with one patient in focus."""
        words, others = read_words(self.scopes)
        return "launch/patient" in others or any(word.level == "patient" for word in words)


def redirect_of(client: Client, parameters: Mapping[str, str]) -> str:
    """The registered address to answer to, to the letter as it was asked. Raises LookupError: then nothing is sent
    anywhere."""
    wanted = parameters.get("redirect_uri")
    if wanted is None or wanted not in client.redirect_uris:
        raise LookupError("redirect_uri is not one that the app is registered with")
    return wanted


def single(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Parameters that each stand once (RFC 6749 3.1), without those that are empty. Raises Refused."""
    found: dict[str, str] = {}
    for name, text in pairs:
        if not text:
            continue
        if name in found:
            raise Refused("invalid_request", "a parameter stands twice")
        found[name] = text
    return found


class Requests:
    """Checks and keeps requests."""

    def __init__(self, database: Database, clock: Clock, fhir: str) -> None:
        """`fhir`: the address of the FHIR API, which every request must name as its aud."""
        self._database = database
        self._clock = clock
        self._fhir = fhir

    async def check(self, client: Client, parameters: Mapping[str, str]) -> Asked:
        """The request, when all of it is right. `redirect_of` was asked before. Raises Refused."""
        if any(len(text) > _LONGEST for text in parameters.values()):
            raise Refused("invalid_request", "a parameter is too long")
        if "request" in parameters:
            raise Refused("request_not_supported", "a signed request object is not taken")
        if parameters.get("response_type") != "code":
            raise Refused("unsupported_response_type", "response_type is code")
        if parameters.get("response_mode", "query") != "query":
            raise Refused("invalid_request", "response_mode is query")
        state = parameters.get("state", "")
        if not state or _NUMBER.search(state):
            raise Refused("invalid_request", "state is needed, and names nobody")
        challenge = parameters.get("code_challenge", "")
        if parameters.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
            raise Refused("invalid_request", "PKCE with S256 is needed")
        if parameters.get("aud", "").rstrip("/") != self._fhir:
            raise Refused("invalid_request", "aud is the address of the FHIR API")
        scopes = parameters.get("scope", "")
        asked = Asked(
            client.id, parameters["redirect_uri"], scopes, state, challenge, parameters.get("nonce"),
            quiet=parameters.get("prompt") == "none", thumbprint=parameters.get("dpop_jkt"),
        )  # fmt: skip
        if asked.thumbprint is not None and not _CHALLENGE.fullmatch(asked.thumbprint):
            raise Refused("invalid_request", "dpop_jkt is no thumbprint of a key")
        self._check_scopes(client, scopes)
        return await self._launched(asked, parameters.get("launch"))

    @staticmethod
    def _check_scopes(client: Client, scopes: str) -> None:
        try:
            words, others = read_words(scopes)
            within = covered(scopes, client.scopes)
        except InvalidScope as error:
            raise Refused("invalid_scope", str(error)) from None
        if any(word.level == "system" for word in words):
            raise Refused("invalid_scope", "system scopes are for client_credentials")
        if not words and "openid" not in others:
            raise Refused("invalid_scope", "no scope of this server is asked for")
        if not within:
            raise Refused("invalid_scope", "more is asked for than the app is registered with")
        if {"offline_access", "online_access"} <= set(others):
            raise Refused("invalid_scope", "offline_access and online_access exclude one another")

    async def _launched(self, asked: Asked, launch: str | None) -> Asked:
        _, others = read_words(asked.scopes)
        if (launch is None) != ("launch" not in others):
            raise Refused("invalid_request", "scope launch and parameter launch belong together")
        if launch is None:
            return asked
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "delete from smart_launch where digest = $1 and client = $2 and created > $3 returning *",
                digest(launch), asked.client, self._clock.now() - LAUNCH,
            )  # fmt: skip
        if row is None:
            raise Refused("invalid_request", "the launch is unknown, used or too old")
        return replace(
            asked, launched=True, hpr=row["hpr"], unit=row["unit"], patient=row["patient"], encounter=row["encounter"]
        )

    async def begin_launch(
        self, client: Client, *, hpr: str, unit: str, patient: str | None, encounter: str | None
    ) -> str:
        """Let a member of staff open an app: the value of `launch`, good for some minutes and one request."""
        launch = secrets.token_urlsafe(24)
        async with self._database.connection() as connection:
            await connection.execute(
                "insert into smart_launch (digest, client, hpr, unit, patient, encounter, created)"
                " values ($1, $2, $3, $4, $5, $6, $7)",
                digest(launch), client.id, hpr, unit, patient, encounter, self._clock.now(),
            )  # fmt: skip
        return launch

    async def keep(self, asked: Asked, *, pushed: bool = False) -> str:
        """Remember a request; the secret that stands for it in an address."""
        handle = secrets.token_urlsafe(24)
        async with self._database.connection() as connection:
            await connection.execute(
                "insert into smart_request (digest, client, pushed, parameters, patient, created)"
                " values ($1, $2, $3, $4, $5, $6)",
                digest(handle), asked.client, pushed, orjson.dumps(asdict(asked)).decode(), asked.patient,
                self._clock.now(),
            )  # fmt: skip
        return handle

    async def open_pushed(self, client_id: str, request_uri: str) -> Asked:
        """A pushed request, opened once. Raises LookupError."""
        handle = request_uri.removeprefix(PUSHED)
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "delete from smart_request where digest = $1 and client = $2 and pushed and created > $3 returning *",
                digest(handle), client_id, self._clock.now() - timedelta(seconds=PUSHED_SECONDS),
            )  # fmt: skip
        if row is None or handle == request_uri:
            raise LookupError("no such pushed request")
        return _asked(row)

    async def find(self, handle: str) -> Asked | None:
        """A request under way, with the patient chosen meanwhile."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "select * from smart_request where digest = $1 and not pushed and created > $2",
                digest(handle), self._clock.now() - REQUEST,
            )  # fmt: skip
        return None if row is None else _asked(row)

    async def choose(self, handle: str, patient: str) -> None:
        """Note whose things the app is to see."""
        async with self._database.connection() as connection:
            await connection.execute(
                "update smart_request set patient = $2 where digest = $1 and not pushed", digest(handle), patient
            )

    async def take(self, connection: Any, handle: str) -> None:
        """Use a request up, in the caller's transaction. Raises LookupError when it is gone: answered before."""
        if not await connection.fetchval(
            "delete from smart_request where digest = $1 and not pushed returning true", digest(handle)
        ):
            raise LookupError("the request was answered before")


def _asked(row: Any) -> Asked:
    return Asked(**{**orjson.loads(row["parameters"]), "patient": row["patient"]})


def answer_address(redirect_uri: str, issuer: str, state: str, **values: str) -> str:
    """Where to send the browser: the app's own query is kept, the issuer is named (RFC 9207)."""
    parts = urlsplit(redirect_uri)
    query = [*parse_qsl(parts.query, keep_blank_values=True), *values.items(), ("iss", issuer)]
    if state:
        query.append(("state", state))
    return urlunsplit(parts._replace(query=urlencode(query)))


def origin_of(redirect_uri: str) -> str:
    """What a page's form-action must name to send the person there."""
    parts = urlsplit(redirect_uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in {"http", "https"} else f"{parts.scheme}:"


def sides_of(client: Client, asked: Asked) -> frozenset[Side]:
    """Who may answer a request."""
    persons = client.sides & {Side.PATIENT, Side.STAFF}
    return persons & {Side.STAFF} if asked.launched else persons
