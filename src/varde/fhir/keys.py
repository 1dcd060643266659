"""Keys of the store: resource ids that carry their bucket, and the hashes that stand for long texts.

What lives here is pure and never changes meaning: stored rows depend on it.
"""

from __future__ import annotations

import secrets
import time
from functools import lru_cache
from hashlib import blake2b

BUCKETS = 4096


def _hash64(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def resource_key(resource_type: str, resource_id: str) -> int:
    """The rid of `resource_type`/`resource_id`: a signed 64-bit hash. The same text gives it for ever."""
    return _hash64(f"{resource_type}/{resource_id}")


def text_key(text: str) -> int:
    """Signed 64-bit hash that stands for a system uri, an absolute url or "system|value". "" gives 0."""
    return _hash64(text) if text else 0


@lru_cache(maxsize=16384)
def parameter_key(resource_type: str, code: str) -> int:
    """Signed 32-bit hash that stands for search parameter `code` of `resource_type`."""
    digest = blake2b(f"{resource_type}.{code}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big", signed=True)


def new_id(bucket: int | None = None) -> str:
    """A new resource id: a UUID version 8 of milliseconds, bucket and 62 random bits.

    `bucket` is the patient's for a resource in a compartment; None draws one (a new patient or a resource
    outside all compartments).
    """
    if bucket is None:
        bucket = secrets.randbelow(BUCKETS)
    milliseconds = time.time_ns() // 1_000_000  # order of ids only; never shown or judged as a time
    random = secrets.randbits(62)
    value = (milliseconds & 0xFFFFFFFFFFFF) << 80 | 0x8 << 76 | bucket << 64 | 0b10 << 62 | random
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def lasting_id(name: str, patient: str) -> str:
    """The id that `name` has for ever, in the bucket of the Patient with id `patient`: who makes a resource again
    finds the one that is there."""
    digest = int.from_bytes(blake2b(name.encode(), digest_size=14).digest(), "big")
    value = (digest >> 64) << 80 | 0x8 << 76 | bucket_of(patient) << 64 | 0b10 << 62 | (digest & (1 << 62) - 1)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def bucket_of(resource_id: str) -> int:
    """The bucket that an id carries; an id made by a client gets one from its hash."""
    if len(resource_id) == 36 and resource_id[14] == "8" and resource_id[13] == "-":
        try:
            return int(resource_id[15:18], 16)
        except ValueError:
            pass
    return _hash64(resource_id) % BUCKETS
