"""The synthetic region's named persons: one for each situation that a visitor or a test wants to meet.

They come first in every region of any size; only their numbers and ids depend on the seed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

from varde.clock import OSLO
from varde.demo import places
from varde.demo.people import Human, Maker
from varde.edges.registers import Extent, GuardianKind, Guardianship
from varde.trust.consents import PowerOfAttorney, YouthAccess
from varde.trust.law.things import Thing

TROMSØ = next(m for m in places.MUNICIPALITIES if m[1] == "Tromsø")
BODØ = next(m for m in places.MUNICIPALITIES if m[1] == "Bodø")
KAUTOKEINO = next(m for m in places.MUNICIPALITIES if m[1] == "Kautokeino")


def cast(maker: Maker) -> list[Human]:
    """The named persons, families together."""

    def one(name: str, years: int, gender: str, part: str, **given: Any) -> Human:
        first, family = name.rsplit(" ", 1)
        born = given.pop("born", None) or _born(maker, years)
        settled: dict[str, Any] = {
            "municipality": TROMSØ, "given": first, "family": family, "dead": None, "protection": "ugradert",
            "language": "nb", "reserved": False, "user": years >= 16, "emigrated": False,
            "mobile": f"+479{maker.random.randrange(10**6, 10**7):07d}" if years >= 13 else None,
            "email": f"{first.split()[0].lower()}@example.no" if years >= 16 else None,
        }  # fmt: skip
        return maker.human(born=born, gender=gender, part=part, **(settled | given))

    ingrid = one("Ingrid Solberg", 47, "female", "bruker portalen")
    ingrid.results = ["Vevsprøve fra huden"]
    lars = one("Lars Myrvang", 38, "male", "forelder, bor med barna")
    nora = one("Nora Myrvang", 36, "female", "forelder, bor med barna", street=lars.street)
    home = {"street": lars.street, "parents": [nora.number, lars.number]}
    emil = one("Emil Myrvang", 8, "male", "barn under 12", **home)
    tuva = one("Tuva Myrvang", 4, "female", "barn under 12", **home)
    hilde = one("Hilde Nygård", 40, "female", "forelder, bor med barnet")
    jakob = one("Jakob Berg", 41, "male", "forelder, bor et annet sted")
    maja = one("Maja Berg", 9, "female", "barn med to hjem", street=hilde.street,
               parents=[hilde.number, jakob.number])  # fmt: skip
    turid = one("Turid Fjellheim", 45, "female", "forelder til ungdom")
    sara = one("Sara Fjellheim", 14, "female", "ungdom 12–15", street=turid.street, parents=[turid.number])
    magnus = one("Magnus Bøe", 17, "male", "ungdom 16–17")
    knut = one("Knut Haugen", 71, "male", "reservert mot digital post", reserved=True)
    solveig = one("Solveig Rørvik", 83, "female", "bruker ikke portalen", user=False, mobile=None, email=None)
    anne = one("Anne Lund", 34, "female", "fortrolig adresse (kode 7)", protection="fortrolig")
    noah = one("Noah Lund", 6, "male", "barn, fortrolig adresse", protection="fortrolig", street=anne.street,
               parents=[anne.number])  # fmt: skip
    per = one("Per Moen", 45, "male", "strengt fortrolig adresse (kode 6)", protection="strengtFortrolig")
    odd = one("Odd Bakken", 79, "male", "død", dead=maker.today - timedelta(days=3), user=False)
    maret = one("Máret Hætta", 29, "female", "vil ha nordsamisk", municipality=KAUTOKEINO, language="se")
    ida = one("Ida Sørensen", 31, "female", "vil ha engelsk", municipality=BODØ, language="en")
    terje = one("Terje Åsen", 58, "male", "utvandret", emigrated=True, user=False, mobile=None)
    arne = one("Arne Ødegård", 62, "male", "mobilnummer mangler", mobile=None, email=None)
    return [
        ingrid, lars, nora, emil, tuva, hilde, jakob, maja, turid, sara, magnus, knut, solveig, anne, noah, per, odd,
        maret, ida, terje, arne, *_families(maker, one, ingrid, hilde, jakob, turid),
    ]  # fmt: skip


def _families(
    maker: Maker, one: Callable[..., Human], ingrid: Human, hilde: Human, jakob: Human, turid: Human
) -> list[Human]:
    """Those whom the rules of families and mandates are seen by: birthdays, guardians, powers, numbers, placement."""
    oskar = one("Oskar Berg", 11, "male", "fyller 12 år i morgen", street=hilde.street, born=_birthday(maker, 12),
                parents=[hilde.number, jakob.number])  # fmt: skip
    jonas = one("Jonas Fjellheim", 15, "male", "fyller 16 år i morgen, foreldre på hver sin adresse",
                street=turid.street, born=_birthday(maker, 16), parents=[turid.number, jakob.number])  # fmt: skip
    randi = one("Randi Lyng", 42, "female", "forelder til ungdom med egen tilgang")
    sofie = one("Sofie Lyng", 14, "female", "ungdom med samtykke, henvisning vurdert", street=randi.street,
                parents=[randi.number])  # fmt: skip
    sofie.consents = [YouthAccess(patient=sofie.id, at=_days_ago(maker, 20), by=f"Patient/{randi.id}")]
    sofie.assessed_for = [sofie.id, randi.id]
    sofie.results = ["Blodprøver", "Prøver hun ba om alene"]
    berit = one("Berit Vik", 58, "female", "verge")
    else_ = one("Else Vik", 86, "female", "har verge", user=False, mobile=None, email=None)
    else_.guardians = [_guardian(maker, berit, GuardianKind.ADULT, Extent.BOTH)]
    gunnar = one("Gunnar Vik", 84, "male", "fremtidsfullmakt for timer og brev", user=False, mobile=None, email=None)
    gunnar.guardians = [_guardian(maker, berit, GuardianKind.FUTURE_POWER, Extent.BOTH, ("timer", "brev"))]
    harald = one("Harald Vik", 81, "male", "verge bare for økonomi", user=False, mobile=None, email=None)
    harald.guardians = [_guardian(maker, berit, GuardianKind.ADULT, Extent.ECONOMIC)]
    astrid = one("Astrid Nilsen", 74, "female", "har gitt fullmakt til Ingrid Solberg")
    astrid.consents = [
        PowerOfAttorney(
            patient=astrid.id, receiver=ingrid.id, at=_days_ago(maker, 30), by=f"Patient/{astrid.id}",
            ends=_days_ago(maker, -335), things=frozenset({Thing.LETTERS.value, Thing.APPOINTMENTS.value}),
        ),
        PowerOfAttorney(
            patient=astrid.id, receiver=berit.id, at=_days_ago(maker, 90), by=f"Patient/{astrid.id}", withdrawn=True,
            things=frozenset({Thing.LETTERS.value}),
        ),
    ]  # fmt: skip
    amina = one("Amina Yusuf", 33, "female", "fikk fødselsnummer etter d-nummer")
    amina.former = [(maker.number(amina.born, "female", d_number=True), maker.today - timedelta(days=200))]
    marek = one("Marek Kowalski", 40, "male", "d-nummer", d_number=True, language="en")
    kine = one("Kine Strand", 32, "female", "forelder, barnet er plassert")
    leah = one("Leah Strand", 10, "female", "barn plassert av barnevernet", parents=[kine.number], placed=True)
    samir = one("Samir Noori", 10, "male", "enslig mindreårig, har representant", d_number=True, placed=True)
    samir.guardians = [_guardian(maker, berit, GuardianKind.LONE_ASYLUM_SEEKER, Extent.BOTH_AND_IMMIGRATION)]
    rolf = one("Rolf Eide", 77, "male", "dør med ulest brev", dies=True)
    return [
        oskar, jonas, randi, sofie, berit, else_, gunnar, harald, astrid, amina, marek, kine, leah, samir, rolf,
    ]  # fmt: skip


def _guardian(
    maker: Maker, who: Human, kind: GuardianKind, extent: Extent, areas: tuple[str, ...] = ()
) -> Guardianship:
    return Guardianship(who.number, kind, extent, areas, maker.today - timedelta(days=400))


def _days_ago(maker: Maker, days: int) -> datetime:
    return datetime.combine(maker.today - timedelta(days=days), time(10, 15), OSLO)


def _birthday(maker: Maker, years: int) -> date:
    """A birth date of one who turns this old tomorrow."""
    tomorrow = maker.today + timedelta(days=1)
    try:
        return tomorrow.replace(year=tomorrow.year - years)
    except ValueError:
        return date(tomorrow.year - years, 3, 1)


def _born(maker: Maker, years: int) -> date:
    """A birth date of one who is this old today and stays so for the next months."""
    birthday = maker.today.replace(day=min(maker.today.day, 28), year=maker.today.year - years)
    return birthday - timedelta(days=maker.random.randrange(40, 200))
