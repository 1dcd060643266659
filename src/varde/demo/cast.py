"""The synthetic region's named persons: one for each situation that a visitor or a test wants to meet.

They come first in every region of any size; only their numbers and ids depend on the seed.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from varde.demo import places
from varde.demo.people import Human, Maker

TROMSØ = next(m for m in places.MUNICIPALITIES if m[1] == "Tromsø")
BODØ = next(m for m in places.MUNICIPALITIES if m[1] == "Bodø")
KAUTOKEINO = next(m for m in places.MUNICIPALITIES if m[1] == "Kautokeino")


def cast(maker: Maker) -> list[Human]:
    """The named persons, families together."""

    def one(name: str, years: int, gender: str, part: str, **given: Any) -> Human:
        first, family = name.rsplit(" ", 1)
        born = _born(maker, years)
        settled: dict[str, Any] = {
            "municipality": TROMSØ, "given": first, "family": family, "dead": None, "protection": "ugradert",
            "language": "nb", "reserved": False, "user": years >= 16, "emigrated": False,
            "mobile": f"+479{maker.random.randrange(10**6, 10**7):07d}" if years >= 13 else None,
            "email": f"{first.split()[0].lower()}@example.no" if years >= 16 else None,
        }  # fmt: skip
        return maker.human(born=born, gender=gender, part=part, **(settled | given))

    ingrid = one("Ingrid Solberg", 47, "female", "bruker portalen")
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
        maret, ida, terje, arne,
    ]  # fmt: skip


def _born(maker: Maker, years: int) -> date:
    """A birth date of one who is this old today and stays so for the next months."""
    birthday = maker.today.replace(day=min(maker.today.day, 28), year=maker.today.year - years)
    return birthday - timedelta(days=maker.random.randrange(40, 200))
