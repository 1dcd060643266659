"""Links behind a proxy: by the setting's address, or by X-Forwarded-* where the proxy is trusted to say it."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import pytest

from tests.fhir.gates import OpenGate
from varde.fhir.gate import Gate
from varde.fhir.http.proxy import Proxied
from varde.fhir.http.rest import FhirApplication
from varde.fhir.store import Store

KNOWN = "https://known.example/fhir"


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({}, KNOWN),
        ({"x-forwarded-host": "api.example"}, "https://api.example/fhir"),
        ({"x-forwarded-host": "api.example", "x-forwarded-proto": "http"}, "http://api.example/fhir"),
        ({"x-forwarded-host": "api.example:8443, inner"}, "https://api.example:8443/fhir"),
        ({"x-forwarded-host": "api.example", "x-forwarded-prefix": "/north/"}, "https://api.example/north/fhir"),
        ({"x-forwarded-host": "[2001:db8::1]:443"}, "https://[2001:db8::1]:443/fhir"),
        ({"x-forwarded-proto": "http"}, KNOWN),
        ({"x-forwarded-host": 'a"b'}, KNOWN),
        ({"x-forwarded-host": "a/b"}, KNOWN),
        ({"x-forwarded-host": "a b"}, KNOWN),
        ({"x-forwarded-host": "a", "x-forwarded-proto": "javascript"}, KNOWN),
        ({"x-forwarded-host": "a", "x-forwarded-prefix": "/x?y"}, KNOWN),
    ],
)
def test_what_the_proxy_says(headers: dict[str, str], base: str) -> None:
    assert Proxied(KNOWN).base(headers) == base


@pytest.mark.parametrize("trusted", [False, True])
async def test_links_follow_a_trusted_proxy_only(store: Store, gate: OpenGate, trusted: bool) -> None:
    async def authenticate(headers: Mapping[str, str], method: str, path: str) -> Gate:
        return gate

    application = FhirApplication(
        store, authenticate, KNOWN, dict, dict, origins=["https://page.example"],
        proxied=Proxied(KNOWN) if trusted else None,
    )  # fmt: skip
    transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
    base = "https://api.example/fhir" if trusted else KNOWN
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        client.headers.update({"content-type": "application/fhir+json", "x-forwarded-host": "api.example"})
        made = await client.post("/Patient", json={"resourceType": "Patient"})
        assert made.headers["location"].startswith(f"{base}/Patient/")
        await client.post("/Patient", json={"resourceType": "Patient"})
        bundle = (await client.get("/Patient?_count=1")).json()
        assert all(link["url"].startswith(f"{base}/Patient?") for link in bundle["link"]) and len(bundle["link"]) == 2
        assert bundle["entry"][0]["fullUrl"].startswith(f"{base}/Patient/")
        history = (await client.get("/_history")).json()
        assert history["link"][0]["url"] == f"{base}/_history"
        entry = {"request": {"method": "GET", "url": f"{base}/Patient"}}
        batch = (await client.post("/", json={"resourceType": "Bundle", "type": "batch", "entry": [entry]})).json()
        assert batch["entry"][0]["resource"]["link"][0]["url"] == f"{base}/Patient"
        # A list of origins lets in those and no others.
        for origin, allowed in (("https://page.example", True), ("https://other.example", False)):
            answer = await client.get("/Patient", headers={"origin": origin})
            assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)
            assert answer.headers["vary"] == "Origin"
            asked = await client.options("/", headers={"origin": origin, "access-control-request-method": "GET"})
            assert ("access-control-allow-methods" in asked.headers) == allowed
