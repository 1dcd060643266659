"""Fetching the files of an import from outside: only from addresses that the operators listed, following nothing, and
never into the house's own network by a name that has been made to point there.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx

from varde.fhir.errors import BadRequest, Unprocessable

_SECONDS = 30.0


class Sources:
    """Where an import may fetch from: starts of addresses, as `https://data.example.org/fhir/`.

    A host given by its number may lie in a private network, as it was listed so; a name may not lead there.
    """

    def __init__(self, listed: Sequence[str]) -> None:
        """Raises ValueError for what is no start of an address."""
        self._listed = [httpx.URL(one) for one in listed]
        for url in self._listed:
            if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.query:
                raise ValueError("a source of imports is written https://host/path/")

    def check(self, address: str) -> httpx.URL:
        """The address, when it is listed. Raises BadRequest."""
        try:
            url = httpx.URL(address)
        except httpx.InvalidURL:
            raise BadRequest.of("an input's url is no address") from None
        segments = url.path.split("/")
        plain = not url.userinfo and not url.fragment and ".." not in segments and "." not in segments
        if not plain or not any(_is_below(url, one) for one in self._listed):
            raise BadRequest.of("an input's url is not among the sources that this server fetches from",
                                code="forbidden")  # fmt: skip
        return url

    @asynccontextmanager
    async def fetch(self, address: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The file's bytes, unpacked when it comes packed for the way. Raises Unprocessable when it cannot be had,
        httpx.HTTPError when it may be had later."""
        url = self.check(address)
        number = await _number_of(url)
        # The number that was looked at is the one that is spoken to, whatever the name says a moment later.
        direct = url.copy_with(host=number)
        headers = {"host": url.netloc.decode("ascii"), "accept": "application/fhir+ndjson, application/ndjson, */*"}
        async with (
            httpx.AsyncClient(timeout=_SECONDS, follow_redirects=False, trust_env=False) as client,
            client.stream("GET", direct, headers=headers, extensions={"sni_hostname": url.host}) as answer,
        ):
            if answer.status_code >= 500 or answer.status_code == 429:
                raise httpx.HTTPStatusError("for now", request=answer.request, response=answer)
            if answer.status_code != 200:
                raise Unprocessable.of(f"the source answered {answer.status_code}", code="not-found")
            yield answer.aiter_bytes(1 << 18)


def _is_below(url: httpx.URL, listed: httpx.URL) -> bool:
    same = (url.scheme, url.host, url.port) == (listed.scheme, listed.host, listed.port)
    start = listed.path if listed.path.endswith("/") else listed.path + "/"
    return same and (url.path.startswith(start) or url.path == listed.path)


async def _number_of(url: httpx.URL) -> str:
    """The IP address of the url's host. Raises Unprocessable for a name that leads into a private network."""
    try:
        return str(ipaddress.ip_address(url.host))
    except ValueError:
        pass
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise httpx.ConnectError("the name is not found") from None
    numbers = [ipaddress.ip_address(one[4][0]) for one in found]
    if not numbers or not all(number.is_global for number in numbers):
        raise Unprocessable.of("the source's name leads into a private network", code="forbidden")
    return str(numbers[0])
