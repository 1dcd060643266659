"""The commands against a real database and a real demo. What the rooms below decide is tested with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.demo_server import DemoServer
from varde.trust.persons import is_synthetic

VARDE = [sys.executable, "-m", "varde.cli"]


def test_migrate_says_what_it_did_and_may_be_repeated(database_url: str) -> None:
    environment = os.environ | {"VARDE_DATABASE_URL": database_url}
    subprocess.run([*VARDE, "migrate"], env=environment, check=True, capture_output=True, timeout=60)
    again = subprocess.run([*VARDE, "migrate"], env=environment, check=True, capture_output=True, text=True, timeout=60)
    assert again.stdout == "The schema is up to date.\n"


def test_people_lists_everybody_for_scripts(demo: DemoServer) -> None:
    everybody = json.loads(demo.varde("people", "--json").stdout)
    patients = [one for one in everybody if one["role"] == "patient"]
    assert len(patients) == 120 and all(is_synthetic(one["fnr"]) for one in patients)
    emil = next(one for one in patients if one["name"] == "Emil Myrvang" and one["part"])
    assert {one["name"] for one in emil["relations"]} == {"Lars Myrvang", "Nora Myrvang"}
    assert any(one["reserved"] for one in patients) and any(one["dead"] for one in patients)
    staff = [one for one in everybody if one["role"] == "staff"]
    assert all(one["hpr"] and one["unit"]["org"] for one in staff)
    assert [one["name"] for one in everybody if one["role"] == "operator"]


def test_people_reads_well_without_json(demo: DemoServer) -> None:
    said = demo.varde("people").stdout
    assert "Ingrid Solberg" in said and "helsesekretær, Ortopedisk poliklinikk, UNN Tromsø" in said


def test_a_token_is_for_one_kind_of_holder(demo: DemoServer) -> None:
    for words in ([], ["--person", "1", "--staff", "2"]):
        assert demo.varde("token", *words, check=False).returncode == 2
    unknown = demo.varde("token", "--staff", "1234567", check=False)
    assert unknown.returncode == 1 and "nobody" in unknown.stderr
    elsewhere = demo.varde("token", "--staff", demo.worker("nurse")["hpr"], "--org", "000000000", check=False)
    assert elsewhere.returncode == 1 and "does not work at" in elsewhere.stderr


@pytest.mark.parametrize("command", [["token", "--person", "01819012345"], ["people", "--json"]])
def test_demo_commands_refuse_outside_demo_mode(demo: DemoServer, tmp_path: Path, command: list[str]) -> None:
    in_production = os.environ | {"VARDE_MODE": "production", "VARDE_DATA": str(demo.data)}
    nowhere = {name: value for name, value in os.environ.items() if not name.startswith("VARDE_")}
    nowhere |= {"VARDE_DATA": str(tmp_path)}
    for environment in (in_production, nowhere):
        refused = subprocess.run([*VARDE, *command], env=environment, capture_output=True, text=True, timeout=60)
        assert refused.returncode == 1 and refused.stdout == ""
        assert "for the demo only" in refused.stderr


def test_serve_says_what_is_missing_before_it_starts(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VARDE_")}
    environment |= {"VARDE_DATA": str(tmp_path)}
    refused = subprocess.run([*VARDE, "serve"], env=environment, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1 and "VARDE_PATIENT_ISSUER" in refused.stderr
