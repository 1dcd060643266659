"""R4's own definitions in use: resource types and their numbers, search parameters, the patient compartment.

Read from the files that `varde.fhir.build` made; no list here is written by hand, except which parameter is
a type's main date, which the specification does not say.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from varde.fhir.keys import parameter_key

_FOLDER = Path(__file__).parent / "definitions"

_MAIN_DATE = (
    "date", "sent", "authored", "authoredon", "authored-on", "issued", "occurrence", "period", "onset-date",
    "performed", "effective", "effective-time", "recorded-date", "recorded", "whenhandedover", "created",
    "start", "start-date", "completed", "collected", "birthdate", "received",
)  # fmt: skip
"""Search parameters by which a person would sort a type's resources, in order of preference."""


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One search parameter of one resource type, resolved to typed paths."""

    code: str
    kind: str
    """number, date, string, token, reference, quantity, uri, composite or special."""
    url: str
    targets: tuple[str, ...]
    key: int
    paths: tuple[Any, ...]
    bases: tuple[Any, ...] = ()
    """Of a composite: the elements whose components belong together."""
    everywhere: tuple[int, ...] = ()
    """For a search over all types: the parameter's key in each of them."""

    @property
    def keys(self) -> tuple[int, ...]:
        """The keys under which its values are indexed."""
        return self.everywhere or (self.key,)


@lru_cache(maxsize=1)
def _search() -> dict[str, Any]:
    file = _FOLDER / "search.json"
    if not file.exists():
        raise RuntimeError("the FHIR definitions are not built: run 'python -m varde.fhir.build'")
    loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return loaded


@lru_cache(maxsize=1)
def _numbers() -> dict[str, int]:
    return {name: number for number, name in enumerate(_search()["types"], start=1)}


def resource_types() -> tuple[str, ...]:
    """Every concrete resource type of R4, in the fixed (alphabetical) order of their numbers."""
    return tuple(_search()["types"])


def is_type(name: object) -> bool:
    """Whether `name` is a resource type of R4."""
    return isinstance(name, str) and name in _numbers()


def type_number(name: str) -> int:
    """The number that stands for the type in the column `type`. Raises KeyError for no type of R4."""
    return _numbers()[name]


def type_name(number: int) -> str:
    """The type that `number` stands for."""
    return str(_search()["types"][number - 1])


@cache
def search_parameters(resource_type: str) -> dict[str, SearchParameter]:
    """The parameters of one type, those of all resources included, by code."""
    return {
        code: SearchParameter(
            code, p["kind"], p["url"], tuple(p["targets"]), parameter_key(resource_type, code),
            tuple(p["paths"]), tuple(p.get("bases", ())),
        )
        for code, p in _search()["parameters"][resource_type].items()
        if p["kind"] != "special"
    }  # fmt: skip


@cache
def common_parameter(code: str) -> SearchParameter | None:
    """A parameter that every type has (`_tag`, `_profile`…), for searches over all types."""
    if not code.startswith("_"):
        return None
    own = [search_parameters(name).get(code) for name in resource_types()]
    keys = tuple(p.key for p in own if p is not None)
    return replace(found, everywhere=keys) if (found := own[0]) is not None and len(keys) == len(own) else None


@cache
def one_patient(resource_type: str) -> frozenset[str]:
    """Codes of the parameters that say the same as the column `patient`: what they name is the one patient in
    whose compartment the resource is. Not for types that may name several (an Appointment of mother and child)."""
    parameters = search_parameters(resource_type)
    wanted = compartment_parameters(resource_type)
    codes = [code for code in wanted if code in {"patient", "subject"} and code in parameters]
    paths = {
        tuple(tuple(step) for step in path["steps"] if len(step) == 2)
        for code in codes
        for path in parameters[code].paths
    }
    if len(paths) != 1 or any(repeats for _, repeats in next(iter(paths))):
        return frozenset()
    (only,) = paths
    return frozenset(
        code for code in ("patient", "subject") if code in parameters and _fields(parameters[code]) == {only}
    )


def _fields(parameter: SearchParameter) -> set[tuple[tuple[str, bool], ...]]:
    """The elements that its paths walk through: (name, whether it repeats)."""
    return {tuple((s[0], s[1]) for s in path["steps"] if len(s) == 2) for path in parameter.paths}


_BESIDE = {"Task": ("patient",)}
"""R4 leaves tasks out of the Patient's compartment. Here a task for a patient is the patient's, so that the gate
shows it to those who may see that patient and to nobody else."""


def compartment_parameters(resource_type: str) -> tuple[str, ...]:
    """Codes of the reference parameters that put a resource of this type into a Patient's compartment."""
    return _BESIDE.get(resource_type) or tuple(_search()["compartment"].get(resource_type, ()))


@cache
def main_date(resource_type: str) -> str | None:
    """The code of the date parameter by which resources of this type are sorted by default, if any."""
    dates = {c for c, p in search_parameters(resource_type).items() if p.kind == "date" and c[0] != "_"}
    return next((code for code in _MAIN_DATE if code in dates), min(dates, default=None))


_VOLVEN = re.compile(
    r"^(?:https?://(?:ehelse\.no|helsedir\.no|www\.ehelse\.no)/fhir/CodeSystem/no-kodeverk-(\d+)"
    r"|urn:oid:2\.16\.578\.1\.12\.4\.1\.1\.(\d+)"
    r"|2\.16\.578\.1\.12\.4\.1\.1\.(\d+))$"
)


@lru_cache(maxsize=4096)
def canonical_system(uri: str) -> str:
    """The one spelling of a code system's uri.

    The three spellings of the Norwegian code systems become the OID form (SPECS.md, finding 2).
    """
    match = _VOLVEN.match(uri)
    if match:
        return f"urn:oid:2.16.578.1.12.4.1.1.{match[1] or match[2] or match[3]}"
    return uri
