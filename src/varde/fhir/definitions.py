"""R4's own definitions in use: resource types and their numbers, search parameters, the patient compartment.

Read from the files that `varde.fhir.building.build` made; no list here is written by hand, except which parameter is
a type's main date, which the specification does not say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from varde.fhir.keys import parameter_key

_FOLDER = Path(__file__).parent / "definitions"

_MAIN_DATE = (
    "date", "sent", "authored", "authoredon", "authored-on", "issued", "occurrence", "period", "onset-date",
    "performed", "effective", "effective-time", "recorded-date", "recorded", "whenhandedover", "created",
    "start", "start-date", "completed", "collected", "birthdate", "received",
)  # fmt: skip
"""Search parameters by which a person would sort a type's resources, in order of preference."""

EXTRACTION = {
    "token": 2, "reference": 2, "string": 1, "date": 2, "number": 2, "quantity": 2, "uri": 1, "composite": 3,
    "special": 1,
}  # fmt: skip
"""Number of what `search/values.py` makes of each kind of parameter. Raise it when that changes: the keys of its
values then change too, `varde reindex` makes them anew, and until then nothing is found by a former reading."""

_P = ParamSpec("_P")
_R = TypeVar("_R", covariant=True)


class _Kept(Protocol[_P, _R]):
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R: ...
    def cache_clear(self) -> None: ...


_kept: list[_Kept[..., Any]] = []


def kept(function: Callable[_P, _R]) -> _Kept[_P, _R]:
    """Remember what a function gives, until the custom search parameters change."""
    made = cast(_Kept[_P, _R], cache(function))
    _kept.append(made)
    return made


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
    """For a search over several types: the parameter's key in each of them."""
    systems: tuple[str, ...] = ()
    """Code systems that its plain codes belong to by their binding, though a resource does not say so."""
    ready: bool = True
    """False for a custom parameter by which the resources there are not all indexed yet."""
    united: tuple[int, ...] = ()
    """The keys of the parameters whose values are together just its own (`combo-code` is `code` and
    `component-code`): nothing is indexed for it besides."""

    @property
    def declared(self) -> str:
        """Its type as R4 declares it: `_text` and `_content` are of strings there."""
        return "string" if self.code in {"_text", "_content"} else self.kind

    @property
    def keys(self) -> tuple[int, ...]:
        """The keys under which its values are indexed."""
        return self.everywhere or self.united or (self.key,)


@lru_cache(maxsize=1)
def _search() -> dict[str, Any]:
    file = _FOLDER / "search.json"
    if not file.exists():
        raise RuntimeError("the FHIR definitions are not built: run 'python -m varde.fhir.building.build'")
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


_custom: dict[str, dict[str, dict[str, Any]]] = {}


def set_custom(parameters: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Take `parameters` (type -> code -> as in search.json) for the custom ones of this process, in place of those
    it had."""
    _custom.clear()
    _custom.update({kind: {code: dict(one) for code, one in own.items()} for kind, own in parameters.items()})
    for function in _kept:
        function.cache_clear()


@lru_cache(maxsize=1)
def own_urls() -> frozenset[str]:
    """Canonical urls of the parameters of R4's own definitions."""
    return frozenset(p["url"] for own in _search()["parameters"].values() for p in own.values())


def own_key(resource_type: str, code: str, definition: Mapping[str, Any]) -> int:
    """A parameter's key, made of all that decides what is indexed under it."""
    read = [definition["kind"], EXTRACTION[definition["kind"]], definition["paths"], definition.get("bases", [])]
    digest = blake2b(json.dumps(read, sort_keys=True).encode(), digest_size=8).hexdigest()
    return parameter_key(resource_type, f"{code}#{digest}")


_SPECIAL = {
    "_text": "http://hl7.org/fhir/SearchParameter/DomainResource-text",
    "_content": "http://hl7.org/fhir/SearchParameter/Resource-content",
    "_filter": "http://hl7.org/fhir/SearchParameter/filter",
    "_list": "http://hl7.org/fhir/SearchParameter/Resource-list",
}
"""What every type can be searched by that has no values of its own in the index tables."""


@kept
def search_parameters(resource_type: str) -> dict[str, SearchParameter]:
    """The parameters of one type, those of all resources and custom ones included, by code."""
    found = {**_search()["parameters"][resource_type], **_custom.get(resource_type, {})}
    own = {
        code: SearchParameter(
            code, p["kind"], p["url"], tuple(p["targets"]), own_key(resource_type, code, p),
            tuple(p["paths"]), tuple(p.get("bases", ())), (), tuple(p.get("systems", ())), p.get("ready", True),
        )
        for code, p in found.items()
    }  # fmt: skip
    for code, parts in _united(resource_type).items():  # which no custom parameter takes the place of
        own[code] = replace(own[code], united=tuple(own[part].key for part in parts))
    special = {
        code: SearchParameter(code, "special", url, (), parameter_key(resource_type, code), ())
        for code, url in _SPECIAL.items()
        if code != "_text" or resource_type not in _WITHOUT_NARRATIVE
    }
    return own | special


def indexed_parameters(resource_type: str) -> dict[str, SearchParameter]:
    """Those of the type's parameters whose values stand under a key of their own, by code."""
    return {code: one for code, one in search_parameters(resource_type).items() if not one.united}


_UNITED = frozenset({"token", "string", "quantity", "number", "date"})
"""Kinds of which one parameter may be found by the values of others. Not references, which lead from one to another."""


@cache
def _united(resource_type: str) -> dict[str, tuple[str, ...]]:
    """Codes of R4's own parameters whose paths are just those of others -> the codes of these. The main date, which
    other rooms look for under its own key, is none of them."""
    own = {code: p for code, p in _search()["parameters"][resource_type].items() if p["kind"] in _UNITED}
    paths = {code: frozenset(json.dumps(path, sort_keys=True) for path in p["paths"]) for code, p in own.items()}
    kept_apart: list[str] = []
    found: dict[str, tuple[str, ...]] = {}
    for code in sorted(own, key=lambda code: (len(paths[code]), code)):
        parts = tuple(
            other
            for other in kept_apart
            if own[other]["kind"] == own[code]["kind"]
            and own[other].get("systems", []) == own[code].get("systems", [])
            and paths[other] <= paths[code]
        )
        together = frozenset[str]().union(*(paths[other] for other in parts))
        if together and together == paths[code] and code != main_date(resource_type):
            found[code] = parts
        else:
            kept_apart.append(code)
    return found


_WITHOUT_NARRATIVE = frozenset({"Binary", "Bundle", "Parameters"})


@kept
def index_digest(resource_type: str) -> int:
    """A number for all by which the type's values are extracted: what a row was indexed by (column `indexed`)."""
    keys = sorted(str(parameter.key) for parameter in indexed_parameters(resource_type).values())
    digest = blake2b(" ".join([*keys, str(main_date(resource_type))]).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big", signed=True) or 1


@kept
def common_parameter(code: str, among: tuple[str, ...] = ()) -> SearchParameter | None:
    """A parameter that every type has (`_tag`, `_profile`…), or each `among` those named, for searches over them."""
    names = among or resource_types()
    own = [search_parameters(name).get(code) for name in names]
    found = own[0]
    if found is None or any(p is None or p.kind != found.kind for p in own):
        return None
    targets = tuple(dict.fromkeys(target for p in own if p is not None for target in p.targets))
    keys = tuple(key for p in own if p is not None for key in p.keys)
    systems = tuple(dict.fromkeys(system for p in own if p is not None for system in p.systems))
    return replace(found, everywhere=keys, targets=targets, systems=systems)


@kept
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


@kept
def main_date(resource_type: str) -> str | None:
    """The code of the date parameter by which resources of this type are sorted by default, if any."""
    own = _search()["parameters"][resource_type]
    dates = {c for c, p in own.items() if p["kind"] == "date" and c[0] != "_"}
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
