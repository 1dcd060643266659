"""What the names in a search stand for: parameters of types, and chains through references. Separators and escapes.

Raises `BadRequest` for what cannot be understood; never anything else, whatever the input.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from varde.fhir.definitions import SearchParameter, common_parameter, is_type, resource_types, search_parameters
from varde.fhir.errors import BadRequest
from varde.fhir.search.query import Chain, Question

Types = tuple[str, ...]
"""The types that a condition is asked of; empty for all."""

MAXIMUM_DEPTH = 8


def split_values(text: str, separator: str = ",") -> tuple[str, ...]:
    """`text` at unescaped separators; escapes of the others are kept for later splitting."""
    if "\\" not in text:
        return tuple(text.split(separator))
    parts, current, escaped = [], "", False
    for character in text:
        if escaped:
            current += character if character == separator else "\\" + character
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == separator:
            parts.append(current)
            current = ""
        else:
            current += character
    return (*parts, current + ("\\" if escaped else ""))


def unescape(text: str) -> str:
    """`text` with FHIR's escapes (\\, \\| \\$ \\\\) taken away."""
    return re.sub(r"\\([,|$\\])", r"\1", text) if "\\" in text else text


def parameter_of(types: Types, code: str) -> SearchParameter:
    """The parameter `code` of the types asked of. Raises BadRequest for none, and for one not yet indexed."""
    found = search_parameters(types[0]).get(code) if len(types) == 1 else None
    if len(types) != 1 and (types or code.startswith("_")):
        found = common_parameter(code, types)
    if found is None and code == "_query":
        raise BadRequest.of("named queries (_query) are not served; ask by parameters", code="not-supported")
    if found is None:
        raise BadRequest.of(
            f"unknown search parameter '{shown(code)}' for {', '.join(types) or 'all types'}", code="not-supported"
        )
    if not found.ready:
        raise BadRequest.of(
            f"'{shown(code)}' is new: the resources are still being indexed by it; try again later",
            code="not-supported",
        )
    return found


def shown(text: str) -> str:
    """A parameter's name as it may stand in an error text: never a value."""
    return re.sub(r"[^\w\-.:]", "?", text)[:60]


def chained(parameter: SearchParameter, modifier: str, inner_of: Callable[[str], Question], rest: str) -> Chain:
    """The chain through `parameter` to each type it may refer to (or that of `modifier`) which understands what
    follows. Raises BadRequest when none does."""
    if parameter.kind != "reference":
        raise BadRequest.of(f"'{shown(parameter.code)}' is not a reference and cannot be chained")
    if modifier and not is_type(modifier):
        raise BadRequest.of(f"'{shown(modifier)}' is not a resource type")
    targets = (modifier,) if modifier else parameter.targets or resource_types()
    inner: list[tuple[str, Question]] = []
    refused: BadRequest | None = None
    for target in targets:
        try:
            inner.append((target, inner_of(target)))
        except BadRequest as error:
            if len(targets) == 1:
                raise
            # A type without the parameter is no target of this chain; a value no type can read is told of as such.
            refused = error if refused is None or _unknown(refused) else refused
    if not inner:
        if refused is not None and not _unknown(refused):
            raise refused
        raise BadRequest.of(
            f"no target of '{shown(parameter.code)}' has the chained parameter '{shown(rest)}'", code="not-supported"
        )
    return Chain(parameter, tuple(inner))


def _unknown(error: BadRequest) -> bool:
    return any(issue.code == "not-supported" for issue in error.issues)
