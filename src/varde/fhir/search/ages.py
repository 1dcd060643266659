"""R4's `age` of a Patient: computed from the birth date and the clock, since no resource says it. SQL, not run."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from varde.clock import OSLO
from varde.fhir.definitions import SearchParameter
from varde.fhir.errors import BadRequest
from varde.fhir.gate import Parameters


def is_age(parameter: SearchParameter) -> bool:
    """Whether the parameter is R4's `age`, and not a custom one of that name."""
    return any(path["type"] == "age" for path in parameter.paths)


def test(parameters: Parameters, low: str, high: str, prefix: str, text: str, now: datetime) -> str:
    """Whether a birth date [low, high) is that of an age in whole years, today in Norway. Raises BadRequest."""
    if not (text.isascii() and text.isdigit() and len(text) < 4):
        raise BadRequest.of("an age is a whole number of years")
    years, today = int(text), now.astimezone(OSLO).date()
    youngest, oldest = years, years
    if prefix == "ap":
        youngest, oldest = years - years // 10, years + years // 10
    # Aged n: born after the day n + 1 years ago, on or before the day n years ago.
    after, until = _ago(today, oldest + 1), _ago(today, youngest)
    a = f"{parameters.add(_midnight(after))}::timestamptz"
    b = f"{parameters.add(_midnight(until))}::timestamptz"
    inside = f"({low} >= {a} and {high} <= {b})"
    return {
        "eq": inside, "ap": inside, "ne": f"not {inside}",
        "gt": f"({high} <= {a} and {b} is not null)", "sa": f"({high} <= {a} and {b} is not null)",
        "lt": f"({low} >= {b} and {a} is not null)", "eb": f"({low} >= {b} and {a} is not null)",
        "ge": f"({high} <= {b} and {a} is not null)", "le": f"({low} >= {a} and {b} is not null)",
    }[prefix]  # fmt: skip


def _ago(today: date, years: int) -> date:
    """The first day after the birthdays of those who had that age `years` ago today."""
    year = max(today.year - years, 2)
    try:
        return today.replace(year=year) + timedelta(days=1)
    except ValueError:  # 29 February: the birthday is kept on 1 March
        return date(year, 3, 1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=OSLO)
