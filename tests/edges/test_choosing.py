"""What stands behind each edge by the settings, and that half a setting stops the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from joserfc.jwk import RSAKey
from pydantic import ValidationError

from tests.edges.messages import letter, sms
from varde.clock import SetClock
from varde.db import Database
from varde.edges import registers, senders
from varde.edges.notify import Channels
from varde.edges.notify.embedded import EmbeddedNotify
from varde.edges.post.embedded import EmbeddedPost
from varde.edges.post.sftp import SftpPost
from varde.edges.registers import Combined, RegisterUnavailable
from varde.edges.registers.embedded import EmbeddedRegisters
from varde.settings import Settings
from varde.work.outbox import Receipt

SFTP = {
    "print_sftp_host": "print.example.no", "print_sftp_key_file": Path("key"), "print_sftp_known_hosts": Path("hosts"),
}  # fmt: skip


async def test_without_settings_all_is_embedded_in_the_data_folder(
    tmp_path: Path, clock: SetClock, database: Database
) -> None:
    settings = Settings(data=tmp_path)
    notify, post = senders(settings, clock)
    assert isinstance(notify, EmbeddedNotify)
    assert isinstance(post, EmbeddedPost)
    assert (notify.edge, post.edge) == ("notify", "post")
    assert notify.recognises_keys
    assert post.recognises_keys
    assert isinstance((await notify.send([sms("a")]))[0], Receipt)
    assert isinstance((await post.send([letter("a")]))[0], Receipt)
    assert list((tmp_path / "post").rglob("*.pdf"))
    assert (tmp_path / "notify").is_dir()
    elsewhere = senders(Settings(data=tmp_path, print_directory=tmp_path / "prints"), clock)[1]
    await elsewhere.send([letter("a")])
    assert list((tmp_path / "prints").rglob("*.pdf"))
    chosen = registers(settings, database, clock)
    assert isinstance(chosen, EmbeddedRegisters)
    assert await chosen.persons(["1"]) == {}
    await chosen.close()


async def test_real_systems_by_their_addresses(tmp_path: Path, clock: SetClock, database: Database) -> None:
    settings = Settings(
        data=tmp_path, sms_gateway="https://sms.example.no", sms_gateway_token="t", smtp_host="mail.example.no",
        mail_from="ikke-svar@unn.example.no", **SFTP,
    )  # fmt: skip
    notify, post = senders(settings, clock)
    assert isinstance(notify, Channels)
    assert isinstance(post, SftpPost)
    assert (notify.edge, post.edge) == ("notify", "post")
    assert not notify.recognises_keys
    assert not post.recognises_keys
    assert senders(Settings(sms_gateway="https://sms.example.no", sms_gateway_token="t"), clock)[0].recognises_keys
    file = tmp_path / "key.json"
    file.write_bytes(orjson.dumps(RSAKey.generate_key(2048, {"kid": "1"}).as_dict(private=True)))
    chosen = registers(
        Settings(krr_base="https://krr.example.no", maskinporten_client_id="c", maskinporten_key_file=file),
        database, clock,
    )  # fmt: skip
    assert isinstance(chosen, Combined)
    assert await chosen.persons(["1"]) == {}
    await chosen.close()
    outside = registers(
        Settings(population_base="http://127.0.0.1:9", maskinporten_issuer="http://127.0.0.1:9/",
                 maskinporten_client_id="c", maskinporten_key_file=file),
        database, clock,
    )  # fmt: skip
    assert await outside.contacts(["1"]) == {}
    with pytest.raises(RegisterUnavailable):
        await outside.persons(["1"])
    await outside.close()


@pytest.mark.parametrize(
    ("half", "missing"),
    [
        ({"krr_base": "https://krr.example.no"}, "VARDE_MASKINPORTEN_CLIENT_ID"),
        ({"population_base": "https://freg.example.no"}, "VARDE_MASKINPORTEN_KEY_FILE"),
        ({"population_cache_minutes": 61}, "population_cache_minutes"),
        ({"sms_gateway": "https://sms.example.no"}, "VARDE_SMS_GATEWAY_TOKEN"),
        ({"smtp_host": "mail.example.no"}, "VARDE_MAIL_FROM"),
        ({"smtp_user": "varde"}, "VARDE_SMTP_PASSWORD"),
        ({"print_sftp_host": "print.example.no"}, "VARDE_PRINT_SFTP_KNOWN_HOSTS"),
    ],
)
def test_half_a_setting_stops_the_start(half: dict[str, Any], missing: str) -> None:
    with pytest.raises(ValidationError, match=missing):
        Settings(**half)


def test_secrets_are_not_shown() -> None:
    shown = repr(Settings(sms_gateway="https://sms.example.no", sms_gateway_token="hemmelig", smtp_password="skjult"))
    assert "hemmelig" not in shown
    assert "skjult" not in shown
