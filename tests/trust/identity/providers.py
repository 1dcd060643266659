"""ID-porten and HelseID as one real process (provider.mjs), and a site of Varde's that logs in by them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.browsing import free_port
from tests.trust.login_site import CLIENTS, TRUST
from varde.clock import MovableClock
from varde.demo.issuer import node
from varde.trust.identity import helseid
from varde.trust.identity.registration import Side

_SCRIPT = Path(__file__).parent / "provider.mjs"
_ROOT = Path(__file__).parents[3]


@dataclass
class Providers:
    """The process, and what a test tells it."""

    folder: Path
    port: int
    """Of the site: the providers know where Varde is."""
    issuers: dict[Side, str]
    control: int
    clock: MovableClock
    process: subprocess.Popen[bytes] | None = None

    @property
    def base(self) -> str:
        """The site's address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Until it listens."""
        configuration = self.folder / "provider.json"
        paths = {"patient": "/login", "staff": "/arbeid/login"}
        configuration.write_text(
            json.dumps(
                {
                    "issuers": self.issuers,
                    "control": self.control,
                    "clock": str(self.folder / "clock"),
                    "clients": {
                        side: {
                            "id": CLIENTS[side],
                            "redirect": f"{self.base}{paths[side]}/callback",
                            "logout": f"{self.base}{paths[side]}/backchannel",
                            "home": f"{self.base}/",
                            "keys": f"{self.base}/login/keys",
                        }
                        for side in paths
                    },
                }
            )
        )
        # The script stands beside its test; its libraries are the project's.
        with (self.folder / "node.log").open("ab") as log:
            self.process = subprocess.Popen(
                [node(), str(_SCRIPT), str(configuration)], cwd=_ROOT, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 20
        while True:
            try:
                self.tell("reset")
                return
            except httpx.TransportError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.folder / "node.log").read_text()[-2000:]) from None
                time.sleep(0.02)

    def stop(self) -> None:
        """End it."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(5)

    def tell(self, what: str, **words: Any) -> dict[str, Any]:
        """One word to the process."""
        with httpx.Client(trust_env=False, timeout=10) as client:
            answer = client.post(f"http://127.0.0.1:{self.control}/{what}", json=words)
        answer.raise_for_status()
        return dict(answer.json())

    def citizen(self, number: str, *, acr: str = "idporten-loa-high", **claims: Any) -> None:
        """Who logs in as a patient from now on."""
        person = {"sub": f"sub-{number[:4]}", "acr": acr, "claims": {"pid": number, **claims}}
        self.tell("set", persons={"patient": person})

    def worker(self, hpr: str | None, **claims: Any) -> None:
        """Who logs in as staff from now on. A claim of None is left out."""
        told = {helseid.HPR: hpr, helseid.ASSURANCE: "high", helseid.SECURITY: "4", helseid.PARENT: TRUST, **claims}
        known = {name: value for name, value in told.items() if value is not None}
        self.tell("set", persons={"staff": {"sub": f"worker-{hpr}", "claims": known}})

    def nobody(self, side: Side) -> None:
        """Who is asked to log in breaks off."""
        self.tell("set", persons={side: None})

    def tamper(self, side: Side, **how: Any) -> None:
        """What is changed in each token response, or in what comes from `path`: claims, header, key, body."""
        self.tell("set", tamper={side: how or None})

    def sign(self, side: Side, claims: dict[str, Any], **how: Any) -> str:
        """A token with the provider's own key, or by key="foreign", "none", "secret"."""
        return str(self.tell("sign", side=side, claims=claims, **how)["token"])

    def seen(self, path: str, side: Side = "staff") -> list[dict[str, Any]]:
        """What was asked of one address."""
        return [one for one in self.tell("seen")["seen"] if one["path"] == path and one["side"] == side]


@contextmanager
def running_providers(folder: Path) -> Iterator[Providers]:
    """One process for the block."""
    patient, staff = free_port(), free_port()
    issuers: dict[Side, str] = {
        "patient": f"http://127.0.0.1:{patient}", "staff": f"http://127.0.0.1:{staff}",
    }  # fmt: skip
    made = Providers(folder, free_port(), issuers, free_port(), MovableClock(folder / "clock"))
    made.start()
    try:
        yield made
    finally:
        made.stop()
