"""The FHIR store: every read and write of a resource, each through a gate. Knows no service and no law.

One transaction holds the resource, its history, its search rows, what other floors derive from it, and the
access log. The interactions are in the files named below, one idea each; HTTP is `rest.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from varde.clock import Clock
from varde.db import Database
from varde.fhir.model import Projection
from varde.fhir.search.terms import Terminology
from varde.fhir.storing.conditional import Conditional
from varde.fhir.storing.histories import Histories
from varde.fhir.storing.reading import ABSENT, reaches_all, stored
from varde.fhir.storing.writing import Resource
from varde.fhir.terminology.for_search import SearchTerminology
from varde.fhir.terminology.projection import TerminologyTables


class Store(Conditional, Histories):
    """The one store. Every method takes the gate of whoever asks; see `gate.py` for what that means.

    reading.py: read, vread. searching.py: search. histories.py: history. writing.py: update, write_many, delete.
    conditional.py: create, conditional forms, patch. With `connection` a call joins the caller's transaction;
    without, it is one of its own, and what it shows is in the access log, durably, before it returns.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        projections: Sequence[Projection] = (),
        terminology: Terminology | None = None,
    ) -> None:
        super().__init__(database, clock, (TerminologyTables(), *projections), terminology or SearchTerminology())


__all__ = ["ABSENT", "Resource", "Store", "reaches_all", "stored"]
