"""`varde client …` against a real database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
from joserfc.jwk import ECKey


def test_an_app_is_registered_listed_given_a_secret_and_closed(database_url: str, tmp_path: Path) -> None:
    environment = os.environ | {"VARDE_DATABASE_URL": database_url, "VARDE_DATA": str(tmp_path)}

    def varde(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "varde.cli", "client", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    common = ("--name", "Appen", "--publisher", "Test AS")
    address = ("--redirect", "https://app.test/back")
    made = varde("add", "my-app", *common, *address, "--side", "patient", "--scopes", "patient/*.rs", "--secret")
    assert made.returncode == 0 and "shown this once: " in made.stdout
    secret = made.stdout.strip().rpartition(" ")[2]
    assert len(secret) >= 43
    keys = tmp_path / "keys.json"
    keys.write_bytes(orjson.dumps({"keys": [ECKey.generate_key("P-384").as_dict(private=False) | {"kid": "k"}]}))
    service = varde("add", "service", *common, "--side", "system", "--scopes", "system/*.rs", "--jwks", str(keys))
    assert service.returncode == 0 and "secret" not in service.stdout
    for wrong in (
        ("add", "my-app", *common, *address, "--side", "patient", "--scopes", "patient/*.rs"),
        ("add", "other", *common, "--redirect", "http://app.test/", "--side", "patient", "--scopes", "patient/*.rs"),
        ("add", "other", *common, *address, "--side", "patient", "--scopes", "patient/Foo.rs"),
        ("add", "other", *common, *address, "--side", "nobody", "--scopes", "patient/*.rs"),
        ("close", "unknown"), ("secret", "service"),
    ):  # fmt: skip
        refused = varde(*wrong)
        assert refused.returncode in {1, 2} and refused.stderr and "Traceback" not in refused.stderr, wrong
    fresh = varde("secret", "my-app").stdout.strip()
    assert len(fresh) >= 43 and fresh != secret
    assert varde("close", "my-app").returncode == 0
    listed = varde("list").stdout
    assert "my-app" in listed and "closed" in listed and "system/*.rs" in listed and secret not in listed
    assert len(varde("rotate-keys").stdout.strip()) > 20
    assert (tmp_path / "signing-keys.json").stat().st_mode & 0o777 == 0o600
