"""The letters' pages over sample values: what each state shows, what a form refuses, what is sent once."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from tests.services.letters.sample_pages import (
    STAFF,
    SamplePatientLetters,
    SampleSession,
    SampleStaffLetters,
    sample_app,
)
from varde.services.letters.staff import PROBLEMS, STATES

pytestmark = pytest.mark.usefixtures("built")
TOKEN = {"csrf": "sample-token"}


@pytest.fixture
def patient() -> TestClient:
    """The pages as a patient sees them."""
    return TestClient(sample_app(SampleSession()))


@pytest.fixture
def letters() -> SampleStaffLetters:
    """What staff's pages talk to."""
    return SampleStaffLetters()


@pytest.fixture
def staff(letters: SampleStaffLetters) -> TestClient:
    """The pages as staff see them."""
    return TestClient(sample_app(STAFF, staff=letters))


def test_unread_is_told_in_words_not_by_colour_alone(patient: TestClient) -> None:
    text = patient.get("/brev").text
    rows = re.findall(r'<a class="row".*?</a>', text, re.DOTALL)
    assert ["Ulest" in row for row in rows] == [True, True, False, False, False]
    assert "Du har 2 uleste brev." in text


def test_the_list_shows_sender_and_day(patient: TestClient) -> None:
    text = patient.get("/brev").text
    assert "Finnmarkssykehuset, Klinikk Kirkenes" in text and "Sendt mandag 23. november" in text


def test_let_07_a_letter_opened_after_the_printer_says_paper_is_on_its_way(patient: TestClient) -> None:
    assert "Brevet kommer også i posten" in patient.get("/brev/2").text
    assert "Brevet kommer også i posten" not in patient.get("/brev/1").text


def test_let_51_withdrawn_shows_the_wards_reason(patient: TestClient) -> None:
    text = patient.get("/brev/4").text
    assert "trukket brevet tilbake" in text and "Timen er flyttet til en annen dag." in text
    assert "/brev/4/pdf" not in text


def test_let_52_old_and_new_point_at_each_other(patient: TestClient) -> None:
    assert 'href="/brev/2"' in patient.get("/brev/5").text
    assert 'href="/brev/5"' in patient.get("/brev/2").text


def test_let_58_who_opened_it_and_when(patient: TestClient) -> None:
    text = patient.get("/brev/1").text
    opened = text[text.index("Hvem har åpnet brevet") :]
    assert "Elle Márjá Sara" in opened and "på dine vegne" in opened
    assert "tirsdag 24. november kl. 10.00" in opened


def test_let_02_why_it_came_this_way(patient: TestClient) -> None:
    assert "Derfor kom brevet her." in patient.get("/brev/1").text


def test_let_57_archiving_is_the_patients() -> None:
    kept = SamplePatientLetters()
    browser = TestClient(sample_app(SampleSession(), patient=kept))
    answer = browser.post("/brev/3/arkiver", data=TOKEN)
    assert kept.archived == {"3"} and "Brevet ligger nå i arkivet." in answer.text
    assert "/brev/3" in browser.get("/brev/arkiv").text and 'href="/brev/3"' not in browser.get("/brev").text
    browser.post("/brev/3/hent-fram", data=TOKEN)
    assert kept.archived == set()


def test_asking_for_the_head_of_a_letter_does_not_open_it() -> None:
    class Strict(SamplePatientLetters):
        async def open(self, scope: object, letter_id: str, *, language: str) -> object:  # type: ignore[override]
            raise AssertionError("opened")

    assert TestClient(sample_app(SampleSession(), patient=Strict())).head("/brev/1").status_code == 200


def test_fam_24_an_empty_inbox_says_nothing_of_why() -> None:
    class Empty(SamplePatientLetters):
        async def inbox(self, scope: object, **asked: object) -> object:  # type: ignore[override]
            from varde.services.letters.views import Inbox

            return Inbox([], 0)

    text = TestClient(sample_app(SampleSession(), patient=Empty())).get("/brev").text
    assert "Ingen brev her" in text and "tilgang" not in text


@pytest.mark.parametrize("path", ["/brev", "/brev/1", "/brev/arkiv", "/brev/1/pdf"])
def test_pages_ask_for_login_and_come_back(path: str) -> None:
    answer = TestClient(sample_app(None)).get(path, follow_redirects=False)
    assert answer.status_code == 303 and answer.headers["location"] == f"/login?til={path}"


def test_patient_and_staff_keep_to_their_own_side(patient: TestClient, staff: TestClient) -> None:
    assert patient.get("/arbeid").status_code == 403
    assert staff.get("/brev").status_code == 403


@pytest.mark.parametrize("token", ["", "wrong"])
def test_a_form_of_another_site_changes_nothing(token: str) -> None:
    kept = SamplePatientLetters()
    answer = TestClient(sample_app(SampleSession(), patient=kept)).post(
        "/brev/3/arkiver", data={"csrf": token, "note": "mine"}
    )
    assert answer.status_code == 403 and kept.archived == set()
    assert 'name="note" value="mine"' in answer.text and 'value="sample-token"' in answer.text


def test_what_was_written_survives_a_logout() -> None:
    answer = TestClient(sample_app(None)).post("/arbeid/brev/3/trekk", data={"grunn": "Flyttet", "csrf": "x"})
    assert "Du er logget ut" in answer.text and 'value="Flyttet"' in answer.text


@pytest.mark.parametrize("state", STATES)
def test_let_50_every_state_has_a_name_on_the_staffs_page(staff: TestClient, state: str) -> None:
    answer = staff.get(f"/arbeid?tilstand={state}")
    assert STATES[state].label in answer.text and answer.status_code == 200


def test_each_row_says_channel_why_and_what_comes_next(staff: TestClient) -> None:
    text = staff.get("/arbeid?tilstand=notified").text
    assert "Bruker digitale tjenester" in text and "Påminnelse på SMS" in text and "26. nov. kl. 10.00" in text


def test_unknown_filters_are_ignored(staff: TestClient) -> None:
    assert staff.get("/arbeid?tilstand=<script>&dag=igår").status_code == 200


def test_sending_needs_a_patient(staff: TestClient) -> None:
    answer = staff.post("/arbeid/brev/ny/skriv", data=TOKEN)
    assert answer.status_code == 422 and "Velg minst én pasient først." in answer.text


def test_let_31_faults_stop_the_sending_and_are_listed(staff: TestClient, letters: SampleStaffLetters) -> None:
    answer = staff.post(
        "/arbeid/brev/ny/skriv", data=TOKEN | {"time": "2", "gjor": "send", "felt-phone": "", "nokkel": "k"}
    )
    assert answer.status_code == 422 and letters.sent == []
    assert 'href="#felt-phone"' in answer.text and "Telefon: Skriv telefonnummeret." in answer.text


def test_let_31_the_refused_are_listed_and_the_rest_goes_on(staff: TestClient, letters: SampleStaffLetters) -> None:
    order = TOKEN | {"time": ["0", "1", "2"], "felt-phone": "77 62 60 00"}
    shown = staff.post("/arbeid/brev/ny/skriv", data=order)
    assert "Kari Hansen: Timen mangler sted." in shown.text and "Send 2 brev" in shown.text
    answer = staff.post("/arbeid/brev/ny/skriv", data=order | {"gjor": "send", "nokkel": "k1"}, follow_redirects=False)
    assert answer.headers["location"] == "/arbeid/utsending/b1"
    assert letters.sent[0][0].appointments == ["0", "1", "2"]


def test_let_53_the_key_of_the_sending_is_made_once_and_kept(staff: TestClient, letters: SampleStaffLetters) -> None:
    first = staff.post("/arbeid/brev/ny/skriv", data=TOKEN | {"time": "0"}).text
    key = re.search(r'name="nokkel" value="([^"]{20,})"', first)
    assert key
    again = staff.post("/arbeid/brev/ny/skriv", data=TOKEN | {"time": "0", "nokkel": key[1], "gjor": "vis"})
    assert key[1] in again.text
    for _ in range(2):
        staff.post("/arbeid/brev/ny/skriv", data=TOKEN | {"time": "0", "nokkel": key[1], "gjor": "send"})
    assert {k for _, k in letters.sent} == {key[1]}


def test_progress_polls_until_finished_and_refreshes_without_javascript(staff: TestClient) -> None:
    first = staff.get("/arbeid/utsending/b1").text
    assert 'hx-get="/arbeid/utsending/b1/framdrift"' in first and 'http-equiv="refresh"' in first
    last = staff.get("/arbeid/utsending/b1/framdrift").text
    assert "hx-get" not in last and "Ferdig: 311 av 312" in last and "<html" not in last


def test_let_51_withdrawing_needs_a_reason(staff: TestClient, letters: SampleStaffLetters) -> None:
    assert staff.post("/arbeid/brev/3/trekk", data=TOKEN | {"grunn": " "}).status_code == 422
    assert staff.post("/arbeid/brev/3/trekk", data=TOKEN | {"grunn": "x" * 501}).status_code == 422
    answer = staff.post("/arbeid/brev/3/trekk", data=TOKEN | {"grunn": "Flyttet"})
    assert letters.done == ["withdraw 3 Flyttet"] and "Brevet er trukket tilbake." in answer.text


def test_let_11_returned_mail_is_marked(staff: TestClient, letters: SampleStaffLetters) -> None:
    staff.post("/arbeid/brev/8/retur", data=TOKEN)
    assert letters.done == ["returned 8"]


def test_worklist_says_what_is_wrong_and_what_to_do(staff: TestClient) -> None:
    text = staff.get("/arbeid/arbeidsliste").text
    for problem in ("no-address", "returned", "telephone"):
        label, _, advice = PROBLEMS[problem]
        assert label in text and advice in text


def test_previews_of_the_pdf_are_never_cached(staff: TestClient) -> None:
    answer = staff.post("/arbeid/brev/ny/skriv", data=TOKEN | {"time": "0", "gjor": "pdf"})
    assert answer.headers["content-type"] == "application/pdf" and answer.headers["cache-control"] == "no-store"
