"""The region's letters of the last twelve days, made by the letters' own flow: sent by the wards' secretaries, told,
opened by patients, printed, returned, withdrawn and replaced, each at its own time. No state is written by hand.

The clock is the past's and is moved through the days; what was due in between is done by a worker on the way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from random import Random

from varde import edges
from varde.app import House
from varde.clock import SetClock
from varde.demo.care import at
from varde.demo.filling import Region
from varde.demo.people import Human, Unit
from varde.demo.world import TO_CALL
from varde.edges.registers.embedded import set_dead
from varde.population.following import PATIENT, Population
from varde.services.letters import flow
from varde.services.letters.keeping import print_key
from varde.services.letters.model import Letter
from varde.services.letters.rules import Channel, NotAllowed, State
from varde.services.letters.views import Filters, Order
from varde.trust.access import Refused
from varde.trust.scope import Scope
from varde.work import jobs
from varde.work.jobs import Job

DAYS = 12
MOST_WARDS = 9
"""Wards whose secretaries send, in a region of more than a few hundred patients."""
_SHARES = ((11, 0.14), (8, 0.12), (6, 0.12), (5, 0.1), (3, 0.1), (2, 0.08), (1, 0.08), (0, 0.05))
"""Days ago, and the share of a ward's coming appointments that letters go out about then."""
_MOST_AT_ONCE = 25
_SUMMONS = {"preparation": "Ta med listen over medisinene dine.", "message": ""}


@dataclass(slots=True)
class Ward:
    """A ward that sends, and what it has sent."""

    unit: Unit
    scope: Scope
    letters: list[str] = field(default_factory=list)


class Story:
    """Told once over a region that was just written."""

    def __init__(self, house: House, clock: SetClock, region: Region, until: datetime) -> None:
        """`clock` is the house's own and stands before the story begins; `until` is the present."""
        self._platform = house.platform
        self._house = house
        self._clock = clock
        self._region = region
        self._until = until
        self._worker = house.worker(recurring=False)
        self._random = Random(f"{region.seed}/story")  # noqa: S311 a repeatable world, not a secret
        self._opens: dict[int, list[tuple[Ward, str]]] = defaultdict(list)
        self._known: set[str] = set()

    async def tell(self) -> int:
        """Let the days pass; how many letters there are."""
        wards = await self._wards()
        named = await self._named()
        population = Population(self._platform, self._house.services)
        async with self._platform.database.transaction() as connection:
            await population.follow(connection, ())  # where the feed of changes begins
        for ago in range(DAYS, -1, -1):
            day = (self._until - timedelta(days=ago)).date()
            morning = at(day, 9, 20)
            if morning >= self._until:
                break
            await self._drain(morning)
            for share_day, share in _SHARES:
                if share_day == ago:
                    await self._send(wards, share, ago, named)
            await self._second_thoughts(wards, ago)
            noon = min(at(day, 13, 10), self._until)
            await self._drain(noon)
            await self._open(ago)
            if ago == 1:
                await self._come_back(wards)
        await self._drain(self._until)
        await self._register_tells({human.id: human for human, _ in named.values()}.values())
        return sum(len(ward.letters) for ward in wards)

    async def _register_tells(self, named: Iterable[Human]) -> None:
        """The register tells of a death, and of whom the named persons are related to: the worker sees to both."""
        now = self._until
        async with self._platform.database.transaction() as connection:
            for human in named:
                if human.dies:
                    await set_dead(connection, human.number, now.date())
            await jobs.enqueue_many(
                connection,
                [Job(PATIENT, {"patient": one.id}, now, f"{PATIENT}:{one.id}:story") for one in named],
            )

    async def _drain(self, until: datetime) -> None:
        """Everything due by then, each thing at its own time."""
        await self._worker.drain(until, moving=self._clock.set)
        self._clock.set(until)

    async def _wards(self) -> list[Ward]:
        fixed = self._region.world.fixed
        children = next(one for one in fixed.units if one.name.startswith("Barne"))
        first = [fixed.ward, fixed.second, children]
        others = [one for one in fixed.units if one not in first]
        more = min(MOST_WARDS, 3 + self._region.patients // 250) - 3
        chosen = [*first, *(others[:: len(others) // more][:more] if more else ())]
        wards = []
        for unit in chosen:
            secretary = next(one for one in fixed.workers if one.unit.id == unit.id and one.role == "secretary")
            scope, _ = await self._platform.access.for_staff(secretary.hpr, unit.id)
            wards.append(Ward(unit, scope))
        return wards

    async def _named(self) -> dict[str, tuple[Human, bool]]:
        """The named persons by the id of each of their appointments, and whether it is at the second ward."""
        world = self._region.world
        second = f"Organization/{world.fixed.second.id}"
        found = {}
        for place, human in enumerate(world.people()):
            if human.part is None:
                break
            for resource in world.record(human, place):
                if resource["resourceType"] == "Appointment":
                    found[resource["id"]] = human, resource["supportingInformation"][0]["reference"] == second
        return found

    async def _send(self, wards: Sequence[Ward], share: float, ago: int, named: dict[str, tuple[Human, bool]]) -> None:
        """Each ward's secretary sends to some of those who have no letter yet."""
        template = "referral-appointment" if ago in (11, 2) else "summons"
        for ward in wards:
            chosen = await self._chosen(ward, share, ago, named)
            if chosen:
                key = f"story-{self._region.code}-{ward.unit.id}-{ago}"
                await flow.send(self._platform, ward.scope, Order(template, _SUMMONS, chosen), key)
        await self._drain(self._clock.now())
        for ward in wards:
            for letter in await self._fresh(ward):
                ward.letters.append(letter.id)
                self._plan(ward, letter, ago, named)

    async def _chosen(self, ward: Ward, share: float, ago: int, named: dict[str, tuple[Human, bool]]) -> list[str]:
        """Appointments to send about this day. The first ward keeps enough for visitors to call."""
        waiting, total = await flow.to_call(self._platform, ward.scope, "", most=1000)
        kept = TO_CALL if ward.unit.id == self._region.world.fixed.ward.id else 0
        often = min(_MOST_AT_ONCE, max(1, round(total * share)))
        chosen = [one.id for one in waiting if one.id in named and _turn(*named[one.id], ago)]
        free = [one.id for one in waiting if one.id not in named]
        room = max(0, min(often, len(waiting) - kept) - len(chosen))
        return chosen + self._random.sample(free, min(room, len(free)))

    async def _fresh(self, ward: Ward) -> list[Letter]:
        """Letters of the ward that were not there before, oldest first."""
        found, page = [], None
        while True:
            listed, page = await flow.letters(self._platform, ward.scope, Filters(page=page))
            new = [one.letter for one in listed if one.letter.id not in self._known]
            found += new
            if page is None or len(new) < len(listed):
                break
        self._known |= {one.id for one in found}
        return sorted(found, key=lambda one: one.id)

    def _plan(self, ward: Ward, letter: Letter, ago: int, named: dict[str, tuple[Human, bool]]) -> None:
        """Whether and when the patient will open it: most do within three days, some never."""
        human, second = named.get(letter.appointment or "", (None, False))
        if human is not None:
            after = 1 if second else _NAMED_OPEN.get(human.name)
        else:
            after = self._random.choices((0, 1, 2, 3, None), (22, 20, 10, 5, 43))[0]
        if after is not None and ago - after >= 0:
            self._opens[ago - after].append((ward, letter.id))

    async def _open(self, ago: int) -> None:
        """Patients, or a parent for the child, open what they had in mind to open this day."""
        for ward, letter_id in self._opens.pop(ago, ()):
            letter = (await flow.letter(self._platform, ward.scope, letter_id)).letter
            readers = [party.reference.removeprefix("Patient/") for party in letter.recipients]
            if letter.channel not in (Channel.DIGITAL, Channel.BOTH) or not readers:
                continue
            try:
                scope, _, _ = await self._platform.access.act_for(readers[0], letter.patient)
            except (Refused, LookupError):
                continue
            await flow.open_letter(self._platform, scope, letter.id)

    async def _second_thoughts(self, wards: Sequence[Ward], ago: int) -> None:
        """Now and then a ward takes a letter back, or sends a corrected one."""
        if ago not in (7, 4, 1):
            return
        for ward in wards[:: 2 if ago != 1 else 1]:
            for letter_id in reversed(ward.letters):
                letter = (await flow.letter(self._platform, ward.scope, letter_id)).letter
                if letter.opened or letter.state not in (State.SENT, State.NOTIFIED, State.DUE_FOR_PRINT):
                    continue
                try:
                    if ago == 4:
                        values = {**_SUMMONS, "message": "Rommet er et annet enn vi skrev først."}
                        made = await flow.change(
                            self._platform, ward.scope, letter.id, values, f"{letter.key}-corrected"
                        )
                        ward.letters.append(made.id)
                        self._known.add(made.id)
                    else:
                        await flow.withdraw(
                            self._platform, ward.scope, letter.id, "Timen er flyttet. Du får nytt brev."
                        )
                except NotAllowed:
                    continue
                break

    async def _come_back(self, wards: Sequence[Ward]) -> None:
        """Two envelopes come back to the print house, as the postman found nobody."""
        house = edges.embedded_post(self._platform.settings, self._clock)
        back = 0
        for ward in wards:
            for listed in islice(await self._posted(ward), 1):
                try:
                    await house.return_mail(print_key(listed.id))
                except (LookupError, ValueError):
                    continue
                back += 1
            if back == 2:
                break
        house.close()

    async def _posted(self, ward: Ward) -> list[Letter]:
        listed, _ = await flow.letters(self._platform, ward.scope, Filters(state=State.POSTED.value))
        return [one.letter for one in listed]


_NAMED_OPEN = {"Nora Myrvang": 0, "Emil Myrvang": 0, "Lars Myrvang": 2, "Hilde Nygård": 1, "Ida Sørensen": 0}
"""Named persons who have opened their letters, and how many days after."""
_NAMED_DAYS = {"Ingrid Solberg": 1, "Tuva Myrvang": 1, "Máret Hætta": 2, "Jakob Berg": 3,
               "Rolf Eide": 3}  # fmt: skip
"""Days ago that named persons' letters were sent, who have not opened them; the others' were sent eight days ago."""


def _turn(human: Human, second: bool, ago: int) -> bool:
    """Whether this is the day that a named person's letter is sent; those of the second ward went first."""
    return ago == (11 if second else _NAMED_DAYS.get(human.name, 8))
