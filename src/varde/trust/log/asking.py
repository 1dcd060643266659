"""What a search for AuditEvents asks, as SQL over the access log. The parameters are R4's own; no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from varde.fhir.errors import BadRequest
from varde.fhir.gate import Parameters
from varde.fhir.keys import resource_key
from varde.fhir.search.dates import date_range
from varde.trust.log.events import ACTIONS, row_of
from varde.trust.log.reach import Columns
from varde.trust.persons import HPR

MOST = 200
_COUNT = 50
_DATES: Mapping[str, str] = {
    "eq": "{a} >= {low} and {a} < {high}", "ne": "not ({a} >= {low} and {a} < {high})",
    "gt": "{a} >= {high}", "sa": "{a} >= {high}", "ge": "{a} >= {low}",
    "lt": "{a} < {low}", "eb": "{a} < {low}", "le": "{a} < {high}",
}  # fmt: skip
_SHAPING = frozenset({"_format", "_pretty", "_summary", "_elements"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Asked:
    """A search, read. `references` are entities that must be seen by whoever asks before they may be asked for."""

    conditions: Sequence[tuple[str, Sequence[str]]]
    count: int = _COUNT
    page: str | None = None
    newest_first: bool = True
    total: bool = False
    only_count: bool = False
    ignored: Sequence[tuple[str, str]] = ()

    @property
    def references(self) -> list[str]:
        """What entities are named, as "Type/id"."""
        return [one for name, values in self.conditions if name == "entity" for one in values]


def read(query: Sequence[tuple[str, str]], *, lenient: bool = False) -> Asked:
    """A search as it was asked. Raises BadRequest for what is not known, unless `lenient`."""
    conditions: list[tuple[str, Sequence[str]]] = []
    ignored: list[tuple[str, str]] = []
    found: dict[str, str] = {}
    for name, value in query:
        if name in _SHAPING:
            if name == "_summary" and value == "count":
                found["_summary"] = value
        elif name in {"_count", "_page", "_sort", "_total"}:
            found[name] = value
        elif name in _CONDITIONS:
            conditions.append((name, [one for one in value.split(",") if one]))
        elif lenient:
            ignored.append((name, value))
        else:
            raise BadRequest.of("the access log is not searched by this parameter", code="not-supported")
    sort = found.get("_sort", "-date")
    if sort not in {"date", "-date", "_lastUpdated", "-_lastUpdated"}:
        raise BadRequest.of("the access log is sorted by date")
    count = found.get("_count", str(_COUNT))
    if not (count.isascii() and count.isdigit() and len(count) < 6):
        raise BadRequest.of("_count is a number")
    return Asked(
        conditions, min(int(count), MOST), found.get("_page"), sort.startswith("-"),
        found.get("_total") in {"accurate", "estimate"}, found.get("_summary") == "count" or int(count) == 0, ignored,
    )  # fmt: skip


def mark(at: datetime, row: int) -> str:
    """The key of a page that begins after a row."""
    return f"{(at - _EPOCH) // timedelta(microseconds=1)}.{row}"


def after(asked: Asked, parameters: Parameters) -> str:
    """SQL condition of the rows that follow `asked.page`. Raises BadRequest."""
    if asked.page is None:
        return "true"
    micro, _, row = asked.page.partition(".")
    if not (micro.isdigit() and row.isdigit() and len(micro) < 18 and len(row) < 19):
        raise BadRequest.of("no such page")
    at = parameters.add(_EPOCH + timedelta(microseconds=int(micro)))
    than = "<" if asked.newest_first else ">"
    return f"(a.at, a.id) {than} ({at}, {parameters.add(int(row))}::bigint)"


def conditions(asked: Asked, columns: Columns, seen: frozenset[str], parameters: Parameters) -> list[str]:
    """SQL conditions on rows of trust_audit named `a`. `seen`: those of `asked.references` that may be asked for.
    Raises BadRequest."""
    made = []
    for name, values in asked.conditions:
        if not values:
            raise BadRequest.of("a parameter without a value")
        either = [_CONDITIONS[name](value, columns, seen, parameters) for value in values]
        made.append(f"({' or '.join(either)})")
    return made


def _id(value: str, columns: Columns, seen: frozenset[str], parameters: Parameters) -> str:
    row = row_of(value)
    return "false" if row is None else f"a.id = {parameters.add(row)}::bigint"


def of_patient(identifier: str, columns: Columns, parameters: Parameters) -> str:
    """Rows that tell of a patient, by SQL."""
    return f"({columns.patient}) = {parameters.add(resource_key('Patient', identifier))}::bigint"


def _patient(value: str, columns: Columns, seen: frozenset[str], parameters: Parameters) -> str:
    kind, _, identifier = value.rpartition("/")
    if kind not in {"", "Patient"}:
        return "false"
    return of_patient(identifier, columns, parameters)


def _date(value: str, columns: Columns, seen: frozenset[str], parameters: Parameters) -> str:
    prefix = value[:2] if value[:2] in _DATES else "eq"
    try:
        low, high = date_range(value.removeprefix(prefix) if value[:2] in _DATES else value)
    except ValueError:
        raise BadRequest.of("no date", "date") from None
    test = _DATES[prefix]
    used = {name: parameters.add(at) for name, at in (("low", low), ("high", high)) if f"{{{name}}}" in test}
    return test.format(a="a.at", **used)


def _agent(value: str, columns: Columns, seen: frozenset[str], parameters: Parameters) -> str:
    kind, _, identifier = value.rpartition("/")
    if kind == "Organization":
        return f"a.unit = {parameters.add(identifier)}"
    if kind not in {"", "Patient"}:
        return "false"  # staff are told by their number: agent:identifier
    return f"(a.actor_kind in ('patient', 'representative') and a.actor = {parameters.add(identifier)})"


def _agent_identifier(value: str, columns: Columns, seen: frozenset[str], parameters: Parameters) -> str:
    system, bar, number = value.rpartition("|")
    if bar and system not in {"", HPR}:
        return "false"
    kinds = "('staff')" if system == HPR else "('staff', 'system')"
    return f"(a.actor_kind in {kinds} and ({columns.actor}) = {parameters.add(number)})"


def _agent_name(value: str, columns: Columns, seen: frozenset[str], parameters: Parameters) -> str:
    return f"starts_with(lower({columns.name}), lower({parameters.add(value)}))"


def _entity(value: str, columns: Columns, seen: frozenset[str], parameters: Parameters) -> str:
    if value not in seen:
        return "false"
    kind, _, identifier = value.partition("/")
    named = f"{parameters.add([value, identifier])}::text[]"
    bare = f"(a.resource_type = {parameters.add(kind)} or {parameters.add(value)} = any(a.resource_ids))"
    found = f"(({columns.things}) && {named} and {bare})"
    return f"({found} or {_patient(value, columns, seen, parameters)})" if kind == "Patient" else found


def _action(value: str, columns: Columns, seen: frozenset[str], parameters: Parameters) -> str:
    code = value.rpartition("|")[2]
    if code == "R":
        return f"a.interaction <> all({parameters.add(sorted(ACTIONS))}::text[])"
    return f"a.interaction = any({parameters.add(sorted(k for k, v in ACTIONS.items() if v == code))}::text[])"


def _outcome(value: str, columns: Columns, seen: frozenset[str], parameters: Parameters) -> str:
    code = value.rpartition("|")[2]
    return {"0": "a.allowed", "8": "not a.allowed"}.get(code, "false")


def _subtype(value: str, columns: Columns, seen: frozenset[str], parameters: Parameters) -> str:
    return f"a.interaction = {parameters.add(value.rpartition('|')[2])}"


def _policy(value: str, columns: Columns, seen: frozenset[str], parameters: Parameters) -> str:
    return f"a.ground = {parameters.add(value.rpartition('/')[2])}"


_Condition = Callable[[str, Columns, frozenset[str], Parameters], str]
_CONDITIONS: Mapping[str, _Condition] = {
    "_id": _id, "patient": _patient, "date": _date, "_lastUpdated": _date, "agent": _agent,
    "agent:identifier": _agent_identifier, "altid": _agent_identifier, "agent-name": _agent_name, "entity": _entity,
    "action": _action, "outcome": _outcome, "subtype": _subtype, "policy": _policy,
}  # fmt: skip
PARAMETERS = ("_id", "_lastUpdated", "action", "agent", "agent-name", "altid", "date", "entity", "outcome", "patient",
              "policy", "subtype")  # fmt: skip
"""Those of the specification that are known, without modifiers."""
