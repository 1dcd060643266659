"""What clinicians of the synthetic region have delayed, released and withheld, by the same steps as on their page: a
doctor of the unit decides, and it holds from the same moment. No label is written by hand."""

from __future__ import annotations

from datetime import datetime, timedelta

from varde.clock import OSLO
from varde.demo.care import at, working_day
from varde.demo.filling import Region
from varde.demo.people import Human, Resource
from varde.services import Platform
from varde.services.family import withholding
from varde.services.family.withholding_rules import Cause, Choice, Way
from varde.trust.law.marks import TO_PARENTS

_TALK = timedelta(days=2)
"""From the present to the conversation about a delayed result."""


async def withhold(platform: Platform, region: Region, until: datetime) -> None:
    """Decide as it stands at the present, `until`.

    An adult's result waits for a conversation (FAM-35). Of a young person's two, one is released to her mother (FAM-03)
    and the other kept from her, as was asked for (FAM-04).
    """
    talk = at(working_day((until.astimezone(OSLO) + _TALK).date()), 13, 0)
    choices = {
        "Ingrid Solberg": [Choice(Way.UNTIL, until=talk, cause=Cause.TALK_FIRST, reason="Svaret tas opp i samtalen.")],
        "Sofie Lyng": [
            Choice(Way.OPEN, cause=Cause.OTHER, reason="De er enige om det.", marks=frozenset({TO_PARENTS})),
            Choice(Way.PARENTS, cause=Cause.YOUNG_WISH, reason="Hun ba om det da vi snakket alene."),
        ],
    }
    for place, human in enumerate(region.world.people()):
        if human.part is None:
            break
        if human.name in choices:
            reports = [one for one in region.world.record(human, place) if one["resourceType"] == "DiagnosticReport"]
            for report, choice in zip(reports, choices[human.name], strict=True):
                await _decide(platform, region, human, report, choice)


async def _decide(platform: Platform, region: Region, human: Human, report: Resource, choice: Choice) -> None:
    """By a doctor of the unit whose report it is."""
    unit = str(report["performer"][0]["reference"]).removeprefix("Organization/")
    doctor = next(one for one in region.world.fixed.workers if one.unit.id == unit and one.role == "doctor")
    scope, _ = await platform.access.for_staff(doctor.hpr, unit)
    reference = f"DiagnosticReport/{report['id']}"
    one = await withholding.about(platform, scope, human.id, reference)
    versions = {reference: one.item.versions}
    await withholding.decide(platform, scope, f"Practitioner/{doctor.id}", one, choice, (), versions)
