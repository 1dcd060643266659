"""The production proof of letters: a letter goes all the way on the screen, and one is set to go on paper.

The record system's part is played over the FHIR API, the rest as people do it, on the pages. What a run made is
taken away at its end; its access log stays (IMP-15).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from varde.services.letters.model import STATE
from varde.services.letters.rules import State
from varde.services.record_system import RecordSystem
from varde.work.journey import Journey, Steps
from varde.work.visitor import PageSeen, Visitor

_TEMPLATE = "summons"
_SOON = timedelta(seconds=30)
_LONGEST = timedelta(minutes=30)
"""No run lasts so long."""
_VALUES = {"felt-preparation": "Ta med listen over medisinene dine."}


class _Record(RecordSystem):
    """The record system, and the letters that it sees."""

    scopes = "system/Patient.rs system/Appointment.cruds system/Communication.rds system/Organization.rs"

    async def letters(self, appointment: str, state: State | None = None) -> list[dict[str, Any]]:
        """The letters about an appointment; those in one state."""
        path = f"/fhir/Communication?based-on=Appointment/{appointment}"
        path += f"&_tag={STATE}|{state}" if state else ""
        found = await self._visitor.json("GET", path, self._token())
        return [entry["resource"] for entry in found.get("entry", ())]

    async def left_behind(self) -> list[str]:
        """Appointments of runs that were broken off: of the probe's unit, and older than any run lasts."""
        path = f"/fhir/Appointment?supporting-info=Organization/{self._steps.probe.unit}&_count=100"
        found = await self._visitor.json("GET", path, self._token())
        made = {entry["resource"]["id"]: entry["resource"]["created"] for entry in found.get("entry", ())}
        before = self._steps.clock.now() - _LONGEST
        return [one for one, created in made.items() if datetime.fromisoformat(created) < before]

    async def forget(self, appointment: str) -> None:
        """Take away the appointment and its letters."""
        for letter in await self.letters(appointment):
            await self._visitor.json("DELETE", f"/fhir/Communication/{letter['id']}", self._token(), status=204)
        await self._visitor.json("DELETE", f"/fhir/Appointment/{appointment}", self._token(), status=204)


async def _forget(steps: Steps, appointment: str) -> None:
    async with steps.visitor() as machine:
        await _Record(steps, machine).forget(appointment)


def _state(letter: dict[str, Any]) -> str:
    return next((tag["code"] for tag in letter["meta"].get("tag", ()) if tag.get("system") == STATE), "")


async def _until(look: Callable[[], Awaitable[Any]], within: timedelta = _SOON) -> Any:
    """What `look` gives, as soon as it gives something; its last answer when the time is up."""
    deadline = monotonic() + within.total_seconds()
    pause = 0.1
    while not (found := await look()) and monotonic() < deadline:
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 1.0)
    return found


async def _begin(steps: Steps, record: _Record, number: str) -> str:
    """The appointment that the letter is about; its id. What a run that was broken off left is taken away first, lest
    its letter be printed in four days."""
    for left in await record.left_behind():
        async with steps.step("Det en avbrutt prøve lot ligge, tas bort"):
            await record.forget(left)
    async with steps.step("Journalsystemet oppretter en time"):
        appointment = await record.appoint(await record.patient(number))
        steps.finally_do("Det prøven laget, tas bort", lambda: _forget(steps, appointment))
    return appointment


async def _send(steps: Steps, staff: Visitor, appointment: str, channel: str) -> None:
    """Staff write and send the letter about an appointment, by the pages."""
    async with steps.step("En ansatt logger inn og finner pasienten som skal ha brev", timedelta(seconds=10)):
        page = await staff.log_in("/arbeid", steps.probe.staff)
        page = await staff.get("/arbeid/brev/ny")
        steps.expect(page.has(f"//input[@name='time'][@value='{appointment}']"), "timen i listen", "den er ikke der")
    async with steps.step("Brevet ses over før det sendes, med kanal og grunn", timedelta(seconds=10)):
        page = await staff.send(page, "time", {"time": appointment})
        if page.has(f"//select[@name='mal']/option[@value='{_TEMPLATE}'][not(@selected)]"):
            page = await staff.send(page, "mal", {"mal": _TEMPLATE}, ("gjor", "vis"))
        fields = {name: text for name, text in _VALUES.items() if page.has(f"//*[@name='{name}']")}
        page = await staff.send(page, "mal", fields, ("gjor", "vis"))
        steps.expect(page.has("//*[contains(@class, 'preview-phone')]"), "en forhåndsvisning av brevet", "ingen")
        steps.expect(channel in page.text, f"«{channel}»", "en annen vei")
    async with steps.step("Brevet sendes", _SOON):
        page = await staff.send(page, "mal", {}, ("gjor", "send"))
        steps.expect(page.path.startswith("/arbeid/utsending/"), "siden for utsendingen", f"svar {page.status}")
        progress = f"{page.path}/framdrift"

        async def finished() -> PageSeen | None:
            seen = await staff.get(progress)
            return seen if "Ferdig: 1 av 1" in seen.text else None

        steps.expect(await _until(finished) is not None, "brevet sendt", "ikke ennå")


async def digital(steps: Steps) -> None:
    """From the ward to the patient's screen, and back to the ward that it was opened (LET-06, LET-20, LET-58)."""
    async with steps.visitor() as machine, steps.visitor() as staff, steps.visitor() as reader:
        record = _Record(steps, machine)
        appointment = await _begin(steps, record, steps.probe.patient)
        await _send(steps, staff, appointment, "Digitalt")
        async with steps.step("Brevet finnes én gang, og varselet er levert", _SOON):
            letters = await _until(lambda: record.letters(appointment, State.NOTIFIED))
            steps.expect(len(letters) == 1, "ett brev som er varslet", len(letters))
            letter = letters[0]["id"]
        async with steps.step("Pasienten logger inn og ser et ulest brev", timedelta(seconds=10)):
            page = await reader.log_in("/brev", steps.probe.patient)
            steps.expect(page.has(f"//a[@href='/brev/{letter}'][@data-unread]"), "brevet, ulest", "det er ikke der")
        async with steps.step("Pasienten åpner brevet"):
            page = await reader.get(f"/brev/{letter}")
            steps.expect(page.has("//article//h1"), "innholdet i brevet", "det er ikke der")
        async with steps.step("Brevet kan lastes ned som PDF"):
            pdf = await reader.get(f"/brev/{letter}/pdf")
            steps.expect(pdf.content.startswith(b"%PDF"), "en PDF", "noe annet")
        async with steps.step("Den ansatte ser at brevet er åpnet"):
            page = await staff.get(f"/arbeid/brev/{letter}")
            steps.expect("Åpnet" in page.text, "«Åpnet»", "ikke ennå")


async def paper(steps: Steps) -> None:
    """To one who does not use the portal the letter goes on paper; before it is printed it can be withdrawn (LET-02,
    LET-51)."""
    async with steps.visitor() as machine, steps.visitor() as staff:
        record = _Record(steps, machine)
        appointment = await _begin(steps, record, steps.probe.paper_patient)
        await _send(steps, staff, appointment, "På papir")
        async with steps.step("Brevet skal trykkes"):
            letters = await record.letters(appointment)
            steps.expect(len(letters) == 1, "ett brev", len(letters))
            state = _state(letters[0])
            steps.expect(state in {State.SENT, State.DUE_FOR_PRINT, State.PRINTING}, "satt til trykking", state)
        if state != State.PRINTING:
            async with steps.step("Den ansatte trekker brevet tilbake før det trykkes"):
                page = await staff.get(f"/arbeid/brev/{letters[0]['id']}")
                page = await staff.send(page, "grunn", {"grunn": "Prøve"})
                steps.expect("Trukket tilbake" in page.text, "«Trukket tilbake»", "noe annet")


JOURNEYS = (
    Journey(
        "letters-digital",
        "letters",
        {
            "nb": "Et brev går fra avdelingen til pasientens skjerm",
            "nn": "Eit brev går frå avdelinga til skjermen til pasienten",
            "se": "Reive manná ossodagas buohcci šerbmii",
            "en": "A letter goes from the ward to the patient's screen",
        },
        digital,
    ),
    Journey(
        "letters-paper",
        "letters",
        {
            "nb": "Et brev til en som ikke er digital, blir satt til trykking",
            "nn": "Eit brev til ein som ikkje er digital, blir sett til trykking",
            "se": "Reive dasa gii ii leat digitála, mannagoahtá prentemii",
            "en": "A letter to someone who is not digital is set to be printed",
        },
        paper,
    ),
)
