"""How Varde is registered with an identity provider, and the two ways a login fails. Words only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal

from varde.trust.identity.keys import ClientKeys

Side = Literal["patient", "staff"]


class ProviderUnavailable(Exception):
    """The identity provider does not answer. Running sessions go on. The text is for the log."""


class LoginRefused(Exception):
    """The provider's answer is not to be trusted, or it refused. The text is for the log and tells of no person."""


class Level(IntEnum):
    """How sure the provider is of who logged in (eIDAS; the numbers are Norway's old names)."""

    LOW = 2
    SUBSTANTIAL = 3
    HIGH = 4


@dataclass(frozen=True, slots=True)
class Registration:
    """One client of one provider, and what that provider requires of it."""

    side: Side
    issuer: str
    client_id: str
    redirect_uri: str
    """Where the browser comes back to: exactly this address is sent, and none is taken from a request."""
    keys: ClientKeys
    scope: str
    assertion_type: str = "JWT"
    """Header `typ` of client assertions."""
    request_objects: bool = False
    """Whether the pushed request is signed as well (RFC 9101)."""
    bound: bool = False
    """Whether tokens are bound to a key of ours (DPoP)."""
    id_token_algorithms: Sequence[str] = ("RS256", "PS256", "ES256")
    """`none` and shared secrets are on no such list."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one login asks of the provider beyond who it is."""

    level: Level = Level.HIGH
    max_age: int | None = None
    """Seconds since the person last proved who they are, at most: a login to step up. None: whatever the provider's
    own session says."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Of the provider's own: acr_values."""
    details: Sequence[Mapping[str, Any]] = ()
    """`authorization_details` (RFC 9396) of the request."""
