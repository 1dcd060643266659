"""A letter and its FHIR form: what is written is read back the same, and is what FHIR allows."""

from __future__ import annotations

import random
import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from varde.fhir.keys import bucket_of, new_id
from varde.fhir.validate import validate
from varde.services.letters import following, model
from varde.services.letters.following import Problem
from varde.services.letters.model import Change, Letter, Opened, Party
from varde.services.letters.rules import Channel, State

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def any_letter(draw: random.Random) -> Letter:
    """A letter with values drawn at random."""

    def text(most: int = 20) -> str:
        return "x" + "".join(draw.choices(string.ascii_letters + 'æøåčđŋšŧž "\\\n', k=draw.randrange(most))) + "y"

    def moment() -> datetime:
        return NOW + timedelta(microseconds=draw.randrange(10**13))

    def sometimes(value: object) -> object | None:
        return value if draw.random() < 0.5 else None

    patient, unit = new_id(), new_id()
    about = bool(draw.getrandbits(1))
    return Letter(
        id=model.letter_id(unit, text(), patient),
        key=text(),
        state=draw.choice(list(State)),
        subject=Party(f"Patient/{patient}", draw.choice(["", text()])),
        unit=Party(f"Organization/{unit}", text()),
        recipients=tuple(Party(f"Patient/{new_id()}", text()) for _ in range(draw.randint(1, 2))),
        title=text(),
        kind="summons",
        template="summons",
        template_version=text(),
        language=draw.choice(["nb", "nn", "se", "en"]),
        document=orjson.dumps({"title": text(200)}),
        text=text(500),
        channel=draw.choice(list(Channel)),
        reason="digital",
        urgent=bool(draw.getrandbits(1)),
        to_representatives=bool(draw.getrandbits(1)),
        appointment=new_id() if about else None,
        appointment_start=moment() if about else None,
        sent=sometimes(moment()),  # type: ignore[arg-type]
        scheduled=sometimes(moment()),  # type: ignore[arg-type]
        deadline=sometimes(moment()),  # type: ignore[arg-type]
        reminder=sometimes(moment()),  # type: ignore[arg-type]
        batch=sometimes(text()),  # type: ignore[arg-type]
        restrictions=draw.choice([(), ("NORN_FORANS",)]),
        replaces=sometimes(new_id()),  # type: ignore[arg-type]
        replaced_by=sometimes(new_id()),  # type: ignore[arg-type]
        withdrawn_reason=draw.choice(["", text()]),
        archived=bool(draw.getrandbits(1)),
        changes=tuple(
            Change(draw.choice(list(State)), moment(), "sent", draw.choice(["", text()]))
            for _ in range(draw.randrange(4))
        ),
        openings=tuple(Opened(new_id(), text(), moment(), bool(draw.getrandbits(1))) for _ in range(draw.randrange(3))),
    )


@pytest.mark.parametrize("seed", range(200))
def test_a_letter_is_read_back_as_it_was_written(seed: int) -> None:
    letter = any_letter(random.Random(seed))
    resource = orjson.loads(orjson.dumps(model.to_fhir(letter)))
    validate(resource)
    assert model.from_fhir(resource) == letter


def test_let_50_every_state_has_its_status() -> None:
    assert set(model.STATUS) == set(State)


@pytest.mark.parametrize("state", list(State))
def test_only_a_letter_not_sent_is_hidden_from_the_patient(state: State) -> None:
    for sent in (NOW, None):
        letter = replace(any_letter(random.Random(1)), state=state, sent=sent)
        labels = model.to_fhir(letter)["meta"].get("security", [])
        hidden = any(label["code"] == "NORU" for label in labels)
        assert hidden == (state in (State.DRAFT, State.WAITING) or sent is None)


def test_let_53_the_same_key_gives_the_same_id_in_the_patients_bucket() -> None:
    patient, other = new_id(), new_id()
    first = model.letter_id("unit", "key", patient)
    assert first == model.letter_id("unit", "key", patient)
    assert bucket_of(first) == bucket_of(patient)
    assert len({first, model.letter_id("unit2", "key", patient), model.letter_id("unit", "key2", patient),
                model.letter_id("unit", "key", other)}) == 4  # fmt: skip


def test_let_50_a_change_is_noted_once() -> None:
    letter = replace(any_letter(random.Random(2)), state=State.SENT, changes=(Change(State.SENT, NOW, "sent", "a"),))
    moved = letter.moved(State.NOTIFIED, NOW, "notified", "Varde")
    assert moved.state is State.NOTIFIED and moved.changes[-1] == Change(State.NOTIFIED, NOW, "notified", "Varde")
    assert moved.moved(State.NOTIFIED, NOW, "notified", "Varde") is moved


@pytest.mark.parametrize("done", [False, True])
def test_what_a_person_must_see_to_is_read_back(done: bool) -> None:
    item = Problem(
        key="k", problem="returned", unit=Party("Organization/u1", "Hud"), patient=Party("Patient/p1", "Kari"),
        title="Innkalling", at=NOW, letter="l1", detail="x", done=done,
    )  # fmt: skip
    resource = following.problem_to_fhir(item)
    validate(resource)
    assert following.problem_from_fhir(resource) == item
    assert bool(resource["meta"].get("tag")) == (not done)


def test_let_54_let_11_document_and_flag_are_valid() -> None:
    letter = any_letter(random.Random(3))
    document = following.printed_document(letter, b"%PDF", NOW, "digest")
    validate(document)
    assert following.printed_pdf(document) == b"%PDF"
    for digest in ("", "abc"):
        flag = following.address_flag(letter.subject, NOW, digest)
        validate(flag)
        assert following.flagged_address(flag) == digest
