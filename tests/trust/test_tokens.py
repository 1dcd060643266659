"""Bearer tokens: what is refused, what scopes grant, and how long an answer about a person may be reused."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey

from tests.trust.region import CHILD, DOCTOR, KARI, WARD, World, keys_folder, letter, observation
from varde.clock import SetClock
from varde.fhir.gate import Interaction
from varde.fhir.http.rest import Unauthorized
from varde.settings import Settings
from varde.trust.identity.keys import load_key
from varde.trust.smart.grant import parse_scopes
from varde.trust.tokens import AUDIENCE, ISSUER, Authenticator, DemoTokens, demo_tokens


def forged(world: World, folder: Path, *, header: dict[str, Any] | None = None, key: Any = None, **claims: Any) -> str:
    """A token of the demo's own key but for what is given."""
    now = int(world.clock.now().timestamp())
    own = load_key(folder / "demo-token-key.json")
    full = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 60, "kind": "person", "pid": KARI} | claims
    used = key or own
    return jwt.encode({"alg": "ES256", "typ": "at+jwt"} | (header or {}), full, used)


def _signed_with_secret(token: str, secret: bytes) -> str:
    """The token's claims under HS256, by hand since the library refuses to sign so."""
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"at+jwt"}').decode().rstrip("=")
    signed = f"{head}.{token.split('.')[1]}"
    digest = hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


async def status(world: World, token: str | None, path: str = "/Patient") -> int:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return (await world.client.get(path, headers=headers)).status_code


async def test_a_good_token_lets_in_and_every_other_does_not(world: World, tmp_path: Path) -> None:
    folder, now = keys_folder(tmp_path), int(world.clock.now().timestamp())
    assert await status(world, forged(world, folder)) == 200
    other = ECKey.generate_key("P-256")
    public = load_key(folder / "demo-token-key.json").as_pem(private=False)
    wrong = {
        "expired": forged(world, folder, exp=now),
        "expired long ago": forged(world, folder, exp=now - 3600),
        "exp as text": forged(world, folder, exp=str(now + 60)),
        "audience": forged(world, folder, aud="varde-other"),
        "audiences": forged(world, folder, aud=[AUDIENCE, "another"]),
        "issuer": forged(world, folder, iss="urn:varde:other"),
        "id_token": forged(world, folder, header={"typ": "JWT"}),
        "another key": forged(world, folder, key=other),
        "public key as a secret": _signed_with_secret(forged(world, folder), public),
        "kind": forged(world, folder, kind="root"),
        "unknown person": forged(world, folder, pid="01010100000"),
        "no number": forged(world, folder, pid="kari"),
        "several numbers": forged(world, folder, pid=f"{KARI},{CHILD}"),
        "not allowed for": forged(world, folder, **{"for": "17058000000"}),
        "staff elsewhere": forged(world, folder, kind="staff", hpr=DOCTOR, unit="ward-b"),
        "staff by list": forged(world, folder, kind="staff", hpr=f"{DOCTOR},8100003"),
        "emergency without reason": forged(world, folder, kind="staff", hpr=DOCTOR, purpose="BTG"),
        "purpose of no kind": forged(world, folder, kind="staff", hpr=DOCTOR, purpose=KARI),
        "garbage": "x.y.z",
        "empty": "",
    }
    for what, token in wrong.items():
        assert await status(world, token) == 401, what
    good = forged(world, folder)
    head, body, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    for name, value in (("pid", CHILD), ("kind", "system")):
        changed = base64.urlsafe_b64encode(json.dumps({**claims, name: value}).encode()).decode().rstrip("=")
        assert await status(world, f"{head}.{changed}.{signature}") == 401
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').decode().rstrip("=")
    assert await status(world, f"{none}.{body}.") == 401
    assert await status(world, f"{none}.{body}.{signature}") == 401
    assert await status(world, None) == 401
    basic = await world.client.get("/Patient", headers={"authorization": f"Basic {good}"})
    assert basic.status_code == 401


async def test_outside_demo_mode_no_token_is_made_or_taken(world: World, tmp_path: Path) -> None:
    production = Settings(mode="production", data=tmp_path / "production")
    assert demo_tokens(production, world.clock) is None
    assert not (tmp_path / "production").exists()
    assert demo_tokens(Settings(mode="demo", data=tmp_path / "demo"), world.clock) is not None
    closed = Authenticator(world.access, demo_tokens(production, world.clock))
    with pytest.raises(Unauthorized):
        await closed(world.bearer(pid=KARI), "GET", "/fhir/Patient")


def test_the_demos_key_is_readable_by_its_owner_only(tmp_path: Path, clock: SetClock) -> None:
    DemoTokens(tmp_path, clock)
    assert (tmp_path / "demo-token-key.json").stat().st_mode & 0o777 == 0o600


async def test_a_token_ends_to_the_second_though_it_was_just_used(world: World, tmp_path: Path) -> None:
    token = forged(world, keys_folder(tmp_path), exp=int(world.clock.now().timestamp()) + 30)
    world.clock.advance(timedelta(seconds=29))
    assert await status(world, token) == 200
    world.clock.advance(timedelta(seconds=1))
    assert await status(world, token) == 401


async def test_a_restriction_takes_hold_within_a_minute_of_an_open_token(world: World) -> None:
    """FAM-15, FAM-07: what the register says now; the answer about a person is a minute old at most."""
    parent = world.bearer(pid=KARI, for_=CHILD)
    staff = world.bearer(hpr=DOCTOR)
    for headers in (parent, staff):
        assert (await world.client.get("/Observation", headers=headers)).status_code == 200
    world.register.parents.clear()
    await world.store.delete(world.access.for_system("test"), "PractitionerRole", f"r{DOCTOR}-{WARD}")
    world.clock.advance(timedelta(seconds=60))
    for headers in (parent, staff):
        assert (await world.client.get("/Observation", headers=headers)).status_code == 401


async def test_what_the_scopes_of_a_system_say_is_what_it_may_do(world: World) -> None:
    """SMART 1 and 2: each right by itself, each type by itself, and none of another level."""
    tried: dict[str, set[str]] = {}
    scopes = [
        "system/Observation.r", "system/Observation.s", "system/Observation.c", "system/Observation.u",
        "system/Observation.d", "system/Observation.rs", "system/Observation.read", "system/Observation.write",
        "system/Observation.*", "system/*.cruds", "system/Communication.cruds", "patient/*.cruds", "user/*.*",
        "system/Observation.rs?category=laboratory", "openid fhirUser", "", "system/Observation.sr", "system/Foo.*",
    ]  # fmt: skip
    for number, scope in enumerate(scopes):
        headers = world.bearer(system="lab", scope=scope)
        made = f"made-{number}"
        await world.write(observation(made, "kari"))
        patch = {**headers, "content-type": "application/json-patch+json"}
        entry = {"request": {"method": "POST", "url": "Observation"}, "resource": observation("x", "kari")}
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        requests = {
            "read": world.client.get(f"/Observation/{made}", headers=headers),
            "vread": world.client.get(f"/Observation/{made}/_history/1", headers=headers),
            "search": world.client.get("/Observation?_count=1", headers=headers),
            "create": world.client.post("/Observation", json=observation("x", "kari"), headers=headers),
            "post in a transaction": world.client.post("/", json=bundle, headers=headers),
            "update": world.client.put(
                f"/Observation/{made}", json=observation(made, "kari", status="amended"), headers=headers
            ),
            "delete": world.client.delete(f"/Observation/{made}", headers=headers),
        }
        tried[scope] = {name for name, request in requests.items() if (await request).status_code < 300}
        await world.write(observation(made, "kari"))
        patched = await world.client.patch(
            f"/Observation/{made}", json=[{"op": "replace", "path": "/status", "value": "amended"}], headers=patch
        )
        if patched.status_code < 300:
            tried[scope].add("patch")
    every = {"read", "vread", "search", "create", "post in a transaction", "update", "delete", "patch"}
    nothing = [s for s in scopes if not s.startswith("system") or ".sr" in s or "Communi" in s or "Foo" in s]
    assert all(tried[scope] == set() for scope in nothing), {s: tried[s] for s in nothing}
    assert tried["system/Observation.rs?category=laboratory"] == {"search"}  # which finds nothing: none is of it
    assert tried["system/Observation.r"] == {"read", "vread"}
    assert tried["system/Observation.s"] == {"search"}
    assert tried["system/Observation.c"] == {"create", "post in a transaction"}
    assert tried["system/Observation.u"] == {"update"}  # to patch is to read first
    assert tried["system/Observation.d"] == {"delete"}
    assert tried["system/Observation.rs"] == tried["system/Observation.read"] == {"read", "vread", "search"}
    assert tried["system/Observation.write"] == {"create", "post in a transaction", "update", "delete"}
    assert tried["system/Observation.*"] == tried["system/*.cruds"] == every


async def test_a_system_reaches_no_type_by_a_detour(world: World) -> None:
    await world.write(letter("about", "kari", about=[{"reference": "Observation/result-kari"}]))
    lab = world.bearer(system="lab", scope="system/Observation.cruds")
    for path in (
        "/Observation?_include=*", "/Observation?_revinclude=*", "/Observation?_include=Observation:subject",
        "/?_id=kari", "/?_type=Patient", "/_history?_count=200", "/Observation?_id=result-kari&_revinclude:iterate=*",
    ):  # fmt: skip
        answer = await world.client.get(path, headers=lab)
        types = {e["resource"]["resourceType"] for e in answer.json().get("entry", []) if "resource" in e}
        assert answer.status_code == 200 and types <= {"Observation"}, path
    for path in (
        "/Observation?subject:Patient.birthdate=1980-05-17",
        "/Observation?_has:Communication:about:status=completed",
    ):
        answer = await world.client.get(path, headers=lab)
        assert answer.status_code in {200, 400} and not answer.json().get("entry"), path
    entries = [
        {"request": {"method": "PUT", "url": "Observation/in-bundle"}, "resource": observation("in-bundle", "kari")},
        {"request": {"method": "PUT", "url": "Patient/new"}, "resource": {"resourceType": "Patient", "id": "new"}},
    ]
    for kind, expected in (("transaction", 403), ("batch", 200)):
        answer = await world.client.post(
            "/", json={"resourceType": "Bundle", "type": kind, "entry": entries}, headers=lab
        )
        assert answer.status_code == expected
    gone = await world.store.search(world.access.for_system("test"), "Patient", "_id=new&_summary=count")
    assert gone.total == 0
    conditional = observation("by-condition", "x") | {"subject": {"reference": "Patient?birthdate=1980-05-17"}}
    entry = {"request": {"method": "POST", "url": "Observation"}, "resource": conditional}
    answer = await world.client.post(
        "/", json={"resourceType": "Bundle", "type": "transaction", "entry": [entry]}, headers=lab
    )
    assert answer.status_code == 403


@given(st.text(max_size=60))
def test_any_text_of_scopes_is_judged_without_failing(text: str) -> None:
    grant = parse_scopes(text)
    assert isinstance(grant.allows(Interaction.READ, "Patient"), bool)


async def test_the_same_token_is_not_judged_anew_each_time(world: World) -> None:
    """A minute's reuse is what the hot path lives on: no query but the read's own and the log's."""
    headers = world.bearer(pid=KARI)
    await world.client.get("/Observation/result-kari", headers=headers)
    before = len(await world.rows())
    await world.client.get("/Observation/result-kari", headers=headers)
    assert len(await world.rows()) == before + 1
