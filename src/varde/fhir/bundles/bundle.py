"""Batches and transactions: a Bundle in, a Bundle out. Here is the batch, whose entries are independent.

What makes a transaction one thing is in `transaction.py`, what an entry is in `entries.py`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from varde.fhir import splice
from varde.fhir.bundles.entries import Entry, Perform, Single, read_entry
from varde.fhir.bundles.transaction import transact
from varde.fhir.errors import BadRequest
from varde.fhir.gate import Gate
from varde.fhir.http.exchange import Answer, Request
from varde.fhir.http.failures import as_fhir_error
from varde.fhir.store import Store

MAXIMUM_ENTRIES = 5000


async def process(store: Store, gate: Gate, request: Request, perform: Perform) -> Answer:
    """Carry out the Bundle that `request` brings. Raises BadRequest for what is no batch or transaction, and
    whatever made a transaction fail; a batch answers each entry with its own outcome."""
    bundle = splice.parse_exact(request.body)
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise BadRequest.of("the base takes a Bundle of type batch or transaction")
    kind = bundle.get("type")
    if kind not in {"batch", "transaction"}:
        raise BadRequest.of("the Bundle's type must be batch or transaction", "Bundle.type")
    listed = bundle.get("entry") or []
    if not isinstance(listed, list) or len(listed) > MAXIMUM_ENTRIES:
        raise BadRequest.of(f"a Bundle has at most {MAXIMUM_ENTRIES} entries", "Bundle.entry")
    single = Single(gate, request, perform)
    if kind == "batch":
        answers = [await _independent(single, given, place) for place, given in enumerate(listed)]
    else:
        entries = [read_entry(given, place, request.base) for place, given in enumerate(listed)]
        answers = await transact(store, gate, entries, single)
    return Answer(200, {"resourceType": "Bundle", "type": f"{kind}-response", "entry": answers})


async def _independent(single: Single, given: Any, place: int) -> dict[str, Any]:
    try:
        return await single(read_entry(given, place, single.outer.base))
    except Exception as failure:
        error = as_fhir_error(failure)
        entry = Entry(place, "GET", "", None, None)
        status = f"{error.status} {HTTPStatus(error.status).phrase}"
        return {"response": {"status": status, "outcome": entry.fault(error).outcome()}}
