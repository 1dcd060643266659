"""The address of the API as its caller sees it, when a proxy that is trusted stands between. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_HOST = re.compile(r"[A-Za-z0-9.\-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~\-]+)*")


@dataclass(frozen=True, slots=True)
class Proxied:
    """Links by X-Forwarded-Proto, -Host and -Prefix. To be used only behind a proxy that sets or removes all three:
    otherwise whoever asks could make our answers point elsewhere."""

    known: str
    """The address when the proxy does not say otherwise."""

    def base(self, headers: Mapping[str, str]) -> str:
        """The address of the API for this request, without a slash at its end."""
        host = _first(headers.get("x-forwarded-host"))
        if host is None or not _HOST.fullmatch(host):
            return self.known
        scheme = _first(headers.get("x-forwarded-proto")) or self.known.partition(":")[0]
        prefix = (_first(headers.get("x-forwarded-prefix")) or "").rstrip("/")
        if scheme not in {"http", "https"} or not _PREFIX.fullmatch(prefix):
            return self.known
        return f"{scheme}://{host}{prefix}/{self.known.rpartition('/')[2]}"


def _first(text: str | None) -> str | None:
    """What the outermost proxy said."""
    found = (text or "").partition(",")[0].strip()
    return found or None
