"""HelseID, where staff log in: what is asked of it, the words of the trust framework, and who its answer says it is.

Sources: utviklerportal.nhn.no/informasjonstjenester/helseid; NorskHelsenett/HelseID.Samples; the trust framework
(tillitsrammeverk), HelseID's profile of it (IDENTITY.md 1.2 and 1.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from varde.trust.identity.keys import ClientKeys
from varde.trust.identity.registration import Asked, Level, LoginRefused, Registration

HPR = "helseid://claims/hpr/hpr_number"
ASSURANCE = "helseid://claims/identity/assurance_level"
SECURITY = "helseid://claims/identity/security_level"
PARENT = "helseid://claims/client/claims/orgnr_parent"
CHILD = "helseid://claims/client/claims/orgnr_child"
SCOPE = (
    "openid profile helseid://scopes/identity/assurance_level helseid://scopes/identity/security_level"
    " helseid://scopes/hpr/hpr_number"
)
"""What a login needs. The national identity number is not asked for: staff are known by their HPR number."""
OFFLINE = "offline_access"
WANTED = (HPR, ASSURANCE)
"""Claims that are asked of UserInfo when the id_token lacks one of them."""
ASSERTION_TYPE = "client-authentication+jwt"
_ASSURANCE = {"low": Level.LOW, "substantial": Level.SUBSTANTIAL, "high": Level.HIGH}
_SECURITY = {"2": Level.LOW, "3": Level.SUBSTANTIAL, "4": Level.HIGH}
_ORGANISATION_SYSTEM = "urn:oid:1.0.6523"
_LEGAL_ENTITY = "urn:oid:2.16.578.1.12.4.1.4.101"
_DEPARTMENT = "urn:oid:2.16.578.1.12.4.1.4.102"
_AUTHORIZATION = "urn:oid:2.16.578.1.12.4.1.1.9060"
_HEALTHCARE_SERVICE = "urn:oid:2.16.578.1.12.4.1.1.8655"
_PURPOSE = "urn:oid:2.16.840.1.113883.1.11.20448"
_PURPOSE_DETAILS = "urn:oid:2.16.578.1.12.4.1.1.9151"


class Place(StrEnum):
    """Where authorization_details go: in one place alone, since HelseID refuses them in two (HID-DOUBLE-STRUCTURE)."""

    LOGIN = "login"
    """In the signed request of the login: they hold for all of its tokens, as long as they are renewed."""
    ASSERTION = "assertion"
    """In the client assertion of each token request: they hold for that token."""


@dataclass(frozen=True, slots=True)
class Organisation:
    """Whose staff logs in: numbers of the Central Coordinating Register, the legal entity's and a business's below."""

    parent: str
    child: str | None = None

    @classmethod
    def parse(cls, text: str) -> Organisation:
        """From `parent` or `parent:child`. Raises ValueError."""
        parent, _, child = text.partition(":")
        for number in (parent, *([child] if child else [])):
            if len(number) != 9 or not number.isascii() or not number.isdigit():
                raise ValueError(f"{text!r} is no organisation: nine digits, or two such numbers with a colon between")
        return cls(parent, child or None)

    def __str__(self) -> str:
        return f"{self.parent}:{self.child}" if self.child else self.parent

    def details(self) -> dict[str, Any]:
        """As HelseID is told it (type `helseid_authorization`)."""
        value = f"NO:ORGNR:{self.parent}:{self.child or ''}"
        identifier = {"system": _ORGANISATION_SYSTEM, "type": "ENH", "value": value}
        return {"type": "helseid_authorization", "practitioner_role": {"organization": {"identifier": identifier}}}


@dataclass(frozen=True, slots=True)
class Coded:
    """A code or number of the trust framework, with the text that goes along."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Attestation:
    """What the house attests of one need for data elsewhere: who, where, for whom and why (IDENTITY.md 1.3)."""

    organisation: Coded
    """Legal entity: its number and name."""
    point_of_care: Coded
    department: Coded
    purpose: str
    """TREAT, ETREAT, COC or BTG."""
    purpose_details: Coded
    """Of code system 9151."""
    service: Coded
    """Of code system 8655."""
    decision: str
    """The local decision of access that it rests on: what the log can be asked for."""
    authorization: Coded | None = None
    """The health worker's, of code system 9060: LE, SP …"""
    chosen_by_user: bool = False

    def details(self) -> dict[str, Any]:
        """As HelseID is told it. `care_relationship` is the profile's word, not the specification's `care_relation`."""
        practitioner: dict[str, Any] = {
            "legal_entity": _identified(self.organisation, _LEGAL_ENTITY),
            "point_of_care": _identified(self.point_of_care, _LEGAL_ENTITY),
            "department": _identified(self.department, _DEPARTMENT),
        }
        if self.authorization is not None:
            practitioner["authorization"] = _coded(self.authorization, _AUTHORIZATION)
        patient = {name: practitioner[name] for name in ("point_of_care", "department")}
        return {
            "type": "nhn:tillitsrammeverk:parameters",
            "practitioner": practitioner,
            "care_relationship": {
                "healthcare_service": _coded(self.service, _HEALTHCARE_SERVICE),
                "purpose_of_use": {"code": self.purpose, "system": _PURPOSE},
                "purpose_of_use_details": _coded(self.purpose_details, _PURPOSE_DETAILS),
                "decision_ref": {"id": self.decision, "user_selected": self.chosen_by_user},
            },
            "patients": [patient],
        }


def _coded(one: Coded, system: str) -> dict[str, str]:
    return {"code": one.code, "text": one.text, "system": system, "assigner": "Helsedirektoratet"}


def _identified(one: Coded, system: str) -> dict[str, str]:
    return {"id": one.code, "name": one.text, "system": system, "authority": "Brønnøysundregistrene"}


@dataclass(frozen=True, slots=True)
class Worker:
    """Who logged in, and for which organisation."""

    hpr: str
    level: Level
    organisation: Organisation


@dataclass(frozen=True, slots=True)
class Terms:
    """What this house requires of those who log in as staff."""

    level: Level = Level.HIGH
    organisations: Sequence[Organisation] = ()
    """Those whose staff may log in. None: whichever the provider says, which the place of work must then be part of."""
    place: Place = Place.LOGIN
    api_scopes: Sequence[str] = ()
    """Of other systems' interfaces that are called on behalf of staff."""


def registration(issuer: str, client_id: str, redirect_uri: str, keys: ClientKeys, terms: Terms) -> Registration:
    """How Varde is registered with HelseID: FAPI 2.0, with signed requests and tokens bound to a key."""
    more = [*terms.api_scopes, OFFLINE] if terms.api_scopes else []
    return Registration(
        "staff", issuer, client_id, redirect_uri, keys, " ".join([SCOPE, *more]),
        assertion_type=ASSERTION_TYPE, request_objects=True, bound=True,
    )  # fmt: skip


def asking(terms: Terms, organisation: Organisation | None, max_age: int | None = None) -> Asked:
    """What is asked at a login."""
    at_login = organisation is not None and terms.place is Place.LOGIN
    return Asked(terms.level, max_age, details=[organisation.details()] if at_login and organisation else [])


def token_details(
    terms: Terms, organisation: Organisation | None, attestation: Attestation | None = None
) -> list[dict[str, Any]]:
    """authorization_details for the client assertion of a token request.

    Raises ValueError when there is something to attest and the login has told it already.
    """
    if terms.place is Place.LOGIN:
        if attestation is not None:
            raise ValueError("the login carries authorization_details: no token request may as well")
        return []
    return [one.details() for one in (organisation, attestation) if one is not None]


def level_of(claims: Mapping[str, Any]) -> Level:
    """How sure HelseID is: the lower one when both the new claim and the old are there."""
    found = []
    if ASSURANCE in claims:
        found.append(_ASSURANCE.get(str(claims[ASSURANCE]), Level.LOW))
    if SECURITY in claims:
        found.append(_SECURITY.get(str(claims[SECURITY]), Level.LOW))
    return min(found, default=Level.LOW)


def worker(
    claims: Mapping[str, Any],
    asked: Asked,
    terms: Terms,
    organisation: Organisation | None,
    granted: Sequence[Mapping[str, Any]] = (),
) -> Worker:
    """Who a checked answer says it is. `organisation` is the one that was asked for, `granted` what the provider says
    of it in the token response.

    Raises LoginRefused.
    """
    level = level_of(claims)
    if level < asked.level:
        raise LoginRefused("the level of assurance is too low")
    hpr = claims.get(HPR)
    if not isinstance(hpr, str) or not 1 <= len(hpr) <= 9 or not hpr.isascii() or not hpr.isdigit():
        raise LoginRefused("no HPR number")
    return Worker(hpr, level, _organisation(_told(claims, granted), organisation, terms))


def _told(claims: Mapping[str, Any], granted: Sequence[Mapping[str, Any]]) -> Organisation | None:
    """The organisation that the provider vouches for. Raises LoginRefused for one that is none."""
    try:
        if PARENT in claims:
            child = claims.get(CHILD)
            return Organisation.parse(f"{claims[PARENT]}:{child}" if child else str(claims[PARENT]))
        for one in granted:
            role = one.get("practitioner_role")
            if one.get("type") == "helseid_authorization" and isinstance(role, dict):
                value = str(role["organization"]["identifier"]["value"])
                return Organisation.parse(value.removeprefix("NO:ORGNR:").removesuffix(":"))
    except (ValueError, KeyError, TypeError):
        raise LoginRefused("the organisation is not to be read") from None
    return None


def _organisation(told: Organisation | None, asked: Organisation | None, terms: Terms) -> Organisation:
    if told is None:
        if asked is None:
            raise LoginRefused("the provider vouches for no organisation")
        # A client of one organisation has it from its registration, and its id_tokens need not say so.
        return asked
    if asked is not None and (told.parent != asked.parent or (asked.child or told.child) != told.child):
        raise LoginRefused("another organisation than was asked for")
    if terms.organisations and told.parent not in {one.parent for one in terms.organisations}:
        raise LoginRefused("an organisation whose staff is not let in")
    return told
