"""Code systems that no resource lists: those of a grammar (units, languages, media types, uris), and lists that the
Unicode consortium and the time zone database keep (countries, currencies, time zones), named in Varde's languages.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from babel import Locale, core
from babel.numbers import get_territory_currencies, list_currencies

from varde.fhir.errors import Unprocessable
from varde.fhir.terminology import units
from varde.fhir.terminology.concepts import Concept, Header
from varde.fhir.terminology.listed import Listed, Listing
from varde.fhir.terminology.selection import CODE, CodeSystem, Selection, check

LANGUAGES = ("en", "nb", "nn", "se")
"""In which what is made here is named; the first is the display."""

_DAY = date(2026, 1, 1)
"""The day by which currencies are in use or not: the same for all, whatever the clock says."""
_TAG = re.compile(
    r"^(?P<language>[a-z]{2,3})(?:-[a-z]{3}){0,3}(?:-(?P<script>[a-z]{4}))?(?:-(?P<region>[a-z]{2}|\d{3}))?"
    r"(?:-(?:[a-z0-9]{5,8}|\d[a-z0-9]{3}))*(?:-[a-wyz0-9](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?$",
    re.IGNORECASE,
)
"""RFC 5646, 2.1, without the grandfathered tags."""
_MEDIA_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MEDIA = re.compile(
    rf"^{_MEDIA_NAME}/{_MEDIA_NAME}(?:\s*;\s*[A-Za-z0-9!#$&^_.+-]+=(?:[A-Za-z0-9!#$&^_.+*'%-]+|\"[^\"\\]*\"))*$"
)
"""RFC 6838, 4.2, with the parameters of RFC 2045."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """A code system whose codes are told by their form."""

    header: Header
    read: Callable[[str], Concept | None]

    @property
    def enumerable(self) -> bool:
        """Its codes have no end."""
        return False

    async def find(self, codes: Sequence[str]) -> dict[str, Concept]:
        """The concepts by the code asked for."""
        return {code: concept for code in codes if (concept := self.read(code)) is not None}

    async def select(self, selection: Selection, limit: int, offset: int = 0) -> list[Concept]:
        """Those of the codes that the group names. Raises Unprocessable for all of them."""
        found = await self._chosen(selection)
        return found[offset : offset + limit]

    async def count(self, selection: Selection) -> int:
        """How many of the codes that the group names. Raises Unprocessable."""
        return len(await self._chosen(selection))

    async def relatives(self, codes: Sequence[str], *, up: bool, direct: bool) -> dict[str, list[str]]:
        """None: there is no hierarchy."""
        return {code: [] for code in codes}

    async def _chosen(self, selection: Selection) -> list[Concept]:
        group = selection.group
        check(group.filters)
        if group.codes is None:
            raise Unprocessable.of(f"the codes of {self.header.url} have no end", code="too-costly")
        named = set(group.codes)
        for one in group.filters:
            if one.name == "canonical" and one.op == "=" and self.header.url == units.URL:
                named = {code for code in named if units.dimension(code) == units.dimension(one.value)}
            elif one.name in CODE and one.op in {"=", "in"}:
                named &= {one.value} if one.op == "=" else set(one.values)
            else:
                raise Unprocessable.of(f"{self.header.url} has no filter '{one.name}'", code="not-supported")
        for left in selection.left_out:
            inner = Selection(type(left)(left.filters, tuple(code for code in named if _among(code, left.codes))))
            named -= {concept.code for concept in await self._chosen(inner)}
        found = await self.find([code for code in group.codes if code in named])
        return list(found.values())


def _among(code: str, codes: Sequence[str] | None) -> bool:
    return codes is None or code in codes


def _language(code: str) -> Concept | None:
    match = _TAG.match(code)
    if match is None:
        return None
    language, region = match["language"].lower(), (match["region"] or "").upper()
    known = _names("languages")
    if len(language) == 2 and language not in known:
        return None
    if region.isalpha() and region not in _names("territories"):
        return None
    named = known.get(language, {})
    place = _names("territories").get(region, {}) if region else {}
    texts = {
        one: f"{named[one]} ({place[one]})" if place.get(one) else named[one] for one in LANGUAGES if named.get(one)
    }
    return _named(code, texts)


def _media_type(code: str) -> Concept | None:
    return Concept(code, code) if _MEDIA.match(code) else None


def _uri(code: str) -> Concept | None:
    try:
        parts = urlsplit(code)
    except ValueError:
        return None
    return Concept(code) if parts.scheme and not re.search(r"\s", code) else None


def _unit(code: str) -> Concept | None:
    return Concept(code, code) if units.valid(code) else None


@cache
def _names(kind: str) -> Mapping[str, Mapping[str, str]]:
    """Names by code and language, of `languages`, `territories` or `currencies`."""
    found: dict[str, dict[str, str]] = {}
    for language in LANGUAGES:
        for code, name in getattr(Locale(language), kind).items():
            found.setdefault(code, {})[language] = name
    return found


def _named(code: str, texts: Mapping[str, str]) -> Concept:
    others = [{"language": one, "value": text} for one, text in texts.items() if one != LANGUAGES[0]]
    return Concept(code, texts.get(LANGUAGES[0]), detail={"designation": others} if others else {})


def _resource(
    url: str, name: str, concepts: Mapping[str, Mapping[str, str]], inactive: frozenset[str] = frozenset()
) -> dict[str, Any]:
    listed = []
    for code, texts in concepts.items():
        concept = _named(code, texts)
        listed.append({"code": code, "display": concept.display or code, **concept.detail})
        if code in inactive:
            listed[-1]["property"] = [{"code": "inactive", "valueBoolean": True}]
    return {
        "resourceType": "CodeSystem", "url": url, "name": name, "content": "complete", "caseSensitive": True,
        "language": LANGUAGES[0], "concept": listed,
    }  # fmt: skip


@cache
def _countries() -> Listing:
    two = {code: texts for code, texts in _names("territories").items() if re.fullmatch(r"[A-Z]{2}", code)}
    others = {
        alias: two[places[0]] for alias, places in sorted(core.get_global("territory_aliases").items())
        if re.fullmatch(r"[A-Z]{3}|\d{3}", alias) and len(places) == 1 and places[0] in two
    }  # fmt: skip
    outside = {"EU", "EZ", "UN", "QO", "ZZ", "XA", "XB"}  # of Unicode, not of ISO 3166-1
    return Listing(
        _resource("urn:iso:std:iso:3166", "ISO3166", {c: t for c, t in {**two, **others}.items() if c not in outside})
    )


@cache
def _currencies() -> Listing:
    named = _names("currencies")
    every = {code: named.get(code, {}) for code in sorted(list_currencies())}
    current = {code for country in _names("territories") if re.fullmatch(r"[A-Z]{2}", country)
               for code in get_territory_currencies(country, _DAY, _DAY, non_tender=True)}  # fmt: skip
    # Those of no country (gold, special drawing rights, testing) begin with X.
    former = frozenset(code for code in every if code not in current and not code.startswith("X"))
    return Listing(_resource("urn:iso:std:iso:4217", "ISO4217", every, former))


@cache
def _time_zones() -> Listing:
    zones = sorted(zoneinfo.available_timezones())
    return Listing(_resource("https://www.iana.org/time-zones", "TimeZones", {zone: {} for zone in zones}))


_LISTS: Mapping[str, Callable[[], Listing]] = {
    "urn:iso:std:iso:3166": _countries,
    "urn:iso:std:iso:4217": _currencies,
    "https://www.iana.org/time-zones": _time_zones,
}
_GRAMMARS = {
    url: Grammar(Header(url, None, name, "complete", sensitive), read)
    for url, name, sensitive, read in (
        (units.URL, "UCUM", True, _unit),
        ("urn:ietf:bcp:47", "BCP47", False, _language),
        ("urn:ietf:bcp:13", "MimeTypes", False, _media_type),
        ("http://www.rfc-editor.org/bcp/bcp13.txt", "MimeTypes", False, _media_type),
        ("urn:ietf:rfc:3986", "URI", True, _uri),
    )
}


def urls() -> list[str]:
    """Of every code system made here."""
    return sorted([*_LISTS, *_GRAMMARS])


def code_system(url: str, connection: Any) -> CodeSystem | None:
    """The code system with this url, if it is one of these."""
    if url in _LISTS:
        return Listed(_LISTS[url](), connection)
    return _GRAMMARS.get(url)
