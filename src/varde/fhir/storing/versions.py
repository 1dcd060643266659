"""A resource about to be written: its version, the values it is found by, and its patient.

Knows nothing of HTTP and nothing of how rows are written (write.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from varde.fhir.definitions import index_digest, search_parameters
from varde.fhir.gate import Gate
from varde.fhir.keys import bucket_of, resource_key
from varde.fhir.rows import IndexRows, name_inside
from varde.fhir.search.dates import OPEN_LOW
from varde.fhir.search.extract import extract
from varde.fhir.search.values import system_key


@dataclass(slots=True)
class NewVersion:
    """One resource about to be written. `body` None deletes it."""

    type: str
    id: str
    version: int
    body: bytes | None
    resource: Mapping[str, Any] | None
    old: Mapping[str, Any] | None = None
    old_date: datetime | None = None
    old_patient: int | None = None
    old_bucket: int | None = None
    old_security: Sequence[str] = ()
    old_indexed: int | None = None
    """By which definitions the former version's search values were extracted."""
    rows: IndexRows | None = None
    patient: int | None = None
    exists: bool = False
    """Whether a row (deleted or not) is there to be replaced."""
    by: Gate | None = None
    """Who writes it, where several writers are written together."""
    rid: int = field(init=False)
    """Its key."""

    def __post_init__(self) -> None:
        self.rid = resource_key(self.type, self.id)

    def follow(self, row: Any) -> None:
        """Make this the version after the one in `row`."""
        self.version = row["version"] + 1
        self.exists = True
        self.old = orjson.loads(row["body"]) if row["body"] else None
        self.old_date, self.old_patient = row["date"], row["patient"]
        self.old_bucket, self.old_security = row["bucket"], row["security"] or ()
        self.old_indexed = row["indexed"]

    @property
    def date(self) -> datetime:
        """Value of the column `date`."""
        return (self.rows.date if self.rows else None) or OPEN_LOW

    @property
    def bucket(self) -> int:
        """Its patient's bucket, or its own outside every compartment. A deletion keeps the former one's."""
        if self.resource is None and self.old_bucket is not None:
            return self.old_bucket
        return bucket_of(self.rows.patient if self.rows and self.rows.patient else self.id)

    @property
    def security(self) -> list[str]:
        """Labels of meta.security. What was restricted stays so when it is deleted."""
        return self.rows.security if self.rows else list(self.old_security)


async def prepare(connection: Any, versions: Sequence[NewVersion]) -> None:
    """Extract the search values and find the patient of those that name one by national id only."""
    logical: list[NewVersion] = []
    for version in versions:
        if version.resource is None:
            continue
        version.rows = extract(version.type, version.resource)
        if version.rows.inside or version.rows.contained:
            name_inside(version.rows, version.type, version.id)
        if version.type == "Patient":
            version.rows.patient = version.id
        if version.rows.patient is not None:
            version.patient = resource_key("Patient", version.rows.patient)
        elif version.rows.patient_identifier is not None:
            logical.append(version)
    if logical:
        await resolve_logical(connection, versions, logical)


async def resolve_logical(connection: Any, versions: Iterable[NewVersion], logical: Sequence[NewVersion]) -> None:
    """Find the patients of `logical`, in the store or among `versions`."""
    identifier = search_parameters("Patient")["identifier"].key
    found = await connection.fetch(
        "select t.system, t.code, r.rid, r.id from index_token t join resource r on r.rid = t.rid"
        " where t.param = $1 and t.code = any($2::text[]) and not r.deleted",
        identifier, [v.rows.patient_identifier[1] for v in logical],  # type: ignore[union-attr, index]
    )  # fmt: skip
    known = {(row["system"], row["code"]): (row["rid"], row["id"]) for row in found}
    for version in versions:  # a patient written in the same transaction
        if version.type == "Patient" and version.rows is not None:
            known |= {
                (system, code): (version.rid, version.id)
                for param, system, code in version.rows.tokens
                if param == identifier
            }
    for version in logical:
        assert version.rows is not None and version.rows.patient_identifier is not None
        system, value = version.rows.patient_identifier
        match = known.get((system_key(system), value))
        if match:
            version.patient, version.rows.patient = match


def former_rows(version: NewVersion) -> IndexRows:
    """The search values of the version that is replaced, by the definitions as they are now."""
    assert version.old is not None
    rows = extract(version.type, version.old)
    if rows.inside or rows.contained:
        name_inside(rows, version.type, version.id)
    return rows


def moved(version: NewVersion) -> bool:
    """Whether the columns that every index row carries changed, or the definitions by which the rows were made, so
    that all rows must be written anew."""
    return (
        version.old_date != version.date
        or version.old_patient != version.patient
        or version.old_indexed != index_digest(version.type)
    )
