"""Whatever is sent, the answer is an OperationOutcome with a 4xx, or right: never a 500."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.databases import make_database
from tests.fhir.gates import OpenGate
from varde.clock import SetClock
from varde.embedded import EmbeddedPostgres
from varde.fhir.definitions import resource_types, search_parameters
from varde.fhir.errors import BadRequest, Conflict, FhirError, Unprocessable
from varde.fhir.gate import Gate
from varde.fhir.http.proxy import Proxied
from varde.fhir.http.rest import FhirApplication
from varde.fhir.patching.patch import PatchKind, apply_patch
from varde.fhir.search.dates import date_range
from varde.fhir.search.extract import extract
from varde.fhir.search.parse import parse
from varde.fhir.search.values import number_range
from varde.fhir.splice import parse_exact
from varde.fhir.store import Store
from varde.fhir.validate import faults_of

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
NAMES = sorted(
    {
        code
        for name in ("Patient", "Observation", "Appointment", "MolecularSequence")
        for code in search_parameters(name)
    }
)
MODIFIERS = [
    "",
    ":exact",
    ":contains",
    ":missing",
    ":not",
    ":text",
    ":of-type",
    ":identifier",
    ":above",
    ":below",
    ":Patient",
    ":in",
    ":not-in",
    ".name",
    "._has:Observation:patient:code",
    ":Patient._list",
    "._filter",
    ":Patient.birthdate",
    ":iterate",
    ".identifier",
]
RESULTS = [
    "_sort",
    "_count",
    "_include",
    "_revinclude",
    "_total",
    "_summary",
    "_elements",
    "_page",
    "_type",
    "_list",
    "_contained",
    "_containedType",
    "_text",
    "_content",
    "_filter",
    "_query",
    "_summary:x",
    "near",
    "age",
    "_include:iterate",
    "_has:Observation:patient:value-quantity",
    "_has:QuestionnaireResponse:questionnaire:_filter",
    "_has:Observation:patient:code",
    "_has:Observation:patient:_has:Provenance:target:agent",
]
VALUES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "true",
            "false",
            "eq2020",
            "ge2020-02-30",
            "ap1",
            "lt0001-01-01T00:00:00+14:00",
            "gt9999-12-31T23:59:59-14:00",
            "le2026-11-24T10:00",
            "1e400",
            "0e999999",
            "-0",
            "1_0",
            "１２",
            "5|http://unitsofmeasure.org|g",
            "|",
            "||",
            "a|b|c",
            "$",
            "a$b",
            "a$gt1",
            "Patient/1",
            "http://x/Patient/1/_history/2",
            "urn:uuid:x",
            "\\",
            "\\,",
            "a,b",
            "%",
            "_",
            "Patient:general-practitioner",
            "*",
            "-date,_id",
            "NaN",
            "Infinity",
            "WyIiXQ",
            "W10",
            "bnVsbA",
            "x" * 3000,
            "å" * 3000,
            "9" * 400,
            "\U0010ffff",
            "name eq x",
            'name co "a b" and (birthdate gt 1980 or not (gender eq male))',
            "general-practitioner[name eq x].name sw y",
            "code-value-quantity[code eq a].value-quantity gt 5",
            "_has:Observation:patient:code eq x",
            "69.6|18.9|5|km",
            "-90|180|1e9|m",
            '(a OR b) AND NOT "c d"',
            "5|http://unitsofmeasure.org|mg/(24.h)",
            "5e300|http://unitsofmeasure.org|Ym30",
            "http://vs|1",
            "-W10",
            "-bnVsbA",
            "http://[",
            "Patient/1/_history/2",
            "#x",
            "true,both",
            "both",
            "contained",
            "0",
            "1000000",
            "-1",
        ]
    ),
)


@given(st.text(max_size=40) | VALUES)
def test_dates_and_numbers_are_read_or_refused(text: str) -> None:
    for reads in (date_range, number_range):
        try:
            low, high = reads(text)  # type: ignore[operator]
            assert low <= high
        except ValueError:
            pass


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "name",
                "active",
                "birthDate",
                "identifier",
                "contact",
                "meta",
                "extension",
                "generalPractitioner",
                "deceasedDateTime",
                "value",
                "code",
                "subject",
            ]
        )
        | st.text(max_size=10),
        JSON_VALUES,
        max_size=6,
    ),
    st.sampled_from(resource_types()),
)
@settings(max_examples=300)
def test_any_object_is_judged(made: dict[str, Any], kind: str) -> None:
    resource = {**made, "resourceType": kind}
    if not faults_of(resource):
        extract(kind, resource)


BODY = (
    b'{"resourceType":"Patient","id":"p","active":true,"name":[{"given":["a","b"],"family":"c"}],"x":[1.10,{"y":[]}]}'
)
POINTERS = st.sampled_from(
    [
        "",
        "/",
        "/name",
        "/name/0",
        "/name/0/given/1",
        "/name/0/given/-",
        "/x/1/y",
        "/x/0",
        "/id",
        "/~",
        "/name/00",
        "/name/-1",
        "/name/9999999999",
        "/active/z",
    ]
) | st.text(max_size=8)
OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]) | JSON_VALUES,
            "path": POINTERS | JSON_VALUES,
            "from": POINTERS | JSON_VALUES,
            "value": JSON_VALUES,
        },
    )
    | JSON_VALUES,
    max_size=6,
)
PARTS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["type", "path", "name", "value", "index", "source", "destination"])},
        optional={
            "valueString": JSON_VALUES,
            "valueInteger": JSON_VALUES,
            "part": JSON_VALUES,
            "valueCode": st.sampled_from(["add", "insert", "delete", "replace", "move"]),
        },
    )
    | JSON_VALUES,
    max_size=7,
)
PATHS = st.sampled_from(
    [
        "Patient",
        "Patient.name",
        "Patient.name[0]",
        "Patient.name.given",
        "Patient.name[0].given[1]",
        "Patient.x[1].y",
        "Patient.name.where(family='c')",
        "Patient.active",
        "name",
        "Patient.id",
        "Patient.name.where(family = 'c' and given.exists()).given.first()",
        "Patient.name.where((family != 'c') or given = 1)",
        "Patient.extension('x').value",
        "(Patient.deceased as boolean)",
        "Patient.deceased.ofType(dateTime)",
        "Patient.birthDate.extension",
        "Patient.name.last().family.extension[0].value",
    ]
) | st.text(st.sampled_from("Patient.name[0]()'=and \\`$this where"), max_size=30)


@st.composite
def _fhirpath(draw: st.DrawFn) -> dict[str, Any]:
    known = [
        {"name": "type", "valueCode": draw(st.sampled_from(["add", "insert", "delete", "replace", "move"]))},
        {"name": "path", "valueString": draw(PATHS)},
        {"name": "name", "valueString": draw(st.sampled_from(["given", "name", "birthDate", "z"]))},
        {"name": "value", "valueString": draw(JSON_VALUES)},
        *({"name": n, "valueInteger": draw(st.integers(-1, 3))} for n in ("index", "source", "destination")),
    ]
    parts = draw(st.just(known) | PARTS | JSON_VALUES)
    operations = [{"name": "operation", "part": parts}]
    return {"resourceType": "Parameters", "parameter": draw(st.just(operations) | JSON_VALUES)}


@given(OPERATIONS | _fhirpath() | JSON_VALUES, st.sampled_from(list(PatchKind)))
@settings(max_examples=500)
def test_any_patch_fits_or_is_refused(patch: Any, kind: PatchKind) -> None:
    try:
        changed = apply_patch(BODY, json.dumps(patch).encode(), kind)
    except (BadRequest, Unprocessable, Conflict):
        return
    parse_exact(changed)


def test_a_patch_leaves_other_numbers_as_written_and_cannot_grow_without_end() -> None:
    body = b'{"resourceType":"Basic","id":"b","a":1.10,"b":1E2,"c":12345678901234567890.10}'
    assert apply_patch(body, b'[{"op":"add","path":"/d","value":2.50}]', PatchKind.JSON) == body[:-1] + b',"d":2.50}'
    doubling = [{"op": "copy", "from": "/x", "path": "/x/-"}] * 40
    with pytest.raises(FhirError):
        apply_patch(b'{"x":[1]}', json.dumps(doubling).encode(), PatchKind.JSON)


@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES + RESULTS) | st.text(max_size=10), st.sampled_from(MODIFIERS), VALUES),
        max_size=4,
    ),
    st.sampled_from([None, "Patient", "Observation", "Appointment"]),
)
@settings(max_examples=400)
def test_any_query_is_parsed_or_refused(pairs: list[tuple[str, str, str]], kind: str | None) -> None:
    with contextlib.suppress(BadRequest):
        parse(kind, [(name + modifier, value) for name, modifier, value in pairs])


@pytest.mark.slow
def test_any_request_is_answered(postgres: EmbeddedPostgres) -> None:
    """Random methods, paths, queries and bodies against the whole face and a real database."""

    from varde.db import Database

    loop = asyncio.new_event_loop()

    async def prepare() -> tuple[httpx.AsyncClient, Database]:
        from datetime import UTC, datetime

        database = Database(await make_database(postgres), connections=2)
        store = Store(database, SetClock(datetime(2026, 11, 24, 9, 0, tzinfo=UTC)))

        async def authenticate(headers: Mapping[str, str], method: str, path: str) -> Gate:
            return OpenGate()

        application = FhirApplication(
            store, authenticate, "http://test/fhir", dict, dict, origins=["http://a"],
            proxied=Proxied("http://test/fhir"),
        )  # fmt: skip
        return httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://test"), database  # type: ignore[arg-type]

    client, database = loop.run_until_complete(prepare())
    segments = st.sampled_from(
        [
            "Patient",
            "Observation",
            "Appointment",
            "p",
            "_history",
            "1",
            "$validate",
            "_search",
            "$meta",
            "$meta-add",
            "$meta-delete",
            "Encounter",
            "metadata",
            "*",
            "Nothing",
            ".",
            "",
            "a" * 65,
            "\x00",
            "å",
            "%",
        ]
    )
    queries = st.lists(st.tuples(st.sampled_from(NAMES + RESULTS), st.sampled_from(MODIFIERS), VALUES), max_size=3)
    bodies = st.one_of(
        JSON_VALUES,
        st.binary(max_size=30),
        st.builds(
            lambda made, kind: {**made, "resourceType": kind},
            st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=3),
            st.sampled_from(["Patient", "Parameters", "Bundle"]),
        ),
        st.builds(
            lambda entries, kind: {"resourceType": "Bundle", "type": kind, "entry": entries},
            st.lists(
                st.builds(
                    lambda method, url, resource, more: {
                        "request": {"method": method, "url": url, **more},
                        "resource": resource,
                    },
                    st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH", "HEAD"]),
                    st.sampled_from(
                        [
                            "Patient",
                            "Patient/p",
                            "Patient?identifier=x",
                            "Patient?_id=",
                            "",
                            "/",
                            "Patient/p/_history",
                            "Observation?code=x&_sort=-date",
                            "$x",
                            "Patient/$validate",
                            "?_type=Patient",
                            "Patient/p/$meta-add",
                            "Patient/_search?name=x",
                            "Encounter/e/Observation",
                            "Patient/p/*?_elements=x",
                            "http://test/fhir/Patient/p",
                            "Patient?identifier=urn:uuid:1",
                            "%ff",
                            "Patient/%00",
                            "_history?_since=2020&_list=x",
                        ]
                    ),
                    st.just({"resourceType": "Patient", "id": "p"})
                    | st.just({"resourceType": "Patient"})
                    | st.builds(
                        lambda reference: {
                            "resourceType": "Basic",
                            "code": {"text": "x"},
                            "subject": {"reference": reference},
                            "text": {"status": "generated", "div": '<div href="urn:uuid:1">x</div>'},
                        },
                        st.sampled_from(["urn:uuid:1", "Patient?identifier=x", "Patient?", "urn:uuid:1#x"]) | VALUES,
                    )
                    | JSON_VALUES
                    | st.just({"resourceType": "Binary", "contentType": "application/json-patch+json", "data": "W10="}),
                    st.fixed_dictionaries(
                        {},
                        optional={
                            "ifMatch": st.just('W/"1"') | st.text(max_size=4),
                            "ifNoneMatch": st.sampled_from(["*", 'W/"1"', "x"]),
                            "ifNoneExist": st.sampled_from(["identifier=x", "", "_id=p", "z"]),
                        },
                    ),
                )
                | JSON_VALUES,
                max_size=4,
            ),
            st.sampled_from(["batch", "transaction", "x"]),
        ),
    )
    kinds = st.sampled_from(
        [
            "application/fhir+json",
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/x-www-form-urlencoded",
            "text/plain",
        ]
    )
    extra = st.dictionaries(
        st.sampled_from(["if-match", "if-none-match", "if-none-exist", "if-modified-since", "prefer", "accept",
                         "content-type", "origin", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix"]),
        st.sampled_from(['W/"1"', "*", "identifier=x", "Mon, 01 Jan 0001 00:00:00 GMT", "return=minimal", "x", "",
                         "application/fhir+json;q=x", ";;,=", '"', "W/", 'W/"99999999999999999999"', "http://a:b:c",
                         "return=representation; handling=lenient", "application/json; charset=x; fhirVersion=4.0"])
        | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12),
        max_size=3,
    )  # fmt: skip
    fixed = ["_format", "_pretty", "_since", "_at", "mode", "_summary", "_elements", "_list", "_count", "_page"]
    queries |= st.lists(st.tuples(st.sampled_from(fixed), st.just(""), VALUES), max_size=3)

    @given(
        st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "BREW", "OPTIONS"]),
        st.lists(segments, max_size=4),
        queries,
        bodies,
        kinds,
        extra,
    )
    @settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
    def ask(method: str, path: list[str], query: Any, body: Any, kind: str, headers: dict[str, str]) -> None:
        url = "/" + "/".join(quote(part, safe="$*") for part in path)
        asked = "&".join(f"{quote(n + m, safe=':')}={quote(v, safe='')}" for n, m, v in query)
        content = b"" if method in {"GET", "HEAD", "DELETE"} else body
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        answer = loop.run_until_complete(
            client.request(
                method, f"{url}?{asked}", content=content, headers=[("content-type", kind), *headers.items()]
            )
        )
        assert answer.status_code < 500, (method, url, asked, body, answer.text)
        if answer.status_code >= 400 and method != "HEAD":
            assert answer.json()["resourceType"] == "OperationOutcome"

    try:
        ask()
    finally:
        loop.run_until_complete(client.aclose())
        loop.run_until_complete(database.close())
        loop.close()
