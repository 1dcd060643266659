"""Narratives: the XHTML that R4 allows (narrative.html, txt-1 and txt-2). The rules are a RELAX NG schema."""

from __future__ import annotations

import re
from functools import lru_cache
from html.entities import html5

from lxml import etree

_ELEMENTS = (
    "p br div h1 h2 h3 h4 h5 h6 a span table caption colgroup col thead tr tfoot th td code samp img map area dfn pre"
    " ul ol li dl dt dd blockquote b i big tt small strong em cite abbr acronym sub sup var kbd q hr address bdo tbody"
    " ins del u s strike center font"
).split()
"""Basic formatting of HTML 4.0 (chapters 7 to 11 but section 4 of 9, and 15), `a`, images and maps."""
_ATTRIBUTES = (
    "title style class id lang dir accesskey tabindex span width align valign char charoff abbr axis headers scope"
    " rowspan colspan border cellpadding cellspacing frame rules summary href name rel rev charset type hreflang"
    " shape coords src alt longdesc height usemap ismap nohref cite datetime start value compact size color face"
    " nowrap bgcolor clear noshade target"
).split()
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*;)")
_XML_ENTITIES = frozenset({"amp;", "lt;", "gt;", "quot;", "apos;"})
_UNSAFE = re.compile(r"""=\s*["']\s*(?:javascript|vbscript|data\s*:\s*text)|expression\s*\(|@import|behavior\s*:""", re.I)


@lru_cache(maxsize=1)
def _schema() -> etree.RelaxNG:
    elements = "".join(f"<name>{name}</name>" for name in _ELEMENTS)
    attributes = "".join(f'<name ns="">{name}</name>' for name in _ATTRIBUTES)
    return etree.RelaxNG(
        etree.fromstring(
            f"""<grammar xmlns="http://relaxng.org/ns/structure/1.0" ns="http://www.w3.org/1999/xhtml">
            <start><element name="div"><ref name="inside"/></element></start>
            <define name="inside"><mixed>
              <zeroOrMore><attribute><choice>{attributes}<nsName ns="http://www.w3.org/XML/1998/namespace"/></choice>
                </attribute></zeroOrMore>
              <zeroOrMore><element><choice>{elements}</choice><ref name="inside"/></element></zeroOrMore>
            </mixed></define></grammar>"""
        )
    )


@lru_cache(maxsize=1)
def _readable() -> etree.XPath:
    return etree.XPath("boolean(normalize-space(.)) or boolean(//*[local-name()='img'])")


def is_narrative(text: str) -> bool:
    """Whether it is one XHTML div with allowed elements and attributes only, and something to read in it."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text or _UNSAFE.search(text):
        return False
    if "&" in text:
        text = _ENTITY.sub(lambda m: m[0] if m[1] in _XML_ENTITIES else html5.get(m[1], m[0]), text)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
    try:
        root = etree.fromstring(text.encode(), parser)
    except (etree.XMLSyntaxError, ValueError):
        return False
    return bool(_schema()(root)) and bool(_readable()(root))
