"""Every address of the running Varde, read from the application itself: pages, the FHIR API's interactions and
operations, what watches the house, the demo's own. And how each is called, for somebody's own thing or another's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.routing import Route

from tests.access.varde_in_process import FORM, InProcess
from varde.asgi import MOUNT, SOCKETS
from varde.demo.endpoints import Endpoints
from varde.fhir.http.operations import Level
from varde.health import Health

TYPES = ("Observation", "Communication", "Organization")
"""A type of each kind: clinical, one that secretaries see too, one that tells of nobody. Others go the same way, by the
gate alone."""
APPLICATIONS = {"_fhir", "_sockets", "_health", "_pages", "_demo", "_issuer"}
"""Where the application sends requests: each is enumerated here. A new one must be, too."""
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Address:
    """One method on one template of a path."""

    method: str
    path: str

    @property
    def line(self) -> str:
        """How the table names it."""
        return f"{self.method} {self.path}"

    @property
    def names_a_thing(self) -> bool:
        """Whether the path holds an id."""
        return "{" in self.path

    @property
    def writes(self) -> bool:
        """Whether it may change anything."""
        return self.method != "GET"


def addresses(varde: InProcess) -> Iterator[Address]:
    """All of them."""
    for route in varde.varde._pages.routes:
        assert isinstance(route, Route), f"a page's route of a kind that nobody calls here: {route}"
        for method in _METHODS:
            if method in (route.methods or ()):
                yield Address(method, route.path)
    for path in sorted(Health.PATHS):
        yield Address("GET", path)
    for path in sorted(Endpoints.PATHS):
        yield Address("GET", path)
    yield Address("POST", "/demo/clock")
    yield Address("GET", f"{MOUNT}/patient/.well-known/openid-configuration")
    yield Address("WEBSOCKET", SOCKETS)
    yield from _fhir(varde)


def _fhir(varde: InProcess) -> Iterator[Address]:
    documents: Mapping[str, Any] = varde.varde._fhir._documents._documents
    for path in sorted(documents):
        yield Address("GET", f"/fhir/{path}")
    yield from (Address("GET", "/fhir/_history"), Address("GET", "/fhir"), Address("POST", "/fhir/_search"))
    yield from (Address("POST", "/fhir (batch)"), Address("POST", "/fhir (transaction)"))
    for name in ("*", *TYPES):
        yield Address("GET", f"/fhir/Patient/{{id}}/{name}")
    for name in TYPES:
        for method, path in (
            ("GET", ""), ("POST", "/_search"), ("GET", "/_history"), ("GET", "/{id}"), ("GET", "/{id}/_history"),
            ("GET", "/{id}/_history/1"), ("POST", ""), ("POST", " (conditional)"), ("PUT", "/{id}"),
            ("PUT", "?_id={id}"), ("PATCH", "/{id}"), ("PATCH", "?_id={id}"),
            ("DELETE", "/{id}"), ("DELETE", "?_id={id}"),
        ):  # fmt: skip
            yield Address(method, f"/fhir/{name}{path}")
    for operation in varde.varde._fhir._interactions.operations.every:
        types = sorted(operation.types or ("Observation",))
        method = "POST" if operation.changes else "GET"
        if Level.SYSTEM in operation.level:
            yield Address(method, f"/fhir/${operation.name}")
        for kind in types:
            if Level.TYPE in operation.level:
                yield Address(method, f"/fhir/{kind}/${operation.name}")
            if Level.INSTANCE in operation.level:
                yield Address(method, f"/fhir/{kind}/{{id}}/${operation.name}")


_NAMES = {"Observation": "lab", "Communication": "letter", "Encounter": "encounter", "ServiceRequest": "referral",
          "Consent": "consent", "Appointment": "appointment"}  # fmt: skip


def values(address: Address, whose: str) -> dict[str, str]:
    """What stands in the path's places for somebody's things (ids of tests/access/things.py)."""
    parts = address.path.split("?")[0].split("/")
    found = {"name": "robots.txt", "code": "nn", "kind": "jobb", "journey": "letters", "app": "app", "handle": "x"}
    found["id"] = f"{whose}-letter"
    if parts[1] == "timer":
        found["id"] = f"{whose}-appointment"
    if parts[1] == "fhir" and len(parts) > 2:
        kind = parts[2].split("?")[0].split(" ")[0]
        found["id"] = whose if kind == "Patient" else f"{whose}-{_NAMES.get(kind, kind.lower())}"
        if kind == "Organization":
            found["id"] = "ward-a"
    return found


def target(address: Address, whose: str) -> str:
    """The address for somebody's thing; a place that nobody knows takes the id of a letter."""
    known = values(address, whose)
    path = address.path.split(" ")[0]
    while "{" in path:
        name = path.split("{")[1].split("}")[0]
        path = path.replace(f"{{{name}}}", known.get(name.split(":")[0], known["id"]), 1)
    return path


def body_of(address: Address, whose: str, patient: str, csrf: str) -> tuple[Any, str, dict[str, str]]:
    """(body, its type, headers) of a call that would have an effect for whoever may."""
    observation = {"resourceType": "Observation", "status": "final", "code": {"text": "Ny"},
                   "subject": {"reference": f"Patient/{patient}"}}  # fmt: skip
    kinds: dict[str, dict[str, Any]] = {
        "Observation": observation,
        "Communication": {"resourceType": "Communication", "status": "completed",
                          "subject": {"reference": f"Patient/{patient}"}},
        "Organization": {"resourceType": "Organization", "name": "Avdeling A", "active": True},
    }  # fmt: skip
    if not address.path.startswith("/fhir"):
        if address.path == "/demo/clock":
            return b'{"advance":"PT0S"}', "application/json", {}
        return f"csrf={csrf}".encode(), FORM, {}
    kind = address.path.split("/")[2].split("?")[0].split(" ")[0] if address.path.count("/") > 1 else ""
    if address.method == "PATCH":
        return [{"op": "add", "path": "/language", "value": "nb"}], "application/json-patch+json", {}
    if address.path.endswith("_search"):
        return b"_count=1", FORM, {}
    if "(" in address.path and not kind:
        which = address.path.split("(")[1].rstrip(")")
        entry = {"request": {"method": "GET", "url": f"Observation/{whose}-lab"}}
        return {"resourceType": "Bundle", "type": which, "entry": [entry]}, "application/fhir+json", {}
    if "$" in address.path:
        headers = {"prefer": "respond-async"}
        if address.path.endswith("$import"):
            return b'{"resourceType":"Basic","id":"imported","code":{"text":"x"}}\n', "application/fhir+ndjson", headers
        empty: dict[str, Any] = {"resourceType": "Parameters"}
        if "meta" in address.path:
            tag = {"tag": [{"system": "urn:x", "code": "x"}]}
            empty["parameter"] = [{"name": "meta", "valueMeta": tag}]
        return (empty if address.writes else None), "application/fhir+json", headers
    if address.writes and address.method != "DELETE" and kind in kinds:
        made = dict(kinds[kind])
        if address.method == "PUT":
            made["id"] = values(address, whose)["id"]
        conditional = {"if-none-exist": f"_id={values(address, whose)['id']}"} if "(" in address.path else {}
        return made, "application/fhir+json", conditional
    return None, "application/fhir+json", {}
