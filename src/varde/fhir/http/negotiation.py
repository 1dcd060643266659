"""Content negotiation: which formats are given and taken (R4 3.1.0.1.9 to 3.1.0.1.11). Pure.

Only JSON is, in every name that it goes by; of version 4.0 of FHIR, if a version is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from varde.fhir.errors import BadRequest, NotAcceptable, UnsupportedMediaType

FHIR_JSON = "application/fhir+json"
JSON_TYPES = frozenset({FHIR_JSON, "application/json", "text/json", "application/json+fhir"})
PATCH_TYPES = frozenset({"application/json-patch+json", "application/merge-patch+json"})
NDJSON_TYPES = frozenset({"application/fhir+ndjson", "application/ndjson", "ndjson"})
"""What operations on data in bulk take and give (Bulk Data IG)."""
FORM = "application/x-www-form-urlencoded"
_PLAIN = frozenset({None, FHIR_JSON, f"{FHIR_JSON}; charset=utf-8", "*/*"})
"""What nearly every client asks for, told apart without looking further."""
_ANY = frozenset({"*/*", "application/*"})
_VERSIONS = frozenset({"4.0", "4.0.1"})


def answer_type(headers: Mapping[str, str], query: Sequence[tuple[str, str]], *, bulk: bool = False) -> str:
    """The media type of the answer: `_format` comes before Accept; a client that asks for JSON by a general name
    gets that name. `bulk`: NDJSON may be asked for; then the answer says by itself what it is. Raises
    NotAcceptable."""
    wanted = next((value for name, value in query if name == "_format"), None)
    if wanted:
        if wanted.lower() == "json":
            return FHIR_JSON
        found = _named(wanted.replace(" ", "+"))
        if found is None:
            raise NotAcceptable.of(f"only JSON is given: _format={FHIR_JSON}")
        return found
    accept = headers.get("accept")
    if accept in _PLAIN or not accept:
        return FHIR_JSON
    best, quality = None, 0.0
    for part in accept.split(","):
        weight = _quality(part)
        found = FHIR_JSON if bulk and part.partition(";")[0].strip().lower() in NDJSON_TYPES else _named(part)
        if weight > quality and found is not None:
            best, quality = found, weight
    if best is None:
        raise NotAcceptable.of(f"only JSON is given: {FHIR_JSON}")
    return best


def _named(text: str) -> str | None:
    kind, *parameters = (part.strip().lower() for part in text.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "fhirversion" and value.strip('"') not in _VERSIONS:
            return None
        if name == "charset" and value.strip('"') != "utf-8":
            return None
    if kind in _ANY or kind == "json":
        return FHIR_JSON
    return kind if kind in JSON_TYPES else None


def _quality(part: str) -> float:
    for parameter in part.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def check_body(method: str, headers: Mapping[str, str], *, bulk: bool = False) -> None:
    """Raise UnsupportedMediaType unless the body is of a kind that the method takes; `bulk`: of an operation, which
    takes NDJSON and GraphQL too."""
    kind = media_type(headers)
    if bulk and (kind in NDJSON_TYPES or kind == "application/graphql"):
        return
    fitting = JSON_TYPES | PATCH_TYPES if method == "PATCH" else JSON_TYPES
    if kind not in fitting or (kind in JSON_TYPES and _named(headers.get("content-type", "")) is None):
        others = " or one of " + ", ".join(sorted(PATCH_TYPES)) if method == "PATCH" else ""
        raise UnsupportedMediaType.of(f"the body must be {FHIR_JSON} of FHIR 4.0 in UTF-8{others}")


def media_type(headers: Mapping[str, str]) -> str:
    """The kind of the body, without parameters and in lower case."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def is_pretty(query: Sequence[tuple[str, str]]) -> bool:
    """Whether the answer is to be laid out for people. Raises BadRequest for neither true nor false."""
    asked = next((value for name, value in query if name == "_pretty"), "false")
    if asked not in {"true", "false"}:
        raise BadRequest.of("_pretty is true or false")
    return asked == "true"
