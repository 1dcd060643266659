"""The clients that integrators use, unmodified, against a running server: what their users do with them.

Logging in by SMART is proved with the authorization server; here a bearer token of `varde token` opens the API.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from fhirclient import client as smart
from fhirclient.models import bundle as fhir_bundle
from fhirclient.models import observation as fhir_observation
from fhirclient.models import patient as fhir_patient
from fhirclient.models.humanname import HumanName
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

from tests.demo_server import DemoServer

pytestmark = pytest.mark.slow
SCRIPTS = Path(__file__).parent / "clients"


@pytest.fixture(scope="module")
def token(demo: DemoServer) -> str:
    return demo.token("--system", "Integrator", "--scopes", "system/*.cruds")


@pytest.mark.parametrize("name", ["medplum", "kit", "smart"])
def test_javascript(demo: DemoServer, token: str, name: str) -> None:
    """@medplum/core, fhir-kit-client and SMART's fhirclient."""
    run = subprocess.run(
        ["node", str(SCRIPTS / f"{name}.mjs")], capture_output=True, text=True, timeout=120,
        env={"PATH": os.environ["PATH"], "FHIR_BASE": demo.fhir, "FHIR_TOKEN": token},
    )  # fmt: skip
    assert run.returncode == 0 and run.stdout.strip() == "done", run.stderr


def test_fhirpy(demo: DemoServer, token: str) -> None:
    client = SyncFHIRClient(demo.fhir, authorization=f"Bearer {token}")
    patient = client.resource("Patient", identifier=[{"system": "urn:client:fhirpy", "value": "1"}])
    patient["name"] = [{"family": "Fhirpy", "given": ["Åse"]}]
    patient.save()
    assert patient.id and patient["meta"]["versionId"] == "1"
    patient["gender"] = "female"
    patient.save(fields=["gender"])
    assert patient["meta"]["versionId"] == "2"
    patient.patch(birthDate="1980-01-01")
    patient.refresh()
    assert patient["birthDate"] == "1980-01-01"

    found = client.resources("Patient").search(identifier="urn:client:fhirpy|1")
    assert found.count() == 1 and found.get().id == patient.id and found.first().id == patient.id
    same, created = found.get_or_create(client.resource("Patient", identifier=patient["identifier"]))
    assert not created and same.id == patient.id
    updated, created = (
        client.resources("Patient")
        .search(identifier="urn:client:fhirpy|2")
        .update(client.resource("Patient", identifier=[{"system": "urn:client:fhirpy", "value": "2"}]))
    )
    assert created and updated["meta"]["versionId"] == "1"
    patched = client.resources("Patient").search(identifier="urn:client:fhirpy|2").patch(gender="other")
    assert patched["gender"] == "other"

    for number in range(5):
        client.resource(
            "Observation", status="final", code={"text": "x"}, subject=patient.to_reference().serialize(),
            effectiveDateTime=f"2026-11-0{number + 1}",
        ).save()  # fmt: skip
    observations = client.resources("Observation").search(patient=patient.id).sort("date")
    assert [o["effectiveDateTime"][-1] for o in observations.limit(2).fetch()] == ["1", "2"]
    assert [o["effectiveDateTime"][-1] for o in observations.limit(2).fetch_all()] == list("12345")
    assert observations.search(date__ge="2026-11-03").count() == 3
    assert observations.first()["subject"].to_resource().id == patient.id
    included = observations.include("Observation", "subject").fetch_raw()
    assert [e.resource.resource_type for e in included.entry].count("Patient") == 1
    holders = client.resources("Patient").has("Observation", "patient", code__text="x").search(_id=patient.id)
    assert holders.count() == 1

    history = client.execute(f"Patient/{patient.id}/_history", method="get")
    assert [e["resource"]["meta"]["versionId"] for e in history["entry"]] == ["3", "2", "1"]
    outcome = client.execute("Patient/$validate", method="post", data={"resourceType": "Patient", "gender": "male"})
    assert outcome["resourceType"] == "OperationOutcome"
    assert patient.execute("$meta", method="get")["parameter"][0]["valueMeta"]["versionId"] == "3"
    bundle = client.resource("Bundle", type="transaction", entry=[
        {"request": {"method": "PUT", "url": f"/Patient/{updated.id}"}, "resource": updated.serialize()},
        {"request": {"method": "DELETE", "url": f"/Observation/{observations.first().id}"}},
    ])  # fmt: skip
    bundle.save()
    assert observations.count() == 4
    client.resources("Patient").search(identifier="urn:client:fhirpy|2").delete()
    with pytest.raises(ResourceNotFound):
        updated.refresh()
    with pytest.raises(OperationOutcome):
        client.resource("Patient", gender="wrong").save()
    with pytest.raises(OperationOutcome):
        client.resources("Patient").search(nonsense="1").fetch()


def test_fhirclient(demo: DemoServer, token: str) -> None:
    client = smart.FHIRClient(settings={"app_id": "integrator", "api_base": f"{demo.fhir}/"})
    server = client.server
    server.session.headers["Authorization"] = f"Bearer {token}"
    assert server.capabilityStatement.fhirVersion == "4.0.1"
    patient = fhir_patient.Patient({"name": [{"family": "Fhirclient"}], "gender": "female"})
    made = patient.create(server)
    assert made is not None and made["id"]
    read = fhir_patient.Patient.read(made["id"], server)
    assert read.name[0].family == "Fhirclient"
    read.name.append(HumanName({"family": "Ny", "use": "usual"}))
    assert read.update(server)["meta"]["versionId"] == "2"

    for number in range(5):
        observation = fhir_observation.Observation({
            "status": "final", "code": {"text": "x"}, "subject": {"reference": f"Patient/{made['id']}"},
            "effectiveDateTime": f"2026-11-0{number + 1}",
        })  # fmt: skip
        assert observation.create(server)
    search = fhir_observation.Observation.where({"patient": made["id"], "_count": "2", "_sort": "date"})
    dates = [o.as_json()["effectiveDateTime"][9] for o in search.perform_resources_iter(server)]
    assert dates == list("12345")
    counted = fhir_observation.Observation.where({"patient": made["id"], "_summary": "count"}).perform(server)
    assert counted.total == 5
    transaction = fhir_bundle.Bundle({"type": "transaction", "entry": [
        {"request": {"method": "POST", "url": "Patient"}, "resource": {"resourceType": "Patient", "active": True}}
    ]})  # fmt: skip
    answer = server.post_json("", transaction.as_json()).json()
    assert answer["entry"][0]["response"]["status"].startswith("201")
    history = server.request_json(f"Patient/{made['id']}/_history")
    assert len(fhir_bundle.Bundle(history).entry) == 2
    meta = server.request_json(f"Patient/{made['id']}/$meta")
    assert meta["parameter"][0]["valueMeta"]["versionId"] == "2"
    read.delete(server)
    with pytest.raises(Exception, match="410"):
        fhir_patient.Patient.read(made["id"], server)
