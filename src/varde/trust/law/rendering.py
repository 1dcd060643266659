"""What a mandate lets one see and do, as SQL on a row of `resource`. Its twin, which says the same of one resource from
facts, is `explaining.py`. Pure text; the values go through the parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from varde.fhir.definitions import type_number
from varde.fhir.gate import Parameters
from varde.fhir.keys import resource_key
from varde.trust.consents import Kind
from varde.trust.law import ties
from varde.trust.law.mandate import Mandate
from varde.trust.law.marks import DELAYED, MARK, OPENS, PRIMARY_CARE, RESTRICTION, YOUTH_ALONE, label, moment_text
from varde.trust.law.table import Reach
from varde.trust.law.things import Thing, is_any, things_in, types_of

HIDDEN_FROM_PERSONS = (Kind.REFERRAL_ASSESSMENT, Kind.CHILD_WELFARE, Kind.WITHHOLDING)
"""Decisions that are not shown to the patient and those who act for them (FAM-24)."""
HIDDEN_FROM_STAFF = (Kind.BLOCK,)
"""Those that are not shown to staff: a block leaves no trace (FAM-33)."""
_WAYS: Mapping[str, Sequence[str]] = {
    "always": (),
    "primary": ("always",),
    "primary_marked": ("always", "primary"),
    "alone": ("always",),
    "by_referral": ("always",),
    "by_referral_marked": ("always", "by_referral"),
}
"""Fields of Right, each with those that ask less of a thing."""
_BY_REFERRAL = ("by_referral", "by_referral_marked")
_MARKS: Mapping[str, Sequence[str | None]] = {
    "always": (), "by_referral": (), "by_referral_marked": (None,), "primary": (PRIMARY_CARE,),
    "primary_marked": (PRIMARY_CARE, None), "alone": (YOUTH_ALONE,),
}  # fmt: skip
"""The marks that each asks for; None: the mandate's own."""
_LABELLED = f"{OPENS}|%"
_MOMENT = r"\|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"


def any_of(tests: Iterable[str]) -> str:
    """The tests joined by `or`, as short as it can be said."""
    kept = [one for one in dict.fromkeys(tests) if one != "false"]
    if "true" in kept:
        return "true"
    return "false" if not kept else kept[0] if len(kept) == 1 else f"({' or '.join(kept)})"


def all_of(tests: Iterable[str]) -> str:
    """The tests joined by `and`, as short as it can be said."""
    kept = [one for one in dict.fromkeys(tests) if one != "true"]
    if "false" in kept:
        return "false"
    return " and ".join(kept) or "true"


def not_withheld(alias: str, codes: frozenset[str], now: datetime, parameters: Parameters) -> str:
    """Not hidden by a code of 9603, in this very version. What is delayed opens at its time (FAM-35): then every
    moment that is written beside the code has come."""
    if not codes:
        return "true"
    held = f"{alias}.security"
    every = parameters.add([label(RESTRICTION, code) for code in sorted(codes)])
    plain = f"{held} is null or not {held} && {every}::text[]"
    if DELAYED not in codes:
        return f"({plain})"
    others = parameters.add([label(RESTRICTION, code) for code in sorted(codes - {DELAYED})])
    come = parameters.add(label(OPENS, moment_text(now)))
    return (
        f"({plain} or (not {held} && {others}::text[] and (select coalesce(bool_and(word ~ {parameters.add(_MOMENT)}"
        f' and word collate "C" <= {come}), false) from unnest({held}) as word'
        f" where word like {parameters.add(_LABELLED)})))"
    )


def not_decision(alias: str, resource_type: str | None, kinds: Sequence[Kind], parameters: Parameters) -> str:
    """Not a Consent that holds a decision of these kinds (FAM-24, FAM-33)."""
    if resource_type not in {None, "Consent"}:
        return "true"
    names = parameters.add([kind.value for kind in kinds])
    hidden = (
        f"not exists (select 1 from trust_consent_kind made where made.rid = {alias}.rid"
        f" and made.kind = any({names}::text[]))"
    )
    if resource_type is not None:
        return hidden
    return f"({alias}.type <> {parameters.add(type_number('Consent'))}::smallint or {hidden})"


class Rendering:
    """SQL of one mandate. `asker` is the id of the Patient that who asks is."""

    def __init__(self, mandate: Mandate, patient: str, asker: str, now: datetime, parameters: Parameters) -> None:
        self._mandate = mandate
        self._patient = patient
        self._asker = asker
        self._now = now
        self._parameters = parameters

    def within(self, alias: str, resource_type: str | None, reach: Reach = Reach.SEE) -> str:
        """The row is one that the mandate reaches as far as `reach`; what is withheld is judged apart."""
        if self._mandate.whole:
            return "true"
        ways = {way: things for way in _WAYS if (things := self._reached(way, resource_type, reach))}
        tests = {way: self._test(way, things, alias, resource_type) for way, things in ways.items()}
        rest = [test for way, test in tests.items() if way not in _BY_REFERRAL]
        if "true" in rest:
            return "true"
        tied = any_of(tests[way] for way in _BY_REFERRAL if way in tests)
        return any_of([*rest, *([] if tied == "false" else [f"({all_of([tied, self._opened(alias)])})"])])

    def may_create(self, alias: str) -> str:
        """The row is of a type of which the mandate lets something be done."""
        if self._mandate.whole:
            return "true"
        things = [thing for thing in Thing if self._mandate.right(thing).most >= Reach.ACT]
        numbers = sorted({type_number(name) for thing in things for name in types_of(thing)})
        return f"{alias}.type = any({self._parameters.add(numbers)}::smallint[])"

    def _reached(self, way: str, resource_type: str | None, reach: Reach) -> frozenset[Thing]:
        """The things of the type that are reached this way, and no simpler way."""
        things = Thing if resource_type is None else things_in(resource_type)
        simpler = _WAYS[way]
        return frozenset(
            thing
            for thing in things
            if getattr(right := self._mandate.right(thing), way) >= reach
            and all(getattr(right, other) < reach for other in simpler)
        )

    def _test(self, way: str, things: frozenset[Thing], alias: str, resource_type: str | None) -> str:
        marks = [self._mandate.mark if mark is None else mark for mark in _MARKS[way]]
        made = all_of(
            [
                is_any(alias, things, resource_type, self._parameters),
                *(self._marked(alias, mark) for mark in marks),
            ]
        )  # fmt: skip
        return f"({made})" if " and " in made else made

    def _marked(self, alias: str, mark: str) -> str:
        held = self._parameters.add([label(MARK, mark)])
        return f"coalesce({alias}.security && {held}::text[], false)"

    def _opened(self, alias: str) -> str:
        add = self._parameters.add
        patient = f"{add(resource_key('Patient', self._patient))}::bigint"
        asker = f"{add(resource_key('Patient', self._asker))}::bigint"
        now = f"{add(self._now)}::timestamptz"
        return f"{alias}.rid in ({ties.opened(patient, asker, now, self._parameters)})"
