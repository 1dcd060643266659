"""E-mail to a real SMTP server: TLS, login, what it holds, and what each refusal means."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.edges.messages import mail, sms
from tests.edges.servers import certificate
from varde.clock import SetClock
from varde.edges.notify import Channel, Channels
from varde.edges.notify.smtp import Security, Server, SmtpMail, message_id
from varde.work.outbox import Outcome, Passing, Permanent, Receipt, Unknown


class Mailboxes:
    """What a mail server was given, and how it answers."""

    def __init__(self) -> None:
        self.given: list[tuple[str, list[str], EmailMessage]] = []
        self.refuse: dict[str, str] = {}
        self.after_data = ""

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        made = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(made, EmailMessage)
        self.given.append((envelope.mail_from or "", list(envelope.rcpt_tos), made))
        if self.after_data == "hang up":
            assert server.transport is not None
            server.transport.abort()
            return ""
        return self.after_data or "250 2.0.0 queued as 17"


def login(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    success = isinstance(data, LoginPassword) and data.password == b"riktig"
    return AuthResult(success=success, handled=success)


@asynccontextmanager
async def running(boxes: Mailboxes, over: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[int]:
    """A mail server on loopback; the port it listens at. `over`: TLS from the start."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(boxes, **options), "127.0.0.1", 0, ssl=over)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return certificate(tmp_path)


def edge(
    port: int, clock: SetClock, trust: ssl.SSLContext | None = None, security: Security = "none", **options: Any
) -> Channels:
    server = Server("127.0.0.1", port, "ikke-svar@unn.example.no", security, timeout=5, **options)
    return Channels({Channel.EMAIL: SmtpMail(server, clock, trust)})


async def test_hands_over_by_starttls_and_login(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], clock: SetClock
) -> None:
    boxes = Mailboxes()
    options = {"tls_context": contexts[0], "require_starttls": True, "authenticator": login, "auth_required": True}
    async with running(boxes, **options) as port:
        made = edge(port, clock, contexts[1], "starttls", user="varde", password="riktig")
        outcomes = await made.send([mail("brev/1", subject="Nytt brev č"), mail("brev/2", "b@example.no"), sms("x")])
        wrong = await edge(port, clock, contexts[1], "starttls", user="varde", password="feil").send([mail("a")])
        distrusting = await edge(port, clock, None, "starttls", user="varde", password="riktig").send([mail("a")])
    assert [type(outcome) for outcome in outcomes] == [Receipt, Receipt, Permanent]
    assert not made.recognises_keys
    assert list(wrong) == [Passing("no connection: SMTPAuthenticationError 535")]
    assert list(distrusting) == [Passing("no connection: SSLCertVerificationError")]
    (sender, recipients, first), (_, second_recipients, _) = boxes.given
    assert (sender, recipients, second_recipients) == (
        "ikke-svar@unn.example.no", ["ande@example.no"], ["b@example.no"],
    )  # fmt: skip
    assert first["Subject"] == "Nytt brev č"
    assert first["From"] == "UNN <ikke-svar@unn.example.no>"
    assert first["Message-ID"] == message_id("brev/1", "ikke-svar@unn.example.no")
    assert first["Date"].datetime == clock.now()
    assert first.get_content().strip() == "Du har fått et nytt brev fra UNN."


async def test_hands_over_by_tls_from_the_start(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], clock: SetClock
) -> None:
    boxes = Mailboxes()
    async with running(boxes, contexts[0]) as port:
        (outcome,) = await edge(port, clock, contexts[1], "tls").send([mail("a")])
    assert isinstance(outcome, Receipt)


async def test_lines_that_open_with_a_dot_arrive_whole(clock: SetClock) -> None:
    boxes = Mailboxes()
    async with running(boxes) as port:
        await edge(port, clock).send([mail("a", text="Hei\n.\n.. to\nslutt")])
    assert boxes.given[0][2].get_content().replace("\r\n", "\n").strip() == "Hei\n.\n.. to\nslutt"


async def test_one_refused_recipient_holds_up_no_other(clock: SetClock) -> None:
    boxes = Mailboxes()
    boxes.refuse = {"borte@example.no": "550 5.1.1 unknown", "full@example.no": "452 4.2.2 full"}
    async with running(boxes) as port:
        told = await edge(port, clock).send(
            [mail("a", "borte@example.no"), mail("b"), mail("c", "full@example.no"), mail("d")]
        )
    assert [type(outcome) for outcome in told] == [Permanent, Receipt, Passing, Receipt]
    assert told[0] == Permanent("reply 550")


@pytest.mark.parametrize(("after", "kind"), [("451 later", Passing), ("554 never", Permanent), ("hang up", Unknown)])
async def test_what_comes_after_the_content(clock: SetClock, after: str, kind: type[Outcome]) -> None:
    boxes = Mailboxes()
    boxes.after_data = after
    async with running(boxes) as port:
        told = await edge(port, clock).send([mail("a"), mail("b")])
    assert [type(outcome) for outcome in told] == [kind, kind]
    assert len(boxes.given) == 2


async def test_no_server_is_passing(clock: SetClock) -> None:
    assert isinstance((await edge(9, clock).send([mail("a")]))[0], Passing)
