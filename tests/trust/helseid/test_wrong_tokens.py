"""Every kind of wrong token and wrong proof, as a table, through the real API over two real processes: none opens
anything, and each is refused by the words that RFC 6750 and RFC 9449 have for it (IDENTITY.md 1.4)."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey, RSAKey

from tests.trust.helseid.conftest import BASE, FOREIGN_DOCTOR, Site
from tests.trust.helseid.forge import (
    ASSURANCE,
    AUDIENCE,
    BUSINESS,
    CHILD,
    CLIENT,
    CLIENT_NAME,
    DIRECTORY,
    ENH,
    HPR,
    JOURNAL,
    LABORATORY,
    OTHER_TRUST,
    OTHER_WARD_RESH,
    PARENT,
    PID,
    SECURITY,
    STRANGERS,
    Forge,
    attestation,
    b64,
    public,
    tampered,
)
from tests.trust.region import DOCTOR, SECRETARY, TWO_WARDS, observation

PATH = "/fhir/Observation/result-kari"
TOKEN, PROOF, SCOPE = "invalid_token", "invalid_dpop_proof", "insufficient_scope"
Headers = list[tuple[str, str]] | dict[str, str]
_RELATION = "care_relationship"
_PURPOSE = f"{_RELATION}.purpose_of_use"


@dataclass(frozen=True)
class Kind:
    """One way to be wrong."""

    name: str
    make: Callable[[Forge], Headers]
    error: str = TOKEN
    status: int = 401


def token(name: str, error: str = TOKEN, **changes: Any) -> Kind:
    """A health worker's token but for some claims, with a right proof."""
    return Kind(name, lambda forge: forge.headers(forge.token(**changes), PATH), error, 403 if error == SCOPE else 401)


def attested(name: str, **changes: Any) -> Kind:
    """One whose attestation differs."""
    return token(f"attestation: {name}", authorization_details=[attestation(**changes)])


def signed(name: str, make: Callable[[Forge], str]) -> Kind:
    """A token made otherwise, with a right proof."""
    return Kind(name, lambda forge: forge.headers(make(forge), PATH))


def proof(name: str, error: str = PROOF, **changes: Any) -> Kind:
    """A right token whose proof differs."""
    return Kind(f"proof: {name}", lambda forge: forge.headers(forge.token(), PATH, **changes), error)


def sent(name: str, make: Callable[[str, str], Headers], error: str) -> Kind:
    """A right token and proof, sent wrongly."""

    def made(forge: Forge) -> Headers:
        good = forge.token()
        return make(good, forge.proof(good, PATH))

    return Kind(f"sent: {name}", made, error)


_ATTACKER = RSAKey.generate_key(2048)
_ANOTHER = ECKey.generate_key("P-256")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that it is small is the point
    _SMALL = RSAKey.generate_key(1024)


def _now(forge: Forge, seconds: float) -> int:
    return int(forge.now() + seconds)


TOKENS = [
    signed("signed by another's key", lambda f: f.sign(f.claims(), key=_ATTACKER)),
    signed("an unknown kid", lambda f: f.sign(f.claims(), key=_ATTACKER, kid="another")),
    signed("no kid", lambda f: f.sign(f.claims(), kid=None, key=f.keys["rsa"])),
    signed("another key's kid", lambda f: f.sign(f.claims(), kid="ec", key=f.keys["rsa"], alg="PS256")),
    signed("alg none", lambda f: f.sign(f.claims(), alg="none")),
    signed("alg none with its signature", lambda f: _with_none(f)),
    signed("the public key as a secret", lambda f: f.sign(f.claims(), alg="HS256")),
    signed("no alg", lambda f: _without_alg(f)),
    signed("the key in its own header", lambda f: f.sign(f.claims(), key=_ATTACKER, jwk=public(_ATTACKER))),
    signed("a key in its own header alone",
           lambda f: f.sign(f.claims(), key=_ATTACKER, kid=None, jwk=public(_ATTACKER))),
    signed("jku elsewhere", lambda f: f.sign(f.claims(), key=_ATTACKER, kid="x", jku="https://evil.test/keys")),
    signed("x5u elsewhere", lambda f: f.sign(f.claims(), key=_ATTACKER, x5u="https://evil.test/chain")),
    signed("a critical extension", lambda f: f.sign(f.claims(), crit=["b64"], b64=True)),
    signed("tampered claims", lambda f: tampered(f.token(), **{HPR: SECRETARY})),
    signed("no signature", lambda f: f"{f.token().rpartition('.')[0]}."),
    signed("a cut signature", lambda f: f.token()[:-8]),
    signed("no JWT", lambda _: "opaque"),
    signed("empty parts", lambda _: ".."),
    signed("claims that are no object", lambda f: f"{b64({'alg': 'PS256'})}.{b64(b'[]')}.x"),
    signed("an id_token by its type", lambda f: f.sign(f.claims(), typ="id+jwt")),
    signed("no type", lambda f: f.sign(f.claims(), typ=None)),
    signed("an id_token by its claims", lambda f: f.sign(f.claims(nonce="n", at_hash="h"), typ="JWT")),
    signed("a logout token", lambda f: f.sign(f.claims(), typ="logout+jwt")),
    Kind("expired", lambda f: f.headers(f.token(exp=_now(f, -6)), PATH)),
    Kind("expired long ago", lambda f: f.headers(f.token(iat=_now(f, -9000), exp=_now(f, -5400)), PATH)),
    Kind("good for ever", lambda f: f.headers(f.token(exp=_now(f, 10**7)), PATH)),
    Kind("exp as text", lambda f: f.headers(f.token(exp=str(_now(f, 600))), PATH)),
    Kind("nbf ahead", lambda f: f.headers(f.token(nbf=_now(f, 60)), PATH)),
    Kind("iat ahead", lambda f: f.headers(f.token(iat=_now(f, 60)), PATH)),
    token("no exp", exp=None),
    token("exp true", exp=True),
    token("another issuer", iss="https://helseid-sts.evil.test"),
    token("no issuer", iss=None),
    Kind("the issuer with a slash", lambda f: f.headers(f.token(iss=f"{f.issuer}/"), PATH)),
    token("another audience", aud="nhn:another"),
    token("an audience like ours", aud=f"{AUDIENCE}/journal"),
    token("several audiences", aud=[AUDIENCE, "nhn:another"]),
    token("our audience twice", aud=[AUDIENCE, AUDIENCE]),
    token("no audience", aud=None),
    token("no scope", SCOPE, scope=None),
    token("a scope like ours", SCOPE, scope=[f"{JOURNAL}-more", "openid"]),
    token("our scope in other letters", SCOPE, scope=JOURNAL.upper()),
    token("our scope in another word", SCOPE, scope=f"x{JOURNAL}"),
    token("SMART's own words", SCOPE, scope="user/*.cruds system/*.cruds"),
    token("a system's scope for a person", SCOPE, scope=[LABORATORY]),
    Kind("a person's scope for a system", lambda f: f.headers(f.sign(f.system(scope=JOURNAL)), PATH), SCOPE, 403),
    token("no cnf", cnf=None),
    token("cnf without jkt", cnf={"x5t#S256": "x"}),
    token("cnf that is no object", cnf="x"),
    token("no client", client_id=None),
    token("a person without HPR number", **{HPR: None}),
    token("a person by pid alone", **{HPR: None, "sub": None, PID: "17058012345"}),
    token("an HPR number that is none", **{HPR: "81000x1"}),
    token("an HPR number as a number", **{HPR: 8100001}),
    token("an HPR number of nobody here", **{HPR: "7999999"}),
    token("level substantial", **{ASSURANCE: "substantial"}),
    token("level low", **{ASSURANCE: "low", SECURITY: None}),
    token("old level 3", **{ASSURANCE: None, SECURITY: "3"}),
    token("the lower of two levels", **{ASSURANCE: "high", SECURITY: "3"}),
    token("no level", **{ASSURANCE: None, SECURITY: None}),
    token("no organisation", **{PARENT: None}),
    token("an organisation that is none", **{PARENT: "98397492"}),
    token("an organisation without agreement", **{PARENT: STRANGERS}),
    Kind("another business than agreed", lambda f: f.headers(f.sign(f.system(**{CHILD: "974706999"})), PATH)),
    Kind("the whole entity where a business agreed", lambda f: f.headers(f.sign(f.system(**{CHILD: None})), PATH)),
    token("a worker of another trust", **{HPR: FOREIGN_DOCTOR}),
    token("no attestation", authorization_details=None),
    token("details that are no list", authorization_details=attestation()),
    token("two attestations", authorization_details=[attestation(), attestation()]),
    attested("the specification's name", care_relation={"purpose_of_use": {"code": "TREAT"}}),
    attested("no care relationship", care_relationship=None),
    attested("no practitioner", practitioner=None),
    attested("no purpose", **{_PURPOSE: None}),
    attested("another purpose", **{f"{_PURPOSE}.code": "HRESCH"}),
    attested("a purpose of another code system", **{f"{_PURPOSE}.system": "urn:oid:1.2.3"}),
    attested("BTG without an emergency access that stands open (FAM-34)", **{f"{_PURPOSE}.code": "BTG"}),
    attested("no decision", **{f"{_RELATION}.decision_ref": None}),
    attested("a decision without id", **{f"{_RELATION}.decision_ref.id": ""}),
    attested("user_selected as text", **{f"{_RELATION}.decision_ref.user_selected": "yes"}),
    attested("another legal entity", **{"practitioner.legal_entity.id": OTHER_TRUST}),
    attested("no legal entity", **{"practitioner.legal_entity": None}),
    attested("a department where one does not work", **{"practitioner.department.id": OTHER_WARD_RESH}),
    attested("a department of nobody's", **{"practitioner.department.id": "424242"}),
    attested("a department with a comma", **{"practitioner.department.id": f"424242,{OTHER_WARD_RESH}"}),
    token("two places of work and none named", **{
        HPR: TWO_WARDS, "authorization_details": [attestation(**{"practitioner.department": None})]}),
]  # fmt: skip

PROOFS = [
    sent("no proof", lambda t, _: {"authorization": f"DPoP {t}"}, PROOF),
    sent("an empty proof", lambda t, _: {"authorization": f"DPoP {t}", "dpop": ""}, PROOF),
    sent("no JWT as proof", lambda t, _: {"authorization": f"DPoP {t}", "dpop": "x"}, PROOF),
    sent("the token as proof", lambda t, _: {"authorization": f"DPoP {t}", "dpop": t}, PROOF),
    sent("two proofs", lambda t, p: [("authorization", f"DPoP {t}"), ("dpop", p), ("dpop", p)], PROOF),
    sent("two proofs in one header", lambda t, p: {"authorization": f"DPoP {t}", "dpop": f"{p}, {p}"}, PROOF),
    sent("two tokens", lambda t, p: [("authorization", f"DPoP {t}"), ("authorization", f"DPoP {t}"), ("dpop", p)],
         TOKEN),
    sent("two tokens in one header", lambda t, p: {"authorization": f"DPoP {t}, DPoP {t}", "dpop": p}, TOKEN),
    sent("a bound token as Bearer", lambda t, p: {"authorization": f"Bearer {t}", "dpop": p}, TOKEN),
    sent("a bound token as Bearer without proof", lambda t, _: {"authorization": f"Bearer {t}"}, TOKEN),
    sent("another scheme", lambda t, p: {"authorization": f"Basic {t}", "dpop": p}, ""),
    sent("no scheme", lambda t, p: {"authorization": t, "dpop": p}, ""),
    sent("no token", lambda _, p: {"dpop": p}, ""),
    proof("by another key than the token's", TOKEN, key=_ANOTHER),
    proof("another key in its header", PROOF, header={"jwk": public(_ANOTHER)}),
    proof("no key", header={"jwk": None}),
    proof("kid in place of a key", header={"jwk": None, "kid": "rsa"}),
    proof("a private key", header={"jwk": _ANOTHER.as_dict(private=True)}, key=_ANOTHER),
    proof("a small key", key=_SMALL),
    proof("typ", header={"typ": "JWT"}),
    proof("no typ", header={"typ": None}),
    proof("alg none", header={"alg": "none"}),
    proof("a shared secret", header={"alg": "HS256"}),
    proof("a critical extension", header={"crit": ["b64"], "b64": True}),
    proof("another method", htm="POST"),
    proof("the method in small letters", htm="get"),
    proof("no method", htm=None),
    proof("another path", htu=f"{BASE}/fhir/Observation/result-ola"),
    proof("a path with a slash at its end", htu=f"{BASE}{PATH}/"),
    proof("another host", htu=f"https://evil.test{PATH}"),
    proof("another scheme", htu=f"http://varde.test{PATH}"),
    proof("another port", htu=f"https://varde.test:8443{PATH}"),
    proof("a user in the address", htu=f"https://varde.test@evil.test{PATH}"),
    proof("a path alone", htu=PATH),
    proof("no address", htu=None),
    proof("another token's hash", ath=b64(b"x" * 32)),
    proof("no hash", ath=None),
    proof("no letters in the hash", ath="æøå"),
    Kind("proof: the process's own address",
         lambda f: f.headers(f.token(), PATH, htu=f"http://127.0.0.1{PATH}"), PROOF),
    Kind("proof: too old", lambda f: f.headers(f.token(), PATH, iat=_now(f, -62)), PROOF),
    Kind("proof: ahead", lambda f: f.headers(f.token(), PATH, iat=_now(f, 8)), PROOF),
    Kind("proof: iat as text", lambda f: f.headers(f.token(), PATH, iat=str(_now(f, 0))), PROOF),
    proof("no iat", iat=None),
    proof("iat beyond all", iat=10**30),
    proof("no jti", jti=None),
    proof("an empty jti", jti=""),
    proof("a jti as a number", jti=7),
    proof("an endless jti", jti="x" * 300),
]  # fmt: skip


def _with_none(forge: Forge) -> str:
    body, signature = forge.token().split(".")[1:]
    return f"{b64({'alg': 'none', 'typ': 'at+jwt', 'kid': 'rsa'})}.{body}.{signature}"


def _without_alg(forge: Forge) -> str:
    body, signature = forge.token().split(".")[1:]
    return f"{b64({'typ': 'at+jwt', 'kid': 'rsa'})}.{body}.{signature}"


@pytest.mark.parametrize("kinds", [TOKENS, PROOFS], ids=["tokens", "proofs"])
def test_no_wrong_token_or_proof_opens_anything(site: Site, kinds: list[Kind]) -> None:
    assert len(kinds) >= 40 and len({kind.name for kind in kinds}) == len(kinds)
    site.forge.headers(site.forge.token(), PATH)
    wrong: dict[str, Any] = {}
    for number, kind in enumerate(kinds):
        answer = site.ask(PATH, kind.make(site.forge), process=number % 2)
        if not _refused(answer, kind):
            wrong[kind.name] = (answer.status_code, answer.headers.get("www-authenticate"), answer.text[:300])
        assert "Hemoglobin" not in answer.text, kind.name
    assert not wrong, wrong
    assert "Traceback" not in site.log.read_text()


def _refused(answer: httpx.Response, kind: Kind) -> bool:
    challenge = answer.headers.get("www-authenticate", "")
    if answer.status_code != kind.status or answer.json()["resourceType"] != "OperationOutcome":
        return False
    if not kind.error:
        return challenge.startswith('Bearer realm="fhir", DPoP realm="fhir", algs="ES256')
    scheme = "Bearer" if kind.name.startswith("sent: a bound token as Bearer") else "DPoP"
    return challenge.startswith(f'{scheme} realm="fhir", error="{kind.error}"') and (
        scheme == "Bearer" or 'algs="ES256 ' in challenge
    )


def good(forge: Forge) -> dict[str, dict[str, str]]:
    """Everything that is right, in each way that it may be."""
    ec, rsa = ECKey.generate_key("P-384"), RSAKey.generate_key(2048)
    plain = forge.token()
    return {
        "a health worker": forge.headers(plain, PATH),
        "the same token again": forge.headers(plain, PATH),
        "typ JWT": forge.headers(forge.sign(forge.claims(), typ="JWT"), PATH),
        "RS256": forge.headers(forge.sign(forge.claims(), alg="RS256"), PATH),
        "ES256": forge.headers(forge.sign(forge.claims(), kid="ec"), PATH),
        "the scope as a text": forge.headers(forge.token(scope=f"openid {JOURNAL}"), PATH),
        "a list of our audience": forge.headers(forge.token(aud=[AUDIENCE]), PATH),
        "only the old level": forge.headers(forge.token(**{ASSURANCE: None}), PATH),
        "ETREAT": forge.headers(forge.token(
            authorization_details=[attestation(**{f"{_PURPOSE}.code": "ETREAT"})]), PATH),
        "COC": forge.headers(forge.token(authorization_details=[attestation(**{f"{_PURPOSE}.code": "COC"})]), PATH),
        "an unknown parameter of the header": forge.headers(forge.sign(forge.claims(), x5t="abc", own=1), PATH),
        "other details beside": forge.headers(
            forge.token(authorization_details=[{"type": "helseid_authorization"}, attestation()]), PATH),
        "the trust as department": forge.headers(forge.token(authorization_details=[attestation(
            **{"practitioner.department": {"id": "983974929", "system": ENH}})]), PATH),
        "a proof of P-384": forge.headers(
            forge.token(cnf={"jkt": ec.thumbprint()}), PATH, key=ec, header={"alg": "ES384"}),
        "a proof of RSA": forge.headers(forge.token(cnf={"jkt": rsa.thumbprint()}), PATH, key=rsa),
        "an address with a query": forge.headers(forge.token(), PATH, htu=f"{BASE}{PATH}?_format=json#x"),
        "an address in other letters": forge.headers(forge.token(), PATH, htu=f"HTTPS://VARDE.test:443{PATH}"),
        "an address with codes": forge.headers(forge.token(), PATH, htu=f"{BASE}{PATH.replace('-', '%2D')}"),
        "a proof some seconds old": forge.headers(forge.token(), PATH, iat=forge.now() - 50),
        "a proof some seconds ahead": forge.headers(forge.token(), PATH, iat=forge.now() + 3),
        "a system": forge.headers(forge.sign(forge.system()), PATH),
        "a system whose sub is itself": forge.headers(forge.sign(forge.system(sub=CLIENT)), PATH),
    }  # fmt: skip


def test_everything_that_is_right_is_let_in(site: Site) -> None:
    for name, headers in good(site.forge).items():
        answer = site.ask(PATH, headers)
        assert answer.status_code == 200, (name, answer.text, answer.headers)


def test_a_replayed_proof_is_refused_whichever_process_gets_it(site: Site) -> None:
    token = site.forge.token()
    for first, second in ((0, 0), (0, 1), (1, 0)):
        headers = site.forge.headers(token, PATH)
        assert site.ask(PATH, headers, process=first).status_code == 200
        again = site.ask(PATH, headers, process=second)
        assert again.status_code == 401 and 'error="invalid_dpop_proof"' in again.headers["www-authenticate"]


def test_of_those_who_come_at_once_with_one_proof_one_is_let_in(site: Site) -> None:
    token = site.forge.token()
    for process in (0, 1):
        site.ask(PATH, site.forge.headers(token, PATH), process=process)  # both know the token
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            headers = site.forge.headers(token, PATH)
            answers = list(pool.map(lambda process, sent=headers: site.ask(PATH, sent, process=process), (0, 1, 0, 1)))
            assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]


def test_two_clients_may_use_the_same_jti(site: Site) -> None:
    token = site.forge.token()
    other = Forge(site.forge.issuer, BASE, hpr=DOCTOR, keys=site.forge.keys)
    theirs = other.token()
    assert site.read(PATH, token, jti="one").status_code == 200
    assert site.ask(PATH, other.headers(theirs, PATH, jti="one")).status_code == 200


def test_a_patient_outside_the_units_care_stays_hidden(site: Site) -> None:
    """Point 11: the token lets in; whose things one sees is decided as for everybody (FAM-30)."""
    token = site.forge.token()
    assert site.read(PATH, token).status_code == 200
    assert site.read("/fhir/Observation/result-ola", token).status_code == 404
    found = site.read("/fhir/Observation?_count=50", token).json()
    assert {one["resource"]["id"] for one in found["entry"]} == {"result-kari"}
    assert site.read("/fhir/Patient/ola", token).status_code == 404


def test_the_scopes_of_the_api_say_what_of_it(site: Site) -> None:
    directory = site.forge.token(scope=[DIRECTORY])
    assert site.read("/fhir/Organization/trust", directory).status_code == 200
    assert site.read(PATH, directory).status_code == 403
    both = site.forge.token(scope=[DIRECTORY, JOURNAL])
    assert site.read(PATH, both).status_code == 200
    laboratory = site.forge.sign(site.forge.system())
    assert site.read("/fhir/Observation?_count=50", laboratory).json()["entry"]
    assert site.read("/fhir/Patient/kari", laboratory).status_code == 403
    made = site.ask(
        "/fhir/Observation", {**site.forge.headers(laboratory, "/fhir/Observation", "POST"),
                              "content-type": "application/fhir+json"}, "POST",
        json=observation("made", "kari"),
    )  # fmt: skip
    assert made.status_code == 403, "the scope opens no writing"


def test_the_log_says_who_for_what_and_by_which_decision(site: Site) -> None:
    """FAM-40, IDENTITY.md 1.3: the attestation's decision leads back from the row."""
    purpose = attestation(**{f"{_PURPOSE}.code": "ETREAT", f"{_RELATION}.decision_ref.id": "vedtak 17058012345 nr 7"})
    token = site.forge.token(authorization_details=[purpose], **{CLIENT_NAME: "Loggprøven"})
    assert site.read(PATH, token).status_code == 200
    row = site.rows("through like '%Loggprøven%'")[-1]
    assert (row["actor_kind"], row["actor"], row["unit"], row["purpose"]) == ("staff", DOCTOR, "ward-a", "ETREAT")
    assert row["through"] == f"App Loggprøven ({CLIENT})" and row["allowed"]
    decision = json.loads(row["decision_ref"])
    assert decision["id"] == "vedtak … nr 7", "no national identity number, whoever wrote it"
    assert decision["user_selected"] is True and decision["description"] == "Behandling" and decision["toa"] > 0
    system = site.forge.sign(site.forge.system(**{CLIENT_NAME: "Prøvelab"}))
    assert site.read(PATH, system).status_code == 200
    row = site.rows("through like '%Prøvelab%'")[-1]
    assert (row["actor_kind"], row["actor"], row["unit"], row["ground"]) == (
        "system", CLIENT, "other-trust", "record-system",
    )  # fmt: skip
    assert BUSINESS not in (row["unit_name"] or "")


def test_a_token_is_let_in_no_longer_than_it_says(site: Site) -> None:
    token = site.forge.token(exp=site.forge.now() - 3)
    assert site.read(PATH, token).status_code == 200, "clocks may differ by some seconds"
    time.sleep(2.5)
    assert site.read(PATH, token).status_code == 401, "also of one whose judgement is remembered"


def test_a_proof_for_reading_does_not_write(site: Site) -> None:
    token = site.forge.token()
    headers = site.forge.headers(token, "/fhir/Observation")
    answer = site.ask("/fhir/Observation", headers | {"content-type": "application/fhir+json"}, "POST", content="{}")
    assert answer.status_code == 401


def test_a_browser_may_send_a_proof_and_read_the_answer(site: Site) -> None:
    asked = {"origin": "https://app.test", "access-control-request-method": "GET"}
    allowed = site.ask(PATH, asked, "OPTIONS").headers
    assert "dpop" in allowed["access-control-allow-headers"]
    shown = site.ask(PATH, {"origin": "https://app.test"}).headers["access-control-expose-headers"]
    assert "WWW-Authenticate" in shown and "DPoP-Nonce" in shown
