"""The authorization code flow with PKCE and PAR, from sending the browser away to believing who came back.

Sources: OpenID Connect Core 1.0; RFC 7636 (PKCE), RFC 9126 (PAR), RFC 9101 (signed requests), RFC 9207 (`iss`);
IDENTITY.md 1.1 and 1.2.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import orjson

from varde.trust.identity.checking import check_id_token
from varde.trust.identity.provider import Provider
from varde.trust.identity.registration import Asked, LoginRefused, ProviderUnavailable

REQUEST_TYPE = "oauth-authz-req+jwt"


@dataclass(frozen=True, slots=True)
class Started:
    """A login under way: where to send the browser, and what must be remembered."""

    url: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Who came back, and what the provider gave along."""

    claims: Mapping[str, Any]
    """Of the checked id_token, with what UserInfo added."""
    id_token: str
    access_token: str
    scope: str
    expires: float
    """When the access token ends, seconds since 1970."""
    refresh_token: str | None = None
    details: Sequence[Mapping[str, Any]] = ()
    """`authorization_details` as granted."""


async def start(provider: Provider, asked: Asked) -> Started:
    """Push the authorization request and give the address to send the browser to.

    Raises ProviderUnavailable, LoginRefused when the provider does not take the request.
    """
    metadata = await provider.metadata()
    registration = provider.registration
    started = Started("", secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48))
    request: dict[str, Any] = {
        "response_type": "code",
        "client_id": registration.client_id,
        "redirect_uri": registration.redirect_uri,
        "scope": registration.scope,
        "state": started.state,
        "nonce": started.nonce,
        "code_challenge": _challenge(started.verifier),
        "code_challenge_method": "S256",
        **asked.parameters,
    }
    if registration.bound:
        request["dpop_jkt"] = provider.prover.thumbprint  # the code is of no use without our key either
    if asked.max_age is not None:
        request |= {"max_age": asked.max_age, "prompt": "login"}
    if asked.details:
        request["authorization_details"] = list(asked.details)
    if registration.request_objects:
        form = {"request": provider.signed(REQUEST_TYPE, request)}
    else:
        form = {name: value if isinstance(value, str) else _plain(value) for name, value in request.items()}
    answer = await provider.post("pushed_authorization_request_endpoint", form)
    if not isinstance(answer.get("request_uri"), str):
        raise ProviderUnavailable("the pushed request got no name")
    query = urlencode({"client_id": registration.client_id, "request_uri": answer["request_uri"]})
    return replace(started, url=f"{metadata['authorization_endpoint']}?{query}")


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")


def _plain(value: Any) -> str:
    return str(value) if isinstance(value, int) else orjson.dumps(value).decode()


async def check_sender(provider: Provider, issuer: str | None) -> None:
    """That an answer names the provider it was asked of, where that promises to (RFC 9207): else a code may be from
    one provider and be sent to another. Raises LoginRefused, ProviderUnavailable."""
    promised = (await provider.metadata()).get("authorization_response_iss_parameter_supported") is True
    if issuer != provider.registration.issuer and (promised or issuer is not None):
        raise LoginRefused("the answer is from another issuer (RFC 9207)")


async def finish(
    provider: Provider,
    code: str,
    *,
    nonce: str,
    verifier: str,
    asked: Asked,
    wanted: Sequence[str] = (),
    details: Sequence[Mapping[str, Any]] = (),
) -> Answer:
    """Who the code that came back stands for. `wanted` names claims that are asked of UserInfo when the id_token lacks
    one of them; `details` are authorization_details for the client assertion.

    Raises ProviderUnavailable, LoginRefused.
    """
    registration = provider.registration
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": registration.redirect_uri,
        "code_verifier": verifier,
    }
    body = await provider.post("token_endpoint", form, details=details, bound=registration.bound)
    id_token = body.get("id_token")
    if not isinstance(id_token, str):
        raise LoginRefused("no id_token")
    access_token = access_token_of(provider, body)
    header, claims = await provider.verified(id_token, registration.id_token_algorithms)
    check_id_token(
        registration, header, claims, provider.now(),
        nonce=nonce, access_token=access_token, max_age=asked.max_age,
    )  # fmt: skip
    if any(name not in claims for name in wanted):
        claims = {**await _more(provider, claims, access_token), **claims}
    return Answer(
        claims, id_token, access_token, scope_of(body, registration.scope), expires_of(provider, body),
        refresh_token_of(body), granted_details(body),
    )  # fmt: skip


async def _more(provider: Provider, claims: Mapping[str, Any], access_token: str) -> dict[str, Any]:
    """What UserInfo tells of the same person (OpenID Connect Core 5.3.2); nothing where there is none."""
    address = await provider.endpoint("userinfo_endpoint")
    if address is None:
        return {}
    told = await provider.get(address, access_token, bound=provider.registration.bound)
    if not hmac.compare_digest(str(told.get("sub", "")).encode(), str(claims["sub"]).encode()):
        raise LoginRefused("UserInfo tells of another person")
    return told


def access_token_of(provider: Provider, body: Mapping[str, Any]) -> str:
    """The access token of a token response, of the kind that was asked for: one that is bound to no key is refused
    where it should be. Raises LoginRefused."""
    token, kind = body.get("access_token"), str(body.get("token_type", "")).lower()
    if not isinstance(token, str) or kind != ("dpop" if provider.registration.bound else "bearer"):
        raise LoginRefused("the access token is not of the kind that was asked for")
    return token


def refresh_token_of(body: Mapping[str, Any]) -> str | None:
    """The refresh token of a token response, if one came."""
    token = body.get("refresh_token")
    return token if isinstance(token, str) else None


def scope_of(body: Mapping[str, Any], asked: str) -> str:
    """What a token response lets us do: what was asked for when it does not say (RFC 6749 5.1)."""
    scope = body.get("scope")
    return scope if isinstance(scope, str) else asked


def expires_of(provider: Provider, body: Mapping[str, Any]) -> float:
    """When the access token of a token response ends; at once when it does not say."""
    seconds = body.get("expires_in")
    known = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    return provider.now() + (float(seconds) if known and seconds is not None else 0.0)


def granted_details(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """`authorization_details` of a token response (RFC 9396 7)."""
    details = body.get("authorization_details")
    return [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []
