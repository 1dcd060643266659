"""What the population register tells of parents and children, in the words that `trust` decides by.

The rules are trust/policy.py's; the register itself is edges/registers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from varde.edges.registers import RegisteredPerson, Registers, RegisterUnavailable
from varde.fhir.errors import Unavailable
from varde.trust.law.mandate import Bond, Facts
from varde.trust.law.table import Relation
from varde.trust.mandates import Bound, Party
from varde.trust.policy import Parenthood


class RegisteredFamilies:
    """`trust.mandates.Mandates` over the population register. A register that is away means that nothing is shown."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers

    async def parenthood(self, parent: str, child: str) -> Parenthood:
        """By national identity numbers. Raises Unavailable."""
        known = await self._persons([parent, child])
        if parent not in known or child not in known:
            return Parenthood(responsible=False, a_parent_at_childs_address=False, protected=False)
        the_child = known[child]
        parents = await self._persons(the_child.parents)
        return Parenthood(
            responsible=parent in the_child.parents,
            a_parent_at_childs_address=any(one.dead is None and one.lives_with(the_child) for one in parents.values()),
            protected=known[parent].protection.hides_address or the_child.protection.hides_address,
            child_dead=the_child.dead is not None,
        )

    async def facts(self, asker: Party, patient: Party) -> Facts:
        """See trust.mandates.Mandates."""
        if asker.id == patient.id:
            return Facts((Bond(Relation.SELF),))
        return (await self.parenthood(asker.number, patient.number)).facts

    async def whom(self, asker: Party) -> Bound:
        """See trust.mandates.Mandates."""
        return Bound(tuple(await self.children(asker.number)))

    async def who(self, patient: Party) -> Bound:
        """See trust.mandates.Mandates."""
        found = (await self._persons([patient.number])).get(patient.number)
        return Bound(found.parents if found else ())

    async def children(self, parent: str) -> Sequence[str]:
        """National identity numbers of those for whom `parent` is responsible. Raises Unavailable."""
        found = (await self._persons([parent])).get(parent)
        return found.children if found else ()

    async def _persons(self, numbers: Sequence[str]) -> Mapping[str, RegisteredPerson]:
        try:
            return await self._registers.persons(numbers)
        except RegisterUnavailable as error:
            raise Unavailable.of("the population register is away; try again shortly") from error
