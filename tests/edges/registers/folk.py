"""Folkeregisteret as NHN's person service gives it out: a real HTTP server that speaks gd-Person and gd-RelatedPerson
by the published profiles, with Maskinporten before it, and everything that can go wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import orjson
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.edges.servers import Answer, HttpServer, Request
from varde.clock import Clock
from varde.edges.maskinporten import Client, Tokens
from varde.edges.registers.freg import SCOPES, Freg
from varde.edges.registers.freg_reading import DNR, FNR

GD = "http://ehelse.no/fhir/StructureDefinition/"
KEY = RSAKey.generate_key(2048, {"kid": "key-1", "use": "sig"})
Resource = dict[str, Any]


def metadata(*, current: bool = True, start: str | None = None, end: str | None = None) -> Resource:
    parts: list[Resource] = [{"url": "currentInfo", "valueBoolean": current}]
    parts += [{"url": "validFrom", "valueDateTime": start}] if start else []
    parts += [{"url": "validTo", "valueDateTime": end}] if end else []
    return {"url": f"{GD}gd-fregmetadata", "extension": parts}


def identifier(number: str, *, former_until: str | None = None) -> Resource:
    status = "opphørt" if former_until else "iBruk"
    return {
        "extension": [
            {"url": f"{GD}gd-person-identifier-status", "valueCode": status},
            metadata(end=former_until),
        ],
        "system": DNR if number[0] in "4567" else FNR,
        "value": number,
    }


def address(
    line: str,
    code: str,
    city: str,
    *,
    kind: str = "Bostedsadresse",
    current: bool = True,
    unit: str | None = None,
    confidentiality: str = "ugradert",
    municipality: str = "5501",
) -> Resource:
    extensions: list[Resource] = [
        metadata(current=current),
        {
            "url": "http://hl7.no/fhir/StructureDefinition/no-basis-propertyinformation",
            "extension": [
                {
                    "url": "municipality",
                    "valueCoding": {"system": "urn:oid:2.16.578.1.12.4.1.1.3402", "code": municipality},
                }
            ],
        },
        {
            "url": f"{GD}gd-address-metadata",
            "extension": [
                {"url": "confidentiality", "valueCode": confidentiality},
                {"url": "fregAddressContentType", "valueCode": "Vegadresse"},
                {"url": "fregAddressType", "valueCode": kind},
            ],
        },
    ]
    if unit:
        part = {"url": "separatelyOccupiedUnitNumber", "valueString": unit}
        extensions.append({"url": f"{GD}gd-separately-occupied-unit", "extension": [part]})
    return {
        "extension": extensions, "use": "home", "line": [line], "city": city, "postalCode": code, "country": "NO",
    }  # fmt: skip


def person(number: str, given: str, family: str, born: str, *addresses: Resource, status: str = "bosatt",
           protection: str | None = None, dead: str | None = None, middle: str | None = None,
           former: tuple[tuple[str, str], ...] = ()) -> Resource:  # fmt: skip
    extensions: list[Resource] = [
        {
            "url": f"{GD}gd-person-status",
            "extension": [{"url": "fregPersonStatus", "valueCode": status}, metadata()],
        }
    ]
    if dead:
        part = {"url": "deceasedDate", "valueDate": dead}
        extensions.append({"url": f"{GD}gd-deceased", "extension": [part, metadata()]})
    meta: Resource = {"profile": [f"{GD}gd-Person"]}
    if protection:
        system = "http://ehelse.no/fhir/CodeSystem/gd-address-confidentiality"
        meta["security"] = [{"extension": [metadata()], "system": system, "code": protection}]
    old = {"extension": [metadata(current=False)], "family": "Gammelt", "given": ["Navn"]}
    name: Resource = {"extension": [metadata()], "family": family, "given": [given]}
    if middle:
        url = "http://hl7.no/fhir/StructureDefinition/no-basis-middlename"
        name["extension"].append({"url": url, "valueString": middle})
    return {
        "resourceType": "Person", "id": f"p{number}", "meta": meta, "extension": extensions,
        "identifier": [*(identifier(one, former_until=until) for one, until in former), identifier(number)],
        "name": [old, name], "birthDate": born, "address": list(addresses),
    }  # fmt: skip


def related(whose: str, relative: str, *relationships: Resource, literal: bool = False) -> Resource:
    """One RelatedPerson of `whose` entry."""
    patient: Resource = {"reference": f"https://freg.example.no/fhir/Person/p{whose}"}
    if not literal:
        patient["identifier"] = {"system": FNR, "value": whose}
    return {
        "resourceType": "RelatedPerson", "id": f"r{whose}-{relative}", "meta": {"profile": [f"{GD}gd-RelatedPerson"]},
        "identifier": [{"system": FNR, "value": relative}], "patient": patient, "relationship": list(relationships),
    }  # fmt: skip


def parental(part: str, number: str, code: str = "felles", *, current: bool = True) -> Resource:
    """`part`: responsibleParty (a parent of the child whose entry it is) or subjectOfResponsibility (a child)."""
    return {
        "extension": [
            {
                "url": f"{GD}gd-parental",
                "extension": [{"url": part, "valueString": number}, metadata(current=current)],
            }
        ],
        "coding": [{"system": "http://hl7.no/fhir/CodeSystem/no-basis-parental-responsibility", "code": code}],
    }


def kin(role: str) -> Resource:
    part = {"url": "roleOfRelatedPersonInstance", "valueCode": role}
    return {
        "extension": [{"url": f"{GD}gd-family-relation", "extension": [part, metadata()]}],
        "coding": [{"system": "http://hl7.no/fhir/CodeSystem/no-basis-family-relation", "code": role}],
    }


def guardianship(kind: str, scope: str, *, start: str | None = None, end: str | None = None, current: bool = True,
                 personal: bool = True) -> Resource:  # fmt: skip
    parts = [
        {"url": "office", "valueString": "statsforvalterenITromsOgFinnmark"},
        {"url": "scope", "valueCoding": {"code": scope}},
        metadata(current=current, start=start, end=end),
        {"url": "personalScope", "valueBoolean": personal},
    ]
    return {
        "extension": [{"url": f"{GD}gd-guardianship", "extension": parts}],
        "coding": [{"system": "http://ehelse.no/fhir/CodeSystem/gd-person-guardiantype-v05", "code": kind}],
    }


@dataclass
class Folk:
    """Who is in the register, what changed when, and what is broken."""

    clock: Clock
    resources: list[Resource] = field(default_factory=list)
    history: list[Resource] = field(default_factory=list)
    broken: Answer | None = None
    page_size: int = 100
    calls: int = 0
    base: str = ""

    def add(self, *resources: Resource) -> None:
        """Put resources in, in place of those with their ids; the feed tells of it."""
        ids = {one["id"] for one in resources}
        now = self.clock.now().astimezone(UTC).isoformat()
        made = [{**one, "meta": {**one["meta"], "lastUpdated": now}} for one in resources]
        self.resources = [one for one in self.resources if one["id"] not in ids] + made
        self.history = [*reversed(made), *self.history]

    def answer(self, request: Request) -> Answer:
        """As the service answers."""
        path, _, query = request.path.partition("?")
        if path == "/.well-known/oauth-authorization-server":
            return 200, orjson.dumps({"issuer": f"{self.base}/", "token_endpoint": f"{self.base}/token"})
        if path == "/token":
            form = parse_qs(request.body.decode())
            assert jwt.decode(form["assertion"][0], KEY, algorithms=["RS256"]).claims["scope"] == SCOPES
            return 200, orjson.dumps({"access_token": "token", "token_type": "Bearer", "expires_in": 3600})
        self.calls += 1
        if self.broken is not None:
            return self.broken
        if request.headers.get("authorization") != "Bearer token":
            return 401, b"{}"
        asked = parse_qs(query)
        if path.endswith("/_history"):
            kind, since = path.split("/")[-2], datetime.fromisoformat(asked["_since"][0])
            told = [
                one for one in self.history
                if one["resourceType"] == kind and datetime.fromisoformat(one["meta"]["lastUpdated"]) >= since
            ]  # fmt: skip
            return self._pages(request.path, told, asked)
        if path.startswith("/fhir/pages/"):
            return self._pages(request.path, self._kept[int(path.split("/")[-1])], asked)
        assert request.method == "POST", "a number never stands in an address"
        form = parse_qs(request.body.decode())
        numbers = {one.partition("|")[2] for one in form["identifier"][0].split(",")}
        self._kept.append(self._searched(path.split("/")[-2], numbers, form))
        return self._pages(f"/fhir/pages/{len(self._kept) - 1}", self._kept[-1], {})

    def _searched(self, kind: str, numbers: set[str], form: dict[str, list[str]]) -> list[Resource]:
        found = [
            one for one in self.resources
            if one["resourceType"] == kind and numbers & {it["value"] for it in one["identifier"]}
        ]  # fmt: skip
        if form.get("_revinclude") == ["RelatedPerson:patient"]:
            ids = {one["id"] for one in found}
            found += [
                one for one in self.resources
                if one["resourceType"] == "RelatedPerson" and one["patient"]["reference"].split("/")[-1] in ids
            ]  # fmt: skip
        return found

    def _pages(self, address: str, resources: list[Resource], asked: dict[str, list[str]]) -> Answer:
        start = int(asked.get("_offset", ["0"])[0])
        bundle: Resource = {
            "resourceType": "Bundle", "type": "searchset",
            "entry": [{"resource": one} for one in resources[start : start + self.page_size]],
        }  # fmt: skip
        if start + self.page_size < len(resources):
            path = urlsplit(address).path
            rest = "&".join(f"{name}={value[0]}" for name, value in asked.items() if name != "_offset")
            url = f"{self.base}{path}?{rest}&_offset={start + self.page_size}".replace("+", "%2B")
            bundle["link"] = [{"relation": "next", "url": url}]
        return 200, orjson.dumps(bundle)

    _kept: list[list[Resource]] = field(default_factory=list)
    """Answers that are given out page by page."""


def connected(server: HttpServer, clock: Clock) -> Freg:
    """The adapter, speaking to this server."""
    http = httpx.AsyncClient(timeout=5)
    return Freg(
        f"{server.base}/fhir", Tokens(Client(f"{server.base}/", "client-1", KEY), SCOPES, clock, http), clock, http
    )
