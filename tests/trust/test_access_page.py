"""docs/access.md says what the law's data says."""

from __future__ import annotations

from pathlib import Path

from varde.trust.law.printing import tables, written

PAGE = Path(__file__).parents[2] / "docs" / "access.md"


def test_the_page_says_what_the_law_does() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert written(text) == text, "run: python -m varde.trust.law.printing docs/access.md"
    for name in tables():
        assert text.count(f"<!-- {name} -->") == 1, name
