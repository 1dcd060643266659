"""The authorization server for apps (trust/smart), put together from the house's rooms. One a web process."""

from __future__ import annotations

from pathlib import Path

import httpx

from varde.app import House
from varde.clock import Clock
from varde.settings import Settings
from varde.trust.nonces import Nonces
from varde.trust.proofs import Proofs
from varde.trust.replay import Replays
from varde.trust.smart.authorizations import Authorizations
from varde.trust.smart.clients import Clients
from varde.trust.smart.discovery import Addresses
from varde.trust.smart.endpoints import AuthorizationServer
from varde.trust.smart.keys import SigningKeys
from varde.trust.smart.opening import AppTokens
from varde.trust.smart.proving import Proving
from varde.trust.smart.requests import Requests


def authorization_server(house: House, http: httpx.AsyncClient) -> AuthorizationServer:
    """All its parts. `http` fetches the keys of apps."""
    platform = house.platform
    database, clock = platform.database, platform.clock
    addresses = Addresses(platform.settings.base)
    clients = Clients(database, clock)
    authorizations = Authorizations(database, clock)
    replays = Replays(database, clock)
    return AuthorizationServer(
        addresses,
        clock,
        platform.access,
        clients,
        Requests(database, clock, addresses.fhir),
        authorizations,
        AppTokens(database, platform.access, clients, authorizations, house.sessions),
        signing_keys(platform.settings, clock),
        Proving(database, clock, clients, replays, http, addresses.audiences),
        Proofs(clock, replays, Nonces(database, clock) if platform.settings.proof_nonces else None),
    )


def signing_keys(settings: Settings, clock: Clock) -> SigningKeys:
    """The keys of id_tokens."""
    file: Path = settings.signing_key_file or settings.data / "signing-keys.json"
    return SigningKeys(file, clock)
