"""The terminology operations, for `api.py` to offer."""

from __future__ import annotations

from varde.fhir.http.operations import Operation
from varde.fhir.terminology.expand import EXPAND
from varde.fhir.terminology.lookup import LOOKUP
from varde.fhir.terminology.subsuming import SUBSUMES
from varde.fhir.terminology.translate import TRANSLATE
from varde.fhir.terminology.validating_codes import OF_SET, OF_SYSTEM

TERMINOLOGY: tuple[Operation, ...] = (EXPAND, LOOKUP, OF_SET, OF_SYSTEM, TRANSLATE, SUBSUMES)
