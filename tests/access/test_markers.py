"""The marker is found where it stands, and by nobody who may not see it: tests/markers.py looks for it everywhere."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import pypdf
import pytest

from tests import markers
from tests.access import people
from tests.access.varde_in_process import InProcess
from tests.demo_server import DemoServer


async def test_every_kind_of_thing_carries_it(varde: InProcess) -> None:
    told: set[str] = set()
    for one in markers.record():
        stored = await varde.house.platform.store.read(varde.system(), one["resourceType"], one["id"])
        told.update([one["resourceType"]] if markers.MARK in stored.body.decode() else [])
    every = {one["resourceType"] for one in markers.record()}
    assert every - told <= {"Immunization", "Provenance"}, "those without a text of their own"


async def test_who_may_see_it_does(varde: InProcess) -> None:
    """Else that nobody else does would prove nothing."""
    answer = await varde.ask(people.system("all", "system/*.rs"), "GET", "/fhir/Observation?_count=200")
    assert markers.MARK in answer.text


def test_it_is_told_where_it_turns_up(tmp_path: Path) -> None:
    with pytest.raises(markers.MarkerSeen):
        markers.look(f"noe med {markers.MARK.upper()} i", "en side")
    with pytest.raises(markers.MarkerSeen):
        httpx.Response(200, content=markers.MARK, request=httpx.Request("GET", "http://x/brev"))
    asked = httpx.Request("GET", f"http://x/brev?_content={markers.MARK}")
    httpx.Response(200, content=f'{{"url":"http://x/brev?_content={markers.MARK}"}}', request=asked)
    with pytest.raises(markers.MarkerSeen):
        httpx.Response(200, content=f'{{"text":"{markers.MARK}"}}', request=asked)
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "web.log").write_text("rolig")
    assert markers.sweep_folder(tmp_path) == 1
    writer = pypdf.PdfWriter()
    writer.add_blank_page(100, 100)
    writer.add_metadata({"/Title": markers.MARK})
    kept = io.BytesIO()
    writer.write(kept)
    (tmp_path / "post").mkdir()
    (tmp_path / "post" / "brev.pdf").write_bytes(kept.getvalue())
    with pytest.raises(markers.MarkerSeen):
        markers.sweep_folder(tmp_path)


async def test_nobody_in_the_demo_finds_it(demo: DemoServer) -> None:
    """By the ways that look the widest: search of words, everything, export, history, match."""
    ingrid, secretary = demo.person("Ingrid Solberg"), demo.worker("secretary")
    for words in (("--person", ingrid["fnr"]), ("--staff", secretary["hpr"])):
        async with httpx.AsyncClient(base_url=demo.fhir, headers=demo.headers(*words), timeout=60) as client:
            for path in (f"?_content={markers.MARK}", f"/Communication?_text={markers.MARK}", "/_history?_count=1000",
                         f"/Patient?name={markers.MARK}&_total=accurate", f"/Patient/{markers.WHOSE}",
                         f"/Patient/{markers.WHOSE}/$everything", "?_count=1000&_sort=-_lastUpdated"):  # fmt: skip
                answer = await client.get(path)
                assert answer.status_code < 500 and markers.WHOSE not in answer.text.replace(path, "").replace(
                    f"_content={markers.MARK}", "").replace(str(answer.url), "")  # fmt: skip
