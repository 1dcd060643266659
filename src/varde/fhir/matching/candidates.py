"""Whom a description is compared with: patients found by indexes alone, each of them through the gate.

Ways in: an identifier, a telephone or e-mail address, the date of birth, a date of birth with a slip in it and a name,
a family and a given name. No way looks through all patients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from varde.fhir.definitions import search_parameters, type_number
from varde.fhir.gate import Gate, Parameters
from varde.fhir.matching.demographics import Demographics, contact_of, dicts
from varde.fhir.model import Stored
from varde.fhir.search.dates import date_range
from varde.fhir.search.fold import fold
from varde.fhir.search.values import clipped, system_key
from varde.fhir.storing.reading import SELECT, fetch, stored

MAXIMUM = 300
"""Patients by each way in."""


async def candidates(connection: Any, gate: Gate, asked: Demographics, patient: Mapping[str, Any]) -> list[Stored]:
    """The patients that the description may be of. Raises BadRequest for values that no index holds."""
    parameters = Parameters()
    ways = [way for way in (
        _identified(asked, parameters), _reached(patient, parameters), _born(asked, parameters),
        _nearly_born(asked, parameters), _named(asked, parameters),
    ) if way is not None]  # fmt: skip
    if not ways:
        return []
    number = parameters.add(type_number("Patient"))
    inside = " union ".join(
        f"(select r.rid from {source} join resource r on r.rid = {alias}.rid where {test}"
        f" and r.type::int = {number}::int and not r.deleted and ({gate.predicate('r', 'Patient', parameters)})"
        f" limit {MAXIMUM})"
        for source, alias, test in ways
    )
    sql = f"select {SELECT} from resource r where r.rid in ({inside})"
    return [stored(row) for row in await fetch(connection, sql, parameters.values)]


async def successors(connection: Any, gate: Gate, found: Sequence[Stored]) -> dict[str, Stored]:
    """By the id of a record that another replaced, the one that counts now, of those that may be seen."""
    replaced = {one.id: target for one in found if (target := _replaced_by(one.resource)) is not None}
    if not replaced:
        return {}
    parameters = Parameters()
    ids = parameters.add(sorted(set(replaced.values())))
    number = parameters.add(type_number("Patient"))
    sql = (
        f"select {SELECT} from resource r where r.id = any({ids}::text[]) and r.type = {number}::smallint"
        f" and not r.deleted and ({gate.predicate('r', 'Patient', parameters)})"
    )
    now = {row["id"]: stored(row) for row in await fetch(connection, sql, parameters.values)}
    return {old: now[new] for old, new in replaced.items() if new in now}


def _replaced_by(patient: Mapping[str, Any]) -> str | None:
    for link in patient.get("link", ()):
        if link.get("type") == "replaced-by":
            reference = str((link.get("other") or {}).get("reference", ""))
            if reference.startswith("Patient/"):
                return reference.removeprefix("Patient/")
    return None


_Way = tuple[str, str, str]
"""(from, alias of the index row, condition)"""


def _key(code: str, parameters: Parameters) -> str:
    return f"{parameters.add(search_parameters('Patient')[code].key)}::int"


def _identified(asked: Demographics, parameters: Parameters) -> _Way | None:
    if not asked.identifiers:
        return None
    systems = parameters.add([system_key(system) for system, _ in sorted(asked.identifiers)])
    values = parameters.add([clipped(value) for _, value in sorted(asked.identifiers)])
    test = (
        f"i.param = {_key('identifier', parameters)} and (i.code, i.system) in"
        f" (select * from unnest({values}::text[], {systems}::bigint[]))"
    )
    return "index_token i", "i", test


def _reached(patient: Mapping[str, Any], parameters: Parameters) -> _Way | None:
    spelled: set[str] = set()
    for one in dicts(patient.get("telecom")):
        contact = contact_of(one)
        if contact:
            spelled |= {str(one["value"]).strip(), contact, f"+47{contact}", f"0047{contact}", f"47{contact}"}
            if len(contact) == 8:
                spelled |= {f"+47 {contact}", f"{contact[:3]} {contact[3:5]} {contact[5:]}"}
    if not spelled:
        return None
    values = parameters.add(sorted(clipped(one) for one in spelled))
    return "index_token i", "i", f"i.param = {_key('telecom', parameters)} and i.code = any({values}::text[])"


def _born(asked: Demographics, parameters: Parameters) -> _Way | None:
    if asked.birth is None or len(asked.birth) < 10:
        return None
    moments = _moments([asked.birth])
    if not moments:
        return None
    return "index_date i", "i", f"i.param = {_key('birthdate', parameters)} and i.low = {parameters.add(moments[0])}"


def _nearly_born(asked: Demographics, parameters: Parameters) -> _Way | None:
    if asked.birth is None or len(asked.birth) < 10 or not asked.words:
        return None
    moments = _moments(slips(asked.birth))
    names = f"array[{_key('family', parameters)}, {_key('given', parameters)}]"
    named = (
        f"exists (select 1 from index_string s where s.patient = i.rid and s.param = any({names})"
        f" and s.value = any({parameters.add(_values(asked))}::text[]))"
    )
    test = f"i.param = {_key('birthdate', parameters)} and i.low = any({parameters.add(moments)}::timestamptz[])"
    return "index_date i", "i", f"{test} and {named}"


def _named(asked: Demographics, parameters: Parameters) -> _Way | None:
    if len(asked.words) < 2:
        return None
    values = parameters.add(_values(asked))
    given = (
        f"exists (select 1 from index_string s where s.patient = i.rid and s.param = {_key('given', parameters)}"
        f" and s.value = any({values}::text[]))"
    )
    test = f"i.param = {_key('family', parameters)} and i.value = any({values}::text[]) and {given}"
    return "index_string i", "i", test


def _values(asked: Demographics) -> list[str]:
    """The names as the index of strings may hold them: word by word, and whole."""
    whole = {" ".join(sorted(family)) for family, _ in asked.names} | {" ".join(given) for _, given in asked.names}
    hyphens = {one.replace(" ", "-") for one in whole}
    reverse = {" ".join(sorted(family, reverse=True)) for family, _ in asked.names}
    return sorted(fold(one) for one in asked.words | whole | hyphens | reverse if one)


def slips(birth: str) -> list[str]:
    """Dates that a slip of the pen makes of `birth` (YYYY-MM-DD): day and month exchanged, one digit wrong, two
    digits beside each other exchanged; only those that are dates."""
    digits = birth.replace("-", "")
    made = {f"{digits[:4]}{digits[6:]}{digits[4:6]}"}
    for place in range(8):
        made |= {f"{digits[:place]}{digit}{digits[place + 1 :]}" for digit in "0123456789"}
        if place < 7:
            made.add(f"{digits[:place]}{digits[place + 1]}{digits[place]}{digits[place + 2 :]}")
    made.discard(digits)
    found = []
    for one in sorted(made):
        try:
            day = date(int(one[:4]), int(one[4:6]), int(one[6:]))
        except ValueError:
            continue
        if 1850 <= day.year <= 2200:
            found.append(day.isoformat())
    return found


def _moments(dates: Sequence[str]) -> list[Any]:
    found = []
    for one in dates:
        try:
            found.append(date_range(one)[0])
        except (ValueError, OverflowError):
            continue
    return found
