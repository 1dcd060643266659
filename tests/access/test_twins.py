"""Twin worlds: ten thousand drawn questions by those who may not see a thing are answered, byte for byte, as in the
world where the thing never was. And scopes that are broken on purpose are caught by it.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest

from tests.access import people
from tests.access.mutants import MUTANTS, Mutant
from tests.access.questions import Asked, Questions
from tests.access.twins import CASES, Case, twins
from tests.access.varde_in_process import Caller
from varde.embedded import EmbeddedPostgres

QUESTIONS = int(os.environ.get("VARDE_PROOF_QUESTIONS", "1500"))
"""How many in all. `make proof` asks ten thousand."""
SEED = int(os.environ.get("VARDE_PROOF_SEED", "4"))


def questions(case: Case, caller: Caller, seed: int) -> Questions:
    """What a caller asks in a case."""
    seen = [*case.seen(), *(people.patient(name) for name in case.first), *case.common()]
    return Questions(
        seed, case.focus, case.hidden(), seen, person=caller.session is not None, writes=case.writes,
        chooses=case.chooses,
    )  # fmt: skip


def told(asked: Asked, caller: Caller, ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> str:
    """A difference, and how to ask for it by hand."""
    lines = [re.split(r"(?<=[>}\n])", str(said)) for said in (ours, theirs)]
    differ = "\n".join(one for one in unified_diff(*lines, "hidden", "never", n=1, lineterm="") if one.strip())
    return f"{asked.sort}: the worlds differ\n{asked.curl(caller.name)}\n{differ[:8000]}"


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_the_world_with_it_says_what_the_world_without_it_says(
    postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    each = max(1, QUESTIONS // len(CASES) // len(case.callers))
    async with twins(postgres, case, tmp_path, monkeypatch) as both:
        for place, caller in enumerate(case.callers):
            drawn = questions(case, caller, SEED * 1000 + place)
            statuses: Counter[int] = Counter()
            for _ in range(each):
                asked = drawn.draw()
                ours, theirs = await both.both(caller, asked)
                assert ours == theirs, told(asked, caller, ours, theirs)
                assert ours[0] < 500, told(asked, caller, ours, theirs)
                statuses[ours[0]] += 1
            print(case.name, caller.name, dict(statuses))


TRIES = 1500
"""Questions of the kinds in question after which a mutant that nothing found would have lived."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
async def test_a_scope_that_is_broken_on_purpose_is_caught(
    postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutant: Mutant
) -> None:
    case = next(one for one in CASES if one.name == mutant.case)
    async with twins(postgres, case, tmp_path, monkeypatch) as both:
        mutant.breaks(monkeypatch)
        drawn = [questions(case, caller, SEED) for caller in case.callers]
        for _ in range(TRIES):
            for caller, some in zip(case.callers, drawn, strict=True):
                asked = some.draw()
                while mutant.sorts and asked.sort not in mutant.sorts:
                    asked = some.draw()
                ours, theirs = await both.both(caller, asked)
                if ours != theirs:
                    print(f"caught after {both.asked}: {asked.curl(caller.name)}")
                    return
    raise AssertionError(f"nothing was noticed in {both.asked} questions: {mutant.name}")
