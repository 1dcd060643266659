"""Measures data in bulk: `varde load`, `$import` and `$export` of a region's worth of histories.

    .venv/bin/python bench/bulk.py --patients 2000

Starts a PostgreSQL of its own (synchronous_commit on), writes NDJSON files of N patients with a history of many types,
loads them as `varde load` does and then by `$import` into another database, and exports that. Everything is validated,
indexed and in the access log. Beside the rates stand the processor's seconds for a thousand resources, of Varde and of
PostgreSQL apart, which tell more than the rate where others use the machine too: two cores give 10,000 resources/s when
they are 0.2 together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson

from varde.app import House, build
from varde.bulk import Bulks, JobRunner
from varde.db import ensure_database, migrate
from varde.embedded import EmbeddedPostgres
from varde.fhir.bulk import inputs, records
from varde.fhir.bulk.asked import Export
from varde.settings import Settings
from varde.trust import grounds

LOINC, SCT, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"
LAB = [("718-7", "Hemoglobin", "g/dL"), ("2160-0", "Kreatinin", "umol/L"), ("2823-3", "Kalium", "mmol/L"),
       ("4548-4", "HbA1c", "%"), ("2951-2", "Natrium", "mmol/L"), ("1988-5", "CRP", "mg/L")]  # fmt: skip
PROBLEMS = [("38341003", "Hypertensjon"), ("44054006", "Diabetes type 2"), ("195967001", "Astma"),
            ("73211009", "Diabetes"), ("84114007", "Hjertesvikt")]  # fmt: skip


def history(number: int) -> Iterator[dict[str, Any]]:
    """A patient with some fifty resources of a dozen types, as an EHR keeps them."""
    drawn = random.Random(number)
    me = {"reference": f"Patient/p{number}"}
    doctor, ward = {"reference": f"Practitioner/d{number % 40}"}, {"reference": f"Organization/w{number % 20}"}

    def day() -> str:
        return f"{2014 + drawn.randrange(12)}-{1 + drawn.randrange(12):02}-{1 + drawn.randrange(28):02}"

    def coded(system: str, code: str, display: str) -> dict[str, Any]:
        return {"coding": [{"system": system, "code": code, "display": display}], "text": display}

    yield {
        "resourceType": "Patient", "id": f"p{number}",
        "identifier": [{"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": f"{number:011d}", "use": "official"}],
        "active": True, "name": [{"use": "official", "family": f"Hansen{number % 371}", "given": ["Kari", "Marie"]}],
        "telecom": [{"system": "phone", "value": f"+47 9{number % 10**7:07d}", "use": "mobile"}],
        "gender": drawn.choice(["female", "male"]), "birthDate": f"{1930 + number % 90}-{1 + number % 12:02}-11",
        "address": [{"use": "home", "line": [f"Storgata {number % 200}"], "city": "Tromsø", "postalCode": "9008"}],
        "managingOrganization": ward,
    }  # fmt: skip
    for n in range(6):
        start = day()
        encounter = {"reference": f"Encounter/e{number}-{n}"}
        yield {
            "resourceType": "Encounter", "id": f"e{number}-{n}", "status": "finished", "subject": me,
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
            "period": {"start": f"{start}T09:00:00+01:00", "end": f"{start}T09:40:00+01:00"},
            "participant": [{"individual": doctor}], "serviceProvider": ward,
        }  # fmt: skip
        results = []
        for m, (code, display, unit) in enumerate(drawn.sample(LAB, 4)):
            results.append({"reference": f"Observation/o{number}-{n}-{m}"})
            yield {
                "resourceType": "Observation", "id": f"o{number}-{n}-{m}", "status": "final",
                "category": [coded("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory", "Lab")],
                "code": coded(LOINC, code, display), "subject": me, "encounter": encounter,
                "effectiveDateTime": f"{start}T09:1{m}:00+01:00", "issued": f"{start}T12:00:00.000+01:00",
                "performer": [doctor],
                "valueQuantity": {"value": round(drawn.uniform(1, 150), 1), "unit": unit, "system": UCUM, "code": unit},
                "referenceRange": [{"low": {"value": 3.5, "unit": unit}, "high": {"value": 150, "unit": unit}}],
            }  # fmt: skip
        yield {
            "resourceType": "Observation", "id": f"bp{number}-{n}", "status": "final",
            "category": [coded("http://terminology.hl7.org/CodeSystem/observation-category", "vital-signs", "Vital")],
            "code": coded(LOINC, "85354-9", "Blodtrykk"), "subject": me, "encounter": encounter,
            "effectiveDateTime": f"{start}T09:05:00+01:00",
            "component": [
                {"code": coded(LOINC, code, name), "valueQuantity": {"value": value, "unit": "mmHg", "system": UCUM,
                                                                      "code": "mm[Hg]"}}
                for code, name, value in (("8480-6", "Systolisk", 100 + drawn.randrange(60)),
                                          ("8462-4", "Diastolisk", 60 + drawn.randrange(30)))
            ],
        }  # fmt: skip
        yield {
            "resourceType": "DiagnosticReport", "id": f"r{number}-{n}", "status": "final", "subject": me,
            "code": coded(LOINC, "11502-2", "Laboratoriesvar"), "encounter": encounter, "result": results,
            "effectiveDateTime": f"{start}T09:10:00+01:00", "issued": f"{start}T13:00:00.000+01:00",
        }  # fmt: skip
    for n, (code, display) in enumerate(drawn.sample(PROBLEMS, 3)):
        yield {
            "resourceType": "Condition", "id": f"c{number}-{n}", "subject": me, "code": coded(SCT, code, display),
            "clinicalStatus": coded("http://terminology.hl7.org/CodeSystem/condition-clinical", "active", "Active"),
            "onsetDateTime": day(), "recordedDate": day(),
        }  # fmt: skip
        yield {
            "resourceType": "MedicationRequest", "id": f"m{number}-{n}", "status": "active", "intent": "order",
            "medicationCodeableConcept": coded("http://www.whocc.no/atc", "C09AA02", "Enalapril"), "subject": me,
            "authoredOn": day(), "requester": doctor, "dosageInstruction": [{"text": "1 tablett daglig"}],
        }  # fmt: skip
    yield {
        "resourceType": "AllergyIntolerance", "id": f"a{number}", "patient": me,
        "code": coded(SCT, "91936005", "Penicillinallergi"), "recordedDate": day(),
        "clinicalStatus": coded("http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "active", "Aktiv"),
    }  # fmt: skip
    yield {
        "resourceType": "Immunization", "id": f"i{number}", "status": "completed", "patient": me,
        "vaccineCode": coded("http://www.whocc.no/atc", "J07BB02", "Influensa"), "occurrenceDateTime": day(),
    }  # fmt: skip
    yield {
        "resourceType": "Procedure", "id": f"pr{number}", "status": "completed", "subject": me,
        "code": coded(SCT, "80146002", "Appendektomi"), "performedDateTime": day(),
    }  # fmt: skip
    yield {
        "resourceType": "EpisodeOfCare", "id": f"ep{number}", "status": "active", "patient": me,
        "managingOrganization": ward, "period": {"start": day()},
    }  # fmt: skip


def write_files(folder: Path, patients: int) -> tuple[int, int]:
    """NDJSON files by type, as exports give them; (resources, bytes)."""
    folder.mkdir()
    files: dict[str, Any] = {}
    count = 0
    for number in range(patients):
        for one in history(number):
            kind = one["resourceType"]
            if kind not in files:
                files[kind] = (folder / f"{kind}.ndjson").open("wb")
            files[kind].write(orjson.dumps(one) + b"\n")
            count += 1
    size = 0
    for file in files.values():
        size += file.tell()
        file.close()
    return count, size


class Processor:
    """Processor seconds of this process and its children, and of a PostgreSQL."""

    def __init__(self, postmaster: int) -> None:
        self._postmaster = postmaster
        self._varde, self._postgres = self.now()
        self._began = time.monotonic()

    def now(self) -> tuple[float, float]:
        varde, postgres = 0.0, 0.0
        every: dict[int, tuple[int, float]] = {}
        for place in Path("/proc").iterdir():
            if place.name.isdigit():
                try:
                    told = (place / "stat").read_text().rsplit(")", 1)[1].split()
                except OSError:
                    continue
                every[int(place.name)] = (int(told[1]), sum(map(int, told[11:15])) / os.sysconf("SC_CLK_TCK"))
        for process, (parent, seconds) in every.items():
            if self._postmaster in (process, parent):
                postgres += seconds
            elif os.getpid() in (process, parent):
                varde += seconds
        return varde, postgres

    def told(self, name: str, resources: int) -> dict[str, Any]:
        """What was used since the beginning."""
        varde, postgres = self.now()
        wall = time.monotonic() - self._began
        varde, postgres = (varde - self._varde) / resources * 1000, (postgres - self._postgres) / resources * 1000
        print(
            f"{name:<10} {resources / wall:>9,.0f} resources/s; processor a thousand: Varde {varde:.3f} s, PostgreSQL"
            f" {postgres:.3f} s: {2000 / (varde + postgres):>8,.0f}/s on two cores of one's own"
        )
        return {"step": name, "rate": resources / wall, "varde": varde, "postgres": postgres}


async def _drain(house: House, bulks: Bulks, kind: str, bulk: UUID) -> None:
    handler = next(one for one in bulks.handlers() if one.kind == f"bulk.{kind}")
    while True:
        async with house.platform.store.transaction() as connection:
            await handler.run(connection, [{"bulk": str(bulk)}])
        async with house.platform.database.connection() as connection:
            if await connection.fetchval("select state from fhir_bulk where id = $1", bulk) != "running":
                return


async def _import(house: House, files: list[Path]) -> UUID:
    gate = house.platform.access.for_system("bench", grounds.RECORD_SYSTEM)
    runner, bulk = JobRunner(house), uuid4()
    now = house.platform.clock.now()
    async with house.platform.store.transaction() as connection:
        await records.begin(connection, bulk, "import", runner.owner(gate), runner.kept(gate), "bench", {}, now)
        for number, file in enumerate(files):
            await connection.execute(
                "insert into fhir_bulk_file (bulk, number, role, type, source) values ($1, $2, 'input', '', $3)",
                bulk, number, file.name,
            )  # fmt: skip

            async def content(path: Path = file) -> Any:
                with path.open("rb") as opened:
                    while block := opened.read(1 << 18):
                        yield block

            await inputs.keep(connection, bulk, number, content())
    return bulk


async def _export(house: House) -> UUID:
    gate = house.platform.access.for_system("bench", grounds.RECORD_SYSTEM)
    runner, bulk = JobRunner(house), uuid4()
    asked = Export("patient").as_json()
    async with house.platform.store.transaction() as connection:
        await records.begin(connection, bulk, "export", runner.owner(gate), runner.kept(gate), "bench", asked,
                            house.platform.clock.now())  # fmt: skip
    return bulk


async def _measure(
    server: EmbeddedPostgres, folder: Path, files: list[Path], resources: int, postmaster: int
) -> list[dict[str, Any]]:
    told = []
    for name in ("load", "bulk"):
        await ensure_database(server.url("postgres"), name)
        await migrate(server.url(name))
    environment = os.environ | {"VARDE_DATABASE_URL": server.url("load"), "VARDE_DATA": str(folder.parent / "data")}
    processor = Processor(postmaster)
    # Its children are not ours: what they used comes with the command when it has ended.
    command = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "varde.cli", "load", str(folder), env=environment, cwd=folder.parent,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    await command.wait()
    told.append(processor.told("varde load", resources))
    os.environ |= {"VARDE_DATABASE_URL": server.url("bulk"), "VARDE_DATA": str(folder.parent / "data")}
    house = build(Settings(), process="bench")
    bulks = Bulks(house)
    # The lanes are started by a first, small import: what starting them costs is no part of the rate.
    small = folder.parent / "small.ndjson"
    small.write_bytes(b'{"resourceType":"Basic","id":"first","code":{"text":"x"}}')
    await _drain(house, bulks, "import", await _import(house, [small]))
    bulk = await _import(house, files)
    processor = Processor(postmaster)
    await _drain(house, bulks, "import", bulk)
    told.append(processor.told("$import", resources))
    await bulks.stop()
    bulk = await _export(house)
    processor = Processor(postmaster)
    await _drain(house, bulks, "export", bulk)
    async with house.platform.database.connection() as connection:
        count = await connection.fetchval("select sum(resources) from fhir_bulk_file where bulk = $1", bulk)
    assert count == resources, count
    told.append(processor.told("$export", resources))
    await house.close()
    return told


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=2000)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="varde-bench-bulk-"))
    server = EmbeddedPostgres(folder)
    server.start()
    postmaster = int((folder / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])
    try:
        resources, size = write_files(folder / "files", chosen.patients)
        print(f"{chosen.patients} patients, {resources} resources, {size / 1e6:.0f} MB of NDJSON")
        files = sorted((folder / "files").iterdir())
        told = asyncio.run(_measure(server, folder / "files", files, resources, postmaster))
        if chosen.json:
            chosen.json.write_text(json.dumps(told, indent=2))
    finally:
        server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
