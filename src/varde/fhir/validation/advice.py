"""What is no fault but worth knowing, told by `$validate` only: definitions that are not at hand, extensions in places
that they are not made for, codes outside value sets that are recommended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from varde.fhir.fhirpath import Node
from varde.fhir.fhirpath.model import kinds_of
from varde.fhir.structure import members
from varde.fhir.validation import bindings
from varde.fhir.validation.profiles.nested import Found, below, may_stand
from varde.fhir.validation.walk import Fault, Walk


def advice(resource: dict[str, Any], walk: Walk, asked: Sequence[str]) -> list[Fault]:
    """All advice on a resource that was walked; `asked` are the profiles asked for beside those it names."""
    found = list(_unknown(resource, walk, asked))
    for one in below(Node(resource, str(resource.get("resourceType")))):
        for fault in (*_context(one, walk), *_binding(one, walk)):
            fault.parts = list(reversed(one.parts))
            found.append(fault)
    return found


def _unknown(resource: dict[str, Any], walk: Walk, asked: Sequence[str]) -> Iterator[Fault]:
    meta = resource.get("meta")
    named = meta.get("profile") if isinstance(meta, dict) else None
    profiles = {*asked, *(url for url in (named if isinstance(named, list) else ()) if isinstance(url, str))}
    for url in sorted(walk.unknown):
        if url in profiles:
            words = f"the profile {url} is not known here, so the resource was not judged by it"
            yield Fault("not-found", words, severity="warning")
        else:
            words = f"the definition {url} is not known here, so what it says was not judged"
            yield Fault("not-found", words, severity="information")


def _context(one: Found, walk: Walk) -> Iterator[Fault]:
    """R4 says that an extension is used in its context only, and HL7's own files do not keep it (4 of 5 files of the
    package `hl7.fhir.r4.examples`): a warning."""
    if one.node.type != "Extension" or not isinstance(one.node.value, dict):
        return
    url = one.node.value.get("url")
    profile = walk.known.profile(url) if isinstance(url, str) and ":" in url else None
    if profile is not None and not may_stand(profile.contexts, one.contexts):
        yield Fault("structure", f"the extension {profile.url} is not made for this place", severity="warning")


def _binding(one: Found, walk: Walk) -> Iterator[Fault]:
    member = members(one.holder).get(one.name)
    if member is None or member.advice is None or one.node.value is None or not _is_coded(one.node):
        return
    url, strength = member.advice
    codes = walk.known.expansion(url)
    if codes is not None and not bindings.is_member(one.node.value, one.node.type, codes):
        words = f"the code is not of the value set {url.partition('|')[0]}, which is {strength} here"
        yield Fault("code-invalid", words, severity="information")


def _is_coded(node: Node) -> bool:
    """Whether there is a code to judge at all: a text alone is allowed where a binding is not required."""
    if node.type == "CodeableConcept":
        return isinstance(node.value, dict) and bool(node.value.get("coding"))
    return node.primitive or node.type == "Coding" or "Quantity" in kinds_of(node.type)
