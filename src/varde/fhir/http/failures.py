"""What may go wrong below the store, as the error that the caller hears. Nothing of it is told but its kind."""

from __future__ import annotations

import asyncpg
import structlog

from varde.db import AWAY
from varde.fhir.errors import FhirError, Overtaken, Unavailable

_log = structlog.get_logger("varde.fhir")
_IN_THE_WAY = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)


class Failure(FhirError):
    """500: an error of the server's own."""


def as_fhir_error(error: Exception) -> FhirError:
    """`error` itself when it is the store's; else what stands for it. What nobody foresaw is logged."""
    if isinstance(error, FhirError):
        return error
    if isinstance(error, AWAY):
        return Unavailable.of("the database is away; try again shortly")
    if isinstance(error, asyncpg.TooManyConnectionsError):
        return Unavailable.of("too busy; try again shortly")
    if isinstance(error, _IN_THE_WAY):
        return Overtaken.of("other writers were in the way; try again")
    _log.error("fhir.failure", exc_info=error)
    return Failure.of("an error of the server's own; it has been logged")
