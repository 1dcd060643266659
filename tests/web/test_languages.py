"""Every text of every page exists in every language, with the same blanks to fill in."""

from __future__ import annotations

import re

import pytest
from babel.messages.pofile import read_po

from varde.web.languages import LANGUAGES, SOURCE, catalog, catalog_files
from varde.web.languages.messages import lacking, messages, rooms

OTHERS = [language for language in LANGUAGES if language != SOURCE]


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_lacks_a_translation(language: str) -> None:
    assert {room: missing for room, missing in lacking(language).items() if missing} == {}


@pytest.mark.parametrize("language", OTHERS)
def test_translations_have_the_same_blanks_and_marks(language: str) -> None:
    blank = re.compile(r"%\(\w+\)s|</?strong>")
    for file in (file for room in rooms() for file in catalog_files(room / "languages", language)):
        with file.open("rb") as source:
            for message in read_po(source, locale=language):
                ids = message.id if isinstance(message.id, tuple) else (message.id,)
                texts = message.string if isinstance(message.string, tuple) else (message.string,)
                for text in texts if message.id else ():
                    assert set(blank.findall(text)) == set(blank.findall(ids[0])), message.id


def test_messages_are_found_in_templates_and_code() -> None:
    found = set().union(*(messages(room) for room in rooms()))
    assert {"Dette må du gjøre", "Varslet, ikke åpnet", "Du er logget ut", "Logg inn"} <= found


def test_plurals_follow_the_language() -> None:
    letters = next(room for room in rooms() if room.name == "letters")
    english = catalog("en", [letters / "languages"])
    one, many = "Du har %(num)s ulest brev.", "Du har %(num)s uleste brev."
    assert english.ngettext(one, many, 1) == "You have %(num)s unread letter."
    assert english.ngettext(one, many, 2) == "You have %(num)s unread letters."
    source = catalog("nb", [letters / "languages"])
    assert source.ngettext(one, many, 2) == many


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(KeyError):
        catalog("de")
