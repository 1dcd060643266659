"""What must be right in an id_token and in a logout token, when the signature holds. Pure decisions.

Sources: OpenID Connect Core 1.0 3.1.3.7 and 3.1.3.6 (at_hash); Back-Channel Logout 1.0 2.6; IDENTITY.md 1.1 and 1.2.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from varde.trust.identity.registration import LoginRefused, Registration

LEEWAY = 10
"""Seconds by which clocks may differ (FK4: both follow the national time)."""
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_ID_TOKEN_TYPES = frozenset({None, "JWT"})
_LOGOUT_TYPES = frozenset({None, "JWT", "logout+jwt"})
_LOGOUT_SECONDS = 120
"""How old a logout token may be."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Whose sessions a logout token ends: those of one session at the provider, or all of one subject."""

    session: str | None
    subject: str | None
    token: str
    """Its jti: none is taken twice."""
    expires: float
    """When it is too old to be taken, whatever its exp says; seconds since 1970."""


def check_id_token(
    registration: Registration,
    header: Mapping[str, Any],
    claims: Mapping[str, Any],
    now: float,
    *,
    nonce: str,
    access_token: str | None = None,
    max_age: int | None = None,
) -> None:
    """Raises LoginRefused with the names of what is wrong, never their values."""
    problems = {
        "typ": header.get("typ") not in _ID_TOKEN_TYPES,
        "iss": claims.get("iss") != registration.issuer,
        **_audience(registration, claims),
        "sub": not _text(claims.get("sub")),
        "nonce": not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()),
        **_times(claims, now),
        "at_hash": not _hash_holds(str(header.get("alg")), claims.get("at_hash"), access_token),
        "auth_time": not _fresh(claims.get("auth_time"), now, max_age),
    }
    _refuse("id_token", problems)


def check_logout_token(
    registration: Registration, header: Mapping[str, Any], claims: Mapping[str, Any], now: float
) -> Ended:
    """Whose sessions to end. Raises LoginRefused."""
    events = claims.get("events")
    session, subject = claims.get("sid"), claims.get("sub")
    issued = claims.get("iat")
    problems = {
        "typ": header.get("typ") not in _LOGOUT_TYPES,
        "iss": claims.get("iss") != registration.issuer,
        **_audience(registration, claims),
        **_times(claims, now),
        "age": _number(issued) and issued + _LOGOUT_SECONDS < now,
        "jti": not _text(claims.get("jti")),
        "events": not (isinstance(events, dict) and isinstance(events.get(LOGOUT_EVENT), dict)),
        # With a nonce it is an id_token that somebody sends in its place.
        "nonce": "nonce" in claims,
        "sid or sub": not (_text(session) or _text(subject)),
    }
    _refuse("logout token", problems)
    return Ended(
        session if _text(session) else None,
        subject if _text(subject) else None,
        str(claims["jti"]),
        float(claims["iat"]) + _LOGOUT_SECONDS + LEEWAY,
    )


def _refuse(what: str, problems: Mapping[str, bool]) -> None:
    wrong = [name for name, bad in problems.items() if bad]
    if wrong:
        raise LoginRefused(f"the {what}'s {', '.join(wrong)} is wrong")


def _audience(registration: Registration, claims: Mapping[str, Any]) -> dict[str, bool]:
    """We alone: a token that is for others too could be sent on by them."""
    audience = claims.get("aud")
    return {
        "aud": audience not in (registration.client_id, [registration.client_id]),
        "azp": claims.get("azp", registration.client_id) != registration.client_id,
    }


def _times(claims: Mapping[str, Any], now: float) -> dict[str, bool]:
    expires, issued, begins = claims.get("exp"), claims.get("iat"), claims.get("nbf", 0)
    return {
        "exp": not _number(expires) or expires + LEEWAY <= now,
        "iat": not _number(issued) or issued - LEEWAY > now,
        "nbf": not _number(begins) or begins - LEEWAY > now,
    }


def _hash_holds(alg: str, given: Any, access_token: str | None) -> bool:
    """Whether `at_hash` is of the access token that came along; one that is left out holds."""
    if given is None:
        return True
    if access_token is None or not isinstance(given, str) or alg[2:] not in {"256", "384", "512"}:
        return False
    digest = hashlib.new(f"sha{alg[2:]}", access_token.encode()).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")
    return hmac.compare_digest(half.encode(), given.encode())


def _fresh(authenticated: Any, now: float, max_age: int | None) -> bool:
    """Whether the person proved who they are no longer ago than was asked (OpenID Connect Core 3.1.2.1)."""
    if max_age is None:
        return authenticated is None or (_number(authenticated) and 0 <= authenticated <= now + LEEWAY)
    return _number(authenticated) and now - max_age - LEEWAY <= authenticated <= now + LEEWAY


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and bool(value)
