"""Whom the envelope is for: name and address in its window. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from varde.edges.post import Recipient
from varde.edges.registers import PostalAddress
from varde.services.letters import rules
from varde.services.letters.people import Known

_PARENTS: Mapping[str, str] = {
    "nb": "Foresatte til {name}",
    "nn": "Føresette til {name}",
    "se": "{name} ovddasteaddjiide",
    "en": "The parents of {name}",
}


@dataclass(frozen=True, slots=True)
class Envelope:
    """A recipient with an address from the population register."""

    recipient: Recipient
    address: PostalAddress

    @property
    def payload(self) -> dict[str, Any]:
        """As the edge "post" wants it."""
        one = self.recipient
        return {
            "name": one.name,
            "lines": list(one.lines),
            "postal_code": one.postal_code,
            "city": one.city,
            "country": one.country,
        }


def envelope(known: Known, language: str) -> Envelope | None:
    """Where a letter to this patient goes on paper; None when nobody knows an address, or nobody may (LET-08).

    For a child under 16 it is to the parents (LET-03, LET-02), from 12 unless the clinician chose otherwise.
    """
    address = known.envelope
    if address is None or known.facts.protection in rules.HIDDEN_ADDRESS:
        return None
    name = known.party.name
    if known.facts.age < rules.YOUTH or (known.facts.age < rules.OWN and known.facts.paper != "youth"):
        name = _PARENTS.get(language, _PARENTS["nb"]).format(name=name)
    return Envelope(Recipient(name, address.lines, address.postal_code, address.city, address.country), address)
