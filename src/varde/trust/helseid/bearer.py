"""An access token of HelseID's, from its text to who calls: every check of the token itself (IDENTITY.md 1.4, points 2
to 8 and 10; RFC 9068 4). What its holder may do is `granting.py`'s; the proof of possession is `trust/proofs.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import httpx
import orjson
from joserfc import jws, jwt
from joserfc.errors import JoseError

from varde.clock import Clock
from varde.trust.helseid.attestation import Attestation, WrongAttestation, attested
from varde.trust.helseid.contract import Contract
from varde.trust.helseid.issuer import IssuerKeys
from varde.trust.identity.helseid import CHILD, HPR, PARENT, Organisation, level_of
from varde.trust.proofs import ALGORITHMS, REGISTRY

INVALID = "invalid_token"
INSUFFICIENT = "insufficient_scope"
_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt"})
_OF_ID_TOKENS = frozenset({"nonce", "at_hash", "c_hash"})
_NAME = "helseid://claims/client/client_name"
_PID = "helseid://claims/identity/pid"
LEEWAY = 5
"""Seconds that clocks may differ."""
_LONGEST = 24 * 3600
"""Seconds that a token may be good for at most, whatever it says."""


class WrongToken(Exception):
    """A token that lets nobody in. `error` is OAuth's; the text is for the client's developer, and tells of nobody."""

    def __init__(self, why: str, error: str = INVALID) -> None:
        super().__init__(why)
        self.error = error


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, by a token that holds in every part."""

    issuer: str
    client: str
    client_name: str
    organisation: Organisation
    scopes: tuple[str, ...]
    thumbprint: str
    """Of the key that the token is bound to."""
    expires: float
    """Seconds since 1970."""
    hpr: str | None = None
    """None for a system that acts by itself."""
    attestation: Attestation | None = None
    attested: int | None = None
    """When the need was attested, or the token issued: seconds since 1970."""


class Tokens:
    """Reads tokens of the contract's issuers. One a process."""

    def __init__(self, contract: Contract, clock: Clock, http: httpx.AsyncClient) -> None:
        self.contract = contract
        self._clock = clock
        self._issuers = {issuer: IssuerKeys(issuer, clock, http) for issuer in contract.issuers}

    async def read(self, token: str) -> Caller:
        """Who calls with a token. Raises WrongToken; Unavailable when the issuer's keys cannot be had."""
        header, issuer = _unproven(token)
        keys = self._issuers.get(issuer)
        if keys is None:
            raise WrongToken("iss is no issuer of this API's")
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS or not isinstance(kid, str) or "crit" in header:
            raise WrongToken("the token's header is not one of this API's")
        key = await keys.find(kid)
        if key is None:
            raise WrongToken("the token's key is not the issuer's")
        if key.get("alg") not in {None, algorithm}:
            raise WrongToken("the issuer's key is for another algorithm")
        try:
            claims = jwt.decode(token, key, registry=REGISTRY).claims
        except (JoseError, ValueError, TypeError, KeyError):
            raise WrongToken("the token's signature does not hold") from None
        return caller(header, claims, self.contract, self._clock.now().timestamp())


def _unproven(token: str) -> tuple[Mapping[str, Any], str]:
    """(header, iss) as the token says, before anything of it is proven: only to know whose keys to try."""
    try:
        read = jws.extract_compact(token.encode(), registry=REGISTRY)
        claims = orjson.loads(read.payload or b"")
        return read.headers(), str(claims["iss"])
    except (JoseError, ValueError, TypeError, KeyError):
        raise WrongToken("it is no JWT") from None


def issuer_of(token: str) -> str | None:
    """The issuer that a token says it is from; None for what is no JWT."""
    try:
        return _unproven(token)[1]
    except WrongToken:
        return None


def caller(header: Mapping[str, Any], claims: Mapping[str, Any], contract: Contract, now: float) -> Caller:
    """Who calls, by the header and claims of a token whose signature holds. Raises WrongToken."""
    if str(header.get("typ", "")).lower() not in _TYPES or claims.keys() & _OF_ID_TOKENS:
        raise WrongToken("it is no access token")
    if claims.get("iss") not in contract.issuers:
        raise WrongToken("iss is no issuer of this API's")
    if claims.get("aud") not in (contract.audience, [contract.audience]):
        raise WrongToken("aud is this API, and nothing else")
    expires = _times(claims, now)
    client = claims.get("client_id")
    if not isinstance(client, str) or not 1 <= len(client) <= 100 or not client.isprintable():
        raise WrongToken("client_id is needed")
    bound = claims.get("cnf")
    thumbprint = bound.get("jkt") if isinstance(bound, dict) else None
    if not isinstance(thumbprint, str) or not thumbprint:
        raise WrongToken("cnf.jkt is needed: tokens of this API are bound to a key")
    organisation = _organisation(claims)
    if not contract.admits(organisation):
        raise WrongToken("the organisation has no agreement on this API")
    hpr = _worker(claims, contract)
    scopes = tuple(one for one in _scopes(claims.get("scope")) if one in contract.scopes)
    if not contract.words(scopes, "system" if hpr is None else "user"):
        raise WrongToken("no scope of this API for such a caller", INSUFFICIENT)
    try:
        attestation = attested(claims.get("authorization_details"))
    except WrongAttestation as error:
        raise WrongToken(str(error)) from None
    if attestation is not None and attestation.legal_entity.number not in {organisation.parent, organisation.child}:
        raise WrongToken("the attestation is of another organisation than the token")
    if attestation is None and hpr is not None and contract.attested:
        raise WrongToken("an attestation of why a health worker needs data is needed")
    return Caller(
        str(claims["iss"]), client, _name(claims, client), organisation, scopes, thumbprint, expires, hpr, attestation,
        _issued(claims, attestation),
    )  # fmt: skip


def _issued(claims: Mapping[str, Any], attestation: Attestation | None) -> int | None:
    if attestation is not None and attestation.issued is not None:
        return attestation.issued
    issued = claims.get("iat")
    return int(issued) if _is_time(issued) else None


def _times(claims: Mapping[str, Any], now: float) -> float:
    """When it expires. Raises WrongToken for one that is not good now."""
    expires, begins, issued = (claims.get(name) for name in ("exp", "nbf", "iat"))
    if not _is_time(expires) or expires + LEEWAY <= now or expires > now + _LONGEST:
        raise WrongToken("exp is past, or too far ahead")
    for moment in (begins, issued):
        if moment is not None and (not _is_time(moment) or moment > now + LEEWAY):
            raise WrongToken("nbf or iat is ahead of the clock")
    return float(expires)


def _is_time(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _scopes(told: Any) -> Sequence[str]:
    """The words of a scope: HelseID gives them as a list, RFC 9068 as a text."""
    if isinstance(told, str):
        return told.split(" ")
    return [one for one in told if isinstance(one, str)] if isinstance(told, list) else []


def _organisation(claims: Mapping[str, Any]) -> Organisation:
    parent, child = claims.get(PARENT), claims.get(CHILD)
    try:
        return Organisation.parse(f"{parent}:{child}" if child else str(parent))
    except ValueError:
        raise WrongToken("the calling organisation's number is needed") from None


def _worker(claims: Mapping[str, Any], contract: Contract) -> str | None:
    """The HPR number of a health worker; None for a system. Raises WrongToken for a person who is none, and for one
    of whom HelseID is not sure enough."""
    hpr = claims.get(HPR)
    if hpr is None:
        # A person without an HPR number is none whom this API knows; `sub` other than the client's own is a person.
        if claims.get(_PID) is not None or claims.get("sub") not in {None, claims.get("client_id")}:
            raise WrongToken("a health worker's HPR number is needed")
        return None
    if not isinstance(hpr, str) or not 1 <= len(hpr) <= 9 or not hpr.isascii() or not hpr.isdigit():
        raise WrongToken("the HPR number is none")
    if level_of(claims) < contract.level:
        raise WrongToken("the level of assurance is too low")
    return hpr


def _name(claims: Mapping[str, Any], client: str) -> str:
    name = claims.get(_NAME)
    return name[:80] if isinstance(name, str) and name.strip() and name.isprintable() else client
