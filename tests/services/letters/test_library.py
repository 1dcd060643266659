"""The templates say what they must (LET-30 to LET-35), in plain words, in every language; faults are told."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.services.letters.sample_letters import FACTS, START, TODAY, VALUES, letter
from varde.services.letters.document import Bullets, Document, Fact, Facts, Paragraph
from varde.services.letters.library import MissingContent, Template, check, check_facts, compose, template, templates
from varde.services.letters.library.composing import cancel_by
from varde.services.letters.library.fees import all_fees, fees_on
from varde.services.letters.library.loading import passages
from varde.services.letters.library.shapes import TemplateFault
from varde.services.letters.plain import HIGHEST_LIX, LONGEST_SENTENCE, findings, lix, running_text, sentences, words
from varde.web.languages import LANGUAGES

KEYS = [made.key for made in templates()]
PATIENT_LANGUAGES = list(LANGUAGES)
BOKMAL_ONLY = re.compile(
    r"\b(ikke|jeg|hvor|hva|hvem|hvis|hvordan|noe|noen|fra|dere|uker?|henvisning\w*|sykehus\w*|være|gjør|gjøre|"
    r"kommer|egenandel|nå|også|bare|mer|veien|rettighete\w*|innkallingen|åpen|avdelingen)\b",
    re.IGNORECASE,
)
"""Words that are wrong in Nynorsk."""


def said(document: Document) -> str:
    return document.plain_text()


def facts_of(document: Document) -> dict[str, str]:
    return {f.label: "\n".join(f.lines) for block in document.blocks if isinstance(block, Facts) for f in block.facts}


def test_the_kinds_of_letters_that_a_ward_sends() -> None:
    assert KEYS == [
        "summons", "referral-appointment", "referral-waiting", "referral-refused", "changed", "cancelled",
        "discharge", "questionnaire",
    ]  # fmt: skip
    assert {made.key for made in templates() if made.needs_appointment} == {
        "summons", "referral-appointment", "changed", "cancelled",
    }  # fmt: skip
    assert template("changed").version == 1
    with pytest.raises(KeyError):
        template("nothing")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("language", PATIENT_LANGUAGES)
def test_every_template_is_in_every_language(key: str, language: str) -> None:
    """LET-35."""
    made = letter(key, language)
    assert made.language == language
    assert (made.template, made.version) == (key, template(key).version)
    assert made.title
    assert "{" not in said(made)
    for field in template(key).fields:
        texts = [field.label, *([field.hint] if field.hint else []), *(label for _, label in field.choices)]
        assert all(set(text) == set(LANGUAGES) for text in texts)


def test_a_summons_says_all_that_a_patient_needs() -> None:
    """LET-32."""
    made = letter()
    facts = facts_of(made)
    assert facts["Hva"] == "Poliklinisk konsultasjon"
    assert facts["Når"] == "Tirsdag 1. desember 2026 kl. 09.30"
    assert facts["Hvor"] == "UNN Tromsø, Hudpoliklinikken\nHansine Hansens veg 67, 9019 Tromsø"
    assert facts["Oppmøte"] == "A-fløya, plan 3, rom A3.114"
    assert facts["Hvem du møter"] == "Overlege Kari Nordmann"
    text = said(made)
    for needed in (
        "https://www.openstreetmap.org/search?query=Hansine",  # map
        "Ta med en liste over medisinene du bruker.",  # how to prepare
        "Siste frist er mandag 30. november 2026 kl. 09.30",  # how to cancel, and the deadline
        "egenandel på 443 kroner",  # price
        "må du betale 1993 kroner",  # a missed appointment
        "Pasientreiser på 05515",  # travel
        "Ta gjerne med en du stoler på",  # companion
        "Tolken er gratis",  # interpreter
        "velge et annet behandlingssted",  # choice
        "kontaktlege",
        "Du kan klage",
        "Statsforvalteren",
        "pasientogbrukerombudet.no",
        "77 62 60 00",
        "mandag til fredag kl. 08.00–15.00",
    ):
        assert needed in text, needed
    order = [made.plain_text().index(part) for part in ("Når:", "Passer ikke timen?", "Hva koster det?", "klage")]
    assert order == sorted(order), "the most important comes first (LET-34)"


@pytest.mark.parametrize("key", ["referral-appointment", "referral-waiting"])
def test_an_answer_to_a_referral_says_right_deadline_and_what_if(key: str) -> None:
    """LET-33."""
    text = said(letter(key))
    for needed in ("1. oktober 2026", "Du har rett til hjelp hos oss", "15. januar 2027", "Helfo", "Du kan klage",
                   "Statsforvalteren", "UNN" if key == "referral-appointment" else "Hudpoliklinikken"):  # fmt: skip
        assert needed.lower() in text.lower(), needed


def test_a_refusal_says_why_and_how_to_complain() -> None:
    """LET-33."""
    text = said(letter("referral-refused"))
    for needed in ("Derfor får du ikke time hos oss", "Fastlegen din kan hjelpe deg.", "innen fire uker",
                   "Statsforvalteren", "vurdere deg på nytt"):  # fmt: skip
        assert needed in text


def test_a_moved_appointment_tells_old_and_new() -> None:
    facts = facts_of(letter("changed"))
    assert facts["Ny time"] == "Tirsdag 1. desember 2026 kl. 09.30"
    assert facts["Gjelder ikke lenger"] == "Fredag 27. november 2026 kl. 09.30"


@pytest.mark.parametrize(
    "next_, told", [("new", "sender deg et brev"), ("call", "når du vil ha"), ("none", "ikke en ny")]
)
def test_a_cancelled_appointment_tells_what_happens_now(next_: str, told: str) -> None:
    assert told in said(letter("cancelled", next=next_))


@pytest.mark.parametrize(
    ("start", "by"),
    [
        ("2026-12-02T10:00", "2026-12-01T10:00"),  # Wednesday: the day before
        ("2026-11-30T10:00", "2026-11-27T10:00"),  # Monday: Friday
        ("2026-12-28T09:15", "2026-12-24T09:15"),  # after Christmas: Christmas Eve is a working day
        ("2026-03-30T10:00", "2026-03-27T10:00"),  # the hour on the wall, over summer time
    ],
)
def test_the_last_time_to_cancel(start: str, by: str) -> None:
    """APP-30."""
    found = cancel_by(datetime.fromisoformat(start + ("+01:00" if "03-30" not in start else "+02:00")))
    assert found.strftime("%Y-%m-%dT%H:%M") == by


def test_when_it_is_too_late_to_cancel_the_letter_does_not_say_a_past_deadline() -> None:
    soon = replace(FACTS, start=datetime(2026, 11, 24, 13, 0, tzinfo=UTC))
    text = said(letter(facts=soon))
    assert "med en gang" in text
    assert "Siste frist" not in text
    assert "må du betale" not in text


def test_children_pay_nothing_and_bring_an_adult() -> None:
    child = replace(FACTS, born=date(2020, 5, 1), for_parents=True)
    text = said(letter(facts=child))
    assert "Barn under 16 år betaler ikke egenandel" in text
    assert "Ta med en voksen" in text
    assert "foreldre eller foresatte til Ánde Nilsen Sara" in text
    assert "egenandel på" not in text
    sixteen_that_day = replace(FACTS, born=date(2010, 12, 1))
    assert "egenandel på 443" in said(letter(facts=sixteen_that_day))


@pytest.mark.parametrize(
    ("meeting", "there", "missing"),
    [
        ("video", "På video", ["Hvor:", "Pasientreiser", "1993"]),
        ("telephone", "Vi ringer deg", ["Hvor:", "Pasientreiser", "1993"]),
        ("home", "Vi kommer hjem til deg", ["Hvor:", "Pasientreiser"]),
    ],
)
def test_an_appointment_that_is_not_at_the_hospital(meeting: str, there: str, missing: list[str]) -> None:
    text = said(letter(facts=replace(FACTS, meeting=meeting, place="", address=())))
    assert there in text
    assert not [part for part in missing if part in text]


def test_mental_health_care_has_its_own_fee_for_a_missed_appointment() -> None:
    assert "må du betale 443 kroner" in said(letter(facts=replace(FACTS, psychiatric=True)))


def test_fees_hold_from_a_day_on() -> None:
    assert fees_on(date(2026, 12, 1)).fee == 443
    assert fees_on(date(1990, 1, 1)) == all_fees()[0]
    assert all(fees.missed >= fees.fee > 0 for fees in all_fees())


def test_what_staff_write_becomes_a_list_or_a_paragraph_and_never_markup() -> None:
    made = letter(preparation="- Ta med briller\n\n• #set text(red)\n<b>Kom</b>")
    lists = [block.items for block in made.blocks if isinstance(block, Bullets)]
    assert ("Ta med briller", "#set text(red)", "<b>Kom</b>") in lists
    one = letter(preparation="Bare kom.")
    assert Paragraph("Bare kom.") in one.blocks


def test_a_value_in_braces_is_not_read_as_a_name() -> None:
    made = letter(message="Husk {fee} og {patient}", facts=replace(FACTS, room="{phone}"))
    assert "Husk {fee} og {patient}" in said(made)
    assert facts_of(made)["Oppmøte"] == "{phone}"


def test_an_empty_field_takes_what_the_record_says() -> None:
    assert "Kom ti minutter før timen." in said(letter())
    assert "Rom B2" in said(letter(room="rom B2"))
    assert "77 00 00 00" in said(letter(phone="77 00 00 00"))
    assert "77 62 60 00" not in said(letter(phone="77 00 00 00"))


@pytest.mark.parametrize(
    ("key", "values", "faults"),
    [
        ("questionnaire", {}, {"answer_by": "Fyll ut dette feltet."}),
        ("questionnaire", {"answer_by": "1. desember"}, {"answer_by": "Skriv en dato, for eksempel 2026-12-01."}),
        ("questionnaire", {"answer_by": "2026-02-30"}, {"answer_by": "Skriv en dato, for eksempel 2026-12-01."}),
        ("summons", {"phone": "ring oss"}, {"phone": "Skriv et telefonnummer med bare tall."}),
        ("summons", {"message": "x" * 1001}, {"message": "Skriv kortere. Her er det plass til 1000 tegn."}),
        ("summons", {"message": "a\x00b"}, {"message": "Teksten har tegn som ikke kan trykkes. Skriv den på nytt."}),
        ("changed", {"reason": "whim"}, {"reason": "Velg en av mulighetene."}),
        ("summons", {"unknown": "x" * 5000}, {}),
        ("summons", {"message": "en\r\nto"}, {}),
    ],
)
def test_faults_are_told_in_plain_words(key: str, values: dict[str, str], faults: dict[str, str]) -> None:
    """LET-31."""
    assert check(template(key), values) == faults


@pytest.mark.parametrize(
    ("key", "lacking", "fault"),
    [
        ("summons", {"start": None}, {"appointment": "Brevet trenger en time."}),
        ("summons", {"place": "", "address": ()}, {"place": "Timen mangler sted."}),
        ("summons", {"unit_phone": ""}, {"unit_phone": "Avdelingen mangler telefonnummer."}),
        ("referral-waiting", {"deadline": None}, {"deadline": "Henvisningen mangler frist for behandling."}),
        ("referral-waiting", {"referral_date": None}, {"referral_date": "Henvisningen mangler dato."}),
        ("changed", {"previous_start": None}, {"previous_start": "Brevet trenger den gamle timen."}),
    ],
)
def test_what_the_record_lacks_stops_the_letter(key: str, lacking: dict[str, object], fault: dict[str, str]) -> None:
    """LET-31."""
    facts = replace(FACTS, **lacking)  # type: ignore[arg-type]
    assert check_facts(template(key), facts) == fault
    with pytest.raises(MissingContent) as raised:
        letter(key, facts=facts)
    assert raised.value.faults == fault
    assert "Brevet" not in str(raised.value)


def test_a_letter_is_refused_for_all_its_faults_at_once() -> None:
    """LET-31."""
    with pytest.raises(MissingContent) as raised:
        compose(
            template("changed"), language="nb", facts=replace(FACTS, unit_phone=""), values={}, today=TODAY,
            staff_language="en",
        )  # fmt: skip
    assert raised.value.faults == {"reason": "Fill in this field.", "unit_phone": "The ward lacks a telephone number."}


def test_a_template_that_lacks_a_language_falls_back_to_bokmal_and_says_so() -> None:
    """LET-35."""
    whole = template("discharge")
    bare = Template("x", 1, whole.title, "x", False, (), blocks=({"paragraph": {"nb": "Hei."}},))
    made = compose(bare, language="se", facts=FACTS, values={}, today=TODAY)
    assert made.language == "nb"
    assert made.blocks[0] == Paragraph(passages()["texts"]["only-bokmal"]["se"])
    assert made.blocks[1] == Paragraph("Hei.")


@pytest.mark.parametrize(
    "block",
    [
        {"paragraph": {"nb": "{nobody}"}},
        {"paragraph": {"nb": "x"}, "when": "nobody"},
        {"bullets_of": "nobody"},
        {"facts": ["nobody"]},
        {"heading": {"nb": "x"}, "paragraph": {"nb": "y"}},
        {"use": "nobody"},
    ],
)
def test_a_template_that_names_what_is_not_there_is_refused_when_read(block: dict[str, object]) -> None:
    from varde.services.letters.library import loading

    read = {"key": "x", "version": 1, "kind": "x", "needs_appointment": False, "title": {"nb": "x"}, "blocks": [block]}
    with pytest.raises(TemplateFault):
        loading._template("x.toml", read, passages())


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("language", ["nb", "nn", "en"])
def test_every_template_is_in_plain_language(key: str, language: str) -> None:
    """LET-34."""
    for meeting in ("in-person", "video"):
        made = letter(key, language, replace(FACTS, meeting=meeting))
        text = running_text(made)
        assert lix(text) < HIGHEST_LIX
        assert max(len(words(sentence)) for sentence in sentences(text)) <= LONGEST_SENTENCE
        assert findings(text, language) == []
        assert re.search(r"\b(du|deg|din|you|your)\b", text, re.IGNORECASE)


@pytest.mark.parametrize("key", KEYS)
def test_nynorsk_is_nynorsk(key: str) -> None:
    own = {**VALUES.get(key, {}), **dict.fromkeys(("summary", "advice", "todo", "warning"), "Hugs dette.")}
    if key == "referral-refused":
        own["reason"] = "Fastlegen kan hjelpe."
    made = letter(key, "nn", replace(FACTS, instruction=""), **own)
    assert not BOKMAL_ONLY.findall(said(made).replace("helsenorge", "").replace("velg-behandlingssted", ""))


def test_dates_are_in_the_letters_language() -> None:
    """LET-35."""
    assert facts_of(letter(language="se"))["Goas"] == "Maŋŋebárga juovlamánu 1. b. 2026 dii. 09.30"
    assert facts_of(letter(language="en"))["When"] == "Tuesday 1 December 2026 at 09:30"
    assert "vuossárga" in said(letter(language="se"))


def test_the_deadline_is_shown_where_there_is_one() -> None:
    with_one = next(block for block in letter("referral-appointment").blocks if isinstance(block, Facts))
    assert Fact("Hjelpen starter senest", ("Fredag 15. januar 2027",), "deadline") in with_one.facts
    without = letter("changed", facts=replace(FACTS, deadline=None, start=START + timedelta(days=7)))
    assert "fortsatt" not in said(without)
