"""Finds every message of the pages, for `python -m varde.web.languages.messages` and the test of catalogs.

Run it after changing a page's text: it prints what each catalog lacks and what it holds in vain. The catalogs
themselves are edited by people.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po

from varde.web.languages import LANGUAGES, SOURCE, catalog_files

MessageId = str | tuple[str, ...]

ROOT = Path(__file__).parents[2]
"""The package `varde`."""
OPTIONS = {"extensions": "jinja2.ext.i18n", "trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}
KEYWORDS: Mapping[str, tuple[int, ...] | None] = {
    "_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "MenuItem": (2,),
}


def rooms() -> Iterator[Path]:
    """Folders with a catalog of their own: the shell, and each service that has `languages/`."""
    yield ROOT / "web"
    for service in sorted((ROOT / "services").iterdir()):
        if (service / "templates").is_dir():
            yield service


def messages(room: Path) -> set[MessageId]:
    """Every message in the templates and the code of `room`; those with a plural as (one, many)."""
    found: set[MessageId] = set()
    for file in sorted(room.rglob("*.*")):
        if file.suffix == ".html":
            method = "jinja2.ext:babel_extract"
        elif file.suffix == ".py":
            method = "python"
        else:
            continue
        for _line, message, _comments, _context in extract_from_file(
            method, file, keywords=KEYWORDS, options=OPTIONS if file.suffix == ".html" else {}
        ):
            found.add(message)
    return {m for m in found if m}


def translated(room: Path, language: str) -> set[MessageId]:
    """What the catalog of `room` has a finished translation of. Fuzzy ones do not count."""
    found: set[MessageId] = set()
    for file in catalog_files(room / "languages", language):
        with file.open("rb") as source:
            found |= {
                tuple(message.id) if isinstance(message.id, list) else message.id
                for message in read_po(source, locale=language)
                if message.id and not message.fuzzy and message.string and all(message.string)
            }
    return found


def lacking(language: str) -> dict[str, set[MessageId]]:
    """What is not translated to `language`, by room. A message of the shell's may be used by any service."""
    shell = translated(ROOT / "web", language)
    return {room.name: messages(room) - translated(room, language) - shell for room in rooms()}


def main() -> int:
    """Print what is lacking and what is in vain; 1 when something is lacking."""
    wrong = 0
    for language in LANGUAGES:
        if language == SOURCE:
            continue
        for room, missing in lacking(language).items():
            for message in sorted(missing, key=str):
                sys.stdout.write(f"{language} {room} lacks {message!r}\n")
                wrong = 1
        used = set().union(*(messages(room) for room in rooms()))
        for room_path in rooms():
            for message in sorted(translated(room_path, language) - used, key=str):
                sys.stdout.write(f"{language} {room_path.name} holds in vain {message!r}\n")
    return wrong


if __name__ == "__main__":
    raise SystemExit(main())
