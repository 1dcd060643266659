"""Composite parameters: values that belong together, as `code-value-quantity` of an Observation and its components.

A component's value is indexed in the table of its own kind, under a key made of the element that holds the pair
and the pair's token, once by its code alone and once with its system. So a pair is found by one probe, and never put
together from two elements. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from varde.fhir.definitions import EXTRACTION, SearchParameter, kept, search_parameters
from varde.fhir.errors import BadRequest
from varde.fhir.keys import parameter_key
from varde.fhir.rows import IndexRows
from varde.fhir.search import values
from varde.fhir.search.names import split_values

_TABLES = {
    "token": "tokens", "reference": "references", "string": "strings", "date": "dates", "number": "quantities",
    "quantity": "quantities", "uri": "uris",
}  # fmt: skip


@lru_cache(maxsize=16384)
def composite_key(base: str, expression: str, code: str) -> int:
    """The key under which the component `expression` of element `base` is indexed for token `code`."""
    return parameter_key(f"{base}/{expression}#{EXTRACTION['composite']}", code)


def token_place(components: list[Any]) -> int:
    """Which component is the token that the others are indexed by."""
    return next(place for place, component in enumerate(components) if component["kind"] == "token")


def parts_of(parameter: SearchParameter, text: str) -> tuple[list[str], int]:
    """(the values of a composite as asked for, which of them is the token). Raises BadRequest."""
    components = parameter.bases[0]["components"]
    parts = split_values(text, "$")
    if len(parts) != len(components):
        raise BadRequest.of(f"'{parameter.code}' takes {len(components)} values parted by $")
    return list(parts), token_place(components)


def pair_code(parameter: SearchParameter, token: Sequence[str]) -> str:
    """How the token of a composite, as (code) or (system, code), is named in the key of a pair. Raises BadRequest."""
    if len(token) > 2 or not token[-1]:
        raise BadRequest.of(f"the token of '{parameter.code}' is written code or system|code")
    code = values.clipped(token[-1])
    return code if len(token) == 1 else qualified(values.system_key(token[0]), code)


@kept
def _pairs(resource_type: str) -> tuple[Any, ...]:
    """(base, token component, other component) of every composite of the type, each pair once."""
    found: dict[tuple[str, str, str, str], Any] = {}
    for parameter in search_parameters(resource_type).values():
        for base in parameter.bases:
            place = token_place(base["components"])
            token = base["components"][place]
            for number, other in enumerate(base["components"]):
                if number != place:
                    key = (base["name"], token["expression"], other["expression"], other["kind"])
                    found.setdefault(key, (base, token, other))
    return tuple(found.values())


def extract_composites(resource_type: str, resource: Mapping[str, Any], rows: IndexRows) -> None:
    """Add the rows of the type's composite parameters."""
    holders: dict[str, list[Any]] = {}
    known: dict[tuple[int, str], set[str]] = {}
    for base, token, other in _pairs(resource_type):
        name = base["name"]
        if name not in holders:
            holders[name] = values.walk(resource, base["steps"])
        for holder in holders[name]:
            found = list(_found(other, holder, resource))
            if not found:
                continue
            # The same element's token goes with each of its values.
            place = (id(holder), token["expression"])
            codes = known.get(place)
            if codes is None:
                codes = known[place] = _codes(token, holder, resource)
            for code in codes:
                key = composite_key(name, other["expression"], code)
                scratch = IndexRows()
                for handler, value in found:
                    handler(scratch, key, value)
                table = _TABLES[other["kind"]]
                getattr(rows, table).extend(getattr(scratch, table))


def qualified(system: int, code: str) -> str:
    """How a code of the system with this key is named in the key of a pair."""
    return f"{system}|{code}"


def keys_of(parameter: SearchParameter, number: int, code: str) -> list[int]:
    """The keys under which component `number` of a composite stands for token `code`."""
    return [composite_key(base["name"], base["components"][number]["expression"], code) for base in parameter.bases]


def _codes(token: Any, holder: Any, resource: Mapping[str, Any]) -> set[str]:
    scratch = IndexRows()
    for handler, value in _found(token, holder, resource):
        handler(scratch, 0, value)
    return {name for _, system, code in scratch.tokens for name in (code, qualified(system, code))}


def _found(component: Any, holder: Any, resource: Mapping[str, Any]) -> Iterator[tuple[Callable[..., None], Any]]:
    for path in component["paths"]:
        source, steps = resource if path["whole"] else holder, path["steps"]
        if steps and len(steps[0]) == 2 and isinstance(source, Mapping) and steps[0][0] not in source:
            continue  # most choices of a value are not there
        handler = values.handler(component["kind"], path["type"])
        if handler is not None:
            for value in values.walk(source, steps):
                yield handler, value
