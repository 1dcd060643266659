"""The trust framework's attestation in an access token (`authorization_details`, HelseID's profile; IDENTITY.md 1.3):
who needs data, where, why, and which local decision it rests on. Pure: from the claim to typed words.

Only HelseID's name `care_relationship` is taken; the specification's `care_relation` is refused, since a source that
read both could be told two things. Making one's own for other systems: `identity/helseid.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

TYPE = "nhn:tillitsrammeverk:parameters"
PURPOSES = "2.16.840.1.113883.1.11.20448"
_LONGEST = 200
_OID = "urn:oid:"
_NUMBER = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_SYSTEM = re.compile(r"[0-2](\.\d{1,12}){1,20}", re.ASCII)


class Purpose(StrEnum):
    """What an attestation may be for (v3-PurposeOfUse)."""

    TREAT = "TREAT"
    ETREAT = "ETREAT"
    """In an emergency chain: by the same rules as TREAT, no bypass."""
    COC = "COC"
    BTG = "BTG"
    """Breaks the glass: only with an emergency access that was opened here, with its reason (FAM-34)."""


class WrongAttestation(Exception):
    """It cannot be held to. The text names the element, never its value."""


@dataclass(frozen=True, slots=True)
class Place:
    """A legal entity, point of care or department: number and code system, and its name."""

    number: str
    system: str
    """An OID, without `urn:oid:`."""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Attestation:
    """One need for data."""

    purpose: Purpose
    decision: str
    """Leads back to the local decision: what the log can be asked for."""
    chosen_by_user: bool
    legal_entity: Place
    department: Place | None = None
    point_of_care: Place | None = None
    details: str = ""
    """What the purpose is in the words of code system 9151."""
    issued: int | None = None
    """When it was attested, seconds since 1970."""


def attested(details: Any) -> Attestation | None:
    """The attestation in a token's `authorization_details`; None when there is none. Raises WrongAttestation."""
    if details is None:
        return None
    if not isinstance(details, list) or not all(isinstance(one, dict) for one in details):
        raise WrongAttestation("authorization_details is a list of objects")
    found = [one for one in details if one.get("type") == TYPE]
    if len(found) > 1:
        raise WrongAttestation("authorization_details attest one thing")
    return _read(found[0]) if found else None


def _read(told: Mapping[str, Any]) -> Attestation:
    if "care_relation" in told:
        raise WrongAttestation("care_relation is not taken; HelseID's profile has care_relationship")
    relation, practitioner = _part(told, "care_relationship"), _part(told, "practitioner")
    purpose, decision = _part(relation, "purpose_of_use"), _part(relation, "decision_ref")
    if _system(purpose) != PURPOSES:
        raise WrongAttestation("purpose_of_use.system is another code system")
    try:
        code = Purpose(_text(purpose, "code", "purpose_of_use.code"))
    except ValueError:
        raise WrongAttestation("purpose_of_use.code is none of TREAT, ETREAT, COC and BTG") from None
    chosen = decision.get("user_selected", False)
    if not isinstance(chosen, bool):
        raise WrongAttestation("decision_ref.user_selected is true or false")
    more = relation.get("purpose_of_use_details")
    issued = told.get("toa", relation.get("toa"))
    legal = _place(practitioner, "legal_entity")
    if legal is None:
        raise WrongAttestation("practitioner.legal_entity is needed")
    return Attestation(
        code, _text(decision, "id", "decision_ref.id"), chosen, legal,
        _place(practitioner, "department"), _place(practitioner, "point_of_care"),
        _label(more) if isinstance(more, dict) else "",
        issued if isinstance(issued, int) and not isinstance(issued, bool) and issued >= 0 else None,
    )  # fmt: skip


def _part(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = told.get(name)
    if not isinstance(part, dict):
        raise WrongAttestation(f"{name} is needed")
    return part


def _text(told: Mapping[str, Any], name: str, path: str) -> str:
    text = told.get(name)
    if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST or not text.isprintable():
        raise WrongAttestation(f"{path} is needed, of at most {_LONGEST} letters")
    return text


def _system(told: Mapping[str, Any]) -> str:
    return str(told.get("system", "")).removeprefix(_OID)


def _label(told: Mapping[str, Any]) -> str:
    text = told.get("text") or told.get("code") or ""
    return text[:_LONGEST] if isinstance(text, str) and text.isprintable() else ""


def _place(practitioner: Mapping[str, Any], name: str) -> Place | None:
    told = practitioner.get(name)
    if told is None:
        return None
    if not isinstance(told, dict):
        raise WrongAttestation(f"practitioner.{name} is no place")
    number, system = str(told.get("id", "")), _system(told)
    if not _NUMBER.fullmatch(number) or not _SYSTEM.fullmatch(system):
        raise WrongAttestation(f"practitioner.{name} has a number and its code system")
    named = told.get("name")
    return Place(number, system, named[:_LONGEST] if isinstance(named, str) and named.isprintable() else "")
