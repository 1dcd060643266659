"""Which way a letter goes, and why (LET-01 to LET-03, LET-05, LET-08 to LET-13). Pure; asked again at each step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from varde.services.letters.deadlines import DEFAULT, Configuration, day_of, first_batch, latest_batch, months_before
from varde.services.letters.life import Channel
from varde.workdays import working_days_between

YOUTH = 12
"""Years: until then the letter goes to those who represent the child (LET-03)."""
OWN = 16
"""Years: from then the letter goes to the person alone (LET-01; pbrl § 4-3)."""
HIDDEN_ADDRESS = frozenset({"fortrolig", "strengtFortrolig"})
"""The population register's words for codes 7 and 6 (LET-08)."""
_PAPER_ALWAYS = frozenset({"reserved", "declined", "parent-at-home", "referral-not-assessed"})
"""Reasons for paper that an opening on screen by somebody does not take away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What decides the way of a letter to one patient. Registers' facts, none guessed.

    `is_user` is consent to the portal given; `last_login` when it was last used. `protection` is the population
    register's word. `address_wrong`: a letter came back (LET-11). `a_representative_is_digital`: one who may
    represent the child meets LET-01; `parent_at_home_is_digital`: one of those lives at the child's address
    (LET-13). `declined`: the patient, or who acts for them, said no to letters here, whatever the contact register
    says (trust/blocks.py: reserved).

    From 12 to 15 years: `referral_assessed` by a clinician (FAM-19); the letter is then open to the young person
    (`young_may_see`), to a parent (`parents_may_see`, FAM-21); `withheld_from_parents`: these shall not be told
    (FAM-04); `paper`: parents, youth or none, whom the clinician lets paper go to (table A).
    """

    age: int
    is_user: bool = False
    last_login: datetime | None = None
    reserved: bool = False
    declined: bool = False
    notifiable: bool = False
    has_mailbox: bool = False
    protection: str = "ugradert"
    has_address: bool = True
    dead: bool = False
    emigrated: bool = False
    address_wrong: bool = False
    a_representative_is_digital: bool = False
    parent_at_home_is_digital: bool | None = None
    """None: the same as `a_representative_is_digital`."""
    referral_assessed: bool = False
    young_may_see: bool = True
    parents_may_see: bool = False
    withheld_from_parents: bool = False
    paper: str = "parents"

    @property
    def reaches_a_parent_at_home(self) -> bool:
        """Whether a parent at the child's own address reads letters digitally (LET-13)."""
        if self.parent_at_home_is_digital is None:
            return self.a_representative_is_digital
        return self.parent_at_home_is_digital


@dataclass(frozen=True, slots=True)
class Route:
    """The way decided. `reason` is a key of REASONS, `problem` one of `staff.PROBLEMS` for the worklist.

    `to_representatives`: the letter is (also) theirs; on paper it is addressed to the child's parents.
    """

    channel: Channel
    reason: str
    problem: str | None = None
    telephone: bool = False
    to_representatives: bool = False

    @property
    def digital(self) -> bool:
        """Whether the letter can be opened in the portal and is notified."""
        return self.channel in (Channel.DIGITAL, Channel.BOTH)

    @property
    def printed_at_once(self) -> bool:
        """Whether it goes to the next print batch without waiting for an opening."""
        return self.channel in (Channel.PAPER, Channel.BOTH)

    @property
    def paper_always(self) -> bool:
        """Whether an opening does not spare the paper: for who reserved, and for a parent at home (LET-13)."""
        return self.printed_at_once and self.reason in _PAPER_ALWAYS


def route(
    facts: Facts, *, appointment: datetime | None, now: datetime, configuration: Configuration = DEFAULT
) -> Route:
    """The letter's way now; decided again at each step (LET-12). `appointment` is what the letter is about."""
    if facts.dead:
        return Route(Channel.NONE, "dead", "dead")
    if facts.age < YOUTH:
        chosen = _to_parents(facts)
    elif facts.age < OWN:
        chosen = _to_youth(facts, now, configuration)
    else:
        chosen = _to_person(facts, now, configuration)
    return _in_time(chosen, facts, appointment, now, configuration)


def reads_here(facts: Facts, now: datetime, configuration: Configuration = DEFAULT) -> bool:
    """Whether the person would read letters here themselves, were they open to them."""
    if facts.dead or facts.age < YOUTH:
        return False
    if facts.age < OWN:
        return _not_digital(facts, now, configuration) is None
    return _to_person(facts, now, configuration).digital


def _to_person(facts: Facts, now: datetime, configuration: Configuration) -> Route:
    """From 16 years: LET-01, LET-09, LET-11, LET-02."""
    why_not = _not_digital(facts, now, configuration)
    if why_not is None:
        return Route(Channel.DIGITAL, "digital", "emigrated" if facts.emigrated else None)
    if facts.declined or facts.reserved:
        return _on_paper(facts, why_not)
    if configuration.mailbox_connected and facts.has_mailbox:
        return Route(Channel.DIGITAL_MAILBOX, "mailbox")
    if facts.address_wrong and facts.notifiable:
        return Route(Channel.DIGITAL, "address-wrong", "returned")
    return _on_paper(facts, why_not)


def _to_parents(facts: Facts) -> Route:
    """Under 12 years: LET-03, LET-13. Nobody represents a child at a hidden address (FAM-14)."""
    hidden = facts.protection in HIDDEN_ADDRESS
    if facts.declined:
        return _on_paper(facts, "declined", to_representatives=True)
    if not facts.a_representative_is_digital or hidden:
        return _on_paper(facts, "child-on-paper", to_representatives=True)
    if not facts.reaches_a_parent_at_home:
        paper = _on_paper(facts, "parent-at-home", to_representatives=True)
        if paper.channel is Channel.NONE:
            return Route(Channel.DIGITAL, "child-digital", paper.problem, to_representatives=True)
        return Route(Channel.BOTH, paper.reason, to_representatives=True)
    return Route(Channel.DIGITAL, "child-digital", to_representatives=True)


def _to_youth(facts: Facts, now: datetime, configuration: Configuration) -> Route:
    """From 12 to 15 years: LET-02, LET-13, FAM-04, FAM-19, FAM-21, table A."""
    paper_to = _paper_to(facts)
    if not facts.referral_assessed:
        return _young_on_paper(facts, paper_to, "referral-not-assessed")
    if facts.declined:
        return _young_on_paper(facts, paper_to, "declined")
    hidden = facts.protection in HIDDEN_ADDRESS
    by_youth = facts.young_may_see and _not_digital(facts, now, configuration) is None
    by_parent = (
        facts.parents_may_see
        and facts.a_representative_is_digital
        and not facts.withheld_from_parents
        and not hidden
    )  # fmt: skip
    told = "youth-digital" if by_youth else "child-digital"
    if not (by_youth or by_parent):
        return _young_on_paper(facts, paper_to, "child-on-paper" if paper_to == "parents" else "youth-on-paper")
    if paper_to != "parents" or (by_parent and facts.reaches_a_parent_at_home):
        return Route(Channel.DIGITAL, told, to_representatives=by_parent)
    paper = _on_paper(facts, "parent-at-home", to_representatives=True)
    if paper.channel is Channel.NONE:
        return Route(Channel.DIGITAL, told, paper.problem, to_representatives=by_parent)
    return Route(Channel.BOTH, paper.reason, to_representatives=True)


def _paper_to(facts: Facts) -> str:
    """Whom paper goes to from 12 to 15 years. What the parents shall not be told never goes to them (FAM-04)."""
    return "none" if facts.paper == "parents" and facts.withheld_from_parents else facts.paper


def _young_on_paper(facts: Facts, paper_to: str, reason: str) -> Route:
    if paper_to == "none":
        why = "withheld" if facts.withheld_from_parents else "no-paper"
        return Route(Channel.NONE, why, "withheld")
    return _on_paper(facts, reason, to_representatives=paper_to == "parents")


def _not_digital(facts: Facts, now: datetime, configuration: Configuration) -> str | None:
    """Why LET-01 does not hold for the person's own use, None when it holds."""
    if facts.declined:
        return "declined"
    if facts.reserved:
        return "reserved"
    if not facts.is_user or facts.last_login is None:
        return "not-user"
    if facts.last_login < months_before(now, configuration.login_months):
        return "not-logged-in"
    return None if facts.notifiable else "not-notifiable"


def _on_paper(facts: Facts, reason: str, *, to_representatives: bool = False) -> Route:
    """Paper, or the reason that no paper can be sent: LET-08, LET-10, LET-11."""
    if facts.protection in HIDDEN_ADDRESS:
        return Route(Channel.NONE, "protected", "protected", to_representatives=to_representatives)
    if facts.address_wrong:
        return Route(Channel.NONE, "returned", "returned", to_representatives=to_representatives)
    if facts.emigrated:
        return Route(Channel.NONE, "emigrated", "emigrated", to_representatives=to_representatives)
    if not facts.has_address:
        return Route(Channel.NONE, "no-address", "no-address", to_representatives=to_representatives)
    return Route(Channel.PAPER, reason, to_representatives=to_representatives)


def _in_time(
    chosen: Route, facts: Facts, appointment: datetime | None, now: datetime, configuration: Configuration
) -> Route:
    """LET-05: paper at once where waiting would be too late, and a telephone task where paper is too late."""
    if appointment is None or appointment <= now:
        return chosen
    telephone = working_days_between(day_of(now), day_of(appointment)) < configuration.telephone_days
    problem = chosen.problem or ("telephone" if telephone else None)
    channel, reason = chosen.channel, chosen.reason
    latest = latest_batch(appointment, configuration)
    if channel is Channel.DIGITAL and first_batch(now, configuration) > latest:
        paper = _on_paper(facts, "soon", to_representatives=chosen.to_representatives)
        may_be_printed = facts.age >= OWN or _paper_to(facts) != "none"
        if paper.channel is Channel.PAPER and may_be_printed:
            channel, reason = Channel.BOTH, "soon"
    return Route(channel, reason, problem, telephone, chosen.to_representatives)
