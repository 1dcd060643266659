"""The commands against a real database. What the rooms below decide is tested with them."""

from __future__ import annotations

import os
import subprocess
import sys


def test_migrate_says_what_it_did_and_may_be_repeated(database_url: str) -> None:
    command = [sys.executable, "-c", "from varde.cli import main; main()", "migrate"]
    environment = os.environ | {"VARDE_DATABASE_URL": database_url}
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    again = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60)
    assert again.stdout == "The schema is up to date.\n"
