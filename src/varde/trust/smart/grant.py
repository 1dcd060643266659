"""What a token's scopes open: which interactions on which types, and which rows of them. Always within what the
person or the system may do anyway: `scope.py` asks both.

Rights r and s both show content; the types they hold for are told apart, and where both are narrowed, a row that
either opens is seen by both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson

from varde.fhir.definitions import type_number
from varde.fhir.gate import Interaction, Parameters
from varde.fhir.keys import resource_key
from varde.fhir.search.extract import extract
from varde.fhir.search.query import Condition
from varde.trust.smart.narrowing import as_sql, met_by, read_narrowing
from varde.trust.smart.scopes import InvalidScope, ScopeWord, read_word

_RIGHT = {
    Interaction.CREATE: "c", Interaction.READ: "r", Interaction.VREAD: "r", Interaction.HISTORY: "r",
    Interaction.UPDATE: "u", Interaction.PATCH: "u", Interaction.DELETE: "d", Interaction.SEARCH: "s",
    Interaction.EXPORT: "s",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """What one scope opens."""

    type: str
    """A resource type, or "*" for all."""
    rights: frozenset[str]
    conditions: tuple[Condition, ...] = ()
    of_patient: bool = False
    """Only what is of the patient in the launch context, or of no patient."""
    only: str | None = None
    """Id of the one resource it holds for."""
    query: str = ""
    """The narrowing as it was written: `conditions` as text."""

    @property
    def whole(self) -> bool:
        """Whether every row of its types is open."""
        return not self.conditions and self.only is None

    def fits(self, resource_type: str) -> bool:
        """Whether it tells of a type."""
        return self.type in {"*", resource_type}

    def within(self, other: Rule) -> Rule | None:
        """What of this rule the other opens as well; None for nothing."""
        rights = self.rights & other.rights
        covers = (
            other.type in {"*", self.type}
            and other.query in {"", self.query}
            and other.only in {None, self.only}
            and (self.of_patient or not other.of_patient)
        )
        return replace(self, rights=rights) if rights and covers else None


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose token a grant is of: what it is asked by, later, whether it still holds (`trust/keeping.py`)."""

    client: str
    """The app's id, here or with HelseID."""
    authorization: int | None = None
    """Of an app's token: what the person let it do. None for a system's."""
    issuer: str | None = None
    """Of HelseID's tokens; None for our own."""
    organisation: str | None = None
    """Of HelseID's tokens: who calls, `parent` or `parent:child`."""
    api_scopes: tuple[str, ...] = ()
    """Of HelseID's tokens: the scopes of the API."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The rules of one token."""

    rules: tuple[Rule, ...]
    patient: str | None = None
    """Id of the Patient in the launch context, where it is narrower than what the actor reaches: staff's."""
    origin: Origin | None = None
    """None for the demo's own tokens."""

    def allows(self, interaction: Interaction, resource_type: str) -> bool:
        """Whether an interaction may be tried on a type; "*" is every type at once, where rows are judged one by
        one."""
        right = _RIGHT[interaction]
        return any(right in rule.rights and (resource_type == "*" or rule.fits(resource_type)) for rule in self.rules)

    @property
    def read(self) -> frozenset[str] | None:
        """Types whose content may be shown at all; None for all."""
        return self._types("rs")

    @property
    def write(self) -> frozenset[str] | None:
        """Types that may be changed in some way; None for all."""
        return self._types("cud")

    @property
    def whole(self) -> bool:
        """Whether it tells types apart and nothing within them."""
        return self.patient is None and all(rule.whole for rule in self.rules)

    def as_json(self) -> dict[str, Any]:
        """All that `from_json` makes the same grant of."""
        rules = [
            [rule.type, "".join(sorted(rule.rights)), rule.query, rule.of_patient, rule.only] for rule in self.rules
        ]
        return {"rules": rules, "patient": self.patient, "origin": self.origin and asdict(self.origin)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Grant:
        """A grant that `as_json` wrote. Raises Unenforceable when a narrowing is none any more."""
        origin = kept.get("origin")
        return cls(
            tuple(
                Rule(kind, frozenset(rights), read_narrowing(kind, query) if query else (), of_patient, only, query)
                for kind, rights, query, of_patient, only in kept["rules"]
            ),
            kept["patient"],
            Origin(**{**origin, "api_scopes": tuple(origin["api_scopes"])}) if origin else None,
        )

    def within(self, other: Grant) -> Grant:
        """What of this grant the other opens as well."""
        both = (mine.within(its) for mine in self.rules for its in other.rules)
        return replace(self, rules=tuple(rule for rule in both if rule is not None))

    def _types(self, rights: str) -> frozenset[str] | None:
        found = {rule.type for rule in self.rules if rule.rights & set(rights)}
        return None if "*" in found else frozenset(found)

    def predicate(self, alias: str, resource_type: str | None, parameters: Parameters) -> str:
        """SQL condition on rows of `resource` that the scopes let be read; see fhir.gate."""
        rules = [rule for rule in self.rules if rule.rights & {"r", "s"}]
        if resource_type is not None:
            rules = [rule for rule in rules if rule.fits(resource_type)]
        plain = [rule for rule in rules if self._is_open(rule)]
        if any(rule.type == "*" or resource_type is not None for rule in plain):
            return "true"
        parts = []
        if plain:
            numbers = sorted({type_number(rule.type) for rule in plain})
            parts.append(f"{alias}.type = any({parameters.add(numbers)}::smallint[])")
        parts += [self._narrow(rule, alias, resource_type, parameters) for rule in rules if rule not in plain]
        return f"({' or '.join(parts)})" if parts else "false"

    def _is_open(self, rule: Rule) -> bool:
        return rule.whole and not (rule.of_patient and self.patient is not None)

    def _narrow(self, rule: Rule, alias: str, resource_type: str | None, parameters: Parameters) -> str:
        tests = []
        if resource_type is None and rule.type != "*":
            tests.append(f"{alias}.type = {parameters.add(type_number(rule.type))}::smallint")
        if rule.of_patient and self.patient is not None:
            key = parameters.add(resource_key("Patient", self.patient))
            tests.append(f"({alias}.patient is null or {alias}.patient = {key}::bigint)")
        if rule.only is not None:
            tests.append(f"{alias}.rid = {parameters.add(resource_key(rule.type, rule.only))}::bigint")
        if rule.conditions:
            kind = resource_type or (rule.type if rule.type != "*" else None)
            tests.append(as_sql(alias, kind, rule.conditions, parameters))
        return f"({' and '.join(tests)})"

    def admits(self, interaction: Interaction, resource_type: str, content: bytes | Mapping[str, Any]) -> bool:
        """Whether content that no index tells of (new, or as it once was) is within the narrowing. Its type, its
        patient and its id are judged by the predicates."""
        rights = {_RIGHT[interaction]} if interaction.writes else {"r", "s"}
        rules = [rule for rule in self.rules if rule.rights & rights and rule.fits(resource_type)]
        if any(rule.whole for rule in rules):
            return True
        if not rules:
            return False
        resource = content if isinstance(content, Mapping) else orjson.loads(content)
        rows = extract(resource_type, resource)
        return any(
            rule.only in {None, resource.get("id")} and met_by(rows, resource_type, rule.conditions) for rule in rules
        )


def grant_of(
    words: Sequence[ScopeWord], *, patient: str | None = None, user: tuple[str, str] | None = None,
    origin: Origin | None = None,
) -> Grant:  # fmt: skip
    """The grant of resource scopes. `patient`, `origin`: see Grant. `user`: (type, id) of who is logged in, whom scopes
    `openid fhirUser` let be read."""
    rules = [
        Rule(
            word.type,
            frozenset(word.rights),
            read_narrowing(word.type, word.query) if word.query else (),
            word.level == "patient",
            query=word.query,
        )
        for word in words
    ]
    if user is not None:
        rules.append(Rule(user[0], frozenset("r"), only=user[1]))
    return Grant(tuple(rules), patient, origin)


def parse_scopes(text: str, level: str = "system") -> Grant:
    """The grant of those scopes in `text` that are of one level. A word that is none, is of another level or cannot
    be enforced grants nothing."""
    words = []
    for one in text.split():
        try:
            word = read_word(one)
        except InvalidScope:
            continue
        if word is not None and word.level == level:
            words.append(word)
    return grant_of(words)
