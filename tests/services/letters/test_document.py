"""Documents: kept as JSON and read back the same, and shown as pages on which no text is ever markup."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.letters.sample_letters import letter
from varde.services.letters.document import (
    Action,
    Bullets,
    Document,
    Fact,
    Facts,
    Heading,
    Link,
    NotADocument,
    Paragraph,
    Sender,
    Steps,
)
from varde.services.letters.html import NO_BREAK, held_together, parts, safe_address, to_html
from varde.services.letters.library import templates

EVIL = '<script>alert("1")</script> & #eval("x") $x$ \\u{1f} {{ 7 }} ]] "quoted" \'single\''
words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)
items = st.lists(words, min_size=1, max_size=3).map(tuple)
blocks = st.one_of(
    st.builds(Heading, words, st.sampled_from([2, 3])),
    st.builds(Paragraph, words),
    st.builds(Facts, st.lists(st.builds(Fact, words, items, words), max_size=3).map(tuple)),
    st.builds(Bullets, items),
    st.builds(Steps, items),
    st.builds(Link, words, words, words, st.booleans()),
    st.builds(Action, words, words),
)
documents = st.builds(
    Document,
    language=st.sampled_from(["nb", "nn", "se", "en"]),
    title=words,
    blocks=st.lists(blocks, max_size=6).map(tuple),
    sender=st.builds(Sender, trust=words, unit=words, address=items, phone=words, hours=words, website=words),
    dated=st.dates(),
    reference=words,
    signature=items,
    template=words,
    version=st.integers(1, 9),
)


@given(documents)
def test_a_document_is_kept_and_read_back_the_same(document: Document) -> None:
    """LET-30."""
    kept = document.to_json()
    assert Document.from_json(kept) == document
    assert Document.from_json(kept).to_json() == kept


@pytest.mark.parametrize("key", [made.key for made in templates()])
def test_every_letter_is_kept(key: str) -> None:
    made = letter(key)
    assert Document.from_json(made.to_json()) == made


def test_a_format_kept_long_ago_is_read() -> None:
    """LET-30: these bytes are as the first version kept them; they must be read for ever."""
    kept = (
        b'{"format":1,"language":"nb","title":"Time","dated":"2026-11-24","reference":"1","template":"summons",'
        b'"version":1,"sender":{"trust":"UNN","unit":"","address":[],"phone":"","hours":"","website":""},'
        b'"signature":["Hilsen"],"blocks":[{"block":"facts","facts":[{"label":"Hvor","lines":["A","B"],"kind":""}]},'
        b'{"block":"heading","text":"H","level":2},{"block":"link","text":"L","address":"https://a.no","before":""},'
        b'{"block":"action","text":"Svar","address":""},{"block":"steps","items":["1"]}]}'
    )
    read = Document.from_json(kept)
    assert read.blocks[0] == Facts((Fact("Hvor", ("A", "B")),))
    assert read.dated == date(2026, 11, 24)


@pytest.mark.parametrize(
    "kept", [b"", b"[]", b"{}", b'{"format":2}', b'{"format":1,"language":"nb","blocks":[{"block":"script"}]}']
)
def test_what_is_no_document_is_refused(kept: bytes) -> None:
    with pytest.raises(NotADocument):
        Document.from_json(kept)


def test_plain_text_has_everything() -> None:
    text = letter().plain_text()
    assert text.startswith("Innkalling til time\n\nDu har fått time hos oss.")
    assert "Hvor: UNN Tromsø, Hudpoliklinikken, Hansine Hansens veg 67, 9019 Tromsø" in text
    assert "- Kom ti minutter før timen." in text
    assert text.endswith("Vennlig hilsen\nHudpoliklinikken\nUniversitetssykehuset Nord-Norge HF\n")
    assert "1. Logg inn" in letter("questionnaire").plain_text()


class _Page(HTMLParser):
    """What a browser would make of it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name == "href"]
        assert all(name in {"class", "id", "lang", "href"} for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(document: Document) -> _Page:
    page = _Page()
    page.feed(to_html(document).replace(NO_BREAK, " "))
    return page


def test_a_page_has_the_shape_that_the_style_sheet_knows() -> None:
    html = to_html(letter()).replace(NO_BREAK, " ")
    assert html.startswith('<div class="letter__body" lang="nb">\n<h1 id="letter-title">Innkalling til time</h1>')
    assert '<dl class="facts"><div><dt>Når</dt><dd>Tirsdag 1. desember 2026 kl. 09.30</dd></div>' in html
    assert "UNN Tromsø, Hudpoliklinikken<br>Hansine Hansens veg 67, 9019 Tromsø" in html
    assert '<a href="tel:+4777626000">77 62 60 00</a>' in html
    assert '<a href="tel:05515">05515</a>' in html
    assert 'lang="se"' in to_html(letter(language="se"))


def test_headings_go_one_step_at_a_time() -> None:
    levels = [int(tag[1]) for tag in parsed(letter("referral-appointment")).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(next_ - level <= 1 for level, next_ in pairwise(levels))


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("Ring 77 62 60 00.", ["tel:+4777626000"]),
        ("Ring +47 77 62 60 00", ["tel:+4777626000"]),
        ("Ring 116 117 eller 05515", ["tel:116117", "tel:05515"]),
        ("Se helsenorge.no/pasientreiser.", ["https://helsenorge.no/pasientreiser"]),
        ("Pris 12 345 kroner, rom A3.01234, 13088512345, 9019 Tromsø, 2026/12345", []),
        ("Skriv til post@unn.no", []),
        ("Timen er kl. 09.30 den 01 12 20 26 5", []),
    ],
)
def test_numbers_and_pages_can_be_tapped(text: str, addresses: list[str]) -> None:
    document = replace(letter(), blocks=(Paragraph(text),), signature=())
    page = parsed(document)
    assert page.addresses == addresses
    assert text in page.text


def test_text_is_never_markup() -> None:
    document = Document(
        "nb",
        EVIL,
        (
            Heading(EVIL),
            Paragraph(EVIL),
            Facts((Fact(EVIL, (EVIL,), EVIL),)),
            Bullets((EVIL,)),
            Steps((EVIL,)),
            Link(EVIL, "https://example.no/?a=1&b=2", EVIL),
            Link("never a link", 'javascript:alert(1)'),
            Action(EVIL, 'https://x.no/" onclick="alert(1)'),
        ),
        Sender(EVIL),
        date(2026, 1, 1),
        signature=(EVIL,),
    )  # fmt: skip
    page = parsed(document)
    assert "script" not in page.tags
    assert page.text.count(EVIL) == 11
    assert page.addresses == ["https://example.no/?a=1&b=2"]


@given(documents)
def test_no_document_can_break_the_page(document: Document) -> None:
    page = parsed(document)
    assert set(page.tags) <= {"div", "h1", "h2", "h3", "p", "dl", "dt", "dd", "ul", "ol", "li", "a", "br", "strong"}
    assert all(safe_address(address) for address in page.addresses)


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("https://unn.no/a", True),
        ("tel:+4777626000", True),
        ("mailto:post@unn.no", True),
        ("http://unn.no", False),
        ("javascript:alert(1)", False),
        ("//unn.no", False),
        ("https://unn.no/ x", False),
        ("tel:77626000;ext=1<", False),
        ("", False),
    ],
)
def test_only_some_addresses_are_linked_to(address: str, safe: bool) -> None:
    assert (safe_address(address) is not None) is safe


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Ring 77 62 60 00 nå", "Ring 77~62~60~00 nå"),
        ("tirsdag 1. desember kl. 09.30", "tirsdag 1.~desember kl.~09.30"),
        ("juovlamánu 1. b. 2026 dii. 09.30", "juovlamánu 1.~b. 2026 dii.~09.30"),
        ("Det koster 443 kroner.", "Det koster 443~kroner."),
        ("Fra 2026. Kom i dag", "Fra 2026. Kom i dag"),
    ],
)
def test_what_belongs_together_is_held_together(text: str, kept: str) -> None:
    assert held_together(text) == kept.replace("~", NO_BREAK)


@given(words)
def test_parts_of_running_text_are_the_text(text: str) -> None:
    assert "".join(part for part, _ in parts(text)) == text


def test_pages_that_running_text_names() -> None:
    assert list(parts("Se helsenorge.no/velg-behandlingssted, eller unn.no.")) == [
        ("Se ", ""),
        ("helsenorge.no/velg-behandlingssted", "https://helsenorge.no/velg-behandlingssted"),
        (", eller ", ""),
        ("unn.no", "https://unn.no"),
        (".", ""),
    ]
    assert list(parts("")) == [("", "")]
