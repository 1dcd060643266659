"""E-mail over SMTP, with TLS and login. The Message-ID is made from the key, so that what a receiver sees twice it can
tell, but a mail server takes the same message twice: the edge does not recognise keys.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, formataddr
from hashlib import sha256
from typing import Literal

from varde.clock import Clock
from varde.edges.notify import Notification
from varde.work.outbox import Outcome, Passing, Permanent, Receipt, Unknown

Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail is handed over, and from which address it comes."""

    host: str
    port: int
    sender: str
    security: Security = "starttls"
    user: str | None = None
    password: str | None = None
    timeout: float = 30.0
    """Seconds, for each step."""


class SmtpMail:
    """E-mail by one server: one connection a batch."""

    recognises_keys = False

    def __init__(self, server: Server, clock: Clock, context: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._clock = clock
        self._context = context or ssl.create_default_context()

    async def carry(self, notifications: Sequence[tuple[str, Notification]]) -> Sequence[Outcome]:
        """Hand over, one after the other. See Carrier."""
        return await asyncio.to_thread(self._carry, notifications)

    def _carry(self, notifications: Sequence[tuple[str, Notification]]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        connection: smtplib.SMTP | None = None
        for key, notification in notifications:
            try:
                connection = connection or self._connect()
            except (OSError, smtplib.SMTPException) as error:
                outcomes.append(Passing(f"no connection: {_why(error)}"))
                continue
            outcome, connection = self._one(connection, key, notification)
            outcomes.append(outcome)
        if connection is not None:
            _leave(connection)
        return outcomes

    def _connect(self) -> smtplib.SMTP:
        """Raises OSError, smtplib.SMTPException: nothing was sent."""
        server = self._server
        if server.security == "tls":
            made: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, timeout=server.timeout, context=self._context
            )
        else:
            made = smtplib.SMTP(server.host, server.port, timeout=server.timeout)
        try:
            if server.security == "starttls":
                made.starttls(context=self._context)
            if server.user is not None:
                made.login(server.user, server.password or "")
        except BaseException:
            made.close()
            raise
        return made

    def _one(
        self, connection: smtplib.SMTP, key: str, notification: Notification
    ) -> tuple[Outcome, smtplib.SMTP | None]:
        """The outcome, and the connection when it can be used again.

        Steps are taken one by one, since only a failure after DATA leaves it unknown whether the message went.
        """
        message = self._message(key, notification)
        try:
            content = message.as_bytes()
            connection.ehlo_or_helo_if_needed()
            code, _ = connection.mail(self._server.sender)
            if code == 250:
                code, _ = connection.rcpt(notification.to)
            if code not in {250, 251}:
                connection.rset()
                return _refused(code), connection
            connection.putcmd("data")
            code, _ = connection.getreply()
            if code != 354:
                connection.rset()
                return _refused(code), connection
        except (OSError, smtplib.SMTPException) as error:
            connection.close()
            return Passing(_why(error)), None
        try:
            lines = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in content.splitlines())
            connection.send(lines + b"\r\n.\r\n")
            code, reply = connection.getreply()
        except (OSError, smtplib.SMTPException) as error:
            connection.close()
            return Unknown(f"after the message was sent: {_why(error)}"), None
        if code != 250:
            return _refused(code), connection
        return Receipt(key, "received", self._clock.now(), reply.decode("ascii", "replace")[:100]), connection

    def _message(self, key: str, notification: Notification) -> EmailMessage:
        made = EmailMessage()
        made["From"] = formataddr((notification.sender, self._server.sender))
        made["To"] = notification.to
        made["Subject"] = notification.subject or notification.sender
        made["Date"] = format_datetime(self._clock.now())
        made["Message-ID"] = message_id(key, self._server.sender)
        made["Auto-Submitted"] = "auto-generated"
        made.set_content(notification.text, cte="quoted-printable")
        return made


def message_id(key: str, sender: str) -> str:
    """The Message-ID of a key: always the same, and telling nothing."""
    return f"<{sha256(key.encode()).hexdigest()[:40]}@{sender.rpartition('@')[2]}>"


def _refused(code: int) -> Outcome:
    """4xx: later; 5xx: never (RFC 5321 section 4.2.1)."""
    return Passing(f"reply {code}") if 400 <= code < 500 else Permanent(f"reply {code}")


def _why(error: Exception) -> str:
    """The kind of fault; replies of servers may hold the address, and are left out."""
    code = getattr(error, "smtp_code", None)
    return type(error).__name__ + (f" {code}" if isinstance(code, int) else "")


def _leave(connection: smtplib.SMTP) -> None:
    """Say goodbye; all is handed over, so it does not matter whether the server answers."""
    try:
        connection.quit()
    except (OSError, smtplib.SMTPException):
        connection.close()
