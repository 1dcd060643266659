"""How long to wait before the next try, and how to tell of a fault without telling of a person. Pure."""

from __future__ import annotations

import re
import traceback
from datetime import timedelta
from hashlib import blake2b

FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(hours=1)
LONGEST_WHY = 200

_NUMBERS = re.compile(r"\d{5,}")
_ADDRESSES = re.compile(r"\S+@\S+")


def wait(attempts: int, seed: str) -> timedelta:
    """The wait after the `attempts`-th failed try: 5 s doubled each time, at most an hour, spread by a quarter
    either way so that what failed together does not come back together. The same seed gives the same wait."""
    exponent = min(max(attempts, 1) - 1, 16)
    whole: timedelta = min(FIRST_WAIT * 2**exponent, LONGEST_WAIT)
    digest = blake2b(f"{seed}:{attempts}".encode(), digest_size=4).digest()
    return whole * (0.75 + int.from_bytes(digest, "big") / 2**33)


def fault(error: BaseException) -> str:
    """The type of an error and where in Varde it arose. Its text is left out: it may tell of a person."""
    name = type(error).__name__
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        name = f"{name} {state}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        _, found, path = frame.filename.replace("\\", "/").rpartition("/varde/")
        if found:
            return f"{name} in {path}:{frame.lineno}"[:LONGEST_WHY]
    return name[:LONGEST_WHY]


def plain(why: str) -> str:
    """An edge's words about a fault, shortened, with long numbers and e-mail addresses taken out in case an edge
    passes on what it was told from outside."""
    return _NUMBERS.sub("#", _ADDRESSES.sub("#", why))[:LONGEST_WHY]
