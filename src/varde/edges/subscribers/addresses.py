"""To which addresses a notification may go: hosts of the settings, at addresses of networks that are allowed.

A name is resolved once for each connection and the connection goes to the address that was judged, so that no name
can mean one thing to the check and another to the connection (DNS rebinding). Redirects are not followed, no proxy of
the environment is used, and TLS is verified against the name.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import httpcore

from varde.fhir.errors import Issue, Unprocessable

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class NotAllowed(Exception):
    """The address is not one that may be spoken to."""


class Allowed:
    """What the settings allow. `hosts`: names, or `*.name` for all below one. `networks`: where addresses that are not
    public may lie. `loopback`: also this machine, without TLS (the demo)."""

    def __init__(self, hosts: Iterable[str], networks: Iterable[str] = (), *, loopback: bool = False) -> None:
        self._hosts = frozenset(host.lower().rstrip(".") for host in hosts)
        self._networks: tuple[Network, ...] = tuple(ip_network(one) for one in networks)
        self._loopback = loopback

    def check(self, url: str) -> None:
        """Raise Unprocessable, in words for the subscriber, unless `url` may be an endpoint."""
        try:
            self.judge(url)
        except NotAllowed as error:
            raise Unprocessable([Issue("forbidden", str(error), "Subscription.channel.endpoint")]) from None

    def judge(self, url: str) -> None:
        """Raise NotAllowed unless the address may be tried. Where its name leads is judged when connecting."""
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower().rstrip("."), parts.port
        except ValueError:
            raise NotAllowed("the endpoint is no address") from None
        if not host or parts.username is not None or parts.password is not None or parts.fragment:
            raise NotAllowed("the endpoint is an address without user, password and fragment")
        if port == 0 or not url.isascii() or any(character.isspace() for character in url):
            raise NotAllowed("the endpoint is no address")
        if self._loopback and (host == "localhost" or _is_loopback(host)):
            if parts.scheme not in {"http", "https"}:
                raise NotAllowed("the endpoint is an https address")
            return
        if parts.scheme != "https":
            raise NotAllowed("the endpoint is an https address")
        if host not in self._hosts and not any(host.endswith(one[1:]) for one in self._hosts if one[:2] == "*."):
            raise NotAllowed("the endpoint's host is not among those that this server sends to")

    def reaches(self, address: Address) -> bool:
        """Whether a connection may go there."""
        if isinstance(address, IPv6Address):
            if address.sixtofour is not None or address.teredo is not None:
                return False
            address = address.ipv4_mapped or address
        if address.is_loopback:
            return self._loopback
        if any(address in network for network in self._networks if network.version == address.version):
            return True
        return address.is_global and not address.is_multicast and not address.is_reserved


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Pinned(httpcore.AsyncNetworkBackend):
    """Connects to the addresses of a name that are allowed, and to no other."""

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 httpcore's face
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises NotAllowed when the name leads nowhere that is allowed; httpcore's errors."""
        addresses = await self._resolve(host, port, timeout)
        good = [one for one in addresses if self._allowed.reaches(one)]
        if not good:
            raise NotAllowed("the endpoint's host leads to an address that this server does not send to")
        failed: Exception | None = None
        for address in good[:4]:
            try:
                return await self._plain.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        assert failed is not None
        raise failed

    @staticmethod
    async def _resolve(host: str, port: int, seconds: float | None) -> Sequence[Address]:
        try:
            async with asyncio.timeout(seconds):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(f"{type(error).__name__}") from None
        return list(dict.fromkeys(ip_address(str(one[4][0]).partition("%")[0]) for one in found))

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 httpcore's face
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Never."""
        raise NotAllowed("not a socket of this machine")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._plain.sleep(seconds)


def pool(allowed: Allowed, context: ssl.SSLContext | None = None) -> httpcore.AsyncConnectionPool:
    """Connections that go only where they may. `context`: for tests with a certificate of their own."""
    return httpcore.AsyncConnectionPool(
        ssl_context=context or ssl.create_default_context(),
        max_connections=100,
        max_keepalive_connections=50,
        keepalive_expiry=30,
        network_backend=Pinned(allowed),
    )
