"""The whole way with a real provider: the library oidc-provider, in FAPI 2.0's profile, issues the tokens that the API
takes, for a health worker who logged in (code flow) and for a system (client credentials)."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from tests.trust.helseid.conftest import Site
from tests.trust.helseid.forge import (
    ASSURANCE,
    AUDIENCE,
    BUSINESS,
    CHILD,
    CLIENT_NAME,
    HPR,
    JOURNAL,
    LABORATORY,
    OTHER_TRUST,
    PARENT,
    TRUST,
    Forge,
    attestation,
    public,
)
from tests.trust.region import DOCTOR
from varde.demo.issuer import node

BACK = "https://kurven.test/back"
PATH = "/fhir/Observation/result-kari"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass
class Client:
    """One client of the provider's: its key to prove who it is, and another that its tokens are bound to."""

    name: str
    issuer: str
    base: str
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    http: httpx.Client = field(default_factory=httpx.Client)

    def __post_init__(self) -> None:
        self.forge = Forge(self.issuer, self.base)

    def described(self, **more: Any) -> dict[str, Any]:
        return {"id": self.name, "jwk": {**public(self.key), "kid": "k", "alg": "ES256", "use": "sig"}, **more}

    def post(self, path: str, **form: str) -> httpx.Response:
        """With an assertion and a proof."""
        now = int(time.time())
        claims = {"iss": self.name, "sub": self.name, "aud": self.issuer, "iat": now, "nbf": now, "exp": now + 55,
                  "jti": secrets.token_hex(12)}  # fmt: skip
        assertion = jwt.encode({"alg": "ES256", "kid": "k", "typ": "client-authentication+jwt"}, claims, self.key)
        address = f"{self.issuer}{path}"
        full = {**form, "client_id": self.name, "client_assertion_type": ASSERTION, "client_assertion": assertion}
        proof = self.forge.proof("", "", "POST", ath=None, htu=address)
        return self.http.post(address, data=full, headers={"dpop": proof})

    def log_in(self, who: str) -> dict[str, Any]:
        """The tokens of one who logs in: PAR, the browser's way, the code redeemed."""
        self.http.cookies.clear()  # another browser each time
        verifier = secrets.token_urlsafe(48)
        challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
        pushed = self.post(
            "/request", response_type="code", redirect_uri=BACK, scope=f"openid offline_access {JOURNAL}", state="s",
            code_challenge=challenge, code_challenge_method="S256", login_hint=who, prompt="login consent",
            authorization_details=json.dumps([attestation()]),
        ).json()  # fmt: skip
        answer = self.http.get(
            f"{self.issuer}/auth", params={"client_id": self.name, "request_uri": pushed["request_uri"]}
        )
        for _ in range(6):
            assert answer.is_redirect, answer.text
            if answer.headers["location"].startswith(BACK):
                break
            answer = self.http.get(str(httpx.URL(self.issuer).join(answer.headers["location"])))
        back = parse_qs(urlsplit(answer.headers["location"]).query)
        assert back["iss"] == [self.issuer], back
        return self.post(  # type: ignore[no-any-return]
            "/token", grant_type="authorization_code", code=back["code"][0], redirect_uri=BACK, code_verifier=verifier
        ).json()


@dataclass
class Provider:
    """The running provider's clients."""

    kurven: Client
    laboratory: Client


@pytest.fixture(scope="module")
def provider(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    kurven, laboratory = (Client(name, site.provider, site.forge.base) for name in ("kurven", "laboratory"))
    persons = {"doctor": {HPR: DOCTOR, ASSURANCE: "high"},
               "unsure": {HPR: DOCTOR, ASSURANCE: "low"}}  # fmt: skip
    file = tmp_path_factory.mktemp("provider") / "configuration.json"
    file.write_text(json.dumps({
        "issuer": site.provider, "port": urlsplit(site.provider).port, "audience": AUDIENCE,
        "scopes": [JOURNAL, LABORATORY], "persons": persons,
        "clients": [
            kurven.described(redirect=BACK, claims={PARENT: TRUST, CLIENT_NAME: "Kurven"}),
            laboratory.described(claims={PARENT: OTHER_TRUST, CHILD: BUSINESS, CLIENT_NAME: "Laboratoriet"}),
        ],
    }))  # fmt: skip
    running = subprocess.Popen(
        [node(), str(Path(__file__).parent / "provider.mjs"), str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert running.stdout is not None
    said = b""
    while not said.endswith(b"ready\n"):
        line = running.stdout.readline()
        assert line, said.decode()
        said += line
    yield Provider(kurven, laboratory)
    running.terminate()
    running.wait(10)
    for client in (kurven, laboratory):
        client.http.close()


def test_a_health_worker_who_logged_in_reads_and_renews(site: Site, provider: Provider) -> None:
    client = provider.kurven
    tokens = client.log_in("doctor")
    assert tokens["token_type"] == "DPoP", tokens
    answer = site.ask(PATH, client.forge.headers(tokens["access_token"], PATH))
    assert answer.status_code == 200, answer.text
    hidden = "/fhir/Observation/result-ola"
    assert site.ask(hidden, client.forge.headers(tokens["access_token"], hidden)).status_code == 404
    assert site.ask(PATH, client.forge.headers(tokens["id_token"], PATH)).status_code == 401, "an id_token is none"
    renewed = client.post("/token", grant_type="refresh_token", refresh_token=tokens["refresh_token"]).json()
    assert site.ask(PATH, client.forge.headers(renewed["access_token"], PATH), process=1).status_code == 200
    other = Forge(site.provider, site.forge.base)
    assert site.ask(PATH, other.headers(renewed["access_token"], PATH)).status_code == 401, "bound to the client's key"


def test_one_of_whom_the_provider_is_not_sure_is_not_let_in(site: Site, provider: Provider) -> None:
    client = provider.kurven
    token = client.log_in("unsure")["access_token"]
    refused = site.ask(PATH, client.forge.headers(token, PATH))
    assert refused.status_code == 401 and "assurance" in refused.text


def test_a_system_reads_by_client_credentials(site: Site, provider: Provider) -> None:
    client = provider.laboratory
    answer = client.post("/token", grant_type="client_credentials", scope=LABORATORY)
    assert answer.status_code == 200, answer.text
    token = answer.json()["access_token"]
    path = "/fhir/Observation"
    found = site.ask(f"{path}?_count=50", client.forge.headers(token, path))
    assert found.status_code == 200 and len(found.json()["entry"]) == 5
    assert site.ask("/fhir/Patient/kari", client.forge.headers(token, "/fhir/Patient/kari")).status_code == 403
    row = site.rows("actor = 'laboratory' and resource_type = 'Observation'")[-1]
    assert (row["actor_kind"], row["actor_name"], row["unit"]) == ("system", "Laboratoriet", "other-trust")
    persons = client.post("/token", grant_type="client_credentials", scope=JOURNAL).json()["access_token"]
    assert site.ask(PATH, client.forge.headers(persons, PATH)).status_code == 403, "a person's scope opens nothing"
