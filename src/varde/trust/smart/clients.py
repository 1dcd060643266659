"""The apps that operators registered: who they are, how they prove it, and the most that they may ask for.

Registration is an operator's (`varde client add`): an app that reaches patients' records is let in by a person who
answers for it, so there is no registration endpoint.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import orjson
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from varde.clock import Clock
from varde.db import Database
from varde.trust.grounds import GROUNDS, RECORD_SYSTEM, Ground
from varde.trust.smart.scopes import InvalidScope, read_words

_ID = re.compile(r"[A-Za-z0-9][\w.-]{2,63}", re.ASCII)
_COLUMNS = (
    "id", "name", "publisher", "authentication", "secret_digest", "jwks", "jwks_uri", "redirect_uris", "launch_uri",
    "sides", "scopes", "ground", "introspects", "bound", "created",
)  # fmt: skip
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_NEVER = frozenset({"javascript", "data", "vbscript", "file", "blob", "about"})
_LEAST_RSA_BITS = 2048


class Authentication(StrEnum):
    """How an app proves who it is."""

    NONE = "none"
    """A public app: PKCE alone."""
    SECRET = "secret"  # noqa: S105 (the name of a kind)
    KEY = "key"
    """private_key_jwt."""


class Side(StrEnum):
    """Who uses an app."""

    PATIENT = "patient"
    STAFF = "staff"
    SYSTEM = "system"


class InvalidClient(ValueError):
    """A registration that cannot be taken. The text says why."""


@dataclass(frozen=True, slots=True)
class Client:
    """One registered app."""

    id: str
    name: str
    publisher: str
    authentication: Authentication
    sides: frozenset[Side]
    scopes: str
    redirect_uris: tuple[str, ...] = ()
    launch_uri: str | None = None
    jwks: str | None = None
    jwks_uri: str | None = None
    secret_digest: bytes | None = None
    ground: Ground = RECORD_SYSTEM
    introspects: bool = False
    bound: bool = False
    """Whether it gets no tokens but such as are bound to a key of its own (DPoP)."""
    created: datetime | None = None
    closed: datetime | None = None

    @property
    def through(self) -> str:
        """How the access log names it."""
        return f"App {self.name} ({self.id})"


class Clients:
    """The registered apps in the database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, client: Client) -> str | None:
        """Register an app; its secret, when that is how it proves itself: shown this once. Raises InvalidClient."""
        check(client)
        secret = None
        if client.authentication is Authentication.SECRET:
            secret = secrets.token_urlsafe(32)
            client = replace(client, secret_digest=sha256(secret.encode()).digest())
        values = (
            client.id, client.name, client.publisher, client.authentication.value, client.secret_digest, client.jwks,
            client.jwks_uri, list(client.redirect_uris), client.launch_uri, sorted(client.sides), client.scopes,
            client.ground.key, client.introspects, client.bound, self._clock.now(),
        )  # fmt: skip
        places = ", ".join(f"${n + 1}" for n in range(len(values)))
        async with self._database.connection() as connection:
            made = await connection.fetchval(
                f"insert into smart_client ({', '.join(_COLUMNS)}) values ({places})"
                " on conflict (id) do nothing returning id",
                *values,
            )
        if made is None:
            raise InvalidClient("an app with this id is registered already")
        return secret

    async def new_secret(self, client_id: str) -> str:
        """Give an app a new secret; the former one is good no more. Raises LookupError for no app with a secret."""
        secret = secrets.token_urlsafe(32)
        async with self._database.connection() as connection:
            done = await connection.fetchval(
                "update smart_client set secret_digest = $2 where id = $1 and authentication = 'secret' returning id",
                client_id, sha256(secret.encode()).digest(),
            )  # fmt: skip
        if done is None:
            raise LookupError("no app with a secret has this id")
        return secret

    async def find(self, client_id: str) -> Client | None:
        """An app that is not closed."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow("select * from smart_client where id = $1 and closed is null", client_id)
        return None if row is None else _client(row)

    async def every(self) -> list[Client]:
        """All of them, also those that are closed, by name."""
        async with self._database.connection() as connection:
            return [_client(row) for row in await connection.fetch("select * from smart_client order by name, id")]

    async def launchable(self) -> list[Client]:
        """Those that staff open from Varde's page, by name."""
        every = await self.every()
        return [c for c in every if c.launch_uri and Side.STAFF in c.sides and c.closed is None]

    async def close(self, client_id: str) -> None:
        """Let an app do nothing more: every authorization of it ends. Raises LookupError."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            done = await connection.fetchval(
                "update smart_client set closed = $2 where id = $1 and closed is null returning id", client_id, now
            )
            if done is None:
                raise LookupError("no open app has this id")
            await connection.execute(
                "with ended as (update smart_authorization set revoked = $2 where client = $1 and revoked is null"
                " returning id) insert into smart_revocation (authorization_id, at) select id, $2 from ended",
                client_id, now,
            )  # fmt: skip


def _client(row: Any) -> Client:
    return Client(
        row["id"], row["name"], row["publisher"], Authentication(row["authentication"]),
        frozenset(Side(side) for side in row["sides"]), row["scopes"], tuple(row["redirect_uris"]), row["launch_uri"],
        row["jwks"], row["jwks_uri"], row["secret_digest"], GROUNDS.get(row["ground"] or "", RECORD_SYSTEM),
        row["introspects"], row["bound"], row["created"], row["closed"],
    )  # fmt: skip


def check(client: Client) -> None:
    """Raise InvalidClient for a registration that does not hold together."""
    if not _ID.fullmatch(client.id):
        raise InvalidClient("an id has 3 to 64 letters, digits, hyphens, underscores and full stops")
    if len(client.id) == 11 and client.id.isdigit():
        raise InvalidClient("an id of eleven digits could be a person's number")
    for name, text in (("a name", client.name), ("a publisher", client.publisher)):
        if not text.strip() or len(text) > 80 or not text.isprintable():
            raise InvalidClient(f"{name} of at most 80 letters is needed")
    if not client.sides and not client.introspects:
        raise InvalidClient("who uses it: patient, staff or system")
    interactive = client.sides & {Side.PATIENT, Side.STAFF}
    if bool(interactive) != bool(client.redirect_uris):
        raise InvalidClient("apps of persons, and only they, have redirect addresses")
    for address in client.redirect_uris:
        _check_address(address, own_scheme=True)
    if client.launch_uri is not None:
        if Side.STAFF not in client.sides:
            raise InvalidClient("only an app of staff is launched by them")
        _check_address(client.launch_uri)
    _check_proof(client)
    _check_scopes(client)


def _check_proof(client: Client) -> None:
    keys = client.jwks is not None, client.jwks_uri is not None
    if (client.authentication is Authentication.KEY) != any(keys) or all(keys):
        raise InvalidClient("an app with keys, and only it, has either a JWKS or the address of one")
    if Side.SYSTEM in client.sides and client.authentication is not Authentication.KEY:
        raise InvalidClient("a system proves itself by a key (SMART Backend Services)")
    if client.introspects and client.authentication is Authentication.NONE:
        raise InvalidClient("one that asks about tokens must prove itself")
    if client.jwks_uri is not None:
        _check_address(client.jwks_uri)
    if client.jwks is not None:
        public_keys(client.jwks)


def _check_scopes(client: Client) -> None:
    try:
        words, _ = read_words(client.scopes)
    except InvalidScope as error:
        raise InvalidClient(str(error)) from None
    for word in words:
        wanted = {Side.SYSTEM} if word.level == "system" else {Side.PATIENT, Side.STAFF}
        if not wanted & client.sides:
            raise InvalidClient(f"{word}: system scopes are for systems, patient and user scopes for persons")


def _check_address(address: str, *, own_scheme: bool = False) -> None:
    """An https address; http on this very machine; of a telephone's app also a scheme of its own."""
    parts = urlsplit(address)
    if parts.fragment or "*" in address or not address.isprintable() or " " in address or "#" in address:
        raise InvalidClient(f"{address}: an address without fragment, wildcard and spaces is needed")
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    if "@" in parts.netloc:
        raise InvalidClient(f"{address}: an address holds no user")
    if (parts.scheme == "https" and host) or (parts.scheme == "http" and host in _LOOPBACK):
        return
    # RFC 8252 7.1: a scheme of one's own is a domain name turned round, so that no two apps share it.
    if own_scheme and "." in parts.scheme and parts.scheme not in _NEVER:
        return
    raise InvalidClient(f"{address}: https is needed")


def public_keys(text: str | bytes) -> KeySet:
    """The signing keys of a JWKS: public RSA keys of 2048 bits and more, and P-384. Others are passed over.

    Raises InvalidClient when it cannot be read, has no such key, or holds a private key.
    """
    try:
        listed = orjson.loads(text)["keys"]
        keys: Sequence[Any] = [key for key in listed if isinstance(key, dict)]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise InvalidClient("it is no JWKS") from None
    if any(set(key) & {"d", "p", "q", "k", "dp", "dq", "qi"} for key in keys):
        raise InvalidClient("the JWKS holds a private or shared key; only public ones are taken")
    found: list[RSAKey | ECKey] = []
    for key in keys:
        if key.get("use", "sig") != "sig" or not isinstance(key.get("kid"), str):
            continue
        try:
            if key.get("kty") == "RSA":
                rsa = RSAKey.import_key(key)
                if rsa.public_key.key_size >= _LEAST_RSA_BITS:
                    found.append(rsa)
            elif key.get("kty") == "EC" and key.get("crv") == "P-384":
                found.append(ECKey.import_key(key))
        except (JoseError, ValueError, TypeError):
            continue
    if not found:
        raise InvalidClient("the JWKS has no RSA (2048 bits and more) or P-384 key with a kid")
    return KeySet(list(found))
