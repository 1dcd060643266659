"""What a code of 9603 withholds is hidden everywhere: the world with it answers as the world without it, byte for
byte; and a thing that may not be seen answers as one that does not exist."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from tests.trust.region import (
    CHILD,
    DOCTOR,
    KARI,
    SECRETARY,
    WARD,
    World,
    labelled,
    letter,
    observation,
)
from varde.fhir.errors import NotFound

HIDDEN = [
    # rule, who, code
    ("FAM-05", "patient", "N"),
    ("FAM-35", "patient", "NORU"),
    ("FAM-05", "parent", "N"),
    ("FAM-35", "parent", "NORU"),
    ("FAM-04", "parent", "NORN_FORANS"),
    ("FAM-36", "doctor", "NORS"),
    ("FAM-36", "secretary", "NORS"),
]
SHOWN = [("patient", "NORS"), ("patient", "NORN_FORANS"), ("parent", "NORS"), ("doctor", "N"), ("doctor", "NORU")]


def who(world: World, name: str) -> tuple[Mapping[str, str], str]:
    """(headers, the patient in question)."""
    return {
        "patient": (world.bearer(pid=KARI), "kari"),
        "parent": (world.bearer(pid=KARI, for_=CHILD), "child"),
        "doctor": (world.bearer(hpr=DOCTOR), "kari"),
        "secretary": (world.bearer(hpr=SECRETARY), "kari"),
    }[name]


def searches(whose: str) -> list[str]:
    """Ways of asking that a hidden thing could show in."""
    return [
        "/Communication", "/Communication?_total=accurate", "/Communication?_summary=count", "/Communication?_count=0",
        "/Communication?_count=1&_total=accurate", "/Communication?_sort=sent", "/Communication?_sort=-_lastUpdated",
        "/Communication?_sort=status,-sent&_count=1", f"/Communication?subject=Patient/{whose}",
        f"/Communication?patient={whose}&_total=accurate", "/Communication?_id=secret",
        "/Communication?_id=secret&_summary=count", "/Communication?status=preparation",
        "/Communication?status:not=completed", "/Communication?_security=N,NORU,NORS,NORN_FORANS",
        "/Communication?category=urn:x|hemmelig", "/Communication?category:text=hemmelig",
        "/Communication?part-of=Communication/secret&_include=Communication:part-of",
        "/Communication?_include=*", "/Communication?_revinclude=*&_include:iterate=*",
        "/Communication?part-of:Communication.status=preparation",
        "/Communication?part-of:Communication.category=urn:x|hemmelig",
        "/Communication?_has:Communication:part-of:status=preparation",
        "/Communication?_has:Communication:part-of:category=urn:x|hemmelig",
        "/Communication?_lastUpdated=gt2026-01-01",
        "/Patient?_revinclude=Communication:subject", "/Patient?_has:Communication:subject:status=preparation",
        "/Patient?_has:Communication:subject:_has:Communication:part-of:status=completed",
        f"/Patient/{whose}/Communication", f"/Patient/{whose}/Communication?_total=accurate", f"/Patient/{whose}/*",
        "/?_type=Communication", "/?_id=secret", "/?_lastUpdated=gt2026-01-01&_total=accurate",
        "/Communication/_history?_count=50", "/_history?_count=200", "/Communication/secret",
        "/Communication/secret/_history",
        "/Communication/secret/_history/1", "/Communication/secret/_history/2", "/Communication/secret/_history/9",
        "/Communication?_list=secret-list", "/List/secret-list",
    ]  # fmt: skip


async def answers(world: World, headers: Mapping[str, str], whose: str) -> dict[str, str]:
    found = {}
    for path in searches(whose):
        answer = await world.client.get(path, headers=headers)
        found[path] = f"{answer.status_code} {sorted(answer.headers.items())} {answer.text}"
        form = await world.client.post(
            path.partition("?")[0].rstrip("/") + "/_search", content=path.partition("?")[2],
            headers={**headers, "content-type": "application/x-www-form-urlencoded"},
        ) if "?" in path and path.count("/") == 1 and "_history" not in path else None  # fmt: skip
        if form is not None:
            found[f"POST {path}"] = f"{form.status_code} {form.text}"
    return found


def secrets(whose: str, code: str | None) -> list[dict[str, object]]:
    category = [{"coding": [{"system": "urn:x", "code": "hemmelig"}], "text": "hemmelig"}]
    secret = letter("secret", whose, category=category, partOf=[{"reference": f"Communication/letter-{whose}"}])
    listed = {"resourceType": "List", "id": "secret-list", "status": "current", "mode": "working",
              "subject": {"reference": f"Patient/{whose}"},
              "entry": [{"item": {"reference": f"Communication/letter-{whose}"}}]}  # fmt: skip
    return [labelled(secret | {"status": "preparation"}, code), labelled(listed, code)]


async def _prepared(world: World, whose: str) -> None:
    """A visible letter that refers to the secret one, which may or may not be there."""
    await world.write(letter("open", whose, partOf=[{"reference": "Communication/secret"}]))


@pytest.mark.parametrize(("rule", "name", "code"), HIDDEN, ids=[" ".join(c) for c in HIDDEN])
async def test_the_world_with_it_is_as_the_world_without_it(world: World, rule: str, name: str, code: str) -> None:
    headers, whose = who(world, name)
    await _prepared(world, whose)
    before = await answers(world, headers, whose)
    await world.write(*secrets(whose, code))
    await world.write(*secrets(whose, code))  # a second version
    after = await answers(world, headers, whose)
    for path, answer in before.items():
        assert after[path] == answer, path
    await world.store.delete(world.access.for_system("test"), "Communication", "secret")
    deleted = await answers(world, headers, whose)
    for path, answer in before.items():
        assert deleted[path] == answer, f"deleted: {path}"


@pytest.mark.parametrize(("name", "code"), SHOWN)
async def test_the_same_questions_find_what_is_not_withheld(world: World, name: str, code: str) -> None:
    """Else the test above would prove nothing."""
    headers, whose = who(world, name)
    await _prepared(world, whose)
    before = await answers(world, headers, whose)
    await world.write(*secrets(whose, code))
    await world.write(*secrets(whose, code))
    after = await answers(world, headers, whose)
    same = {path for path in before if after[path] == before[path]}
    expected = {"/Communication/secret/_history/9"}
    assert {path.removeprefix("POST ") for path in same} <= expected | {
        "/Communication?_count=1&_total=accurate", "/Communication?_sort=status,-sent&_count=1",
        "/Patient?_has:Communication:subject:_has:Communication:part-of:status=completed",
    }, same  # fmt: skip


async def test_what_is_withheld_later_is_hidden_with_all_its_former_versions(world: World) -> None:
    """FAM-05: nobody reads yesterday what was withheld today."""
    kari = world.bearer(pid=KARI)
    assert (await world.client.get("/Observation/result-kari/_history/1", headers=kari)).status_code == 200
    await world.write(observation("result-kari", "kari", "N"))
    for path in ("", "/_history", "/_history/1", "/_history/2"):
        assert (await world.client.get(f"/Observation/result-kari{path}", headers=kari)).status_code == 404
    history = await world.client.get("/Observation/_history", headers=kari)
    assert history.json().get("entry") is None
    await world.write(observation("result-kari", "kari"))
    assert (await world.client.get("/Observation/result-kari", headers=kari)).status_code == 200
    assert (await world.client.get("/Observation/result-kari/_history/2", headers=kari)).status_code == 404


async def test_a_service_changes_nothing_that_is_withheld_from_the_person(world: World) -> None:
    await world.write(*secrets("kari", "N"))
    kari = (await world.access.for_patient(KARI))[0].acting("test", ["Communication", "List"])
    with pytest.raises(NotFound):
        await world.store.update(kari, "Communication", "secret", letter("secret", "kari"))
    with pytest.raises(NotFound):
        await world.store.delete(kari, "Communication", "secret")
    matched = await world.store.conditional_delete(kari, "Communication", "_id=secret")
    assert matched == 0
    created = await world.store.create(kari, letter("x", "kari"), if_none_exist="category=urn:x|hemmelig")
    assert created.created


def masked(text: str, identifier: str) -> str:
    return text.replace(identifier, "ID")


ADDRESSES = [
    ("GET", "/Observation/{id}"), ("HEAD", "/Observation/{id}"), ("GET", "/Observation/{id}/_history"),
    ("GET", "/Observation/{id}/_history/1"), ("GET", "/Observation?_id={id}"), ("GET", "/?_id={id}"),
    ("GET", "/Observation?_id={id}&_total=accurate&_include=*"), ("GET", "/Observation/{id}?_summary=true"),
    ("GET", "/Observation?has-member=Observation/{id}"), ("PUT", "/Observation/{id}"), ("DELETE", "/Observation/{id}"),
    ("PATCH", "/Observation/{id}"), ("PUT", "/Observation?_id={id}"), ("DELETE", "/Observation?_id={id}"),
    ("POST", "/Observation"),
]  # fmt: skip


@pytest.mark.parametrize("name", ["patient", "parent", "doctor", "secretary"])
async def test_denied_is_as_not_there(world: World, name: str) -> None:
    """Every way of naming one thing: another's, and one's own that is withheld, against one that never was."""
    headers, whose = who(world, name)
    await world.write(observation("result-withheld", whose, "NORS" if name in {"doctor", "secretary"} else "N"))
    made = []
    for identifier in ("result-ola", "result-withheld", "result-never"):
        found = []
        for method, address in ADDRESSES:
            path = address.replace("{id}", identifier)
            extra = {"if-none-exist": f"_id={identifier}"} if method == "POST" else {}
            kind = "application/json-patch+json" if method == "PATCH" else "application/fhir+json"
            body = {"PATCH": [{"op": "remove", "path": "/status"}], "PUT": observation(identifier, whose),
                    "POST": observation(identifier, whose)}.get(method)  # fmt: skip
            answer = await world.client.request(
                method, path, json=body, headers={**headers, "content-type": kind, **extra}
            )
            entry = {"request": {"method": "GET", "url": path[1:]}}
            batch = await world.client.post(
                "/", json={"resourceType": "Bundle", "type": "batch", "entry": [entry]}, headers=headers
            )
            found.append(masked(f"{answer.status_code} {sorted(answer.headers.items())} {answer.text}", identifier))
            found.append(masked(batch.text, identifier))
        made.append([re.sub(r"\('content-length', '\d+'\)", "", one) for one in found])
    assert made[0] == made[2]
    assert made[1] == made[2]


async def test_a_patient_that_may_not_be_seen_is_as_one_that_is_not_there(world: World) -> None:
    headers = world.bearer(hpr=DOCTOR)
    for path in ("/Patient/{id}", "/Patient/{id}/*", "/Patient/{id}/Observation?_total=accurate",
                 "/Observation?patient={id}", "/Observation?subject=Patient/{id}&_total=accurate",
                 f"/EpisodeOfCare/episode-kari-{WARD}?x={{id}}"):  # fmt: skip
        real, none = [
            masked((await world.client.get(path.replace("{id}", one), headers=headers)).text, one)
            for one in ("youth", "nobody")
        ]
        assert real == none
