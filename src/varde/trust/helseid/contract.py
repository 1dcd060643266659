"""What the house agreed with HelseID and with those who call its API: issuers, audience, scopes, organisations, level.

An API scope of HelseID's is a word (`nhn:varde/journal`); here it comes to mean SMART scopes, so that there is one
authoriser (IDENTITY.md 1.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from varde.trust.identity.helseid import Organisation
from varde.trust.identity.registration import Level
from varde.trust.smart.scopes import InvalidScope, ScopeWord, read_word


@dataclass(frozen=True, slots=True)
class Contract:
    """Everything that a token is held against."""

    issuers: Sequence[str]
    audience: str
    scopes: Mapping[str, Sequence[ScopeWord]]
    """What each API scope opens: `user/` for health workers, `system/` for systems."""
    organisations: Sequence[Organisation] = field(default_factory=tuple)
    """Those that may call: whole legal entities, or single businesses of one."""
    level: Level = Level.HIGH
    """The lowest level of assurance of a health worker."""
    attested: bool = True
    """Whether a health worker's token must carry an attestation."""

    def admits(self, organisation: Organisation) -> bool:
        """Whether one of the agreed organisations calls."""
        return any(
            one.parent == organisation.parent and one.child in {None, organisation.child} for one in self.organisations
        )

    def words(self, scopes: Iterable[str], level: str) -> list[ScopeWord]:
        """The SMART scopes of one level that these API scopes open. Each is compared as a whole word."""
        found = (word for scope in scopes for word in self.scopes.get(scope, ()))
        return list(dict.fromkeys(word for word in found if word.level == level))


def contract(
    issuers: Sequence[str],
    audience: str | None,
    scopes: Mapping[str, str],
    organisations: Sequence[str],
    level: Level = Level.HIGH,
    *,
    attested: bool = True,
) -> Contract | None:
    """From settings; None when no issuer is named. Raises ValueError for what cannot be held to."""
    if not issuers:
        return None
    if not audience or not scopes or not organisations:
        raise ValueError("HelseID's tokens need an audience, scopes and the organisations that may call")
    return Contract(
        tuple(issuers),
        audience,
        {name: _words(name, text) for name, text in scopes.items()},
        tuple(Organisation.parse(one) for one in organisations),
        level,
        attested,
    )


def _words(name: str, text: str) -> tuple[ScopeWord, ...]:
    try:
        words = [read_word(one) for one in text.split()]
    except InvalidScope as error:
        raise ValueError(f"{name}: {error}") from None
    found = tuple(word for word in words if word is not None and word.level in {"user", "system"})
    if len(found) != len(words) or not found:
        raise ValueError(f"{name} opens user/ and system/ scopes alone")
    return found
