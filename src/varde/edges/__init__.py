"""One folder for each outside system. What a service decides to send is decided elsewhere.

Here is chosen, by the settings, what stands behind each edge: the embedded default or a real system.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from varde.clock import Clock
from varde.db import Database
from varde.edges.notify import Carrier, Channel, Channels
from varde.edges.notify.embedded import EmbeddedNotify
from varde.edges.post.embedded import EmbeddedPost
from varde.edges.registers import Combined, ContactRegister, PersonRegister, Registers
from varde.edges.registers.embedded import EmbeddedRegisters
from varde.settings import Settings

if TYPE_CHECKING:
    from varde.work.outbox import Sender

_TIMEOUT = httpx.Timeout(30.0, connect=10.0)


def registers(settings: Settings, database: Database, clock: Clock) -> Registers:
    """The registers of this process. Close them at its end.

    The embedded ones have two connections of their own to the database, as a register outside would: a job that
    asks a register while it holds one of ours can so never wait for one that it holds itself.
    Raises ValueError, OSError for a key file that is not one.
    """
    embedded = EmbeddedRegisters(Database(database.url, connections=2, application="varde-registers"))
    if settings.population_base is None and settings.krr_base is None:
        return embedded
    from varde.edges import maskinporten
    from varde.edges.registers import freg, krr

    assert settings.maskinporten_client_id and settings.maskinporten_key_file
    client = maskinporten.Client(
        settings.maskinporten_issuer,
        settings.maskinporten_client_id,
        maskinporten.load_key(settings.maskinporten_key_file),
    )
    persons: PersonRegister = embedded
    contacts: ContactRegister = embedded
    if settings.population_base is not None:
        http = httpx.AsyncClient(timeout=_TIMEOUT)
        tokens = maskinporten.Tokens(client, settings.population_scopes, clock, http)
        persons = freg.Freg(settings.population_base, tokens, clock, http)
    if settings.krr_base is not None:
        http = httpx.AsyncClient(timeout=_TIMEOUT)
        contacts = krr.Krr(settings.krr_base, maskinporten.Tokens(client, krr.SCOPES, clock, http), clock, http)
    return Combined(persons, contacts)


def senders(settings: Settings, clock: Clock) -> list[Sender]:
    """The senders of this process, one for each edge: "notify" and "post"."""
    return [_notify(settings, clock), _post(settings, clock)]


def embedded_notify(settings: Settings, clock: Clock) -> EmbeddedNotify:
    """The embedded telephones and mailboxes, also to look into."""
    return EmbeddedNotify(settings.data / "notify", clock)


def embedded_post(settings: Settings, clock: Clock) -> EmbeddedPost:
    """The embedded print house, also to look into."""
    return EmbeddedPost(settings.print_directory or settings.data / "post", clock)


def _notify(settings: Settings, clock: Clock) -> Sender:
    carriers: dict[Channel, Carrier] = {}
    if settings.sms_gateway is not None:
        from varde.edges.notify.gateway import SmsGateway

        assert settings.sms_gateway_token
        carriers[Channel.SMS] = SmsGateway(
            settings.sms_gateway,
            settings.sms_gateway_token.get_secret_value(),
            clock,
            httpx.AsyncClient(timeout=_TIMEOUT),
            recognises_keys=settings.sms_gateway_recognises_keys,
        )
    if settings.smtp_host is not None:
        from varde.edges.notify.smtp import Server, SmtpMail

        assert settings.mail_from
        password = settings.smtp_password.get_secret_value() if settings.smtp_password else None
        server = Server(
            settings.smtp_host,
            settings.smtp_port,
            settings.mail_from,
            settings.smtp_security,
            settings.smtp_user,
            password,
        )
        carriers[Channel.EMAIL] = SmtpMail(server, clock)
    return Channels(carriers) if carriers else embedded_notify(settings, clock)


def _post(settings: Settings, clock: Clock) -> Sender:
    if settings.print_sftp_host is None:
        return embedded_post(settings, clock)
    from varde.edges.post.sftp import Door, SftpPost

    assert settings.print_sftp_key_file and settings.print_sftp_known_hosts
    door = Door(
        settings.print_sftp_host,
        settings.print_sftp_port,
        settings.print_sftp_user,
        settings.print_sftp_key_file,
        settings.print_sftp_known_hosts,
        settings.print_sftp_inbox,
        settings.print_sftp_receipts,
    )
    return SftpPost(door, clock, recognises_keys=settings.print_sftp_recognises_keys)
