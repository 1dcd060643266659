"""The population register over NHN's FHIR service, with a machine token. Its resources are read by `freg_reading.py`.

Source: the service's CapabilityStatement (gd-Person-Server-Requirements 3.0.0): numbers stand in the body of
`POST Person/_search`, never in an address; `RelatedPerson:patient` comes along; changes are `_history` of the types.
What is limited (429) or away is RegisterUnavailable: the caller waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import orjson

from varde.clock import Clock
from varde.edges.maskinporten import NoToken, Tokens
from varde.edges.registers import Changes, RegisteredPerson, RegisterUnavailable
from varde.edges.registers.freg_reading import DNR, FNR, NAME, is_guardian, numbers_of, person_of, unnested, whose

SCOPES = "nhn:hgd-persontjenesten-api/read"
PERSONS_AT_ONCE = 50
_CALLS_AT_ONCE = 4
_MOST_PAGES = 400
"""Of one answer: a register that never ends is not waited for."""
_OVERLAP = timedelta(seconds=5)
"""How far back each asking for changes reaches into the one before: a change is given its time before it is seen."""
_SKEW = timedelta(minutes=5)
"""How far the register's clock may be behind ours, where the following begins."""
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/fhir+json"}


class Freg:
    """The person service at `base`, the address of its FHIR API."""

    def __init__(self, base: str, tokens: Tokens, clock: Clock, http: httpx.AsyncClient) -> None:
        self._base = base.rstrip("/")
        self._tokens = tokens
        self._clock = clock
        self._http = http
        self._free = asyncio.Semaphore(_CALLS_AT_ONCE)

    async def persons(self, numbers: Sequence[str]) -> Mapping[str, RegisteredPerson]:
        """See PersonRegister. Two calls for each fifty persons, some at once."""
        asked = list(dict.fromkeys(numbers))
        parts = [asked[start : start + PERSONS_AT_ONCE] for start in range(0, len(asked), PERSONS_AT_ONCE)]
        answers = await asyncio.gather(*(self._part(part) for part in parts))
        return {number: person for answer in answers for number, person in answer.items()}

    async def changes(self, since: str | None) -> Changes:
        """See PersonRegister. A position is a moment of the register's own clock."""
        if since is None:
            return Changes((), (self._clock.now().astimezone(UTC) - _SKEW).isoformat())
        query = urlencode({"_since": since, "_count": "200"})
        persons, related = await asyncio.gather(
            *(self._all("GET", f"{self._base}/{kind}/_history?{query}") for kind in ("Person", "RelatedPerson"))
        )
        changed = [number for one in persons for number in numbers_of(one)]
        for one in related:
            number = whose(one)
            changed += [*numbers_of(one), *([number] if number and "/" not in number else [])]
        times = [str((one.get("meta") or {}).get("lastUpdated")) for one in (*persons, *related)]
        return Changes(tuple(dict.fromkeys(changed)), _latest(times, since))

    async def close(self) -> None:
        """Close the HTTP connections."""
        await self._http.aclose()

    async def _part(self, numbers: Sequence[str]) -> dict[str, RegisteredPerson]:
        identifiers = ",".join(f"{_system(number)}|{number}" for number in numbers)
        count = str(10 * PERSONS_AT_ONCE)
        entry = {"identifier": identifiers, "_revinclude": "RelatedPerson:patient", "_count": count}
        found, guarding = await asyncio.gather(
            self._all("POST", f"{self._base}/Person/_search", entry),
            self._all("POST", f"{self._base}/RelatedPerson/_search", {"identifier": identifiers, "_count": count}),
        )
        related = _by_person(one for one in found if one["resourceType"] == "RelatedPerson")
        wards: dict[str, list[str]] = {}
        for one in guarding:
            ward = whose(one)
            if ward is not None and "/" not in ward and is_guardian(one):
                for number in numbers_of(one):
                    wards.setdefault(number, []).append(ward)
        persons: dict[str, RegisteredPerson] = {}
        for one in found:
            if one["resourceType"] != "Person":
                continue
            own = numbers_of(one)
            of_them = [relative for name in (*own, f"Person/{one.get('id')}") for relative in related.get(name, ())]
            person = person_of(one, of_them, (ward for number in own for ward in wards.get(number, ())))
            persons |= dict.fromkeys(set(own) & set(numbers), person)
        return persons

    async def _all(self, method: str, address: str, form: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """The resources of every page of an answer."""
        resources: list[dict[str, Any]] = []
        for _ in range(_MOST_PAGES):
            bundle = await self._ask(method, address, form)
            entries = bundle.get("entry", [])
            for entry in entries:
                resource = entry.get("resource")
                if isinstance(resource, dict) and resource.get("resourceType") in {"Person", "RelatedPerson"}:
                    resources.append(resource)
            following = next((str(one["url"]) for one in bundle.get("link", ()) if one.get("relation") == "next"), None)
            if following is None:
                return [dict(one) for one in unnested(resources)]
            if urlsplit(following)[:2] != urlsplit(self._base)[:2]:
                raise RegisterUnavailable(NAME, "the next page is another's")
            method, address, form = "GET", following, None
        raise RegisterUnavailable(NAME, "an answer without end")

    async def _ask(self, method: str, address: str, form: Mapping[str, str] | None) -> dict[str, Any]:
        refused: str | None = None
        try:
            for _ in range(2):
                token = await self._tokens.token(refused)
                headers = {**_FORM, "Authorization": f"Bearer {token}"}
                content = None if form is None else urlencode(form).encode()
                async with self._free:
                    answer = await self._http.request(method, address, content=content, headers=headers)
                if answer.status_code != 401:
                    break
                refused = token
            if answer.status_code != 200:
                raise RegisterUnavailable(NAME, f"status {answer.status_code}")
            bundle = orjson.loads(answer.content)
        except NoToken as error:
            raise RegisterUnavailable(NAME, str(error)) from error
        except (httpx.HTTPError, orjson.JSONDecodeError) as error:
            raise RegisterUnavailable(NAME, type(error).__name__) from error
        if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
            raise RegisterUnavailable(NAME, "the answer is of another form")
        return bundle


def _by_person(related: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for one in related:
        name = whose(one)
        if name is None:
            raise RegisterUnavailable(NAME, "a relative of nobody")
        found.setdefault(name, []).append(one)
    return found


def _system(number: str) -> str:
    """A d-number's day is 40 more."""
    return DNR if number[:1] in "4567" else FNR


def _latest(times: Iterable[str], since: str) -> str:
    """The moment to ask from next time."""
    try:
        moments = [datetime.fromisoformat(text) for text in times if text != "None"]
        begun = datetime.fromisoformat(since)
    except ValueError as error:
        raise RegisterUnavailable(NAME, "a moment is of another form") from error
    latest = max(moments, default=begun) - _OVERLAP
    return max(latest, begun).isoformat()
