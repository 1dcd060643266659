"""Serves the built files of `static/vendor/`: hashed names, kept by browsers for a year, gzipped beforehand.

Building them is `build.py`.
"""

from __future__ import annotations

import json
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

VENDOR = Path(__file__).parent / "static" / "vendor"
PREFIX = "/static"
mimetypes.add_type("font/woff2", ".woff2")
mimetypes.add_type("text/javascript", ".js")


class AssetsNotBuiltError(Exception):
    """The files that the pages need are not there: run `python -m varde.web.build`."""


@dataclass(frozen=True, slots=True)
class _File:
    plain: bytes
    gzipped: bytes | None
    kind: str


class Assets:
    """All built files, in memory: they are few and small. Raises AssetsNotBuiltError when there are none."""

    def __init__(self, folder: Path = VENDOR) -> None:
        manifest = folder / "manifest.json"
        if not manifest.is_file():
            raise AssetsNotBuiltError("run `python -m varde.web.build`")
        self.names: dict[str, str] = json.loads(manifest.read_bytes())
        self._files: dict[str, _File] = {}
        for hashed in self.names.values():
            packed = folder / f"{hashed}.gz"
            kind = mimetypes.guess_type(hashed)[0] or "application/octet-stream"
            if kind.startswith("text/"):
                kind += "; charset=utf-8"
            self._files[hashed] = _File(
                (folder / hashed).read_bytes(), packed.read_bytes() if packed.is_file() else None, kind
            )

    def url(self, name: str) -> str:
        """Path of the file that the source tree calls `name`. Raises KeyError if it was not built."""
        return f"{PREFIX}/{self.names[name]}"

    def weight(self, name: str) -> int:
        """Bytes that a browser fetches for `name`."""
        file = self._files[self.names[name]]
        return len(file.gzipped or file.plain)

    async def serve(self, request: Request) -> Response:
        """Route `/static/{name}`."""
        file = self._files.get(request.path_params["name"])
        if file is None:
            return PlainTextResponse("Finnes ikke", 404)
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable",
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }
        if file.gzipped and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(file.gzipped, headers=headers | {"Content-Encoding": "gzip"}, media_type=file.kind)
        return Response(file.plain, headers=headers, media_type=file.kind)
