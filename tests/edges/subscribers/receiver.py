"""A subscriber's web server: keeps what it is sent, and verifies each signature as docs/fhir/subscriptions.md says.

Also a process of its own: `python -m tests.edges.subscribers.receiver JOURNAL JWKS`, which writes each notification
to a file before it answers.
"""

from __future__ import annotations

import json
import os
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.jwk import KeySet
from joserfc.registry import HeaderParameter

from tests.edges.servers import Answer, HttpServer, Request, http_server

_HEADER = {name: HeaderParameter(name, kind) for name, kind in
           (("iat", "int"), ("jti", "str"), ("aud", "str"), ("sub", "str"))}  # fmt: skip
REGISTRY = jws.JWSRegistry(_HEADER, algorithms=["ES256"])


def verified(headers: dict[str, str], body: bytes, jwks: dict[str, Any]) -> dict[str, Any]:
    """The protected header of a good signature over `body`. Raises joserfc's BadSignatureError."""
    header, _, signature = headers["x-jws-signature"].split(".")
    payload = urlsafe_b64encode(body).rstrip(b"=").decode()
    whole = jws.deserialize_compact(f"{header}.{payload}.{signature}", KeySet.import_key_set(jwks), registry=REGISTRY)
    return dict(whole.headers())


@dataclass
class Notification:
    """One that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    signed: dict[str, Any]

    @property
    def bundle(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    def said(self, name: str) -> Any:
        """A value of its Parameters."""
        return said(self.bundle, name)

    @property
    def numbers(self) -> list[int]:
        return numbers(self.bundle)

    @property
    def focuses(self) -> list[str | None]:
        """References of the events, without the base."""
        return focuses(self.bundle)


def said(bundle: dict[str, Any], name: str) -> Any:
    for one in bundle["entry"][0]["resource"]["parameter"]:
        if one["name"] == name:
            return next(value for key, value in one.items() if key.startswith("value"))
    return None


def events(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a notification, each as {part: value}."""
    return [
        {part["name"]: next(v for k, v in part.items() if k.startswith("value")) for part in one["part"]}
        for one in bundle["entry"][0]["resource"]["parameter"]
        if one["name"] == "notification-event"
    ]


def numbers(bundle: dict[str, Any]) -> list[int]:
    return [int(one["event-number"]) for one in events(bundle)]


def focuses(bundle: dict[str, Any]) -> list[str | None]:
    return ["/".join(one["focus"]["reference"].split("/")[-2:]) if "focus" in one else None for one in events(bundle)]


@dataclass
class Receiver:
    """A running subscriber."""

    base: str
    jwks: dict[str, Any]
    got: list[Notification] = field(default_factory=list)
    answer: Callable[[Notification], Answer] = lambda notification: (200, b"")

    def of(self, kind: str) -> list[Notification]:
        """Notifications of one type."""
        return [one for one in self.got if one.body and one.said("type") == kind]

    @property
    def numbers(self) -> list[int]:
        return [number for one in self.of("event-notification") for number in one.numbers]


@contextmanager
def receiver(jwks: dict[str, Any]) -> Iterator[Receiver]:
    """One in this process."""

    def answer(request: Request) -> Answer:
        signed = verified(request.headers, request.body, jwks)
        one = Notification(request.method, request.path, request.headers, request.body, signed)
        made.got.append(one)
        return made.answer(one)

    server: HttpServer
    made = Receiver("", jwks)
    with http_server(answer) as server:
        made.base = server.base
        yield made


def main(journal: str, keys: str) -> None:
    """See the top of the file."""
    jwks = json.loads(Path(keys).read_text())

    def answer(request: Request) -> Answer:
        verified(request.headers, request.body, jwks)
        handle = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, request.body.replace(b"\n", b" ") + b"\n")
        os.fsync(handle)
        os.close(handle)
        return 200, b""

    with http_server(answer) as server:
        print(server.base, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
