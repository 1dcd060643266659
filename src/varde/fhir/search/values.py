"""What each datatype becomes in each index table: one small function a (kind, datatype).

The functions are called by generated code (`extract.py`) as `handler(rows, parameter key, value)`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from varde.fhir.definitions import canonical_system, is_type, type_number
from varde.fhir.keys import resource_key, text_key
from varde.fhir.rows import IndexRows
from varde.fhir.search.dates import OPEN_HIGH, OPEN_LOW, date_range
from varde.fhir.search.fold import fold

Handler = Callable[[IndexRows, int, Any], None]

_SYSTEMS: dict[str, int] = {}


def system_key(uri: Any) -> int:
    """The key of a code system or identifier system in its canonical spelling; 0 for none."""
    if not isinstance(uri, str):
        return 0
    key = _SYSTEMS.get(uri)
    if key is None:
        key = text_key(canonical_system(uri))
        if len(_SYSTEMS) < 10_000:
            _SYSTEMS[uri] = key
    return key


def is_reference_to(value: Any, resource_type: str) -> bool:
    """Whether a Reference names a resource of this type, by its literal reference or its `type`."""
    if not isinstance(value, dict):
        return False
    literal = value.get("reference")
    if isinstance(literal, str) and f"{resource_type}/" in literal:
        return True
    return value.get("type") == resource_type


def has_extension(value: Any, url: str) -> bool:
    """Whether an element carries extension `url`."""
    extensions = value.get("extension") if isinstance(value, dict) else None
    return isinstance(extensions, list) and any(isinstance(e, dict) and e.get("url") == url for e in extensions)


def text_parameter(key: int) -> int:
    """The key under which the display texts of token parameter `key` are indexed, for `:text`."""
    return key ^ 0x5A5A5A5A


def type_parameter(key: int) -> int:
    """The key under which identifiers of token parameter `key` are indexed by type, for `:of-type`."""
    return key ^ 0x3C3C3C3C


def clipped(text: str) -> str:
    """As much of a text as an index row of PostgreSQL holds; the same at indexing and at asking."""
    return text if len(text) <= 500 else text.encode()[:2000].decode(errors="ignore")


def _text(rows: IndexRows, key: int, text: Any) -> None:
    if isinstance(text, str) and text:
        rows.strings.append((text_parameter(key), fold(text), text[:500]))


def _token_code(rows: IndexRows, key: int, value: Any) -> None:
    if isinstance(value, str):
        rows.tokens.append((key, 0, clipped(value)))


def _token_boolean(rows: IndexRows, key: int, value: Any) -> None:
    if isinstance(value, bool):
        rows.tokens.append((key, 0, "true" if value else "false"))


def _token_coding(rows: IndexRows, key: int, value: Any) -> None:
    if isinstance(value, dict):
        code = value.get("code")
        if isinstance(code, str):
            rows.tokens.append((key, system_key(value.get("system")), clipped(code)))
        _text(rows, key, value.get("display"))


def _token_concept(rows: IndexRows, key: int, value: Any) -> None:
    if isinstance(value, dict):
        codings = value.get("coding")
        for coding in codings if isinstance(codings, list) else ():
            _token_coding(rows, key, coding)
        _text(rows, key, value.get("text"))


def _token_identifier(rows: IndexRows, key: int, value: Any) -> None:
    if not isinstance(value, dict):
        return
    text = value.get("value")
    if isinstance(text, str):
        rows.tokens.append((key, system_key(value.get("system")), clipped(text)))
    kind = value.get("type")
    if isinstance(kind, dict):
        _text(rows, key, kind.get("text"))
        for coding in kind.get("coding") or ():
            if isinstance(coding, dict) and isinstance(coding.get("code"), str) and isinstance(text, str):
                system = system_key(coding.get("system"))
                rows.tokens.append((type_parameter(key), system, clipped(f"{coding['code']}|{text}")))


def _token_contact(rows: IndexRows, key: int, value: Any) -> None:
    if isinstance(value, dict) and isinstance(value.get("value"), str):
        rows.tokens.append((key, system_key(value.get("system")), clipped(value["value"])))


def _token_quantity(rows: IndexRows, key: int, value: Any) -> None:
    if isinstance(value, dict) and isinstance(value.get("code"), str):
        rows.tokens.append((key, system_key(value.get("system")), clipped(value["code"])))


def _token_deceased(rows: IndexRows, key: int, resource: Any) -> None:
    dead = resource.get("deceasedDateTime") is not None or resource.get("deceasedBoolean") is True
    rows.tokens.append((key, 0, "true" if dead else "false"))


_LITERAL = re.compile(r"^(?:(https?://.+)/)?([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?$")


@cache
def _own_base() -> list[str]:
    return []


def set_own_base(base: str) -> None:
    """Tell which absolute base is this server's own: references under it are local ones."""
    _own_base()[:] = [base.rstrip("/")]


def reference_target(literal: str) -> tuple[int, int | None, str]:
    """(target key, target type number, form) of a literal reference, relative or absolute."""
    match = _LITERAL.match(literal)
    if match and is_type(match[2]) and (match[1] is None or match[1] in _own_base()):
        return resource_key(match[2], match[3]), type_number(match[2]), "l"
    number = type_number(match[2]) if match and is_type(match[2]) else None
    return text_key(literal), number, "u"


def local_id(literal: str, resource_type: str) -> str | None:
    """The id in a literal reference to a resource of this type on this server; None for any other reference."""
    match = _LITERAL.match(literal)
    ours = match is not None and match[2] == resource_type and (match[1] is None or match[1] in _own_base())
    return match[3] if match is not None and ours else None


def identifier_target(system: str, value: str) -> int:
    """The target key under which a logical reference (`identifier`) is indexed."""
    return text_key(f"{canonical_system(system)}|{value}")


def _reference(rows: IndexRows, key: int, value: Any) -> None:
    if not isinstance(value, dict):
        return
    literal = value.get("reference")
    if isinstance(literal, str) and literal and literal[0] != "#":
        rows.references.append((key, *reference_target(literal)))
    identifier = value.get("identifier")
    if isinstance(identifier, dict) and isinstance(identifier.get("value"), str):
        kind = value.get("type")
        number = type_number(str(kind)) if is_type(kind) else None
        target = identifier_target(identifier.get("system") or "", identifier["value"])
        rows.references.append((key, target, number, "i"))


def _canonical(rows: IndexRows, key: int, value: Any) -> None:
    if isinstance(value, str) and value:
        plain = value.split("|")[0].split("#")[0]
        rows.references.append((key, text_key(plain), None, "c"))
        if plain != value:
            rows.references.append((key, text_key(value), None, "c"))
        match = _LITERAL.match(plain)
        if match and is_type(match[2]) and match[1] is None:
            rows.references.append((key, resource_key(match[2], match[3]), type_number(match[2]), "l"))


def _string(rows: IndexRows, key: int, value: Any) -> None:
    if isinstance(value, str) and value:
        rows.strings.append((key, fold(value), value[:500]))


_NAME = ("text", "family", "given", "prefix", "suffix")
_ADDRESS = ("text", "line", "city", "district", "state", "postalCode", "country")


def _parts(rows: IndexRows, key: int, value: Any, members: tuple[str, ...]) -> None:
    if isinstance(value, dict):
        for member in members:
            found = value.get(member)
            for text in found if isinstance(found, list) else (found,):
                _string(rows, key, text)


def _string_name(rows: IndexRows, key: int, value: Any) -> None:
    _parts(rows, key, value, _NAME)


def _string_address(rows: IndexRows, key: int, value: Any) -> None:
    _parts(rows, key, value, _ADDRESS)


def _string_concept(rows: IndexRows, key: int, value: Any) -> None:
    if isinstance(value, dict):
        _string(rows, key, value.get("text"))
        for coding in value.get("coding") or ():
            _string(rows, key, coding.get("display") if isinstance(coding, dict) else None)


def _date(rows: IndexRows, key: int, value: Any) -> None:
    if isinstance(value, str):
        try:
            low, high = date_range(value)
        except ValueError:
            return
        rows.dates.append((key, low, high))


def _date_period(rows: IndexRows, key: int, value: Any) -> None:
    if not isinstance(value, dict):
        return
    try:
        low = date_range(value["start"])[0] if value.get("start") else OPEN_LOW
        high = date_range(value["end"])[1] if value.get("end") else OPEN_HIGH
    except (ValueError, TypeError):
        return
    if value.get("start") or value.get("end"):
        rows.dates.append((key, low, high))


def _date_timing(rows: IndexRows, key: int, value: Any) -> None:
    if not isinstance(value, dict):
        return
    try:
        ranges = [date_range(event) for event in value.get("event") or () if isinstance(event, str)]
    except ValueError:
        return
    if ranges:
        rows.dates.append((key, min(r[0] for r in ranges), max(r[1] for r in ranges)))
    repeat = value.get("repeat")
    if isinstance(repeat, dict):
        _date_period(rows, key, repeat.get("boundsPeriod"))


_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")


def number_range(text: str) -> tuple[float, float]:
    """The half-open range of numbers that `text` stands for by its significant figures.

    100 is [99.5, 100.5), 100.00 is [99.995, 100.005). Raises ValueError for no finite number.
    """
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    mantissa, _, exponent = text.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    half = 0.5 * 10.0 ** (int(exponent or 0) - decimals) if len(exponent) < 5 else 0.0
    return value - half, value + half


def _number(rows: IndexRows, key: int, value: Any) -> None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        rows.quantities.append((key, float(value), float(value), 0, ""))


def _quantity(rows: IndexRows, key: int, value: Any) -> None:
    if not isinstance(value, dict) or not isinstance(value.get("value"), int | float):
        return
    number, comparator = float(value["value"]), value.get("comparator")
    low = -math.inf if comparator in {"<", "<="} else number
    high = math.inf if comparator in {">", ">="} else number
    code = value.get("code") or value.get("unit") or value.get("currency") or ""
    rows.quantities.append((key, low, high, system_key(value.get("system")), str(code)[:200]))


def _quantity_range(rows: IndexRows, key: int, value: Any) -> None:
    if isinstance(value, dict):
        low, high = value.get("low") or {}, value.get("high") or {}
        unit = low or high
        if unit:
            rows.quantities.append(
                (key, float(low.get("value", -math.inf)), float(high.get("value", math.inf)),
                 system_key(unit.get("system")), str(unit.get("code") or unit.get("unit") or "")[:200])
            )  # fmt: skip


def _uri(rows: IndexRows, key: int, value: Any) -> None:
    if isinstance(value, str) and value:
        rows.uris.append((key, clipped(value)))


_QUANTITIES = ("Quantity", "Age", "Count", "Distance", "Duration", "SimpleQuantity", "MoneyQuantity", "Money")
_TEXTS = ("string", "code", "id", "uri", "url", "canonical", "oid", "uuid", "markdown")
_HANDLERS: dict[str, dict[str, Handler]] = {
    "token": {
        **dict.fromkeys(_TEXTS, _token_code),
        "boolean": _token_boolean,
        "Coding": _token_coding,
        "CodeableConcept": _token_concept,
        "Identifier": _token_identifier,
        "ContactPoint": _token_contact,
        "deceased": _token_deceased,
        **dict.fromkeys(_QUANTITIES, _token_quantity),
    },
    "reference": {"Reference": _reference, **dict.fromkeys(("canonical", "uri", "url"), _canonical)},
    "string": {
        **dict.fromkeys(_TEXTS, _string),
        "HumanName": _string_name,
        "Address": _string_address,
        "CodeableConcept": _string_concept,
        "Coding": _string_concept,
    },
    "date": {
        **dict.fromkeys(("date", "dateTime", "instant"), _date),
        "Period": _date_period,
        "Timing": _date_timing,
    },
    "number": dict.fromkeys(("integer", "decimal", "positiveInt", "unsignedInt"), _number),
    "quantity": {**dict.fromkeys(_QUANTITIES, _quantity), "Range": _quantity_range},
    "uri": dict.fromkeys(_TEXTS, _uri),
}


def handler(kind: str, datatype: str) -> Handler | None:
    """The function that indexes values of `datatype` for a parameter of `kind`; None where none can match."""
    return _HANDLERS.get(kind, {}).get(datatype)


def walk(holder: Any, steps: list[Any]) -> list[Any]:
    """What stands at the end of a path of plain steps from `holder`, lists taken apart."""
    found = [holder]
    for step in steps:
        if len(step) != 2:
            continue
        following: list[Any] = []
        for value in found:
            inner = value.get(step[0]) if isinstance(value, dict) else None
            following.extend(inner if isinstance(inner, list) else [inner] if inner is not None else [])
        found = following
    return found
