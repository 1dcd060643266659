"""What each datatype becomes in each index table: one small function a (kind, datatype).

The functions are called by generated code (`extract.py`) as `handler(rows, parameter key, value)`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from varde.fhir.definitions import canonical_system, is_type, type_number
from varde.fhir.keys import parameter_key, resource_key, text_key
from varde.fhir.rows import IndexRows, Quantity
from varde.fhir.search.dates import OPEN_HIGH, OPEN_LOW, date_range
from varde.fhir.search.fold import fold
from varde.fhir.search.references import identifier_target, reference_target, version_key
from varde.fhir.ucum import SYSTEM as UCUM
from varde.fhir.ucum import Unit, unit

Handler = Callable[[IndexRows, int, Any], None]

CANONICAL = parameter_key("Resource", "its own canonical url")
"""The key under which a resource's own urls stand among the references, for what refers to it by one of them."""

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


def identifier_parameter(key: int) -> int:
    """The key under which the identifiers of reference parameter `key` are indexed as tokens, for `:identifier`."""
    return key ^ 0x69696969


def base_key(of: Unit) -> int:
    """The number that stands for all units which can be compared with `of`."""
    return parameter_key("unit", of.dimension)


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


def _token_multiple(rows: IndexRows, key: int, resource: Any) -> None:
    """R4's `birthOrderBoolean`: a place in the order of birth says that there was more than one."""
    several, order = resource.get("multipleBirthBoolean"), resource.get("multipleBirthInteger")
    if isinstance(several, bool) or order is not None:
        rows.tokens.append((key, 0, "false" if several is False else "true"))


def _reference(rows: IndexRows, key: int, value: Any) -> None:
    if not isinstance(value, dict):
        return
    literal = value.get("reference")
    if isinstance(literal, str) and literal:
        if literal[0] == "#":
            rows.inside.append((key, literal[1:]))
        else:
            rows.references.append((key, *reference_target(literal)))
            version = version_key(literal) if "/_history/" in literal else None
            if version is not None:
                rows.references.append((key, version, None, "v"))
    identifier = value.get("identifier")
    if isinstance(identifier, dict) and isinstance(identifier.get("value"), str):
        kind = value.get("type")
        number = type_number(str(kind)) if is_type(kind) else None
        target = identifier_target(identifier.get("system") or "", identifier["value"])
        rows.references.append((key, target, number, "i"))
        system = system_key(identifier.get("system"))
        rows.tokens.append((identifier_parameter(key), system, clipped(identifier["value"])))


def _canonical(rows: IndexRows, key: int, value: Any) -> None:
    if not (isinstance(value, str) and value):
        return
    if value[0] == "#":
        rows.inside.append((key, value[1:]))
        return
    whole = value.split("#")[0]
    plain = whole.split("|")[0]
    rows.references.append((key, text_key(whole), None, "c"))
    for other in {plain, value} - {whole}:
        rows.references.append((key, text_key(other), None, "p"))
    found = reference_target(plain)
    if found[2] == "l":
        rows.references.append((key, *found))


def _first(kind: str) -> Handler:
    """The first resource of a Bundle (a document's Composition, a message's header), as what the Bundle refers to."""

    def handler(rows: IndexRows, key: int, resource: Any) -> None:
        entries = resource.get("entry")
        first = entries[0] if isinstance(entries, list) and entries else None
        inner = first.get("resource") if isinstance(first, dict) else None
        if isinstance(inner, dict) and inner.get("resourceType") == kind:
            rows.inside.append((key, FIRST))
            if isinstance(inner.get("id"), str):
                rows.references.append((key, resource_key(kind, inner["id"]), type_number(kind), "e"))

    return handler


FIRST = "entry[0]"
"""The name of a Bundle's first resource among those inside it; no id has such letters."""


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
    """Only the outer limits matter (R4 3.1.1.4.7): of the events and the bounds; without either it is open."""
    if not isinstance(value, dict):
        return
    scratch = IndexRows()
    events = value.get("event")
    for event in events if isinstance(events, list) else ():
        _date(scratch, key, event)
    repeat = value.get("repeat")
    bounds = repeat.get("boundsPeriod") if isinstance(repeat, dict) else None
    if bounds is not None:
        _date_period(scratch, key, bounds)
    found = scratch.dates or [(key, OPEN_LOW, OPEN_HIGH)]
    rows.dates.append((key, min(low for _, low, _ in found), max(high for _, _, high in found)))


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
    # A float may not tell so fine figures apart: the number itself is always in its own range.
    return value - half, max(value + half, math.nextafter(value, math.inf))


def _number(rows: IndexRows, key: int, value: Any) -> None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        rows.quantities.append(_figures(key, float(value), float(value)))


def _figures(key: int, low: float, high: float, holder: Any = None) -> Quantity:
    """A row: the range as it was written, with its unit, and in base units when the unit is one of UCUM."""
    if holder is None:
        return key, low, high, 0, "", None, None, None, None, 0
    system, code, shown = holder.get("system"), holder.get("code"), holder.get("unit")
    said = str(code or shown or holder.get("currency") or "")[:200]
    text = str(shown)[:200] if shown and shown != said else None
    if system != UCUM or not isinstance(code, str):
        return key, low, high, system_key(system), said, text, None, None, None, 0
    return key, low, high, system_key(system), said, text, *_in_base_units(code, low, high), 0


@lru_cache(maxsize=1024)
def _in_base_units(code: str, low: float, high: float) -> tuple[int | None, float | None, float | None]:
    """What a UCUM unit can be compared with, and the range in base units. A resource has its values under several
    parameters, so that they are asked for again at once."""
    converted = unit(code)
    if converted is None:
        return None, None, None
    return base_key(converted), converted.base(low), converted.base(high)


def _quantity(rows: IndexRows, key: int, value: Any) -> None:
    if not isinstance(value, dict) or not _is_number(value.get("value")):
        return
    number, comparator = float(value["value"]), value.get("comparator")
    low = -math.inf if comparator in {"<", "<="} else number
    high = math.inf if comparator in {">", ">="} else number
    rows.quantities.append(_figures(key, low, high, value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _range_of(value: Any) -> tuple[float, float, Any] | None:
    if not isinstance(value, dict):
        return None
    ends = [end if isinstance(end, dict) and _is_number(end.get("value")) else {} for end in
            (value.get("low"), value.get("high"))]  # fmt: skip
    if not any(ends):
        return None
    low, high = ends
    return float(low.get("value", -math.inf)), float(high.get("value", math.inf)), low or high


def _quantity_range(rows: IndexRows, key: int, value: Any) -> None:
    found = _range_of(value)
    if found is not None:
        rows.quantities.append(_figures(key, *found))


def _number_range(rows: IndexRows, key: int, value: Any) -> None:
    found = _range_of(value)
    if found is not None:
        rows.quantities.append(_figures(key, *found[:2]))


def _position(rows: IndexRows, key: int, value: Any) -> None:
    if isinstance(value, dict) and _is_number(value.get("latitude")) and _is_number(value.get("longitude")):
        rows.quantities.append(_figures(key, float(value["latitude"]), float(value["longitude"])))


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
        "multiple birth": _token_multiple,
        **dict.fromkeys(_QUANTITIES, _token_quantity),
    },
    "reference": {
        "Reference": _reference,
        **dict.fromkeys(("canonical", "uri", "url"), _canonical),
        "first Composition": _first("Composition"),
        "first MessageHeader": _first("MessageHeader"),
    },
    "string": {
        **dict.fromkeys(_TEXTS, _string),
        "HumanName": _string_name,
        "Address": _string_address,
        "CodeableConcept": _string_concept,
        "Coding": _string_concept,
    },
    "date": {
        # A schedule that is told as a text may be a date all the same (CarePlan.activity.detail.scheduledString).
        **dict.fromkeys(("date", "dateTime", "instant", "string"), _date),
        "Period": _date_period,
        "Timing": _date_timing,
    },
    "number": {**dict.fromkeys(("integer", "decimal", "positiveInt", "unsignedInt"), _number), "Range": _number_range},
    "special": {"position": _position},
    "quantity": {**dict.fromkeys(_QUANTITIES, _quantity), "Range": _quantity_range},
    "uri": dict.fromkeys(_TEXTS, _uri),
}


def handler(kind: str, datatype: str) -> Handler | None:
    """The function that indexes values of `datatype` for a parameter of `kind`; None where none can match."""
    return _HANDLERS.get(kind, {}).get(datatype)


def walk(holder: Any, steps: list[Any]) -> list[Any]:
    """What stands at the end of a path from `holder`, lists taken apart and filters heeded."""
    found = [holder]
    for step in steps:
        if len(step) == 3:
            kind, argument, value = step
            if kind == "index":
                found = found[int(argument) : int(argument) + 1]
            else:
                found = [one for one in found if isinstance(one, dict) and _passes(one, kind, argument, value)]
            continue
        following: list[Any] = []
        for holder_ in found:
            inner = holder_.get(step[0]) if isinstance(holder_, dict) else None
            following.extend(inner if isinstance(inner, list) else [inner] if inner is not None else [])
        found = following
    return found


def _passes(holder: Any, kind: str, argument: str, value: str) -> bool:
    if kind == "equals":
        return bool(holder.get(argument) == value)
    return is_reference_to(holder, argument) if kind == "is" else has_extension(holder, argument)
