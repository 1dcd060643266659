"""What somebody tries who wants more than is theirs: tricks with paths and headers, changes of whose a thing is, and
every way of asking whether something is there. What is refused is refused in the words of what is not there.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.access import people
from tests.access.conftest import OTHER
from tests.access.twins import ACTING, let_services_act
from tests.access.varde_in_process import NOBODY, Caller, InProcess, Said
from varde.fhir.storing import reading
from varde.trust.law.marks import RESTRICTION

KARI = people.person("kari")
JSON_PATCH = "application/json-patch+json"
NEVER = "never"
LAB = {"resourceType": "Observation", "status": "final", "code": {"text": "x"},
       "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                 "code": "laboratory"}]}]}  # fmt: skip
LABORATORY = people.system("laboratory", "system/Observation.cruds?category=laboratory")


@pytest.fixture(autouse=True, scope="module")
def acting(varde: InProcess) -> None:
    let_services_act(varde)


def text(answer: Said, *names: str) -> str:
    """An answer without what was asked for, to be compared with another."""
    said = f"{answer.status} {[h for h in answer.headers if h[0] != 'content-length']} {answer.text}"
    for name in names:
        said = said.replace(name, "WHAT")
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", said)


TRICKS = [
    "/fhir/Patient/kari/../skjult", "/fhir/Patient/kari%2F..%2Fskjult", "/fhir/Patient/%2e%2e/Patient/skjult",
    "/fhir//Patient/skjult", "/fhir/./Patient/skjult", "/fhir/Patient/skjult/", "/fhir/Patient//skjult",
    "/fhir/patient/skjult", "/fhir/Patient/skjult%00", "/fhir/Patient/skjult;a=b", "/fhir/Patient/skjult%20",
    "/fhir/Patient/skjult?_id=kari", "/fhir/Patient?_id=kari&_id=skjult", "/fhir/Patient?_id=kari,skjult",
    "/fhir/Patient/skjult/_history/1", "/fhir/Patient/kari/_history/../../skjult", "/fhir/Binary/skjult",
    "/fhir/Observation/skjult-lab%23", "/fhir/Observation/SKJULT-LAB", "/fhir/Observation/skjult-lab/$meta",
    "/fhir/Patient/skjult/Observation", "/fhir/Patient/kari,skjult/Observation", "/fhir/Encounter/skjult-encounter/*",
    "/fhir/Practitioner/p8100001/Observation?patient=skjult", "/brev/skjult-letter", "/brev/../brev/skjult-letter",
    "/brev/kari-letter%2F..%2Fskjult-letter", "/brev/skjult-letter%00", "/timer/skjult-appointment",
    "/brev/skjult-letter/pdf", "/timer/skjult-appointment?patient=kari", "/brev?patient=skjult", "/brev?side=skjult",
    "/fhir/Observation?_include=Observation:subject&_id=skjult-lab", "/fhir/Observation?subject=http://127.0.0.1:8000/fhir/Patient/skjult",
    "/fhir/Observation?subject.identifier=urn:x|1&_elements=subject", "/fhir/Observation/skjult-lab?_elements=subject",
    "/fhir/Observation/skjult-lab?_summary=count", "/fhir/Observation/skjult-lab?_format=xml",
]  # fmt: skip


@pytest.mark.parametrize("path", TRICKS)
async def test_no_way_of_writing_an_address_shows_another_s_things(varde: InProcess, path: str) -> None:
    answer = await varde.ask(KARI, "GET", path)
    assert answer.status < 500
    assert "hemmelighet" not in answer.text and "Skjulte" not in answer.text
    shown = re.findall(r'"reference":"Patient/(\w+)"', answer.text)
    assert set(shown) <= {"kari"}, shown


SMUGGLED = [
    {"x-patient": "skjult"}, {"x-forwarded-user": "skjult"}, {"x-forwarded-host": "evil.test"},
    {"x-forwarded-prefix": "/fhir/Patient/skjult"}, {"x-original-url": "/fhir/Patient/skjult"},
    {"x-rewrite-url": "/fhir/Patient/skjult"}, {"x-http-method-override": "DELETE"}, {"x-smart-patient": "skjult"},
    {"forwarded": "host=evil.test;proto=https"}, {"x-forwarded-proto": "https", "x-forwarded-port": "1"},
    {"host": "evil.test"}, {"x-helseid-pid": "12057900499"}, {"x-on-behalf-of": "Patient/skjult"},
    {"remote-user": "skjult"}, {"x-forwarded-for": "127.0.0.1"}, {"prefer": "handling=lenient; patient=skjult"},
]  # fmt: skip


@pytest.mark.parametrize("headers", SMUGGLED, ids=lambda headers: next(iter(headers)))
async def test_no_header_changes_who_asks_or_where_one_is(varde: InProcess, headers: dict[str, str]) -> None:
    """Nor does one come back in a link: addresses are built from the settings alone (settings.forwarded_trusted)."""
    for path in ("/fhir/Patient?_count=1", "/fhir/Observation?_count=1", "/brev", "/"):
        plain = await varde.ask(KARI, "GET", path)
        smuggled = await varde.ask(KARI, "GET", path, headers=headers)
        assert text(plain) == text(smuggled), (path, headers)
    for path in ("/fhir/Patient/skjult", "/brev/skjult-letter"):
        assert (await varde.ask(KARI, "GET", path, headers=headers)).status == 404
    assert "evil.test" not in (await varde.ask(NOBODY, "GET", "/brev", headers=headers)).header("location")


async def test_two_authorizations_or_a_cookie_do_not_open_the_api(varde: InProcess) -> None:
    sent = await varde.headers_of(KARI)
    only_cookie = {"cookie": sent["cookie"]}
    assert (await varde.call("GET", "/fhir/Patient/kari", headers=only_cookie)).status == 401
    assert (await varde.call("GET", "/brev", headers={"authorization": sent["authorization"]})).status == 303
    for wrong in ("bearer", "Bearer ", "Basic a2FyaTo=", "Bearer x.y.z", sent["authorization"][:-2] + "xx"):
        assert (await varde.call("GET", "/fhir/Patient/kari", headers={"authorization": wrong})).status == 401


OWNERSHIP = [
    [{"op": "replace", "path": "/subject/reference", "value": "Patient/skjult"}],
    [{"op": "replace", "path": "/subject", "value": {"reference": "http://127.0.0.1:8000/fhir/Patient/skjult"}}],
    [{"op": "replace", "path": "/subject", "value": {"identifier": people.patient("skjult")["identifier"][0]}}],
    [{"op": "remove", "path": "/subject"}],
]  # fmt: skip


@pytest.mark.parametrize("patch", OWNERSHIP, ids=["literal", "absolute", "by number", "nobody's"])
async def test_nobody_gives_a_thing_to_another_patient(varde: InProcess, patch: Any) -> None:
    """By PATCH, PUT or a transaction, though a service let them write the type (trust/scope.py)."""
    act = {ACTING: "1"}
    answer = await varde.ask(KARI, "PATCH", "/fhir/Observation/kari-vital", body=patch, kind=JSON_PATCH, headers=act)
    assert answer.status == 403, answer.text
    whole = (await varde.ask(KARI, "GET", "/fhir/Observation/kari-vital")).json
    moved = {**whole, **({"subject": {"reference": "Patient/skjult"}} if patch[0]["op"] == "replace" else {})}
    if patch[0]["op"] == "remove":
        moved.pop("subject")
    assert (await varde.ask(KARI, "PUT", "/fhir/Observation/kari-vital", body=moved, headers=act)).status == 403
    entry = {"request": {"method": "PUT", "url": "Observation/kari-vital"}, "resource": moved}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    assert (await varde.ask(KARI, "POST", "/fhir", body=bundle, headers=act)).status == 403


async def test_nobody_draws_another_s_thing_into_their_own_record(varde: InProcess) -> None:
    """What refers to a foreign thing does not show it: no include, chain, _has, list or $everything follows."""
    act = {ACTING: "1"}
    made = {**LAB, "subject": {"reference": "Patient/kari"}, "hasMember": [{"reference": "Observation/skjult-lab"}],
            "focus": [{"reference": "Patient/skjult"}]}  # fmt: skip
    answer = await varde.ask(KARI, "POST", "/fhir/Observation", body=made, headers=act)
    assert answer.status == 201
    own = answer.json["id"]
    listed = {"resourceType": "List", "status": "current", "mode": "working", "subject": {"reference": "Patient/kari"},
              "entry": [{"item": {"reference": "Observation/skjult-lab"}}]}  # fmt: skip
    list_id = (await varde.ask(KARI, "POST", "/fhir/List", body=listed, headers=act)).json["id"]
    for path in (
        f"/fhir/Observation?_id={own}&_include=*&_include:iterate=*", f"/fhir/Observation?_list={list_id}",
        f"/fhir/Observation?_id={own}&has-member.code=2345-7", "/fhir/Patient?_has:Observation:focus:status=final",
        f"/fhir/Observation?_id={own}&has-member:missing=false&has-member.status=final",
        "/fhir/Patient/kari/$everything?_count=500", f"/fhir/Observation/_history?_list={list_id}",
    ):  # fmt: skip
        said = (await varde.ask(KARI, "GET", path)).text
        assert 'skjult-lab","meta' not in said and "Prøve skjult" not in said, path
    query = {
        "query": f'{{Observation(id:"{own}"){{hasMember{{reference resource{{...on Observation{{id status}}}}}}}}}}'
    }
    said = (await varde.ask(KARI, "POST", "/fhir/$graphql", body=query, kind="application/json")).text
    assert '"status":"final"' not in said


async def test_nobody_lifts_or_lays_on_what_withholds(varde: InProcess) -> None:
    """Labels of 9603 through PATCH and $meta: what is withheld from somebody cannot be opened by them, and new content
    that they might not see themselves is refused."""
    label = {"system": RESTRICTION, "code": "N"}
    await varde.write(
        {**LAB, "id": "kari-held", "subject": {"reference": "Patient/kari"}, "meta": {"security": [label]}}
    )
    act = {ACTING: "1"}
    for method, path, body, kind in (
        ("PATCH", "", [{"op": "remove", "path": "/meta/security"}], JSON_PATCH),
        ("PATCH", "", {"meta": {"security": None}}, "application/merge-patch+json"),
        ("POST", "/$meta-delete", {"resourceType": "Parameters", "parameter": [
            {"name": "meta", "valueMeta": {"security": [label]}}]}, "application/fhir+json"),
        ("PUT", "", {**LAB, "id": "ID", "subject": {"reference": "Patient/kari"}}, "application/fhir+json"),
        ("DELETE", "", None, "application/fhir+json"),
    ):  # fmt: skip
        said = []
        for identifier in ("kari-held", NEVER):
            sent = {**body, "id": identifier} if isinstance(body, dict) and "id" in body else body
            where = f"/fhir/Observation/{identifier}{path}"
            said.append(text(await varde.ask(KARI, method, where, body=sent, kind=kind, headers=act), identifier))
        assert said[0] == said[1] and said[0].startswith("404"), (method, path)
    stored = await varde.house.platform.store.read(varde.system(), "Observation", "kari-held")
    assert stored.version == 1 and stored.resource["meta"]["security"] == [label]
    held = {**LAB, "subject": {"reference": "Patient/kari"}, "meta": {"security": [label]}}
    assert (await varde.ask(KARI, "POST", "/fhir/Observation", body=held, headers=act)).status == 403


def _oracles(identifier: str) -> list[tuple[str, str, Any, dict[str, str]]]:
    """Ways of asking whether `identifier` is there: (method, path, body, headers)."""
    observation = {**LAB, "id": identifier, "subject": {"reference": "Patient/kari"}}
    fresh = {**LAB, "subject": {"reference": "Patient/kari"}}

    def bundle(kind: str, **entry: Any) -> dict[str, Any]:
        return {"resourceType": "Bundle", "type": kind, "entry": [entry]}

    refers = {**fresh, "encounter": {"reference": f"Encounter?_id={identifier}"}}
    return [
        ("GET", f"/fhir/Observation/{identifier}", None, {}),
        ("GET", f"/fhir/Observation/{identifier}", None, {"if-none-match": 'W/"1"'}),
        ("GET", f"/fhir/Observation/{identifier}", None, {"if-modified-since": "Tue, 24 Nov 2026 08:00:00 GMT"}),
        ("GET", f"/fhir/Observation/{identifier}/_history/1", None, {}),
        ("GET", f"/fhir/Observation/{identifier}/$validate", None, {}),
        ("HEAD", f"/fhir/Observation/{identifier}", None, {}),
        *(("PUT", f"/fhir/Observation/{identifier}", observation, match)
          for match in ({}, {"if-match": 'W/"1"'}, {"if-match": 'W/"9"'}, {"if-none-match": "*"})),
        *(("DELETE", f"/fhir/Observation/{identifier}", None, match) for match in ({}, {"if-match": 'W/"1"'})),
        ("PATCH", f"/fhir/Observation/{identifier}", [{"op": "test", "path": "/status", "value": "final"}], {}),
        ("PATCH", f"/fhir/Observation/{identifier}", [{"op": "nonsense"}], {}),
        ("PUT", f"/fhir/Observation?_id={identifier}", observation, {}),
        ("DELETE", f"/fhir/Observation?_id={identifier}", None, {}),
        ("POST", "/fhir", bundle("transaction", request={"method": "POST", "url": "Observation"}, resource=refers), {}),
        ("POST", "/fhir", bundle("batch", request={"method": "DELETE", "url": f"Observation/{identifier}"}), {}),
        ("POST", "/fhir", bundle("transaction", request={"method": "PUT", "url": f"Observation/{identifier}",
                                 "ifMatch": 'W/"1"'}, resource=observation), {}),
        ("POST", "/fhir", bundle("transaction", request={"method": "GET", "url": f"Observation/{identifier}"}), {}),
    ]  # fmt: skip


@pytest.mark.parametrize("place", range(len(_oracles("x"))))
@pytest.mark.parametrize("caller", [KARI, people.CLINICIAN, people.SECRETARY_CALLER, LABORATORY],
                         ids=lambda one: one.name)  # fmt: skip
async def test_whether_something_is_there_is_not_told(varde: InProcess, caller: Caller, place: int) -> None:
    """A create with an id that is taken by something hidden (PUT) is answered as one with a free id: not found. Only
    whom no new resource of the type is refused chooses ids. By POST the id in the content means nothing."""
    hidden = f"{OTHER}-vital"  # vital signs: beyond the laboratory's scope too
    said = []
    for identifier in (hidden, NEVER):
        method, path, body, headers = _oracles(identifier)[place]
        kind = JSON_PATCH if method == "PATCH" else "application/fhir+json"
        sent = {**headers, ACTING: "1"}
        said.append(text(await varde.ask(caller, method, path, body=body, kind=kind, headers=sent), identifier))
    assert said[0] == said[1]
    stored = await varde.house.platform.store.read(varde.system(), "Observation", hidden)
    assert stored.version == 1


async def test_a_condition_is_no_oracle_for_numbers_and_keys(varde: InProcess) -> None:
    """If-None-Exist, conditional references and $match over a national number that somebody hidden has."""
    numbers = {name: people.patient(name)["identifier"][0] for name in (OTHER,)}
    free = {"system": numbers[OTHER]["system"], "value": "13097248022"}
    act = {ACTING: "1"}
    said = []
    for one in (numbers[OTHER], free):
        condition = f"identifier={one['system']}|{one['value']}"
        made = {**LAB, "identifier": [one], "subject": {"reference": "Patient/kari"}}
        unless = condition.replace("identifier=", "subject:identifier=")
        created = await varde.ask(
            KARI, "POST", "/fhir/Observation", body=made, headers={**act, "if-none-exist": unless}
        )
        asked = {"resourceType": "Patient", "identifier": [one]}
        matched = await varde.ask(KARI, "POST", "/fhir/Patient/$match", body=asked)
        entry = {"request": {"method": "POST", "url": "Observation"},
                 "resource": {**LAB, "subject": {"reference": f"Patient?{condition}"}}}  # fmt: skip
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        pointed = await varde.ask(KARI, "POST", "/fhir", body=bundle, headers=act)
        counted = await varde.ask(KARI, "GET", f"/fhir/Patient?{condition}&_summary=count")
        said.append([text(a, one["value"]) for a in (matched, pointed, counted)] + [str(created.status)])
    assert said[0] == said[1]


async def test_a_group_or_list_of_others_tells_nothing(varde: InProcess) -> None:
    group = {"resourceType": "Group", "id": "hid-group", "type": "person", "actual": True,
             "member": [{"entity": {"reference": f"Patient/{OTHER}"}}]}  # fmt: skip
    await varde.write(group)
    for caller in (KARI, people.CLINICIAN, people.SECRETARY_CALLER):
        for path in ("/fhir/Group?member=Patient/skjult&_total=accurate",
                     "/fhir/Patient?_has:Group:member:_id=hid-group",
                     "/fhir/Patient?_list=hid-group"):  # fmt: skip
            answer = await varde.ask(caller, "GET", path)
            assert answer.status == 403 or not answer.json.get("entry"), (caller.name, path)
        group_export = [
            text(
                await varde.ask(caller, "GET", f"/fhir/Group/{name}/$export", headers={"prefer": "respond-async"}), name
            )
            for name in ("hid-group", NEVER)
        ]
        assert group_export[0] == group_export[1]


async def test_another_system_s_subscription_is_neither_seen_nor_changed(varde: InProcess) -> None:
    """It names the owner's address and headers; who may write the type must not take it over either."""
    mine, theirs = people.system("mine", "system/*.cruds"), people.system("theirs", "system/*.cruds")
    made = {"resourceType": "Subscription", "status": "requested", "reason": "x", "criteria": "Observation?",
            "channel": {"type": "websocket"}}  # fmt: skip
    created = await varde.ask(theirs, "POST", "/fhir/Subscription", body=made)
    assert created.status == 201, created.text
    taken = created.json["id"]
    for method, suffix, body in (("GET", "", None), ("GET", "/$status", None), ("GET", "/$events", None),
                                 ("PUT", "", made), ("DELETE", "", None),
                                 ("PATCH", "", [{"op": "replace", "path": "/status", "value": "off"}])):  # fmt: skip
        said = []
        for identifier in (taken, "11111111-1111-8111-8111-111111111111"):
            sent = {**body, "id": identifier} if method == "PUT" and isinstance(body, dict) else body
            kind = JSON_PATCH if method == "PATCH" else "application/fhir+json"
            answer = await varde.ask(mine, method, f"/fhir/Subscription/{identifier}{suffix}", body=sent, kind=kind)
            said.append(text(answer, identifier))
        assert said[0] == said[1] and said[0].startswith("404"), (method, suffix, said)
    assert (await varde.ask(theirs, "GET", f"/fhir/Subscription/{taken}")).json["meta"]["versionId"] == "1"


# The same path, measured in statements and plans: a clock on a shared machine proves nothing.


class _Watched:
    """Every statement that goes to the database meanwhile, with its values."""

    def __init__(self, varde: InProcess) -> None:
        self._database = varde.house.platform.database
        self.told: list[tuple[str, tuple[Any, ...]]] = []

    def __call__(self, record: Any) -> None:
        self.told.append((record.query, tuple(record.args or ())))

    async def __aenter__(self) -> _Watched:
        for connection in self._database._idle:
            connection.add_query_logger(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._database._idle:
            connection.remove_query_logger(self)


ROADS = ["/fhir/Observation/{}", "/fhir/Observation/{}/_history", "/fhir/Observation/{}/_history/1",
         "/fhir/Observation?_id={}", "/fhir/Observation?_id={}&_include=*", "/fhir/Observation/{}/$meta"]  # fmt: skip


@pytest.mark.parametrize("road", ROADS)
async def test_what_is_hidden_and_what_is_not_there_take_the_same_road(varde: InProcess, road: str) -> None:
    """The same statements, as many, with plans of the same shape."""
    taken: list[list[str]] = []
    plans: list[list[list[str]]] = []
    for identifier in (f"{OTHER}-lab", NEVER):
        await varde.ask(KARI, "GET", road.format(identifier))  # so that nothing is prepared for the first time
        async with _Watched(varde) as watched:
            await varde.ask(KARI, "GET", road.format(identifier))
        taken.append([re.sub(r"\s+", " ", query) for query, _ in watched.told if "trust_audit" not in query[:30]])
        plans.append([await _shape(varde, query, values) for query, values in watched.told
                      if query.lstrip().startswith(("select", "with")) and values])  # fmt: skip
    assert taken[0] == taken[1] and taken[0]
    assert plans[0] == plans[1]


async def _shape(varde: InProcess, query: str, values: tuple[Any, ...]) -> list[str]:
    """The nodes of a plan, without costs and values."""
    async with varde.house.platform.database.transaction() as connection:
        rows = await connection.fetch(f"explain (costs off) {query}", *values)
    return [re.sub(r"'[^']*'|\d+", "?", row[0]) for row in rows]


async def test_an_error_text_holds_no_value(varde: InProcess) -> None:
    """What was asked for comes back in no OperationOutcome, nor does the database's own text."""
    for path in ("/fhir/Observation?date=skjult13", "/fhir/Observation?value-quantity=skjult13",
                 "/fhir/Observation?skjult13=1", "/fhir/Observation?_sort=nope", "/fhir/Observation?_page=skjult13",
                 "/fhir/Observation?code:skjult13=x", "/fhir/Patient?birthdate=gt20-skjult13"):  # fmt: skip
        answer = await varde.ask(KARI, "GET", path)
        assert answer.status == 400, path
        assert "select" not in answer.text.lower() and "asyncpg" not in answer.text.lower()
        if "=" in path.partition("skjult13")[0]:
            assert "skjult13" not in answer.text, path


def test_the_words_for_hidden_and_absent_are_one() -> None:
    assert reading.ABSENT == "the resource does not exist"
