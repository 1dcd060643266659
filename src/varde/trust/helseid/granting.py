"""From who calls with HelseID's token to the Scope of the request: the same Scope and Grant as any other token's.

A health worker is let in where they work here: as the unit that the attestation names, within the organisation that
HelseID vouches for. Whom of its patients they reach is decided as for everybody (`scope.py`, FAM-30).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import orjson

from varde.trust import grounds
from varde.trust.access import Access, Position
from varde.trust.audit import masked
from varde.trust.helseid.attestation import Place, Purpose
from varde.trust.helseid.bearer import Caller
from varde.trust.helseid.contract import Contract
from varde.trust.identity.helseid import Organisation
from varde.trust.identity.workplaces import within
from varde.trust.persons import ENH
from varde.trust.scope import Scope
from varde.trust.smart.grant import Grant, Origin, grant_of

_OID = "urn:oid:"
_DESCRIPTIONS = {
    Purpose.TREAT: "Helsehjelp", Purpose.ETREAT: "Akutt helsehjelp", Purpose.COC: "Administrasjon av helsehjelp",
    Purpose.BTG: "Nødtilgang",
}  # fmt: skip
"""Of the decision, where the attestation itself has no words for it. What health workers read in the log: Norwegian."""


class Emergencies(Protocol):
    """The emergency accesses that stand open (FAM-34). An attestation alone opens none: the reason, the short time and
    the patient are recorded here first."""

    async def scope(self, position: Position) -> Scope | None:
        """What a health worker may do by an emergency access that is open now; None when none is."""
        ...


class Granting:
    """Makes scopes of callers. `emergencies` None: purpose BTG lets nobody in."""

    def __init__(self, access: Access, contract: Contract, emergencies: Emergencies | None = None) -> None:
        self._access = access
        self._contract = contract
        self._emergencies = emergencies

    async def scope(self, caller: Caller) -> Scope:
        """What a caller may do now. Raises LookupError for one who is not let in."""
        made = await (self._system(caller) if caller.hpr is None else self._staff(caller, caller.hpr))
        told = f"App {caller.client_name} ({caller.client})"
        return replace(made, grant=self._grant(caller), through=told, decision_ref=_decision(caller))

    def grant(self, origin: Origin, level: str) -> Grant:
        """What a caller's scopes of the API open now. Raises LookupError when its organisation has no agreement any
        more."""
        if origin.issuer not in self._contract.issuers or origin.organisation is None:
            raise LookupError("no issuer of this API's")
        if not self._contract.admits(Organisation.parse(origin.organisation)):
            raise LookupError("the organisation has no agreement on this API")
        return grant_of(self._contract.words(origin.api_scopes, level), origin=origin)

    def _grant(self, caller: Caller) -> Grant:
        origin = Origin(
            caller.client, issuer=caller.issuer, organisation=str(caller.organisation), api_scopes=caller.scopes
        )
        return self.grant(origin, "system" if caller.hpr is None else "user")

    async def _system(self, caller: Caller) -> Scope:
        grant = self._grant(caller)
        purpose = caller.attestation.purpose if caller.attestation is not None else None
        if purpose is Purpose.BTG:
            raise LookupError("emergency access is a person's")
        made = self._access.for_system(
            caller.client_name, grounds.RECORD_SYSTEM, purpose=purpose.value if purpose else "HOPERAT",
            types=grant.read, write_types=grant.write,
        )  # fmt: skip
        whose = await self._organization(caller.organisation)
        unit, name = (whose["id"], whose.get("name")) if whose else (None, f"orgnr {caller.organisation}")
        return replace(made, actor=replace(made.actor, key=caller.client, unit=unit, unit_name=name))

    async def _staff(self, caller: Caller, hpr: str) -> Scope:
        position = await self._position(caller, hpr)
        purpose = caller.attestation.purpose if caller.attestation is not None else Purpose.TREAT
        if purpose is not Purpose.BTG:
            return self._access.staff_scope(position, purpose.value)
        opened = await self._emergencies.scope(position) if self._emergencies is not None else None
        if opened is None:
            raise LookupError("no emergency access stands open (FAM-34)")
        return opened

    async def _position(self, caller: Caller, hpr: str) -> Position:
        """Where a health worker works now, by the attestation's department or else its point of care."""
        found = await within(self._access, await self._access.positions(hpr), caller.organisation)
        attestation = caller.attestation
        if attestation is not None:
            place = attestation.department or attestation.point_of_care
            found = await self._at(found, place) if place is not None else found
        if len(found) != 1:
            raise LookupError("works at none of the places named, or at several")
        return found[0]

    async def _at(self, positions: Sequence[Position], place: Place) -> list[Position]:
        """Those at a place: a unit with its number, or below a business with its organisation number."""
        if _OID + place.system == ENH:
            return await within(self._access, positions, Organisation(place.number))
        named = {one["id"] for one in await self._named(_OID + place.system, place.number)}
        return [one for one in positions if one.unit in named]

    async def _organization(self, organisation: Organisation) -> dict[str, Any] | None:
        """The caller's organisation as the register here has it: the business, else the legal entity."""
        for number in (organisation.child, organisation.parent):
            found = await self._named(ENH, number) if number is not None else []
            if len(found) == 1:
                return found[0]
        return None

    async def _named(self, system: str, number: str) -> list[dict[str, Any]]:
        query = [("identifier", f"{system}|{number}"), ("active", "true"), ("_count", "10")]
        page = await self._access.store.search(self._access.for_system("identity"), "Organization", query)
        return [match.resource for match in page.matches]


def _decision(caller: Caller) -> str | None:
    """The local decision that an attestation leads back to, as the log keeps it (trust.audit.Who)."""
    told = caller.attestation
    if told is None:
        return None
    reference = {
        "id": masked(told.decision),
        "description": masked(told.details) or _DESCRIPTIONS[told.purpose],
        "user_selected": told.chosen_by_user,
    }
    if caller.attested is not None:
        reference["toa"] = caller.attested
    return orjson.dumps(reference).decode()
