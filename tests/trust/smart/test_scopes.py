"""The words of scopes: read, written, covered; and the narrowing in SQL and in Python says the same."""

from __future__ import annotations

import pytest

from varde.fhir.gate import Interaction, Parameters
from varde.trust.smart.clients import Authentication, Client, InvalidClient, Side, check
from varde.trust.smart.grant import grant_of, parse_scopes
from varde.trust.smart.narrowing import Unenforceable, read_narrowing
from varde.trust.smart.scopes import InvalidScope, covered, read_word, read_words, written


@pytest.mark.parametrize(
    ("text", "rights", "version"),
    [
        ("patient/Observation.read", "rs", 1), ("patient/Observation.write", "cud", 1), ("user/*.*", "cruds", 1),
        ("patient/Observation.rs", "rs", 2), ("system/*.cruds", "cruds", 2), ("user/Patient.d", "d", 2),
        ("patient/Observation.rs?category=laboratory", "rs", 2),
        ("patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
         "rs", 2),
    ],
)  # fmt: skip
def test_a_word_is_read_and_written_as_it_was(text: str, rights: str, version: int) -> None:
    word = read_word(text)
    assert word is not None and word.rights == rights and word.version == version and str(word) == text


def test_a_word_of_version_1_that_is_narrowed_is_written_in_version_2() -> None:
    word = read_word("patient/*.*")
    assert word is not None and str(word.limited("rs")) == "patient/*.read"
    assert str(word.limited("r")) == "patient/*.r" and word.limited("") is None


@pytest.mark.parametrize(
    "text",
    [
        "patient/Foo.rs", "patient/Observation.sr", "patient/Observation.", "patient/Observation", "user/.rs",
        "patient/Observation.rs?", "patient/Observation.rs?category", "patient/Observation.rs?category=",
        "patient/Observation.rs?foo=1", "patient/Observation.rs?category:in=x", "patient/Observation.rs?_id=1",
        "patient/Observation.rs?_lastUpdated=gt2020", "patient/Observation.rs?value-quantity=5",
        "patient/Observation.rs?code-value-quantity=a$5", "patient/Observation.rs?subject:Patient.name=x",
        "patient/Observation.rs?_include=*", "patient/Observation.rs?_list=x", "patient/Observation.rs?_sort=date",
        "patient/Observation.rs?category=a|b|c", "system/Observation.read?category=laboratory",
        "patient/Observation.rs?category=laboratory&date=2020", "patient/*.rs?category=laboratory",
        "patient/Patient.rs?name=x", "patient/Observation.rs?_text=x", "patient/Observation.rs?_filter=x",
    ],
)  # fmt: skip
def test_a_word_that_cannot_be_enforced_is_refused_and_opens_nothing(text: str) -> None:
    with pytest.raises(InvalidScope):
        read_word(text)
    assert parse_scopes(text, text.partition("/")[0]).rules == ()


def test_words_that_are_no_resource_scopes_are_told_apart() -> None:
    words, others = read_words("openid  launch/patient patient/*.rs phone offline_access patient/*.rs")
    assert [str(word) for word in words] == ["patient/*.rs"] and others == (
        "openid",
        "launch/patient",
        "offline_access",
    )
    assert written(words, others) == "openid launch/patient offline_access patient/*.rs"


@pytest.mark.parametrize(
    ("asked", "registered", "yes"),
    [
        ("patient/Observation.r", "patient/*.cruds", True), ("patient/*.r", "patient/Observation.cruds", False),
        ("patient/Observation.rs", "patient/Observation.r", False), ("user/Observation.r", "patient/*.rs", False),
        ("patient/Observation.rs?category=a", "patient/Observation.rs", True),
        ("patient/Observation.rs", "patient/Observation.rs?category=a", False),
        ("patient/Observation.rs?category=b", "patient/Observation.rs?category=a", False),
        ("patient/Observation.read", "patient/Observation.rs", True), ("openid launch", "", True),
        ("offline_access", "online_access", False), ("offline_access", "offline_access", True),
    ],
)  # fmt: skip
def test_what_covers_what(asked: str, registered: str, yes: bool) -> None:
    assert covered(asked, registered) is yes


def test_a_grant_opens_no_row_where_no_rule_fits() -> None:
    grant = parse_scopes("system/Observation.c system/Patient.rs?_tag=x")
    assert grant.predicate("r", "Observation", Parameters()) == "false"
    assert grant.predicate("r", "Communication", Parameters()) == "false"
    assert "index_token" in grant.predicate("r", "Patient", Parameters())
    assert not grant.admits(Interaction.UPDATE, "Patient", {"resourceType": "Patient"})
    assert grant.admits(Interaction.CREATE, "Observation", {"resourceType": "Observation"})
    assert grant_of([]).predicate("r", None, Parameters()) == "false"


def test_a_narrowing_is_of_tokens_and_references_alone() -> None:
    assert len(read_narrowing("Observation", "category=a,b&subject=Patient/1")) == 2
    assert read_narrowing("*", "_tag=x")[0].parameter.everywhere
    with pytest.raises(Unenforceable):
        read_narrowing("*", "code=x")


PUBLIC = Client("an-app", "App", "Test AS", Authentication.NONE, frozenset({Side.PATIENT}), "patient/*.rs",
                ("https://app.test/back",))  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"id": "x"}, {"id": "a b c"}, {"id": "13018812345"}, {"name": " "}, {"publisher": ""}, {"sides": frozenset()},
        {"redirect_uris": ()}, {"redirect_uris": ("http://app.test/",)}, {"redirect_uris": ("https://*.app.test/",)},
        {"redirect_uris": ("https://app.test/#x",)}, {"redirect_uris": ("javascript:alert(1)",)},
        {"redirect_uris": ("app:/back",)}, {"redirect_uris": ("https://a@app.test/",)}, {"scopes": "system/*.rs"},
        {"scopes": "patient/Foo.rs"}, {"launch_uri": "https://app.test/launch"},
        {"authentication": Authentication.KEY}, {"jwks": "{}"}, {"jwks": '{"keys": []}',
                                                                 "authentication": Authentication.KEY},
        {"sides": frozenset({Side.SYSTEM}), "redirect_uris": (), "scopes": "system/*.rs"},
        {"introspects": True}, {"jwks_uri": "http://app.test/jwks", "authentication": Authentication.KEY},
    ],
)  # fmt: skip
def test_a_registration_that_does_not_hold_together_is_refused(change: dict[str, object]) -> None:
    from dataclasses import replace

    check(PUBLIC)
    check(replace(PUBLIC, redirect_uris=("no.example.app:/back", "http://127.0.0.1:9/back")))
    with pytest.raises(InvalidClient):
        check(replace(PUBLIC, **change))  # type: ignore[arg-type]
