"""What the tests of letters' pages need: the files that browsers fetch."""

from __future__ import annotations

import pytest

from varde.web.assets import VENDOR
from varde.web.build import build


@pytest.fixture(scope="session")
def built() -> None:
    """The built files, made when they are missing."""
    if not (VENDOR / "manifest.json").is_file():
        build()
