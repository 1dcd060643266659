"""ID-porten, where patients log in: what is asked of it, and who its answer says it is.

Source: docs.digdir.no/docs/idporten/oidc (IDENTITY.md 1.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from varde.trust.identity.keys import ClientKeys
from varde.trust.identity.registration import Asked, Level, LoginRefused, Registration
from varde.trust.persons import is_national_number

PID = "pid"
LEVELS = {"idporten-loa-substantial": Level.SUBSTANTIAL, "idporten-loa-high": Level.HIGH}
_WORDS = {level: word for word, level in LEVELS.items()}
REQUIRED = Level.HIGH
"""Health data: nobody gets in with less, and no setting makes it less."""


@dataclass(frozen=True, slots=True)
class Citizen:
    """Who logged in. `number` is the key to the person and stands in no address, log or error text."""

    number: str
    level: Level


def registration(issuer: str, client_id: str, redirect_uri: str, keys: ClientKeys) -> Registration:
    """How Varde is registered with ID-porten: private_key_jwt, PAR, bearer tokens."""
    return Registration(
        "patient", issuer, client_id, redirect_uri, keys, "openid profile", id_token_algorithms=("RS256", "PS256")
    )


def asking(max_age: int | None = None) -> Asked:
    """What is asked at a login: the highest level."""
    return Asked(REQUIRED, max_age, {"acr_values": _WORDS[REQUIRED]})


def citizen(claims: Mapping[str, Any], asked: Asked) -> Citizen:
    """Who a checked id_token says it is. The level is judged by the token itself: asking is not enough.

    Raises LoginRefused.
    """
    acr = claims.get("acr")
    level = LEVELS.get(acr, Level.LOW) if isinstance(acr, str) else Level.LOW
    if level < asked.level:
        raise LoginRefused("the id_token's acr is too low")
    number = claims.get(PID)
    if not isinstance(number, str) or not is_national_number(number):
        raise LoginRefused("the id_token's pid is no national identity number")
    return Citizen(number, level)
