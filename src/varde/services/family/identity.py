"""Ids of resources of which there is one: the same words give the same id, with the patient's bucket in it. Pure."""

from __future__ import annotations

from hashlib import blake2b

from varde.fhir.keys import bucket_of


def fixed_id(patient: str, *words: str) -> str:
    """Id of the resource of a patient (the Patient's id) that `words` name (fhir/keys.py)."""
    digest = blake2b("\x1f".join((patient, *words)).encode(), digest_size=14).digest()
    number = int.from_bytes(digest, "big")
    value = (number >> 64) << 80 | 0x8 << 76 | bucket_of(patient) << 64 | 0b10 << 62 | (number & (1 << 62) - 1)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
