"""The measure of plain language (LET-34)."""

from __future__ import annotations

import pytest

from varde.services.letters.plain import Finding, findings, lix, sentences, words


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Timen er tirsdag 1. desember kl. 09.30. Kom tidlig.", 2),
        ("Ring 05515. Vi svarer.", 2),
        ("Går det bra? Ja!", 2),
        ("Diibmu lea juovlamánu 1. b. 2026 dii. 09.30.", 1),
        ("en linje\nto linjer", 2),
        ("", 0),
        ("…", 0),
    ],
)
def test_sentences(text: str, parts: int) -> None:
    assert len(sentences(text)) == parts


def test_lix() -> None:
    assert lix("") == 0
    assert lix("Du får time. Kom til oss.") == 3
    assert lix("Spesialisthelsetjenesten undersøker") == 2 + 100
    assert words("2–3 barne- og ungdomsår, A3.114") == ["2", "3", "barne", "og", "ungdomsår", "A3", "114"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Vedrørende timen din.", Finding("heavy-word", "vedrørende", "om")),
        ("Vi benytter skjemaet.", Finding("heavy-word", "benytte", "bruke")),
        ("Skjemaet må sendes i dag.", Finding("passive", "må sendes")),
        ("Skjemaet skal ikke sendes.", Finding("passive", "skal ikke sendes")),
    ],
)
def test_breaches_are_found(text: str, found: Finding) -> None:
    assert found in findings(text, "nb")


def test_what_is_plain_is_left_alone() -> None:
    assert findings("Vi trenger samtykke fra deg til samtalen. Du kan lese dette.", "nb") == []


def test_long_sentences_and_heavy_text_are_found() -> None:
    long = "ord " * 26 + "."
    assert [found.kind for found in findings(long, "nb")] == ["long-sentence"]
    heavy = (
        "Spesialisthelsetjenesten vurderer henvisningen fortløpende og prioriterer pasientene etter alvorlighet. " * 4
    )
    assert [found.kind for found in findings(heavy, "nb")] == ["lix"]
