"""Narratives: the XHTML that R4 allows (narrative.html, txt-1 and txt-2). One pass of a parser that makes no tree."""

from __future__ import annotations

import re
from html.entities import html5
from xml.parsers import expat

_ELEMENTS = """
    p br div h1 h2 h3 h4 h5 h6 a span table caption colgroup col thead tr tfoot th td code samp img map area dfn pre
    ul ol li dl dt dd blockquote b i big tt small strong em cite abbr acronym sub sup var kbd q hr address bdo tbody
    ins del u s strike center font
"""
"""Basic formatting of HTML 4.0 (chapters 7 to 11 but section 4 of 9, and 15), `a`, images and maps."""
_ATTRIBUTES = """
    title style class id lang dir accesskey tabindex span width align valign char charoff abbr axis headers scope
    rowspan colspan border cellpadding cellspacing frame rules summary href name rel rev charset type hreflang
    shape coords src alt longdesc height usemap ismap nohref cite datetime start value compact size color face
    nowrap bgcolor clear noshade target
"""
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*;)")
_XML_ENTITIES = frozenset({"amp;", "lt;", "gt;", "quot;", "apos;"})
_XHTML = "http://www.w3.org/1999/xhtml "
_ALLOWED = frozenset(_XHTML + name for name in _ELEMENTS.split())
_ALLOWED_ATTRIBUTES = frozenset(_ATTRIBUTES.split())
_OF_XML = "http://www.w3.org/XML/1998/namespace "
_LINKS = frozenset({"href", "src", "longdesc", "cite"})
_SCRIPT = re.compile(r"\s*(?:javascript|vbscript|data\s*:\s*text)", re.I)
_STYLE_LOADS = re.compile(r"expression\s*\(|javascript:|@import|behavior\s*:", re.I)
_SOMETHING = re.compile(r">[^<]*[^\s<]|<img\b")


def html_checks(text: str, content: bool) -> bool:
    """Whether it is one XHTML div with allowed elements and attributes only (txt-1); with `content`, whether there is
    something to read in it (txt-2)."""
    if content:
        return _SOMETHING.search(text) is not None
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return False
    if "&" in text:
        text = _ENTITY.sub(lambda m: m[0] if m[1] in _XML_ENTITIES else html5.get(m[1], m[0]), text)
    elements: list[str] = []
    attributes: list[str] = []

    def start(name: str, given: list[str]) -> None:
        elements.append(name)
        attributes.extend(given)

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.ordered_attributes = True
    parser.StartElementHandler = start
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, ValueError):
        return False
    if elements[0] != f"{_XHTML}div" or not _ALLOWED.issuperset(elements):
        return False
    return all(_attribute(name, value) for name, value in zip(attributes[::2], attributes[1::2], strict=True))


def _attribute(name: str, value: str) -> bool:
    if name not in _ALLOWED_ATTRIBUTES:
        return name.startswith(_OF_XML)
    if name in _LINKS:
        return not _SCRIPT.match(value)
    return name != "style" or not _STYLE_LOADS.search(value)
