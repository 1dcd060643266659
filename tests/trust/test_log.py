"""The access log as it is read: by whom, in lines, and with what left out (FAM-24, FAM-40, FAM-41, Table A)."""

from __future__ import annotations

from datetime import timedelta

from tests.trust.region import DOCTOR, KARI, OTHER_DOCTOR, World
from varde.trust.log.lines import Wanted, Who, choices, count, line_of, lines, moments


async def test_lines(world: World) -> None:
    doctor, kari = world.bearer(hpr=DOCTOR), world.bearer(pid=KARI)
    for path in ("/Observation/result-kari", "/Observation/result-kari", "/Communication/letter-kari"):
        assert (await world.client.get(path, headers=doctor)).status_code == 200
    assert (await world.client.get("/Patient/kari", headers=world.bearer(hpr=OTHER_DOCTOR))).status_code == 404
    await world.client.get("/Observation", headers=kari)
    scope = (await world.access.for_patient(KARI))[0]
    async with world.database.connection() as connection:
        page = await lines(connection, scope, Wanted())
        assert page.next is None
        assert [(line.name, line.allowed, sorted((d.type, d.times) for d in line.done)) for line in page.lines] == [
            (f"Ansatt {OTHER_DOCTOR}", False, [("Patient", 1)]),
            (f"Ansatt {DOCTOR}", True, [("Communication", 1), ("Observation", 2)]),
        ]
        treated = page.lines[1]
        assert await line_of(connection, scope, treated.id) == treated
        assert len(await moments(connection, scope, treated)) == 3
        assert await count(connection, scope, Wanted(refused=True)) == 1
        units, people = await choices(connection, scope, world.clock.now() - timedelta(days=1))
        assert [one.key for one in units] == ["ward-a", "ward-b"] and len(people) == 2
        for wanted, found in (
            (Wanted(words=DOCTOR), 1), (Wanted(words="ward-b"), 1), (Wanted(unit="ward-a"), 1),
            (Wanted(types=frozenset({"Patient"})), 1), (Wanted(who=Who.OWN), 1), (Wanted(words="100%"), 0),
        ):  # fmt: skip
            assert len((await lines(connection, scope, wanted)).lines) == found, wanted
        systems = await lines(connection, scope, Wanted(who=Who.SYSTEMS))
        assert systems.lines
