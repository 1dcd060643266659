"""What can go wrong in the store, each as a typed error with its OperationOutcome and HTTP status.

Texts never contain values from resources of patients; they name elements, parameters and types.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue of an OperationOutcome. `code` is of the value set issue-type; `expression` FHIRPath."""

    code: str
    diagnostics: str
    expression: str | None = None
    severity: str = "error"

    def as_fhir(self) -> dict[str, Any]:
        """The issue as FHIR JSON."""
        issue: dict[str, Any] = {
            "severity": self.severity,
            "code": self.code,
            "diagnostics": self.diagnostics,
        }
        if self.expression:
            issue["expression"] = [self.expression]
        return issue


@dataclass(eq=False)
class FhirError(Exception):
    """Base of the store's errors. `issues` is never empty."""

    issues: list[Issue] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    """What the answer says beside the OperationOutcome (ETag of what is gone, Allow…)."""
    status: ClassVar[int] = 500
    code: ClassVar[str] = "exception"

    @classmethod
    def of(cls, diagnostics: str, expression: str | None = None, code: str | None = None) -> FhirError:
        """An error with one issue."""
        return cls([Issue(code or cls.code, diagnostics, expression)])

    def __str__(self) -> str:
        return "; ".join(i.diagnostics for i in self.issues)

    def outcome(self) -> dict[str, Any]:
        """The OperationOutcome."""
        return {"resourceType": "OperationOutcome", "issue": [i.as_fhir() for i in self.issues]}


class BadRequest(FhirError):
    """400: the request cannot be understood (JSON, parameters, headers)."""

    status = 400
    code = "invalid"


class Forbidden(FhirError):
    """403: this kind of request is not for this caller, whatever it names. Tells nothing of any resource."""

    status = 403
    code = "forbidden"


class NotFound(FhirError):
    """404: does not exist, or may not be seen; the two are alike to the letter."""

    status = 404
    code = "not-found"


class Gone(FhirError):
    """410: was deleted, told only to those who could read it."""

    status = 410
    code = "deleted"


class MethodNotAllowed(FhirError):
    """405: the type does not take this interaction."""

    status = 405
    code = "not-supported"


class Conflict(FhirError):
    """409: another writer came first, or a reference still holds on to what was to be deleted."""

    status = 409
    code = "conflict"


class Overtaken(Conflict):
    """409: another writer changed what this write was about to change. Tried again before anybody hears of it."""


class PreconditionFailed(FhirError):
    """412: If-Match names another version, or a condition matched more than one resource."""

    status = 412
    code = "conflict"


class TooLarge(FhirError):
    """413: the body is over the limit."""

    status = 413
    code = "too-long"


class NotAcceptable(FhirError):
    """406: another format than JSON was asked for."""

    status = 406
    code = "not-supported"


class UnsupportedMediaType(FhirError):
    """415: the body is not application/fhir+json (or a patch type for PATCH)."""

    status = 415
    code = "not-supported"


class Unprocessable(FhirError):
    """422: JSON, but not a valid resource, or one that the rules refuse."""

    status = 422
    code = "invalid"


class Unavailable(FhirError):
    """503: the database or the access log is away; nothing was shown or changed. Comes with Retry-After."""

    status = 503
    code = "transient"
