"""What a reference points at, as the key that it is indexed and asked for under. Which references a resource has is
`values.py`'s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache

from varde.fhir.definitions import canonical_system, is_type, resource_types, type_number
from varde.fhir.keys import resource_key, text_key

_LITERAL = re.compile(r"^(?:(https?://.+)/)?([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?$")


@cache
def _own_base() -> list[str]:
    return []


def set_own_base(base: str) -> None:
    """Tell which absolute base is this server's own: references under it are local ones."""
    _own_base()[:] = [base.rstrip("/")]
    for cached in (reference_target, version_key, local_id):
        cached.cache_clear()


def _local(literal: str) -> re.Match[str] | None:
    """The parts of a literal reference to something on this server: relative, or under its own base."""
    match = _LITERAL.match(literal)
    return match if match is not None and (match[1] is None or match[1] in _own_base()) else None


@lru_cache(maxsize=16384)
def reference_target(literal: str) -> tuple[int, int | None, str]:
    """(target key, target type number, form) of a literal reference, relative or absolute."""
    match = _LITERAL.match(literal)
    number = type_number(match[2]) if match is not None and is_type(match[2]) else None
    if match is not None and number is not None and _local(literal) is not None:
        return resource_key(match[2], match[3]), number, "l"
    return text_key(literal), number, "u"


@lru_cache(maxsize=16384)
def version_key(literal: str) -> int | None:
    """What a reference to one version of a resource here stands under beside the resource itself."""
    match = _local(literal)
    return text_key(f"{match[2]}/{match[3]}/_history/{match[4]}") if match is not None and match[4] else None


def reference_keys(wanted: str, targets: Sequence[str]) -> list[int]:
    """The target keys of a reference as asked for: relative, absolute, versioned, urn, canonical, or a bare id of one
    of the types `targets` (of any type when there are none)."""
    if "/" not in wanted and ":" not in wanted:  # an id, or a canonical that is no url
        return [*(resource_key(t, wanted) for t in targets or resource_types()), text_key(wanted)]
    version = version_key(wanted)
    if version is not None:
        return [version]
    return list({reference_target(wanted)[0], text_key(wanted)})


@lru_cache(maxsize=16384)
def local_id(literal: str, resource_type: str) -> str | None:
    """The id in a literal reference to a resource of this type on this server; None for any other reference."""
    match = _local(literal)
    return match[3] if match is not None and match[2] == resource_type else None


def identifier_target(system: str, value: str) -> int:
    """The target key under which a logical reference (`identifier`) is indexed."""
    return text_key(f"{canonical_system(system)}|{value}")
