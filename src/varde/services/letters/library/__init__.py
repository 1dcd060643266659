"""The templates of letters as data, and the making of a Document from one (LET-30 to LET-34).

Texts stand in `texts/`, one file a template and `passages.toml` for what several share. This file is the face.
"""

from __future__ import annotations

from varde.services.letters.library.checking import check, check_facts
from varde.services.letters.library.composing import compose
from varde.services.letters.library.loading import template, templates
from varde.services.letters.library.shapes import (
    Field,
    LetterFacts,
    MissingContent,
    Template,
)

__all__ = [
    "Field",
    "LetterFacts",
    "MissingContent",
    "Template",
    "check",
    "check_facts",
    "compose",
    "template",
    "templates",
]
