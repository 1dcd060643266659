"""A Patient as it is compared: folded names, dates, numbers. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from varde.fhir.definitions import canonical_system
from varde.fhir.search.fold import fold

_WORD = re.compile(r"[^\W\d_]+")
_DATE = re.compile(r"^(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?$")


@dataclass(frozen=True, slots=True)
class Demographics:
    """What a description says of a person."""

    identifiers: frozenset[tuple[str, str]] = frozenset()
    """(system in canonical spelling, value without spaces)"""
    names: tuple[tuple[frozenset[str], tuple[str, ...]], ...] = ()
    """(words of the family name, words of the given names in order) of each name"""
    birth: str | None = None
    gender: str | None = None
    streets: frozenset[tuple[str, str]] = frozenset()
    """(street, postal code)"""
    postal: frozenset[str] = frozenset()
    telecom: frozenset[str] = frozenset()

    @property
    def words(self) -> frozenset[str]:
        """Every word of every name."""
        return frozenset(word for family, given in self.names for word in (*family, *given))


def read(patient: Mapping[str, Any]) -> Demographics:
    """The description that a Patient resource, whole or in part, gives."""
    birth = patient.get("birthDate")
    gender = patient.get("gender")
    addresses = list(dicts(patient.get("address")))
    return Demographics(
        frozenset(_identifiers(patient)),
        tuple(name for one in dicts(patient.get("name")) if any(name := _name(one))),
        birth if isinstance(birth, str) and _DATE.match(birth) else None,
        gender if isinstance(gender, str) and gender in {"male", "female", "other"} else None,
        frozenset(street for one in addresses for street in _streets(one)),
        frozenset(_plain(one["postalCode"]) for one in addresses if isinstance(one.get("postalCode"), str)),
        frozenset(contact for one in dicts(patient.get("telecom")) if (contact := contact_of(one))),
    )


def _identifiers(patient: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for one in dicts(patient.get("identifier")):
        if isinstance(one.get("system"), str) and isinstance(one.get("value"), str) and one["value"].strip():
            yield canonical_system(one["system"]), re.sub(r"\s", "", one["value"])


def _name(one: Mapping[str, Any]) -> tuple[frozenset[str], tuple[str, ...]]:
    family = _words(one.get("family"))
    given = [word for text in _list(one.get("given")) for word in _words(text)]
    if not family and not given and isinstance(one.get("text"), str):
        # Norwegian names are written given names first, family name last; or "family, given".
        before, comma, after = one["text"].partition(",")
        said = _words(before)
        family, given = (said, _words(after)) if comma else (said[-1:], said[:-1])
    return frozenset(family), tuple(given)


def _words(text: Any) -> list[str]:
    return _WORD.findall(fold(text)) if isinstance(text, str) else []


def _streets(one: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    postal = one.get("postalCode")
    for line in _list(one.get("line")):
        if isinstance(line, str) and line.strip():
            yield _plain(line), _plain(postal) if isinstance(postal, str) else ""


def contact_of(one: Mapping[str, Any]) -> str | None:
    """A telephone number by its digits, without the country where that is Norway; an e-mail address folded."""
    value = one.get("value")
    if not isinstance(value, str) or not value.strip():
        return None
    if "@" in value:
        return value.strip().casefold()
    digits = re.sub(r"\D", "", value)
    for prefix in ("0047", "47"):
        if len(digits) == 8 + len(prefix) and digits.startswith(prefix):
            return digits.removeprefix(prefix)
    return digits if len(digits) >= 5 else None


def _plain(text: str) -> str:
    return re.sub(r"[^\w]", "", fold(text))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def dicts(value: Any) -> Iterable[Mapping[str, Any]]:
    """The objects of a list; none of what is no list."""
    return (one for one in _list(value) if isinstance(one, dict))
