"""The shell: layout, error pages that lose and leak nothing, messages, languages, safe headers, weight."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from starlette.testclient import TestClient

from tests.web.conftest import SampleSession
from varde.web.assets import Assets
from varde.web.languages import LANGUAGES, Words
from varde.web.routes import local_path

Make = Callable[..., TestClient]
WEIGHT_LIMIT = 100_000
"""Bytes of the patient's home on the wire, fonts apart: the weak telephone line of Kautokeino."""


def test_start_page_tells_what_varde_is_and_offers_login(client: Make) -> None:
    page = client().get("/")
    assert page.status_code == 200
    assert 'href="/login"' in page.text and 'href="/status"' in page.text
    assert '<html lang="nb"' in page.text


def test_home_orders_by_what_comes_first(client: Make) -> None:
    text = client(SampleSession()).get("/").text
    assert text.index("Dette må du gjøre") < text.index("Svar på henvisning") < text.index("Kommende timer")
    assert text.index("Kommende timer") < text.index("Hudpoliklinikken") < text.index("Endring av time")


def test_staff_are_sent_to_their_own_side(client: Make) -> None:
    answer = client(SampleSession(kind="staff")).get("/", follow_redirects=False)
    assert answer.headers["location"] == "/arbeid"


def test_fam_18_acting_for_another_names_both(client: Make) -> None:
    text = client(SampleSession(kind="representative", acting_for_name="Elle Sara")).get("/").text
    banner = text[text.index('class="acting"') :]
    assert "Ánde Nilsen Sara" in banner[:900] and "Elle Sara" in banner[:900]


def test_no_page_may_run_or_fetch_anything_from_elsewhere(client: Make) -> None:
    answer = client(SampleSession()).get("/")
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy and "http" not in policy and "default-src 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r"<script(?![^>]*\ssrc=\"/static/)|\son\w+=|\sstyle=|javascript:", answer.text)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', answer.text)


def test_denied_and_missing_are_alike_to_the_letter(client: Make) -> None:
    denied = client(SampleSession()).get("/fail/NotFound")
    missing = client(SampleSession()).get("/fail/Gone")
    unknown = client(SampleSession()).get("/nowhere")
    assert denied.status_code == missing.status_code == unknown.status_code == 404
    strip = re.compile(r"til=[^\"]*")
    assert strip.sub("", denied.text) == strip.sub("", missing.text)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("Forbidden", 403),
        ("NotFound", 404),
        ("Conflict", 409),
        ("PreconditionFailed", 412),
        ("Unavailable", 503),
        ("unexpected", 500),
    ],
)
def test_error_pages_are_plain_and_leak_nothing(client: Make, kind: str, status: int) -> None:
    answer = client(SampleSession()).get(f"/fail/{kind}")
    assert answer.status_code == status
    assert "technical text" not in answer.text and "Nordmann" not in answer.text
    assert 'href="/"' in answer.text


@pytest.mark.parametrize("kind", ["unexpected", "Unavailable", "Conflict"])
def test_what_was_written_can_be_sent_again(client: Make, kind: str) -> None:
    written = "Jeg kan ikke komme <3 «tirsdag»"
    answer = client(SampleSession()).post(f"/fail/{kind}", data={"reason": written, "csrf": "stale-token"})
    assert 'name="reason" value="Jeg kan ikke komme &lt;3 «tirsdag»"' in answer.text
    assert "stale-token" not in answer.text and 'value="sample-token"' in answer.text


def test_a_message_is_shown_once_and_only_if_registered(client: Make) -> None:
    browser = client(SampleSession())
    browser.get("/saved")
    assert "Brevet er sendt" in browser.get("/").text
    assert "Brevet er sendt" not in browser.get("/").text
    browser.cookies.set("varde_message", "<b>evil</b>:1")
    assert "evil" not in browser.get("/").text


@pytest.mark.parametrize("language", LANGUAGES)
def test_language_is_chosen_and_kept(client: Make, language: str) -> None:
    browser = client(SampleSession())
    answer = browser.get(f"/sprak/{language}?til=/", follow_redirects=True)
    assert f'<html lang="{language}"' in answer.text


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "https://evil.example", "", None, "/a\nb"])
def test_no_redirect_leaves_the_house(path: str | None) -> None:
    assert local_path(path) == "/"


def test_dates_are_words_in_the_persons_language() -> None:
    now = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    at = datetime(2026, 12, 1, 8, 30, tzinfo=UTC)
    said = {language: Words(language, now).moment(at) for language in LANGUAGES}
    assert said["nb"] == "tirsdag 1. desember kl. 09.30"
    assert said["nn"] == "tysdag 1. desember kl. 09.30"
    assert said["se"] == "maŋŋebárga juovlamánu 1. b. dii. 09.30"
    assert said["en"] == "Tuesday 1 December at 09:30"
    assert Words("nb", now).day(datetime(2027, 1, 4, tzinfo=UTC)) == "mandag 4. januar 2027"


def test_days_from_now_turn_at_norwegian_midnight() -> None:
    words = Words("nb", datetime(2026, 11, 24, 22, 30, tzinfo=UTC))
    assert words.days_from_now(datetime(2026, 11, 24, 23, 30, tzinfo=UTC)) == 1


def test_home_is_light(client: Make) -> None:
    text = client(SampleSession()).get("/").text
    assets = Assets()
    names = set(re.findall(r"/static/([^\"#]+)", text))
    known = {hashed: name for name, hashed in assets.names.items()}
    weight = sum(assets.weight(known[n]) for n in names if not n.endswith(".woff2"))
    assert weight + len(text.encode()) < WEIGHT_LIMIT


def test_built_files_are_kept_for_a_year_and_gzipped(client: Make) -> None:
    answer = client().get(Assets().url("varde.css"))
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert client().get("/static/../manifest.json").status_code == 404
    assert client().get("/static/manifest.json").status_code == 404
