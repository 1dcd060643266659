"""Typed settings, read once from environment variables `VARDE_*` (and a file named by `VARDE_ENV_FILE`).

Fails at start with a clear message when a value is wrong. No other module reads the environment.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field
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

    database_connections: int = Field(default=8, ge=1, le=200)
    """Connections per process."""

    web_processes: int = Field(default=1, ge=1, le=64)
    worker_processes: int = Field(default=1, ge=0, le=64)

    print_directory: Path | None = None
    """Where the embedded print house keeps what it printed. None: `data`/post."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"

    # Login of patients (ID-porten) and staff (HelseID). None: the demo's own test issuer.
    patient_issuer: str | None = None
    patient_client_id: str = "varde-patient"
    staff_issuer: str | None = None
    staff_client_id: str = "varde-staff"
    client_key_file: Path | None = None
    """Private key (JWK, EC P-256) with which Varde proves itself to the issuers. None: made in `data`."""

    session_idle_minutes: int = 30
    session_absolute_minutes: int = 480

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
