"""The production proofs of the family: who acts for a child and for an adult, a block and the log of it, and emergency
access over a block (IMP-01). Each says what must be seen and what must not; who does it is `journey_people.py`'s.

The persons are of journeys alone. What a run made is taken away at its end; the access log and the history stay
(IMP-15), and so does each emergency access's Task, gone through.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from varde.services.family.journey_people import (
    LOGIN,
    STAFF_SEES,
    Portal,
    Record,
    Ward,
    forget,
    review_emergencies,
)
from varde.services.family.part import Part
from varde.work.journey import Journey, Steps

_IN_THE_LOG = timedelta(minutes=1)
"""How soon the patient reads it (FAM-41)."""


async def family_access(steps: Steps) -> None:
    """A parent sees a small child's things but for what is withheld; a power of attorney opens and shuts (FAM-02,
    FAM-04, FAM-12)."""
    probe = steps.probe
    async with steps.visitor() as machine, steps.visitor() as first, steps.visitor() as second, steps.visitor() as own:
        record, ward = Record(steps, machine), Ward(steps, first)
        parent, giver = Portal(steps, second), Portal(steps, own)
        async with steps.step("Journalsystemet oppretter to timer til barnet og én til en voksen"):
            child, adult, holder = [await record.patient(one) for one in (probe.child, probe.adult, probe.parent)]
            await record.forget(child, adult, holder)
            steps.finally_do("Det prøven laget, tas bort", lambda: forget(steps, child, adult, holder))
            shown, withheld = [await record.appoint(child) for _ in range(2)]
            theirs = await record.appoint(adult)
        async with steps.step("Behandleren skjuler den ene timen for foreldrene", LOGIN):
            await ward.log_in()
            await ward.withhold_from_parents(child, withheld)
        async with steps.step("Forelderen logger inn og ser ikke barnets timer blant sine egne", LOGIN):
            await parent.log_in(probe.parent)
            steps.expect(not await parent.sees(shown), "ingen av barnets timer", "en av dem")
        async with steps.step("Forelderen handler for barnet og ser den ene timen"):
            page = await parent.act_for(child)
            steps.expect("Du handler for" in page.text, "hvem det handles for, på siden", "ingenting om det")
            steps.expect(await parent.sees(shown), "timen", "ingen time")
        async with steps.step("Timen som er skjult, finnes ikke for forelderen"):
            steps.expect(not await parent.sees(withheld), "ingen time", "timen som er skjult")
        async with steps.step("En voksen uten fullmakt kan ikke velges"):
            page = await parent.be_oneself()
            page = await parent.read("/familie")
            there = page.has(f"//button[@name='hvem'][@value='{adult}']")
            steps.expect(not there, "ingen knapp for den voksne", "en knapp")
        async with steps.step("Den voksne logger inn og gir fullmakt til timer", LOGIN):
            await giver.log_in(probe.adult)
            await giver.give_power(probe.parent, probe.surname)
        async with steps.step("Den som fikk fullmakten, bruker den straks"):
            await parent.act_for(adult)
            steps.expect(await parent.sees(theirs), "timen til den voksne", "ingen time")
        async with steps.step("Den voksne trekker fullmakten tilbake"):
            ended = await giver.withdraw_powers()
            steps.expect(ended == 1, "én fullmakt", ended)
        async with steps.step("Døra er lukket, også for den som sto i den"):
            steps.expect(not await parent.sees(theirs), "ingen time", "timen til den voksne")
            page = await parent.read("/familie")
            there = page.has(f"//button[@name='hvem'][@value='{adult}']")
            steps.expect(not there, "ingen knapp for den voksne", "en knapp")


async def blocks_and_log(steps: Steps) -> None:
    """A patient blocks a unit, its staff are refused, and the patient reads who tried and why they were stopped
    (FAM-33, FAM-40, FAM-41)."""
    async with steps.visitor() as machine, steps.visitor() as first, steps.visitor() as second:
        record, ward, patient = Record(steps, machine), Ward(steps, first), Portal(steps, second)
        number = steps.probe.adult
        async with steps.step("Journalsystemet oppretter en time"):
            adult = await record.patient(number)
            await record.forget(adult)
            steps.finally_do("Det prøven laget, tas bort", lambda: forget(steps, adult))
            await record.appoint(adult)
        async with steps.step("Pasienten logger inn", LOGIN):
            await patient.log_in(number)
            await patient.lift_blocks()
        async with steps.step("Behandleren ser pasienten", LOGIN):
            await ward.log_in()
            steps.expect(await ward.finds(number, adult), "pasienten", "ingen pasient")
            before = await patient.log_lines("stoppet")
        async with steps.step("Pasienten sperrer avdelingen"):
            steps.finally_do("Sperringen oppheves", lambda: _lifted(steps))
            await patient.block_unit()
        async with steps.step("Behandleren ser ikke at pasienten finnes"):
            steps.expect(not await ward.finds(number, adult), "ingen pasient", "pasienten")
        async with steps.step("Pasienten leser i loggen hvem som ble stoppet, og hvorfor", _IN_THE_LOG):
            lines = [line for line in await patient.log_lines("stoppet") if line not in before]
            steps.expect(bool(lines), "et oppslag som ble stoppet", "ingen")
            address, words = lines[0]
            steps.expect("Prøve Lege" in words and "prøvestasjon" in words, "hvem, og fra hvor", "noe annet")
            page = await patient.read(address)
            steps.expect("Hvorfor det ble stoppet" in page.text, "hvorfor", "ingen grunn")
        async with steps.step("Pasienten opphever sperringen"):
            lifted = await patient.lift_blocks()
            steps.expect(lifted == 1, "én sperring", lifted)
        async with steps.step("Behandleren ser pasienten igjen"):
            steps.expect(await ward.finds(number, adult), "pasienten", "ingen pasient")


async def _lifted(steps: Steps) -> None:
    async with steps.visitor() as visitor:
        patient = Portal(steps, visitor)
        await patient.log_in(steps.probe.adult)
        await patient.lift_blocks()


async def emergency_access(steps: Steps) -> None:
    """Over a block goes emergency access alone, with a reason, told to the patient and gone through by the unit's
    leader; ended, it is shut again (FAM-34)."""
    probe = steps.probe
    async with steps.visitor() as machine, steps.visitor() as first, steps.visitor() as second:
        record, ward, patient = Record(steps, machine), Ward(steps, first), Portal(steps, second)
        async with steps.step("Journalsystemet oppretter en time"):
            adult = await record.patient(probe.adult)
            await record.forget(adult)
            steps.finally_do("Det prøven laget, tas bort", lambda: forget(steps, adult))
            await record.appoint(adult)
        async with steps.step("Pasienten logger inn og sperrer avdelingen", LOGIN):
            await patient.log_in(probe.adult)
            await patient.lift_blocks()
            steps.finally_do("Sperringen oppheves", lambda: _lifted(steps))
            await patient.block_unit()
        async with steps.step("Behandleren ser ikke pasienten", LOGIN):
            await ward.log_in()
            steps.expect(not await ward.finds(probe.adult, adult), "ingen pasient", "pasienten")
        async with steps.step("Behandleren åpner journalen i en nødsituasjon, med en grunn"):
            steps.finally_do("Lederen går gjennom det som står igjen", lambda: _reviewed(steps))
            address = await ward.open_emergency(probe.adult)
            page = await ward.read(address)
            steps.expect("Prøvetime" in page.text, "timen, tross sperringen", "ingen time")
        async with steps.step("Andre sider er like lukket"):
            await ward.read(f"{STAFF_SEES}/{adult}", 404)
        async with steps.step("Pasienten får vite det, og leser det i loggen", _IN_THE_LOG):
            page = await patient.read("/familie")
            steps.expect("nødsituasjon" in page.text, "en beskjed", "ingen")
            lines = await patient.log_lines("nod")
            steps.expect(any("Prøve Lege" in words for _, words in lines), "nødtilgangen i loggen", "ingen")
        async with steps.step("Behandleren avslutter, og journalen er lukket igjen"):
            await ward.end_emergency(address)
            await ward.read(address, 404)
        async with steps.step("Avdelingens leder går gjennom den", LOGIN), steps.visitor() as visitor:
            done = await review_emergencies(visitor, probe.leader)
            steps.expect(done >= 1, "en nødtilgang å gå gjennom", done)


async def _reviewed(steps: Steps) -> None:
    async with steps.visitor() as visitor:
        await review_emergencies(visitor, steps.probe.leader)


def _journey(
    name: str, run: Callable[[Steps], Awaitable[None]], every: timedelta, nb: str, nn: str, se: str, en: str
) -> Journey:
    return Journey(name, "family", {"nb": nb, "nn": nn, "se": se, "en": en}, run, every)


JOURNEYS = (
    _journey(
        "family-access",
        family_access,
        timedelta(minutes=15),
        "En forelder og en med fullmakt ser det de skal, og ikke mer",
        "Ein forelder og ein med fullmakt ser det dei skal, og ikkje meir",
        "Váhnen ja fápmudusoažžu oaidniba dan maid galgaba, eaige eanet",
        "A parent and an attorney see what they should, and no more",
    ),
    _journey(
        "blocks-and-log",
        blocks_and_log,
        timedelta(minutes=15),
        "En sperring stopper en ansatt, og pasienten ser det i loggen",
        "Ei sperring stoppar ein tilsett, og pasienten ser det i loggen",
        "Hehttehus bisseha bargi, ja buohcci oaidná dan loggas",
        "A block stops an employee, and the patient sees it in the log",
    ),
    _journey(
        "emergency-access",
        emergency_access,
        timedelta(hours=1),
        "Nødtilgang åpner, blir meldt til pasienten og lukker seg",
        "Nødtilgang opnar, blir meld til pasienten og lukkar seg",
        "Heahtebeassan rahpasa, dieđihuvvo buohccái ja giddejuvvo",
        "Emergency access opens, is told to the patient, and shuts",
    ),
)
PART = Part(journeys=JOURNEYS)
