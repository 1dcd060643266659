"""Those who take part in the family's journeys (journeys.py), each doing on the pages what people of their kind do, and
the record system over the API. What a run made is taken away by them too.
"""

from __future__ import annotations

from datetime import timedelta

from varde.services.family import notices
from varde.services.record_system import RecordSystem
from varde.trust.consents import KINDS, Kind
from varde.work.journey import Steps
from varde.work.visitor import PageSeen, Visitor

BLOCKS = "/familie/sperringer"
STAFF_SEES = "/arbeid/pasienten-ser"
LOG = "/innsyn"
EMERGENCY = "/arbeid/nodtilgang"
REVIEWS = f"{EMERGENCY}/gjennomgang"
LOGIN = timedelta(seconds=10)
"""A login takes its time at the provider."""


class Record(RecordSystem):
    """The record system, and what it takes away after a run."""

    scopes = "system/Patient.rs system/Appointment.cruds system/Communication.rds system/Consent.rds"

    async def forget(self, *patients: str) -> None:
        """Take away what journeys made for these patients: appointments, what was decided of them and of who acts for
        whom, emergency access, and what people were told of it. Blocks no system can take away; they are lifted."""
        kinds = ",".join(f"{KINDS}|{kind.value}" for kind in (Kind.POWER_OF_ATTORNEY, Kind.WITHHOLDING, Kind.EMERGENCY))
        for patient in patients:
            for query in (
                f"Consent?patient={patient}&category={kinds}",
                f"Communication?subject=Patient/{patient}&category={notices.CATEGORY}|",
                f"Appointment?patient={patient}",
            ):
                found = await self._visitor.json("GET", f"/fhir/{query}&_count=100", self._token())
                for one in (entry["resource"] for entry in found.get("entry", ())):
                    path = f"/fhir/{one['resourceType']}/{one['id']}"
                    await self._visitor.json("DELETE", path, self._token(), status=204)


async def forget(steps: Steps, *patients: str) -> None:
    """The same, by a visitor of its own: at the end of a run."""
    async with steps.visitor() as machine:
        await Record(steps, machine).forget(*patients)


class Portal:
    """A patient, or one who acts for another."""

    def __init__(self, steps: Steps, visitor: Visitor) -> None:
        self._steps = steps
        self._visitor = visitor

    async def log_in(self, number: str, path: str = "/familie") -> PageSeen:
        """Log in as the person with a national identity number."""
        return await self._visitor.log_in(path, number)

    async def act_for(self, patient: str) -> PageSeen:
        """Choose to act for a patient, by the button on the family's page."""
        page = await self._visitor.get("/familie")
        there = page.has(f"//button[@name='hvem'][@value='{patient}']")
        self._steps.expect(there, "en knapp for å handle for den andre", "ingen")
        return await self._visitor.send(page, "hvem", {}, ("hvem", patient))

    async def be_oneself(self) -> PageSeen:
        """Go back to one's own things."""
        page = await self._visitor.get("/familie")
        return await self._visitor.send(page, "hvem", {}, ("hvem", ""))

    async def sees(self, appointment: str) -> bool:
        """Whether an appointment is on the list, and opens; both must say the same."""
        page = await self._visitor.get("/timer")
        listed = page.has(f"//a[@href='/timer/{appointment}']")
        await self._visitor.get(f"/timer/{appointment}", 200 if listed else 404)
        return listed

    async def give_power(self, number: str, surname: str) -> None:
        """Give a power of attorney for appointments."""
        page = await self._visitor.get("/familie/fullmakt")
        wish = {"nummer": number, "etternavn": surname, "ting": "appointments"}
        page = await self._visitor.send(page, "nummer", wish)
        page = await self._visitor.send(page, "nummer", {}, ("gjor", "gi"))
        self._steps.expect(page.path == "/familie", "siden Familie og fullmakt", f"svar {page.status}")

    async def withdraw_powers(self) -> int:
        """Withdraw every power of attorney that one has given; how many there were."""
        page = await self._visitor.get("/familie")
        forms = page.all("//form[starts-with(@action, '/familie/fullmakt/')]/@action")
        for form in forms:
            page = await self._visitor.submit(page, str(form))
        return len(forms)

    async def block_unit(self) -> None:
        """Block the probe's unit."""
        unit = self._steps.probe.unit
        page = await self._visitor.get(f"{BLOCKS}/ny/unit")
        there = page.has(f"//input[@name='valg'][@value='{unit}']")
        self._steps.expect(there, "enheten på listen", "den er ikke der")
        page = await self._visitor.send(page, "videre", {"valg": unit})
        page = await self._visitor.send(page, "slag", {})
        self._steps.expect(len(_standing(page)) == 1, "én sperring", len(_standing(page)))

    async def lift_blocks(self) -> int:
        """Lift every block; how many there were."""
        page = await self._visitor.get(BLOCKS)
        standing = _standing(page)
        for one in standing:
            page = await self._visitor.submit(await self._visitor.get(one), "/opphev")
        self._steps.expect(not _standing(page), "ingen sperring igjen", len(_standing(page)))
        return len(standing)

    async def log_lines(self, who: str) -> list[tuple[str, str]]:
        """(address, words) of the lines of the access log of one kind: stoppet, nod."""
        page = await self._visitor.get(LOG)
        page = await self._visitor.send(page, "hvem", {"hvem": who})
        rows = page.all(f"//a[starts-with(@href, '{LOG}/')]")
        return [(str(row.get("href")), " ".join(str(row.text_content()).split())) for row in rows]

    async def read(self, path: str) -> PageSeen:
        """Any page."""
        return await self._visitor.get(path)


def _standing(page: PageSeen) -> list[str]:
    """Addresses of the blocks on the page of blocks."""
    links = page.all(f"//section[@aria-labelledby='gjelder']//a[starts-with(@href, '{BLOCKS}/')]/@href")
    return [str(link) for link in links]


class Ward:
    """A clinician of the probe's unit."""

    def __init__(self, steps: Steps, visitor: Visitor) -> None:
        self._steps = steps
        self._visitor = visitor

    async def log_in(self) -> PageSeen:
        """Log in, and come to the page where patients are found."""
        return await self._visitor.log_in(STAFF_SEES, self._steps.probe.clinician)

    async def finds(self, number: str, patient: str) -> bool:
        """Whether the patient is found by number, and their page opens; both must say the same."""
        page = await self._visitor.get(STAFF_SEES)
        page = await self._visitor.send(page, "sok", {"sok": number})
        found = page.has(f"//a[@href='{STAFF_SEES}/{patient}']")
        await self._visitor.get(f"{STAFF_SEES}/{patient}", 200 if found else 404)
        return found

    async def withhold_from_parents(self, patient: str, appointment: str) -> None:
        """Withhold an appointment from those who act for the patient."""
        page = await self._visitor.get(f"{STAFF_SEES}/{patient}")
        address = f"{STAFF_SEES}/{patient}/Appointment/{appointment}"
        self._steps.expect(page.has(f"//a[@href='{address}']"), "timen på listen", "den er ikke der")
        page = await self._visitor.get(address)
        chosen = {"hva": "foreldre", "grunn": "danger", "begrunnelse": "Prøve av tilbakeholding"}
        page = await self._visitor.send(page, "begrunnelse", chosen, ("steg", "se"))
        page = await self._visitor.send(page, "begrunnelse", {}, ("steg", "bekreft"))
        self._steps.expect(page.path == f"{STAFF_SEES}/{patient}", "pasientens side", f"svar {page.status}")

    async def open_emergency(self, number: str) -> str:
        """Open a patient's record in an emergency, with a reason; the address of the page that shows it."""
        page = await self._visitor.get(EMERGENCY)
        asked = {"nummer": number, "arsak": "life", "grunn": "Prøve: ingen er i nød, og alt er oppdiktet."}
        page = await self._visitor.send(page, "arsak", asked)
        page = await self._visitor.send(page, "bekreft", {})
        self._steps.expect(page.path.startswith(f"{EMERGENCY}/"), "journalen, åpnet", f"svar {page.status}")
        return page.path

    async def read(self, path: str, status: int = 200) -> PageSeen:
        """Any page."""
        return await self._visitor.get(path, status)

    async def end_emergency(self, address: str) -> None:
        """End it before its time."""
        await self._visitor.submit(await self._visitor.get(address), "/slutt")


async def review_emergencies(visitor: Visitor, leader: str) -> int:
    """Go through every emergency access of the unit, as its leader; how many there were."""
    page = await visitor.log_in(REVIEWS, leader)
    waiting = page.all(f"//main//li//a[starts-with(@href, '{REVIEWS}/')]/@href")
    for one in waiting:
        page = await visitor.get(str(one))
        await visitor.send(page, "utfall", {"utfall": "needed", "begrunnelse": "Prøve"})
    return len(waiting)
