"""A fault, and what one walk over a resource carries along."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from varde.fhir.errors import Issue
from varde.fhir.fhirpath import Context, Node
from varde.fhir.validation.html import html_checks

if TYPE_CHECKING:
    from varde.fhir.known import Known
    from varde.fhir.validation.profiles.check import Run


class Fault:
    """What is wrong, and where: the path is built from its end while the walk goes back, so that what is right costs
    no path."""

    __slots__ = ("code", "parts", "severity", "text")

    def __init__(self, code: str, text: str, *parts: str, severity: str = "error") -> None:
        self.code = code
        self.text = text
        self.parts = list(parts)
        self.severity = severity

    def issue(self, start: str) -> Issue:
        """The issue that is told, with its place as FHIRPath."""
        path = start
        for part in reversed(self.parts):
            path += part if part[0] == "[" else f".{part}"
        return Issue(self.code, self.text, path, self.severity)


Faults = list[Fault] | None
Check = Callable[[Any, dict[str, Any], "Walk"], Faults]
"""(value, the object that holds it, walk) -> faults, None for none."""


class Walk:
    """One walk: which resource this is in, and by what it is judged."""

    __slots__ = ("_judge", "advice", "entries", "known", "resource", "root", "whole")

    def __init__(self, resource: dict[str, Any], known: Known, advice: bool = False) -> None:
        self.known = known
        """The profiles, extensions and value sets by which it is judged beside R4's own types."""
        self.root = resource
        """The resource that contains: what `#` in references means."""
        self.resource = resource
        self.whole = resource
        """The outermost: a Bundle, whose entries references may name."""
        self.advice = advice
        """Whether warnings and advice are asked for ($validate)."""
        self._judge: Run | None = None
        self.entries: dict[str, Any] | None = None

    @property
    def judge(self) -> Run:
        """What judges by profiles, made when it is first wanted."""
        if self._judge is None:
            from varde.fhir.validation.profiles.check import Run

            self._judge = Run(self)
        return self._judge

    @property
    def unknown(self) -> set[str]:
        """Urls of definitions that were wanted and are not at hand."""
        return self._judge.unknown if self._judge is not None else set()

    @property
    def named(self) -> set[str]:
        """Urls of the definitions beside R4's own by which something was judged."""
        return self._judge.beside if self._judge is not None else set()

    def context(self, focus: Node) -> Context:
        """What FHIRPath may ask for."""
        return Context(
            resource=_node(self.resource), root=_node(self.root), focus=focus, html=html_checks, resolve=self.resolve,
            conforms=lambda node, url: self.judge.conforms(node, url),
            member_of=lambda item, url: self.judge.member_of(item, url),
        )  # fmt: skip

    def resolve(self, literal: str, context: Context | None = None) -> Node | None:
        """The contained resource or the entry of the Bundle that a reference names; None for what is elsewhere."""
        if literal.startswith("#"):
            found = self.root if literal == "#" else contained(self.root, literal[1:])
            return _node(found) if found is not None else None
        if self.entries is None:
            self.entries = _entries(self.whole)
        found = self.entries.get(literal)
        return _node(found) if found is not None else None


def _node(resource: dict[str, Any]) -> Node:
    return Node(resource, str(resource.get("resourceType")))


def contained(root: dict[str, Any], identifier: str) -> dict[str, Any] | None:
    """The contained resource of that id."""
    listed = root.get("contained")
    if not isinstance(listed, list):
        return None
    wanted = {identifier, f"#{identifier}"}
    return next((c for c in listed if isinstance(c, dict) and isinstance(c.get("id"), str) and c["id"] in wanted), None)


def _entries(bundle: dict[str, Any]) -> dict[str, Any]:
    """fullUrl, and Type/id where the url ends so -> resource."""
    found: dict[str, Any] = {}
    listed = bundle.get("entry") if bundle.get("resourceType") == "Bundle" else None
    for entry in listed if isinstance(listed, list) else ():
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict):
            continue
        full = entry.get("fullUrl")
        if isinstance(full, str):
            found[full] = resource
        if isinstance(resource.get("id"), str) and isinstance(resource.get("resourceType"), str):
            found.setdefault(f"{resource['resourceType']}/{resource['id']}", resource)
    return found


def shown(name: object, also: str = "") -> str:
    """A name as it may stand in a text: what is no name is not repeated. `also`: characters that it may have."""
    text = "".join(c if c.isascii() and (c.isalnum() or c in "_-" or c in also) else "?" for c in str(name))
    return text[:40]
