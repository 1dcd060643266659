"""Binary as what it holds: a PDF goes out and comes in as a PDF (R4 binary.html#rest). Pure.

Whoever asks for FHIR's own media type gets the resource; whoever does not gets its content.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence

from varde.fhir import splice
from varde.fhir.errors import BadRequest, FhirError
from varde.fhir.http.exchange import Answer
from varde.fhir.http.negotiation import FHIR_JSON, JSON_TYPES, media_type
from varde.fhir.model import Stored

_FHIR = ("+json", "+xml", "application/json", "text/json", "application/xml", "text/xml", "turtle")
_CONTEXT = "x-security-context"
_GUARD = {"content-security-policy": "sandbox; default-src 'none'", "content-disposition": "attachment"}
"""A file from outside is shown by no page of ours, whatever it says it is."""


def is_native(place: Sequence[str], headers: Mapping[str, str], query: Sequence[tuple[str, str]]) -> bool:
    """Whether a GET of `place` (the segments of its path) asks for a Binary's content rather than the resource."""
    if place[:1] != ["Binary"] or len(place) not in {2, 4} or place[1].startswith(("_", "$")):
        return False
    if any(name in {"_format", "_summary", "_elements"} for name, _ in query):
        return False
    accept = headers.get("accept", "*/*").lower()
    return not any(kind in accept for kind in _FHIR)


def content(stored: Stored, headers: Mapping[str, str]) -> Answer:
    """The content of a Binary, as the answer of a read. Raises BadRequest for one whose data is not base64."""
    resource = stored.resource
    try:
        data = base64.b64decode("".join(str(resource.get("data") or "").split()), validate=True)
    except binascii.Error:
        raise BadRequest.of("the Binary's data is not base64") from None
    kind = str(resource.get("contentType") or "application/octet-stream")
    safe = kind if kind.isascii() and kind.isprintable() else "application/octet-stream"
    return Answer(200, data, {**headers, "content-type": safe, **_GUARD})


def taken(method: str, place: Sequence[str], headers: Mapping[str, str], body: bytes) -> bytes | None:
    """The Binary that a body of another kind than FHIR makes, as JSON; None where it is no such request."""
    creates = method == "POST" and place == ["Binary"]
    updates = method == "PUT" and len(place) == 2 and place[0] == "Binary"
    if not creates and not updates:
        return None
    kind = media_type(headers)
    if not kind or kind == FHIR_JSON or kind.endswith("+xml") or (kind in JSON_TYPES and _is_resource(body)):
        return None
    made = {"resourceType": "Binary", "contentType": kind, "data": base64.b64encode(body).decode()}
    if updates:
        made["id"] = place[1]
    resource = {**made, "securityContext": {"reference": headers[_CONTEXT]}} if _CONTEXT in headers else made
    return splice.dump(resource)


def _is_resource(body: bytes) -> bool:
    try:
        parsed = splice.loads(body)
    except FhirError:
        return False
    return isinstance(parsed, dict) and "resourceType" in parsed
