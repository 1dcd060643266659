"""The words of SMART scopes, versions 1 and 2: what stands in them, and which are covered by which. Pure.

What words open is `grant.py`'s; the narrowing behind a question mark is `narrowing.py`'s.
Source: hl7.org/fhir/smart-app-launch 2.2, "Scopes and launch context".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from varde.fhir.definitions import is_type
from varde.trust.smart.narrowing import Unenforceable, read_narrowing

RIGHTS = "cruds"
IDENTITY = frozenset({"openid", "fhirUser", "profile"})
LAUNCH = frozenset({"launch", "launch/patient", "launch/encounter"})
LASTING = frozenset({"offline_access", "online_access"})
_WORD = re.compile(r"(patient|user|system)/(\*|[A-Z][A-Za-z]+)\.(read|write|\*|c?r?u?d?s?)(?:\?(.+))?")
_RESOURCE = re.compile(r"(patient|user|system)/")
_VERSION_1 = {"read": "rs", "write": "cud", "*": "cruds"}


class InvalidScope(ValueError):
    """A word that this server cannot give. The text names it."""


@dataclass(frozen=True, slots=True)
class ScopeWord:
    """One resource scope: `level/type.rights?query`."""

    level: str
    """patient, user or system."""
    type: str
    """A resource type, or "*" for all."""
    rights: str
    """Some of c r u d s, in that order."""
    query: str = ""
    """The narrowing as it was written; empty for none."""
    version: int = 2

    def __str__(self) -> str:
        """As an app writes it; rights that version 1 has no word for are written as in version 2."""
        rights = self.rights
        if self.version == 1:
            rights = next((word for word, same in _VERSION_1.items() if same == self.rights), self.rights)
        return f"{self.level}/{self.type}.{rights}" + (f"?{self.query}" if self.query else "")

    def limited(self, rights: Iterable[str]) -> ScopeWord | None:
        """The same word with no more than `rights`; None when nothing is left."""
        left = "".join(right for right in self.rights if right in set(rights))
        return replace(self, rights=left) if left else None

    def covered_by(self, other: ScopeWord) -> bool:
        """Whether `other` opens all that this word does."""
        return (
            self.level == other.level
            and other.type in {"*", self.type}
            and set(self.rights) <= set(other.rights)
            and other.query in {"", self.query}
        )


def read_word(text: str) -> ScopeWord | None:
    """A resource scope; None for a word that is none (openid, launch, what another server knows).

    Raises InvalidScope for one that is malformed, of no type of R4, or narrowed by what cannot be enforced.
    """
    if not _RESOURCE.match(text):
        return None
    match = _WORD.fullmatch(text)
    if match is None or not match[3] or not (match[2] == "*" or is_type(match[2])):
        raise InvalidScope(f"{_shown(text)} is no scope of this server")
    level, kind, rights, query = match.groups()
    version = 1 if rights in _VERSION_1 else 2
    if query is not None:
        if version == 1:
            raise InvalidScope(f"{_shown(text)}: a scope of version 1 is not narrowed")
        try:
            read_narrowing(kind, query)
        except Unenforceable as error:
            raise InvalidScope(f"{_shown(text)}: {error}") from None
    return ScopeWord(level, kind, _VERSION_1.get(rights, rights), query or "", version)


def read_words(text: str) -> tuple[tuple[ScopeWord, ...], tuple[str, ...]]:
    """(resource scopes, other words that this server knows), each once, in order. Unknown words are passed over, as
    OAuth has it. Raises InvalidScope."""
    words: dict[ScopeWord, None] = {}
    others: dict[str, None] = {}
    for one in text.split(" "):
        word = read_word(one)
        if word is not None:
            words[word] = None
        elif one in IDENTITY | LAUNCH | LASTING:
            others[one] = None
    return tuple(words), tuple(others)


def covered(text: str, registered: str) -> bool:
    """Whether every word of `text` is within those an app is registered with. Who one is and where one is launched
    from (openid, launch…) may every app ask. Raises InvalidScope."""
    words, others = read_words(text)
    allowed, lasting = read_words(registered)
    return all(any(word.covered_by(one) for one in allowed) for word in words) and (
        set(others) & LASTING <= set(lasting)
    )


def written(words: Sequence[ScopeWord], others: Sequence[str]) -> str:
    """The text of these words."""
    return " ".join([*others, *(str(word) for word in words)])


def _shown(text: str) -> str:
    return re.sub(r"[^\w./*?=|:&-]", "…", text)[:100]
