"""Which code system, value set or concept map a url means: of the request, the store or the specification.

What the store holds is found through the gate, so that a hidden one is one that does not exist; what was used is kept
for the access log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from varde.fhir.definitions import canonical_system, type_number
from varde.fhir.errors import Forbidden, Unprocessable
from varde.fhir.gate import Disclosure, Gate, Interaction, Parameters
from varde.fhir.search.values import clipped
from varde.fhir.terminology import core, grammars
from varde.fhir.terminology.concepts import header_of
from varde.fhir.terminology.listed import Listed, Listing
from varde.fhir.terminology.projection import dated
from varde.fhir.terminology.selection import CodeSystem
from varde.fhir.terminology.tables import Tabled

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Versions:
    """Which versions of code systems are meant, by url in canonical spelling."""

    default: Mapping[str, str] = field(default_factory=dict)
    """Where the value set names none (system-version)."""
    checked: Mapping[str, str] = field(default_factory=dict)
    """It must be this one (check-system-version)."""
    forced: Mapping[str, str] = field(default_factory=dict)
    """Whatever the value set says (force-system-version)."""

    def of(self, url: str, version: str | None) -> str | None:
        """The version to use. Raises Unprocessable where another was to be checked for."""
        url = canonical_system(url)
        chosen = self.forced.get(url) or version or self.default.get(url) or self.checked.get(url)
        wanted = self.checked.get(url)
        if wanted is not None and chosen != wanted:
            raise Unprocessable.of(f"the code system {url} is used in version '{chosen}', not '{wanted}'")
        return chosen


class Resolver:
    """Finds terminology for one request. `extra` are resources that came with it."""

    def __init__(
        self,
        connection: Any,
        gate: Gate,
        *,
        extra: Iterable[Mapping[str, Any]] = (),
        versions: Versions | None = None,
        on: datetime | None = None,
    ) -> None:
        """`on`: only what is dated before then."""
        self.connection = connection
        self.gate = gate
        self.versions = versions or Versions()
        self.used: dict[str, set[str]] = {}
        """Ids of the store's resources that were used, by type."""
        self._on = on
        self._extra: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for one in extra:
            if isinstance(one.get("url"), str):
                key = (str(one.get("resourceType")), canonical_system(one["url"]))
                self._extra.setdefault(key, []).append(one)
        self._systems: dict[tuple[str, str | None], CodeSystem | None] = {}
        self._supplements: dict[str, list[CodeSystem]] = {}

    async def code_system(self, url: str, version: str | None = None) -> CodeSystem | None:
        """The code system, in the version that is asked for or else the newest; None where there is none."""
        version = self.versions.of(url, version)
        url = canonical_system(url)
        if (url, version) not in self._systems:
            self._systems[url, version] = await self._code_system(url, version)
        return self._systems[url, version]

    async def _code_system(self, url: str, version: str | None) -> CodeSystem | None:
        given = _newest(self._extra.get(("CodeSystem", url), ()), version)
        if given is not None:
            return Listed(Listing(given), self.connection)
        row = await self._stored("CodeSystem", url, version)
        entry = next((e for e in core.entries("CodeSystem", url) if version in {None, e.version}), None)
        if row is not None and (row["content"] != "not-present" or entry is None):
            self.use("CodeSystem", row["id"])
            return Tabled(header_of(orjson.loads(row["head"])), row["rid"], self.connection)
        if entry is not None:
            return Listed(core.listing(entry), self.connection)
        return grammars.code_system(url, self.connection) if version is None else None

    async def stored_code_system(self, identifier: str) -> CodeSystem | None:
        """A code system of the store by its id, of which nothing need be told any more; None for none."""
        rows = await self._rows("CodeSystem", "r.id = {}", identifier)
        return Tabled(header_of(orjson.loads(rows[0]["head"])), rows[0]["rid"], self.connection) if rows else None

    async def supplements(self, url: str) -> list[CodeSystem]:
        """What adds texts to a code system: supplements that may be seen, and the specification's languages."""
        url = canonical_system(url)
        if url not in self._supplements:
            found: list[CodeSystem] = [
                Listed(Listing(one), self.connection)
                for (kind, _), several in self._extra.items() if kind == "CodeSystem" for one in several
                if canonical_system(str(one.get("supplements", "")).partition("|")[0]) == url
            ]  # fmt: skip
            for row in await self._rows("CodeSystem", "t.supplements = {}", url):
                self.use("CodeSystem", row["id"])
                found.append(Tabled(header_of(orjson.loads(row["head"])), row["rid"], self.connection))
            self._supplements[url] = found
        return self._supplements[url]

    async def value_set(self, url: str, version: str | None = None) -> Mapping[str, Any] | None:
        """The ValueSet; None where there is none. One that a code system or SNOMED CT implies is made."""
        given = _newest(self._extra.get(("ValueSet", canonical_system(url)), ()), version)
        if given is not None:
            return given
        row = await self._stored("ValueSet", canonical_system(url), version)
        if row is not None:
            return await self._body(row)
        entry = next((e for e in core.entries("ValueSet", url) if version in {None, e.version}), None)
        if entry is not None:
            return core.load(entry)
        return await self._implied(url, version)

    async def stored_value_set(self, identifier: str) -> Mapping[str, Any] | None:
        """A value set of the store by its id; None for none."""
        rows = await self._rows("ValueSet", "r.id = {}", identifier)
        return await self._body(rows[0]) if rows else None

    async def _body(self, row: Any) -> Mapping[str, Any]:
        self.use("ValueSet", row["id"])
        body = await self.connection.fetchval("select body from resource where rid = $1", row["rid"])
        parsed: dict[str, Any] = orjson.loads(body)
        return parsed

    async def _implied(self, url: str, version: str | None) -> Mapping[str, Any] | None:
        include = _of_terminology(url)
        if include is None:
            rows = await self._rows("CodeSystem", "t.all_codes = any(array[{}, {}])", url, f"{url}|{version}")
            best = _best(rows, version)
            system = core.of_all_codes(url)
            if best is not None:
                self.use("CodeSystem", best["id"])
                include = {"system": best["url"], "version": best["version"]}
            elif system is not None and any(version in {None, e.version} for e in core.entries("CodeSystem", system)):
                include = {"system": system}
        elif version is not None:
            include["version"] = version
        if include is None:
            return None
        return {"resourceType": "ValueSet", "url": url, "status": "active", "compose": {"include": [include]}}

    async def concept_map(self, url: str, version: str | None = None) -> tuple[Mapping[str, Any], int | None] | None:
        """(the ConceptMap, its rid when its elements stand in the tables). None where there is none."""
        given = _newest(self._extra.get(("ConceptMap", canonical_system(url)), ()), version)
        if given is not None:
            return given, None
        row = await self._stored("ConceptMap", canonical_system(url), version)
        if row is not None:
            self.use("ConceptMap", row["id"])
            return orjson.loads(row["head"]), row["rid"]
        entry = next((e for e in core.entries("ConceptMap", url) if version in {None, e.version}), None)
        return (core.load(entry), None) if entry is not None else None

    async def stored_concept_map(self, identifier: str) -> tuple[Mapping[str, Any], int] | None:
        """A concept map of the store by its id, as `concept_map` gives it."""
        rows = await self._rows("ConceptMap", "r.id = {}", identifier)
        return (orjson.loads(rows[0]["head"]), rows[0]["rid"]) if rows else None

    async def concept_maps(self) -> list[tuple[Mapping[str, Any], int | None]]:
        """Every one of the request and the specification, then those of the store that may be seen, heads only."""
        given = [(one, None) for (kind, _), some in self._extra.items() if kind == "ConceptMap" for one in some]
        own = [(core.load(entry), None) for url in core.urls("ConceptMap") for entry in core.entries("ConceptMap", url)]
        rows = await self._rows("ConceptMap", "true")
        return [*given, *((orjson.loads(row["head"]), row["rid"]) for row in rows), *own]

    async def _stored(self, kind: str, url: str, version: str | None) -> Any | None:
        rows = await self._rows(kind, "n.name = {}", clipped(url), join="join terminology_name n on n.rid = t.rid")
        return _best([row for row in rows if row["content"] != "supplement"], version)

    async def _rows(self, kind: str, test: str, *values: str, join: str = "") -> list[Any]:
        """Rows of the store's resources that the gate lets be seen."""
        parameters = Parameters()
        number = parameters.add(type_number(kind))
        where = test.format(*(f"{parameters.add(value)}::text" for value in values))
        if self._on is not None:
            where += f" and (t.dated is null or t.dated <= {parameters.add(self._on)})"
        visible = self.gate.predicate("r", kind, parameters)
        sql = (
            "select t.rid, t.url, t.version, t.status, t.dated, t.content, t.head, r.id, r.updated"
            f" from terminology_resource t {join} join resource r on r.rid = t.rid"
            f" where t.type = {number}::smallint and {where} and not r.deleted and ({visible}) order by t.rid"
        )
        return list(await self.connection.fetch(sql, *parameters.values))

    def use(self, kind: str, identifier: str) -> None:
        """Keep for the access log that a resource of the store was used."""
        self.used.setdefault(kind, set()).add(identifier)

    async def record(self, connection: Any | None = None) -> None:
        """Tell the access log what of the store was used."""
        for kind, ids in sorted(self.used.items()):
            await self.gate.record(Disclosure(Interaction.READ, kind, sorted(ids), []), connection)


def _of_terminology(url: str) -> dict[str, Any] | None:
    """The include that a url of SNOMED CT or LOINC says by itself, as those terminologies define."""
    base, _, query = url.partition("?")
    if url == "http://loinc.org/vs":
        return {"system": "http://loinc.org"}
    if not base.startswith("http://snomed.info/sct"):
        return None
    if query == "fhir_vs":
        return {"system": "http://snomed.info/sct"}
    if query.startswith("fhir_vs=isa/"):
        is_a = {"property": "concept", "op": "is-a", "value": query.removeprefix("fhir_vs=isa/")}
        return {"system": "http://snomed.info/sct", "filter": [is_a]}
    return None


async def admit(gate: Gate, *kinds: str) -> None:
    """Raise Forbidden, after logging the try, where the gate does not let these types be read."""
    for kind in kinds:
        if not gate.allows(Interaction.READ, kind):
            await gate.record(Disclosure(Interaction.READ, kind, [], [], allowed=False), None)
            raise Forbidden.of("this is not open to you")


def natural(version: str | None) -> tuple[tuple[int, ...], str]:
    """A version as it is compared with others: its numbers, then its text."""
    return tuple(int(number[:18]) for number in _NUMBER.findall(version or "")), version or ""


def _best(rows: Sequence[Any], version: str | None) -> Any | None:
    """The row in the version asked for; else what says most, is in force, and is newest."""
    fitting = [row for row in rows if version is None or row["version"] == version]
    return max(
        fitting,
        key=lambda row: (
            row["content"] != "not-present", row["status"] == "active", natural(row["version"]), row["updated"],
        ),
        default=None,
    )  # fmt: skip


def _newest(resources: Sequence[Mapping[str, Any]], version: str | None) -> Mapping[str, Any] | None:
    fitting = [one for one in resources if version is None or one.get("version") == version]
    return max(fitting, key=lambda one: (natural(one.get("version")), bool(dated(one))), default=None)
