"""The four languages of the pages: catalogs, and dates in words. Texts of letters are with the letters.

Norwegian Bokmål is the source: a message's id is its Bokmål text. `nn.po`, `se.po` and `en.po` lie beside
this file, those of a service in its own `languages/` folder, in one file or one a part. They are read as they are when
a process starts, so there is no compiled catalog that could be older than its source.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from io import BytesIO
from math import floor
from pathlib import Path

from babel.dates import format_date
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import Translations

from varde.clock import OSLO

LANGUAGES = {"nb": "Bokmål", "nn": "Nynorsk", "se": "Davvisámegiella", "en": "English"}
"""Code (BCP 47) -> the language's name in itself, in the order they are offered. The first is the source."""
SOURCE = "nb"
_HERE = Path(__file__).parent


def catalog_files(folder: Path, language: str) -> list[Path]:
    """The catalogs of a language in a folder: `nn.po`, and one a part of the service that has its own: `log.nn.po`."""
    return sorted({*folder.glob(f"{language}.po"), *folder.glob(f"*.{language}.po")})


def catalog(language: str, folders: Sequence[Path] = ()) -> Translations:
    """Messages of `language` from this folder and `folders`. For the source language, and for what a catalog
    lacks, the id itself is the text. Raises KeyError for a language that Varde does not have."""
    _ = LANGUAGES[language]
    merged = Translations()
    for file in (file for folder in (_HERE, *folders) for file in catalog_files(folder, language)):
        if language != SOURCE:
            packed = BytesIO()
            with file.open("rb") as source:
                write_mo(packed, read_po(source, locale=language))
            packed.seek(0)
            merged.merge(Translations(packed))
    return merged


class Speech:
    """Messages in one language, for what is put into words outside the templates."""

    def __init__(self, language: str, messages: Translations) -> None:
        self.language = language
        self._messages = messages

    def gettext(self, message: str, **values: object) -> str:
        """`message` (source language) with `values` filled in."""
        translated = str(self._messages.gettext(message))
        return translated % values if values else translated


@lru_cache(maxsize=4096)
def day_in_words(day: dt.date, language: str, *, weekday: bool = True, year: bool = False) -> str:
    """`tirsdag 1. desember`, with the year when `year`. Sámi months stand in the genitive before the day."""
    name = format_date(day, "EEEE", locale=language)
    if language == "se":
        month = format_date(day, "MMMM", locale="se").replace("mánnu", "mánu")
        words = f"{month} {day.day}. b." + (f" {day.year}" if year else "")
    elif language == "en":
        words = f"{day.day} {format_date(day, 'MMMM', locale='en')}" + (f" {day.year}" if year else "")
    else:
        words = format_date(day, "d. MMMM y" if year else "d. MMMM", locale=language)
    return f"{name} {words}" if weekday else words


def time_in_words(moment: datetime, language: str) -> str:
    """`kl. 09.30`, Norwegian time."""
    local = moment.astimezone(OSLO)
    if language == "en":
        return f"at {local:%H:%M}"
    return f"{'dii.' if language == 'se' else 'kl.'} {local:%H.%M}"


class Words:
    """Dates and times as a person of one language reads them, seen from `now`."""

    def __init__(self, language: str, now: datetime) -> None:
        self.language = language
        self.today = now.astimezone(OSLO).date()

    def _day(self, value: dt.date | datetime) -> dt.date:
        return value.astimezone(OSLO).date() if isinstance(value, datetime) else value

    def day(self, value: dt.date | datetime) -> str:
        """`tirsdag 1. desember`; the year is added when it is not this year's."""
        day = self._day(value)
        return day_in_words(day, self.language, year=day.year != self.today.year)

    def date(self, value: dt.date | datetime) -> str:
        """`1. desember 2026`: for lists, where the weekday would only be in the way."""
        return day_in_words(self._day(value), self.language, weekday=False, year=True)

    def moment(self, value: datetime) -> str:
        """`tirsdag 1. desember kl. 09.30`."""
        return f"{self.day(value)} {time_in_words(value, self.language)}"

    def time(self, value: datetime) -> str:
        """`kl. 09.30`."""
        return time_in_words(value, self.language)

    def short(self, value: datetime) -> str:
        """`24. nov. kl. 10.00`, with the year when it is not this year's: for the lists of staff."""
        local = value.astimezone(OSLO)
        if self.language == "se":
            day = day_in_words(local.date(), "se", weekday=False, year=local.year != self.today.year)
        else:
            pattern = "d. MMM" if self.language != "en" else "d MMM"
            pattern += "" if local.year == self.today.year else " y"
            day = format_date(local.date(), pattern, locale=self.language)
        return f"{day} {time_in_words(value, self.language)}"

    def number(self, value: float, decimals: int) -> str:
        """`99,9`: cut off, not rounded, so that what is nearly whole is never shown as whole."""
        scale = 10**decimals
        whole = floor(round(value * scale, 6))
        return format_decimal(Decimal(whole) / scale, f"#,##0.{'#' * decimals}", locale=self.language)

    def days_from_now(self, value: dt.date | datetime) -> int:
        """Whole days in Norway from today: 0 today, 1 tomorrow, negative for what is past."""
        return (self._day(value) - self.today).days
