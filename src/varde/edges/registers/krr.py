"""The contact and reservation register over its REST interface, with a token from Maskinporten.

Source: Digdir, Oppslagstjenesten REST and KRR's attributes: POST /rest/v2/personer with up to 1000
`personidentifikatorer`. The register gives out addresses however old they are, and leaves it to its users to keep
eForvaltningsforskriften § 32: that is done here, address by address.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from varde.clock import Clock
from varde.edges.maskinporten import NoToken, Tokens
from varde.edges.registers import Contact, RegisterUnavailable

SCOPES = "krr:global/kontaktinformasjon.read krr:global/digitalpost.read"
PERSONS_AT_ONCE = 1_000
FRESH_MONTHS = 18
_CALLS_AT_ONCE = 4
_NAME = "KRR"


class Krr:
    """KRR at `base` (https://kontaktregisteret.no)."""

    def __init__(self, base: str, tokens: Tokens, clock: Clock, http: httpx.AsyncClient) -> None:
        self._address = f"{base.rstrip('/')}/rest/v2/personer"
        self._tokens = tokens
        self._clock = clock
        self._http = http
        self._free = asyncio.Semaphore(_CALLS_AT_ONCE)

    async def contacts(self, numbers: Sequence[str]) -> Mapping[str, Contact]:
        """See ContactRegister. One call for each thousand persons, some at once."""
        asked = list(dict.fromkeys(numbers))
        parts = [asked[start : start + PERSONS_AT_ONCE] for start in range(0, len(asked), PERSONS_AT_ONCE)]
        answers = await asyncio.gather(*(self._part(part) for part in parts))
        return {number: contact for answer in answers for number, contact in answer.items()}

    async def close(self) -> None:
        """Close the HTTP connections."""
        await self._http.aclose()

    async def _part(self, numbers: Sequence[str]) -> dict[str, Contact]:
        async with self._free:
            persons = await self._ask(numbers)
        by_number = {person.get("personidentifikator"): person for person in persons}
        if by_number.keys() != set(numbers):
            raise RegisterUnavailable(_NAME, "the answer is not about those asked for")
        now = self._clock.now()
        found = ((number, contact_of(person, now)) for number, person in by_number.items())
        return {str(number): contact for number, contact in found if contact is not None}

    async def _ask(self, numbers: Sequence[str]) -> list[dict[str, Any]]:
        content = orjson.dumps({"personidentifikatorer": list(numbers)})
        refused: str | None = None
        try:
            for _ in range(2):
                token = await self._tokens.token(refused)
                headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
                answer = await self._http.post(self._address, content=content, headers=headers)
                if answer.status_code != 401:
                    break
                refused = token
            if answer.status_code != 200:
                raise RegisterUnavailable(_NAME, f"status {answer.status_code}")
            body = orjson.loads(answer.content)
        except NoToken as error:
            raise RegisterUnavailable(_NAME, str(error)) from error
        except (httpx.HTTPError, orjson.JSONDecodeError) as error:
            raise RegisterUnavailable(_NAME, type(error).__name__) from error
        persons = body.get("personer") if isinstance(body, dict) else None
        if not isinstance(persons, list) or not all(isinstance(person, dict) for person in persons):
            raise RegisterUnavailable(_NAME, "the answer is of another form")
        return persons


def contact_of(person: Mapping[str, Any], now: datetime) -> Contact | None:
    """A person of KRR's answer; None for one who is not active there and not reserved.

    A mobile or e-mail is left out when no date with it lies within the last 18 months (§ 32). Raises
    RegisterUnavailable for what cannot be read: a reservation is never guessed.
    """
    reservation, status = person.get("reservasjon"), person.get("status")
    if reservation not in {"JA", "NEI"} or status not in {"AKTIV", "SLETTET", "IKKE_REGISTRERT"}:
        raise RegisterUnavailable(_NAME, "unknown words for reservation or status")
    reserved = reservation == "JA"
    if status != "AKTIV":
        return Contact(reserved=True) if reserved else None
    contact = person.get("kontaktinformasjon") or {}
    mobile = _mobile(_fresh(contact, "mobiltelefonnummer", now))
    email = _fresh(contact, "epostadresse", now)
    mailbox = (person.get("digital_post") or {}).get("postkasseadresse")
    return Contact(
        reserved=reserved,
        mobile=mobile,
        email=email,
        notifiable=person.get("varslingsstatus") == "KAN_VARSLES" and bool(mobile or email),
        mailbox=str(mailbox) if mailbox else None,
        language=person.get("spraak") if person.get("spraak") in {"nb", "nn", "en", "se"} else None,
    )


def _fresh(contact: Mapping[str, Any], name: str, now: datetime) -> str | None:
    value = contact.get(name)
    if not value:
        return None
    dates = (contact.get(f"{name}_{kind}") for kind in ("oppdatert", "sist_verifisert", "sist_validert"))
    oldest = _months_before(now, FRESH_MONTHS)
    return str(value) if any(_moment(text) >= oldest for text in dates if text) else None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise RegisterUnavailable(_NAME, "a date is of another form") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _months_before(moment: datetime, months: int) -> datetime:
    """The same day so many calendar months earlier; the month's last day where it is shorter."""
    years, month = divmod(moment.year * 12 + moment.month - 1 - months, 12)
    for day in range(moment.day, moment.day - 4, -1):
        try:
            return moment.replace(year=years, month=month + 1, day=day)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")


def _mobile(number: str | None) -> str | None:
    """With country code; Norwegian numbers are often registered without."""
    if number is None:
        return None
    digits = re.sub(r"[\s-]", "", number)
    if digits.startswith("00"):
        digits = f"+{digits[2:]}"
    return f"+47{digits}" if re.fullmatch(r"\d{8}", digits) else digits
