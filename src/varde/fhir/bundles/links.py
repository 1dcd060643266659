"""Links between the entries of a transaction: fullUrls and conditional references become references by id.

R4 3.1.0.11.2: wherever they stand in references, in elements of type uri and url, and in the `href` and `src` of
narratives; never in canonicals, and not in oid and uuid, where a reference by id would be no value. Pure; the
searches that conditional references ask for are the caller's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from varde.fhir.bundles.entries import Entry
from varde.fhir.definitions import is_type
from varde.fhir.errors import BadRequest
from varde.fhir.validate import member

_LOCAL = re.compile(r"([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})")
_LINKING = frozenset({"uri", "url"})
_ATTRIBUTE = re.compile(r"""((?:href|src)\s*=\s*)(?:"([^"]*)"|'([^']*)')""")
_Path = tuple[Any, str] | None
"""(path of what is around it, name in it); None at a resource."""
_OPAQUE = ("urn:uuid:", "urn:oid:")


def local(text: str) -> tuple[str, str] | None:
    """(type, id) of "Type/id"; None for anything else."""
    match = _LOCAL.fullmatch(text)
    return (match[1], match[2]) if match and is_type(match[1]) else None


def add_name(names: dict[str, str], entry: Entry, identity: str | None) -> None:
    """Keep what an entry's fullUrl means: "Type/id"; where it is an address, its relative form means that too.
    Raises BadRequest for a fullUrl that stands twice."""
    full = entry.full
    if full is None or identity is None:
        return
    if names.get(full, identity) != identity:
        raise entry.fault(BadRequest.of("a fullUrl stands twice", code="duplicate"))
    names[full] = identity
    if full.startswith(("http://", "https://")):
        tail = "/".join(full.split("/")[-2:])
        if local(tail):
            names.setdefault(tail, identity)


def named(text: str, names: Mapping[str, str]) -> str | None:
    """What a link to a fullUrl becomes; a version or fragment behind it stays. None when it is no such link."""
    if text in names:
        return names[text]
    for mark in ("/_history/", "#"):
        plain, found, rest = text.partition(mark)
        if found and plain in names:
            return f"{names[plain]}{found}{rest}"
    return None


def in_query(query: str, names: Mapping[str, str]) -> str:
    """A condition with the fullUrls among its values replaced. Raises BadRequest for those of no entry."""
    if not names or "urn" not in unquote(query):
        return query
    pairs = []
    for name, value in parse_qsl(query, keep_blank_values=True):
        parts = [named(part, names) or part for part in value.split(",")]
        pairs.append((name, ",".join(parts)))
    return urlencode(pairs)


class Rewriting:
    """The links of one transaction's resources. `found` holds what conditional references were found to mean."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names
        self.found: dict[str, str] = {}
        self.missing: set[str] = set()
        """Conditional references met and not found yet."""

    def rewrite(self, resource: dict[str, Any]) -> dict[str, Any]:
        """`resource` with its links replaced. Raises BadRequest for a link to an entry that is not there."""
        self.missing = set()
        rewritten: dict[str, Any] = self._object(resource, "", None)
        return rewritten

    def _object(self, value: Mapping[str, Any], root: str, path: _Path) -> dict[str, Any]:
        kind = value.get("resourceType")
        if type(kind) is str:
            root, path = kind, None
        out: dict[str, Any] = {}
        names = self.names
        for name, inner in value.items():
            # Nearly every text is of no interest, and is seen to be so at once.
            if type(inner) is not str:
                out[name] = self._inside(inner, root, (path, name))
            elif name == "reference" or name == "div" or inner in names or "/_history/" in inner or "#" in inner:
                out[name] = self._text(inner, root, (path, name))
            else:
                out[name] = inner
        return out

    def _inside(self, value: Any, root: str, path: _Path) -> Any:
        kind = type(value)
        if kind is dict:
            return self._object(value, root, path)
        if kind is list:
            return [self._inside(inner, root, path) for inner in value]
        return self._text(value, root, path) if kind is str else value

    def _text(self, text: str, root: str, path: _Path) -> str:
        name = path[1] if path else ""
        if name == "reference":
            return self._reference(text)
        if name == "div":
            return _ATTRIBUTE.sub(self._attribute, text) if "=" in text else text
        link = named(text, self.names)
        if link is None:
            return text
        # Without a type it is a JSON Patch, whose values say no type of their own.
        linking = _datatype(root, path) in _LINKING if root else text.startswith(_OPAQUE)
        return link if linking else text

    def _attribute(self, match: re.Match[str]) -> str:
        quote = '"' if match[2] is not None else "'"
        text = match[2] if match[2] is not None else match[3]
        return f"{match[1]}{quote}{named(text, self.names) or text}{quote}"

    def _reference(self, text: str) -> str:
        link = named(text, self.names)
        if link is not None:
            return link
        if text.startswith(_OPAQUE):
            raise BadRequest.of("a reference names an entry that the transaction does not have", code="not-found")
        kind, mark, _ = text.partition("?")
        if not mark or not is_type(kind):
            return text
        if text not in self.found:
            self.missing.add(text)
        return self.found.get(text, text)


def _datatype(root: str, path: _Path) -> str | None:
    """The datatype of the element at a path of JSON names below a type."""
    names = []
    while path is not None:
        path, name = path
        names.append(name)
    datatype: str | None = root
    for name in reversed(names):
        described = member(datatype, name) if datatype else None
        datatype = described[0] if described else None
    return datatype
