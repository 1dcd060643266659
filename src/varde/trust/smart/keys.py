"""The keys that sign id_tokens: in a file that all processes share, and their rotation.

A key signs when it has been published long enough for those who keep our JWKS to have fetched it, and stays
published for a day after another took its place. Access tokens are no JWTs: they need no key.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from joserfc import jwt
from joserfc.jwk import RSAKey

from varde.clock import Clock

ALGORITHM = "RS256"
"""What SMART's clients must be able to verify."""
_BITS = 2048
PUBLISHED_FIRST = timedelta(hours=1)
"""How long a key is published before it signs."""
KEPT = timedelta(days=1)
"""How long a key is published after another took its place."""
_LOOKED = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class _Key:
    made: datetime
    key: RSAKey

    @property
    def signs_from(self) -> datetime:
        return self.made + PUBLISHED_FIRST


class SigningKeys:
    """The keys in one file."""

    def __init__(self, file: Path, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._keys: list[_Key] = []
        self._read_at: datetime | None = None

    def sign(self, claims: dict[str, Any]) -> str:
        """A JWT with these claims."""
        key = signing(self._current(), self._clock.now()).key
        return jwt.encode({"alg": ALGORITHM, "typ": "JWT", "kid": key.kid}, claims, key)

    def public(self) -> dict[str, Any]:
        """The JWKS to publish."""
        return {"keys": [one.key.as_dict(private=False) for one in self._current()]}

    def rotate(self) -> str:
        """Make a new key, which signs after PUBLISHED_FIRST, and forget those whose id_tokens are long past; the
        new one's kid."""
        now = self._clock.now()
        with self._alone():
            made = _generate(now)
            self._write([*needed(self._load(), now), made])
        self._read_at = None
        return str(made.key.kid)

    def _current(self) -> list[_Key]:
        now = self._clock.now()
        if self._read_at is None or not now - _LOOKED <= self._read_at <= now:
            keys = self._load()
            if not keys:
                with self._alone():
                    keys = self._load() or [_generate(now)]
                    self._write(keys)
            self._keys, self._read_at = keys, now
        return self._keys

    def _load(self) -> list[_Key]:
        if not self._file.exists():
            return []
        kept = orjson.loads(self._file.read_bytes())
        return [_Key(datetime.fromisoformat(one["made"]), RSAKey.import_key(one["key"])) for one in kept]

    def _write(self, keys: list[_Key]) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(
            orjson.dumps([{"made": one.made.isoformat(), "key": one.key.as_dict(private=True)} for one in keys])
        )
        fresh.replace(self._file)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two processes never make the first key each."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def signing(keys: list[_Key], now: datetime) -> _Key:
    """The newest that has been published long enough; while none has, the oldest."""
    ordered = sorted(keys, key=lambda one: one.made)
    ready = [one for one in ordered if one.signs_from <= now]
    return ready[-1] if ready else ordered[0]


def needed(keys: list[_Key], now: datetime) -> list[_Key]:
    """Those that sign, will sign, or signed less than KEPT ago."""
    ordered = sorted(keys, key=lambda one: one.made)
    return [
        one
        for place, one in enumerate(ordered)
        if not any(later.signs_from + KEPT <= now for later in ordered[place + 1 :])
    ]


def _generate(now: datetime) -> _Key:
    key = RSAKey.generate_key(_BITS, {"use": "sig", "alg": ALGORITHM}, private=True)
    key.ensure_kid()
    return _Key(now, key)
