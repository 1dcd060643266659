"""Typed settings, read once from environment variables `VARDE_*` (and a file named by `VARDE_ENV_FILE`).

Fails at start with a clear message when a value is wrong. No other module reads the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """All that a process of Varde must be told. Every field's environment name is `VARDE_` + its name."""

    model_config = SettingsConfigDict(
        env_prefix="VARDE_", env_file=os.environ.get("VARDE_ENV_FILE"), extra="ignore", frozen=True
    )

    mode: Literal["production", "demo"] = "production"
    """`demo` adds the synthetic region, the test issuer, the movable clock and `/demo/*`."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    data: Path = Path("data")
    """Folder of the embedded database, of the demo's clock and keys, and of what the demo's edges receive."""

    database_url: str | None = None
    """An own PostgreSQL, 16 or newer. None: the embedded one in `data`."""

    public_base: str | None = None
    """Address that users and clients see, without a slash at its end. None: http://host:port. Tokens, links
    and redirects are built from it, never from the Host header."""

    forwarded_trusted: bool = False
    """Whether links of the FHIR API follow X-Forwarded-Host, -Proto and -Prefix: only behind a proxy that sets or
    removes all three. Tokens and redirects keep to `public_base`."""
    fhir_origins: str = "*"
    """Web pages whose scripts may use the FHIR API from a browser: origins with commas between, `*` for all (the API
    knows bearer tokens only, never cookies), empty for none."""

    database_connections: int = Field(default=8, ge=1, le=200)
    """Connections per process."""

    web_processes: int = Field(default=1, ge=1, le=64)
    worker_processes: int = Field(default=1, ge=0, le=64)

    print_directory: Path | None = None
    """Where the embedded print house keeps what it printed. None: `data`/post."""

    import_sources: tuple[str, ...] = ()
    """Starts of the addresses that `$import` may fetch from, as a JSON list: ["https://data.example.org/fhir/"]. A
    private network is reached only by a host given as a number. None: what is imported comes with the request."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"

    # Login of patients (ID-porten) and staff (HelseID): docs/login.md. None: the demo's own test issuer.
    patient_issuer: str | None = None
    """https://idporten.no, or https://test.idporten.no."""
    patient_client_id: str = "varde-patient"
    staff_issuer: str | None = None
    """https://helseid-sts.nhn.no, or https://helseid-sts.test.nhn.no."""
    staff_client_id: str = "varde-staff"
    staff_level: Literal["substantial", "high"] = "high"
    """The lowest level of assurance that staff get in with. Patients always need the highest."""
    staff_organisations: tuple[str, ...] = ()
    """Organisations whose staff may log in: numbers, or `parent:child`, as a JSON list. None: whichever HelseID names,
    which a unit here must then be part of."""
    staff_attests: Literal["login", "assertion"] = "login"
    """Where HelseID is told of the organisation: in the login's request, or in the client assertion of every token
    request, which alone can attest of one patient as well. Never in both (HID-DOUBLE-STRUCTURE)."""
    staff_api_scopes: tuple[str, ...] = ()
    """Scopes of other systems' interfaces that are called on behalf of staff, as a JSON list. None: tokens are not
    kept beyond the login."""
    provider_seconds: float = Field(default=10, gt=0, le=60)
    """How long one answer of an identity provider may take."""
    client_key_file: Path | None = None
    """Private keys (JWK or JWKS, EC or RSA) with which Varde proves itself to the issuers; `varde login rotate-key`
    changes them. All processes share it. None: made in `data`."""
    proof_key_file: Path | None = None
    """Private key (JWK, EC P-256) that staff's tokens are bound to (DPoP). All processes share it. None: made in
    `data`."""

    helseid_issuers: tuple[str, ...] = ()
    """Issuers whose access tokens the API takes, as a JSON list: ["https://helseid-sts.nhn.no"]. None: no token of
    HelseID's is taken. With them `helseid_audience`, `helseid_scopes` and `helseid_organisations` are needed."""
    helseid_audience: str | None = None
    """The API's name with HelseID: nhn:varde. A token is for it, and for nothing else."""
    helseid_scopes: Mapping[str, str] = Field(default_factory=dict)
    """What each scope of the API's opens, as JSON: {"nhn:varde/journal": "user/*.rs", "nhn:varde/laboratory":
    "system/Observation.rs"}. SMART scopes: `user/` for health workers, `system/` for systems."""
    helseid_organisations: tuple[str, ...] = ()
    """Those with whom an agreement stands: numbers of legal entities, or `parent:child`, as a JSON list."""
    helseid_level: Literal["substantial", "high"] = "high"
    """The lowest level of assurance of a health worker who calls."""
    helseid_attested: bool = True
    """Whether a health worker's token must carry the trust framework's attestation. Without one they come in only where
    they work at one place."""
    proof_nonces: bool = False
    """Whether proofs of possession (DPoP) must carry a nonce of ours: one more round trip every few minutes, and none
    can be made ahead of time."""

    signing_key_file: Path | None = None
    """Private keys that sign id_tokens for apps (`varde client rotate-keys`). All processes share it. None: made in
    `data`."""

    # Systems outside. Each is the embedded one until its address is set; then what belongs to it must be set as well.
    population_base: str | None = None
    """The population register: the address of NHN's person service (FHIR). None: the embedded register."""
    population_scopes: str = "nhn:hgd-persontjenesten-api/read"
    population_cache_minutes: int = Field(default=15, ge=1, le=60)
    """How long an answer of the population register is used to decide access: an hour at most (FAM-15). The embedded
    register is asked every time."""
    krr_base: str | None = None
    """The contact and reservation register: https://kontaktregisteret.no. None: the embedded registers."""
    maskinporten_issuer: str = "https://maskinporten.no/"
    """Its identifier, with the slash at its end."""
    maskinporten_client_id: str | None = None
    maskinporten_key_file: Path | None = None
    """The registered private key: JWK, RSA, with its kid."""

    sms_gateway: str | None = None
    """Address to POST text messages to (edges/notify/gateway.py). None: the embedded telephones, or with
    `smtp_host` no text messages at all."""
    sms_gateway_token: SecretStr | None = None
    sms_gateway_recognises_keys: bool = True
    """Whether the supplier warrants that one Idempotency-Key is one message."""
    smtp_host: str | None = None
    """Mail server that takes our e-mail. None: the embedded mailboxes, or with `sms_gateway` no e-mail at all."""
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    mail_from: str | None = None
    """The address that e-mail comes from."""

    print_sftp_host: str | None = None
    """The print house's SFTP server (edges/post/sftp.py). None: the embedded print house."""
    print_sftp_port: int = Field(default=22, ge=1, le=65535)
    print_sftp_user: str = "varde"
    print_sftp_key_file: Path | None = None
    """Private key in OpenSSH's form."""
    print_sftp_known_hosts: Path | None = None
    """File with the server's public host key, in OpenSSH's form."""
    print_sftp_inbox: str = "in"
    """Folder there that letters are put in."""
    print_sftp_receipts: str = "receipts"
    """Folder there that receipts are fetched from."""
    print_sftp_recognises_keys: bool = False
    """Whether the print house warrants that one key is one print. Without it, a person decides what a letter whose
    handing over was broken off came to (LET-56)."""

    subscription_hosts: tuple[str, ...] = ()
    """Hosts that subscriptions may send to: names, or `*.name` for all below one. JSON in the environment. None: no
    web hooks, in the demo those on this machine."""
    subscription_networks: tuple[str, ...] = ()
    """Networks (10.20.0.0/16) in which those hosts may lie beside public addresses: the health network's."""
    subscription_key_file: Path | None = None
    """Private key (JWK, EC P-256) that signs notifications. None: made in `data`."""

    log_years: int = Field(default=10, ge=5)
    """How long the access log is kept: at least five years, and longer than the data it tells of (FAM-42)."""
    log_answer_days: int = Field(default=30, ge=1, le=30)
    """Days a unit has to answer what a patient asks about an entry of the log."""

    emergency_hours: int = Field(default=4, ge=1, le=24)
    """How long emergency access to a patient's record stays open at most (FAM-34)."""

    session_idle_minutes: int = Field(default=30, ge=1)
    """A session ends when nothing was asked for so long."""
    session_absolute_minutes: int = Field(default=480, ge=1)
    """A session ends so long after its login, whatever is done in it."""

    @model_validator(mode="after")
    def _whole(self) -> Settings:
        """What belongs together is set together."""
        needs = {
            "population_base": ("maskinporten_client_id", "maskinporten_key_file"),
            "krr_base": ("maskinporten_client_id", "maskinporten_key_file"),
            "sms_gateway": ("sms_gateway_token",),
            "smtp_host": ("mail_from",),
            "smtp_user": ("smtp_password",),
            "print_sftp_host": ("print_sftp_key_file", "print_sftp_known_hosts"),
        }
        missing = [
            f"VARDE_{name.upper()} (needed with VARDE_{which.upper()})"
            for which, names in needs.items()
            if getattr(self, which) is not None
            for name in names
            if getattr(self, name) is None
        ]
        if missing:
            raise ValueError(f"not set: {', '.join(missing)}")
        needed = ("helseid_audience", "helseid_scopes", "helseid_organisations")
        if self.helseid_issuers and not all(getattr(self, name) for name in needed):
            raise ValueError(f"VARDE_HELSEID_ISSUERS needs {', '.join(f'VARDE_{name.upper()}' for name in needed)}")
        for text in self.staff_organisations:
            if not re.fullmatch(r"[0-9]{9}(:[0-9]{9})?", text):
                raise ValueError(f"VARDE_STAFF_ORGANISATIONS: {text!r} is no organisation number, nor two with a colon")
        return self

    @property
    def base(self) -> str:
        """The public address, without a slash at its end."""
        return (self.public_base or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def demo(self) -> bool:
        """Whether this is the demo region, never real patients."""
        return self.mode == "demo"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process. Raises pydantic.ValidationError naming each wrong variable."""
    return Settings()
