"""Letters in and out of the store, and the scope that the service itself acts under. What is done to a letter is
others' business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from varde.fhir.errors import NotFound
from varde.fhir.model import Stored
from varde.fhir.store import ABSENT
from varde.services.letters import model
from varde.services.letters.model import Letter

if TYPE_CHECKING:
    from varde.services import Platform
    from varde.trust.scope import Scope

SERVICE = "letters"
ACTOR = "Varde"
"""Who a change is by, when it is by the clock and not by a person (LET-50)."""

MOST_READERS = 6
"""Of one letter: a young person and everyone with parental responsibility."""

READ = frozenset({"Appointment", "Communication", "DocumentReference", "Flag", "Location", "Organization", "Patient",
                  "ServiceRequest", "Task"})  # fmt: skip
WRITTEN = frozenset({"Communication", "DocumentReference", "Flag", "Task"})
BY_STAFF = frozenset({"Communication", "Flag", "Task"})
BY_PATIENT = frozenset({"Communication"})


def own_scope(platform: Platform) -> Scope:
    """The service's own scope, for what no person does: jobs, receipts, what the registers must be asked about."""
    return platform.access.for_system(SERVICE, types=READ, write_types=WRITTEN)


def letter_of(stored: Stored) -> Letter:
    """The letter in a stored Communication. Raises NotFound for one that is no letter."""
    try:
        return model.from_fhir(stored.resource)
    except (KeyError, ValueError, IndexError, TypeError):
        raise NotFound.of(ABSENT) from None


async def read(platform: Platform, scope: Scope, letter_id: str) -> Letter:
    """One letter. Raises NotFound, also for one that the scope hides."""
    return letter_of(await platform.store.read(scope, "Communication", letter_id))


async def locked(platform: Platform, scope: Scope, connection: Any, letter_ids: Sequence[str]) -> list[Letter]:
    """These letters, locked until the transaction ends, in the order asked for; without those that are not there."""
    found = await platform.store.read_many(
        scope, "Communication", list(letter_ids), connection=connection, for_update=True
    )
    return [letter_of(found[one]) for one in dict.fromkeys(letter_ids) if one in found]


async def keep(
    platform: Platform,
    scope: Scope,
    connection: Any,
    letters: Sequence[Letter],
    others: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write letters, and what goes with them (tasks, flags, documents), in the connection's transaction. Of several
    that are one resource, such as a patient's one flag, the last is kept.

    They are valid by construction (tests/services/letters/test_model.py), and are not validated again."""
    resources = {(one["resourceType"], one["id"]): one for one in (*map(model.to_fhir, letters), *others)}
    await platform.store.write_many(scope, list(resources.values()), connection=connection, checked=True)


def print_key(letter_id: str) -> str:
    """Key of the message to the printer: a letter is printed once (LET-56)."""
    return f"letter:{letter_id}:print"


def notify_key(letter_id: str, way: str = "", place: int = 0) -> str:
    """Key of a notification: the first to the first receiver, by another `way`, or to receiver number `place`."""
    parts = ["letter", letter_id, "notify", *([way] if way else []), *([str(place + 1)] if place else [])]
    return ":".join(parts)


def remind_key(letter_id: str, place: int = 0) -> str:
    """Key of a reminder's job and message (LET-21)."""
    return f"letter:{letter_id}:remind" + (f":{place + 1}" if place else "")


def deadline_key(letter_id: str) -> str:
    """Key of the job that posts an unopened letter (LET-04)."""
    return f"letter:{letter_id}:deadline"


def print_job_key(letter_id: str) -> str:
    """Key of the job that hands a letter to the printer."""
    return f"letter:{letter_id}:hand-over"


def letter_of_key(key: str) -> str | None:
    """Id of the letter that a message's key is about; None for a key that is not of letters."""
    parts = key.split(":")
    return parts[1] if len(parts) > 2 and parts[0] == "letter" else None


def waiting_keys(letter_id: str) -> list[str]:
    """Keys of every job that waits for an unopened letter, the print job with them."""
    deadline = deadline_key(letter_id)
    return [remind_key(letter_id), f"{remind_key(letter_id)}:again", deadline, f"{deadline}:again",
            print_job_key(letter_id)]  # fmt: skip


def message_keys(letter_id: str) -> list[str]:
    """Keys of every notification and reminder of a letter, to each reader it may have and by either way."""
    found = []
    for place in range(MOST_READERS):
        found += [notify_key(letter_id, way, place) for way in ("", "sms", "email")]
        found.append(remind_key(letter_id, place))
    return found
