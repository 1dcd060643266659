"""The synthetic Helse Nord's places: real trusts and hospitals of the region, their wards, municipalities and
GP offices. Names are real and public; telephone numbers and people are invented.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hospital:
    """A hospital with the wards that send letters."""

    name: str
    address: str
    postal: str
    city: str
    wards: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trust:
    """A health trust. `number` is its organisation number in the register of legal entities."""

    key: str
    name: str
    number: str
    site: str
    hospitals: tuple[Hospital, ...]


REGION_NUMBER = "883658752"
"""Helse Nord RHF's organisation number."""
REGION_OFFICE = Trust("helse-nord", "Helse Nord RHF", REGION_NUMBER, "https://www.helse-nord.no", ())
"""Those who work for the region as a whole; it treats nobody."""

TRUSTS = (
    Trust("unn", "Universitetssykehuset Nord-Norge HF", "983974899", "https://www.unn.no", (
        Hospital("UNN Tromsø", "Hansine Hansens veg 67", "9019", "TROMSØ", (
            "Ortopedisk poliklinikk", "Hjertemedisinsk poliklinikk", "Øyeavdelingen", "Barneavdelingen",
            "Kvinneklinikken", "Hudavdelingen", "Lungeavdelingen", "Nevrologisk poliklinikk")),
        Hospital("UNN Harstad", "St. Olavs gate 70", "9406", "HARSTAD", (
            "Medisinsk poliklinikk", "Kirurgisk poliklinikk")),
        Hospital("UNN Narvik", "Sykehusveien 3", "8516", "NARVIK", ("Medisinsk poliklinikk", "Kirurgisk poliklinikk")),
    )),
    Trust("nlsh", "Nordlandssykehuset HF", "983974910", "https://www.nordlandssykehuset.no", (
        Hospital("Nordlandssykehuset Bodø", "Parkveien 95", "8005", "BODØ", (
            "Ortopedisk poliklinikk", "Øre-nese-halsavdelingen", "Kreftavdelingen", "Barneavdelingen",
            "Hjertemedisinsk poliklinikk")),
        Hospital("Nordlandssykehuset Lofoten", "Sykehusveien 5", "8372", "GRAVDAL", ("Medisinsk poliklinikk",)),
        Hospital("Nordlandssykehuset Vesterålen", "Ivar Bergsmos gate 3", "8450", "STOKMARKNES", (
            "Kirurgisk poliklinikk",)),
    )),
    Trust("hsyk", "Helgelandssykehuset HF", "983974929", "https://www.helgelandssykehuset.no", (
        Hospital("Helgelandssykehuset Mo i Rana", "Sjøforsgata 36", "8613", "MO I RANA", (
            "Medisinsk poliklinikk", "Kirurgisk poliklinikk")),
        Hospital("Helgelandssykehuset Sandnessjøen", "Prestmarkveien 1", "8800", "SANDNESSJØEN", (
            "Ortopedisk poliklinikk", "Kvinneklinikken")),
        Hospital("Helgelandssykehuset Mosjøen", "Vefsnveien 25", "8657", "MOSJØEN", ("Medisinsk poliklinikk",)),
    )),
    Trust("fsyk", "Finnmarkssykehuset HF", "983974880", "https://www.finnmarkssykehuset.no", (
        Hospital("Hammerfest sykehus", "Rossmolla 39", "9601", "HAMMERFEST", (
            "Medisinsk poliklinikk", "Kirurgisk poliklinikk", "Barneavdelingen")),
        Hospital("Kirkenes sykehus", "Skytterhusveien 2", "9900", "KIRKENES", (
            "Medisinsk poliklinikk", "Ortopedisk poliklinikk")),
        Hospital("Klinikk Alta", "Markveien 29", "9510", "ALTA", ("Hudavdelingen", "Øyeavdelingen")),
        Hospital("Sámi klinihkka", "Hánnoluohkká 45", "9730", "KARASJOK", ("Psihkalaš dearvvašvuođasuddjen",)),
    )),
)  # fmt: skip

MUNICIPALITIES = (
    ("5501", "Tromsø", "9008", "TROMSØ", "unn", 34), ("5503", "Harstad", "9402", "HARSTAD", "unn", 12),
    ("1806", "Narvik", "8514", "NARVIK", "unn", 10), ("1804", "Bodø", "8003", "BODØ", "nlsh", 24),
    ("1860", "Vestvågøy", "8370", "LEKNES", "nlsh", 6), ("1870", "Sortland", "8400", "SORTLAND", "nlsh", 6),
    ("1833", "Rana", "8622", "MO I RANA", "hsyk", 12), ("1820", "Alstahaug", "8800", "SANDNESSJØEN", "hsyk", 5),
    ("1824", "Vefsn", "8657", "MOSJØEN", "hsyk", 6), ("5603", "Hammerfest", "9600", "HAMMERFEST", "fsyk", 6),
    ("5601", "Alta", "9510", "ALTA", "fsyk", 9), ("5605", "Sør-Varanger", "9900", "KIRKENES", "fsyk", 5),
    ("5612", "Kautokeino", "9520", "KAUTOKEINO", "fsyk", 2), ("5610", "Karasjok", "9730", "KARASJOK", "fsyk", 2),
)  # fmt: skip
"""(municipality number, name, postal code, post town, trust, weight by population)."""

SAMI_MUNICIPALITIES = frozenset({"5612", "5610"})

STREETS = ("Storgata", "Fjellveien", "Sjøgata", "Kirkeveien", "Skoleveien", "Havnegata", "Nordlysveien", "Bjørkelia",
           "Måsveien", "Elveveien")  # fmt: skip

FAMILY_NAMES = (
    "Hansen", "Johansen", "Olsen", "Larsen", "Andersen", "Nilsen", "Pedersen", "Kristiansen", "Jensen", "Karlsen",
    "Johnsen", "Pettersen", "Eriksen", "Berg", "Haugen", "Hagen", "Jacobsen", "Bakken", "Lund", "Moen", "Solberg",
    "Ødegård", "Sørensen", "Bøe", "Åsen", "Myrvang", "Rørvik", "Nygård", "Fjellheim", "Mørk",
)  # fmt: skip
SAMI_FAMILY_NAMES = ("Hætta", "Sara", "Eira", "Gaup", "Somby", "Utsi", "Buljo", "Oskal", "Turi", "Bongo")
WOMEN = ("Ingrid", "Kari", "Anne", "Marit", "Liv", "Solveig", "Astrid", "Nora", "Emma", "Ida", "Sara", "Hilde",
         "Turid", "Åse", "Guro", "Tuva", "Maja", "Berit")  # fmt: skip
MEN = ("Ole", "Lars", "Per", "Jan", "Knut", "Arne", "Svein", "Odd", "Emil", "Jakob", "Magnus", "Håkon", "Bjørn",
       "Øyvind", "Geir", "Aksel", "Noah", "Terje")  # fmt: skip
SAMI_WOMEN = ("Máret", "Inger Ánne", "Biret", "Ráhkel", "Elle", "Sárá")
SAMI_MEN = ("Ánte", "Niillas", "Mihkkal", "Áilu", "Jovnna", "Issát")
