"""Forms: the fields that were posted, with the faults found in them. What a field means is the service's.

Everything a person wrote is kept: on the page again with its faults, or on the error page to be resent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.requests import Request

STATE = "posted_fields"
HIDDEN = frozenset({"csrf", "csrf_token"})


@dataclass(slots=True)
class Form:
    """Posted fields by name, each with all its values, and faults by field (in the person's language)."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    kept: str = ""
    """Value of the hidden field that the reader asked for: never among `fields`, never shown again."""

    def one(self, name: str, default: str = "") -> str:
        """The field's first value without white space around it."""
        values = self.fields.get(name)
        return values[0].strip() if values else default

    def all(self, name: str) -> Sequence[str]:
        """All the field's values, as from a group of check boxes."""
        return self.fields.get(name, ())

    def refuse(self, name: str, message: str) -> None:
        """Mark the field as wrong; the first fault of a field stands."""
        self.faults.setdefault(name, message)

    def under(self, prefix: str) -> dict[str, str]:
        """Fields whose names begin with `prefix`, without it."""
        return {n[len(prefix) :]: v[0].strip() for n, v in self.fields.items() if n.startswith(prefix) and v}


async def read_form(request: Request, *, keep: str = "", most_fields: int = 20_000) -> Form:
    """The posted text fields. Files are for the services that take them.

    `keep` names a hidden field to keep apart.

    Raises starlette's HTTPException 400 when the body is no form or has more than `most_fields` fields.
    """
    posted = await request.form(max_fields=most_fields, max_files=0)
    form = Form()
    for name, value in posted.multi_items():
        if isinstance(value, str) and name == keep:
            form.kept = value
        elif isinstance(value, str) and name not in HIDDEN:
            form.fields.setdefault(name, []).append(value)
    setattr(request.state, STATE, form.fields)
    return form
