"""Private keys of ours, in files that all processes share: made when missing, read again when changed, rotated.

Which words are signed with them is the callers'. The keys that sign id_tokens for apps: `trust/smart/keys.py`.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from varde.clock import Clock

Key = ECKey | RSAKey
KEPT = timedelta(days=1)
"""How long a key is published after another took its place: what it signed is long past by then."""
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


@dataclass(frozen=True, slots=True)
class _Own:
    """One key, and from when it signs. A key that came from outside signs at once."""

    key: Key
    signs_from: datetime


def load_key(file: Path) -> ECKey:
    """The one private key (JWK, EC) in `file`; made there, readable by the owner only, when it is missing."""
    if not file.exists():
        with _alone(file):
            if not file.exists():
                _write(file, _generate().as_dict(private=True))
    return ECKey.import_key(orjson.loads(file.read_bytes()))


def algorithm(key: Key) -> str:
    """The JWS algorithm that a key signs with: what it says itself, else what its kind is best at (FAPI 2.0 5.4)."""
    own = key.get("alg")
    if own:
        return str(own)
    return "PS256" if isinstance(key, RSAKey) else _CURVES[str(key["crv"])]


class ClientKeys:
    """The keys with which Varde proves itself to identity providers. One signs; every one in use is published.

    The file holds one JWK, a JWKS, or what `rotate` writes: private keys, EC or RSA.
    """

    def __init__(self, file: Path, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._keys: list[_Own] = []
        self._stamp: int | None = None

    def sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        """A JWT of the kind `typ`, signed with the key whose turn it is. Raises ValueError for a file without keys."""
        key = signing(self._current(), self._clock.now()).key
        return jwt.encode({"alg": algorithm(key), "kid": key.kid, "typ": typ}, dict(claims), key)

    def public(self) -> dict[str, Any]:
        """The JWKS to publish: those that sign, will sign, and signed until a day ago."""
        return {
            "keys": [
                {**one.key.as_dict(private=False), "use": "sig", "alg": algorithm(one.key)}
                for one in needed(self._current(), self._clock.now())
            ]
        }

    def rotate(self, after: timedelta) -> str:
        """Make a new key that is published now and signs from `after` on; its kid. The old one is forgotten a day
        after that."""
        now = self._clock.now()
        with _alone(self._file):
            kept = needed(self._read(), now) if self._file.exists() else []
            made = _Own(_generate(), now + after if kept else now)
            _write(self._file, {"keys": [_as_json(one) for one in [*kept, made]]})
        self._stamp = None
        return str(made.key.kid)

    def _current(self) -> list[_Own]:
        if not self._file.exists():
            load_key(self._file)
        stamp = self._file.stat().st_mtime_ns
        if stamp != self._stamp:
            self._keys, self._stamp = self._read(), stamp
        return self._keys

    def _read(self) -> list[_Own]:
        content = orjson.loads(self._file.read_bytes())
        listed = content.get("keys", [content])
        found = [_from_json(one, self._file) for one in listed]
        if not found:
            raise ValueError(f"{self._file} holds no key")
        return found


def signing(keys: list[_Own], now: datetime) -> _Own:
    """The one whose turn came last; while none has come, the first."""
    ready = [one for one in keys if one.signs_from <= now]
    return max(ready, key=lambda one: one.signs_from) if ready else keys[0]


def needed(keys: list[_Own], now: datetime) -> list[_Own]:
    """Those that another did not take the place of more than KEPT ago."""
    return [one for one in keys if not any(one.signs_from < other.signs_from <= now - KEPT for other in keys)]


def _generate() -> ECKey:
    made = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"})
    made.ensure_kid()
    return made


def _as_json(one: _Own) -> dict[str, Any]:
    return {"signs_from": one.signs_from.isoformat(), **one.key.as_dict(private=True)}


def _from_json(one: dict[str, Any], file: Path) -> _Own:
    signs_from = one.pop("signs_from", None)
    try:
        key: Key = RSAKey.import_key(one) if one.get("kty") == "RSA" else ECKey.import_key(one)
    except (JoseError, ValueError, KeyError) as error:
        raise ValueError(f"{file} is not a private key (JWK, EC or RSA)") from error
    if not key.is_private:
        raise ValueError(f"{file} holds a key that is not private")
    key.ensure_kid()
    return _Own(key, datetime.fromisoformat(signs_from) if signs_from else datetime.min.replace(tzinfo=UTC))


def _write(file: Path, content: dict[str, Any]) -> None:
    fresh = file.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_bytes(orjson.dumps(content))
    fresh.replace(file)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Two processes never make the first key each."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
