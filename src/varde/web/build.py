"""Builds what browsers fetch: `python -m varde.web.build` after `npm ci`. Nothing here runs in production.

Takes Designsystemet, htmx and Inter from node_modules and our own files from `static/`, and writes them to
`static/vendor/` with the hash of their content in the name, each also gzipped, with a manifest that
`assets.py` reads. So a browser may keep every file for a year, and no page ever asks another host.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

STATIC = Path(__file__).parent / "static"
VENDOR = STATIC / "vendor"

COMPONENTS = (
    "base",
    "alert",
    "badge",
    "button",
    "card",
    "chip",
    "data-size-workaround",
    "details",
    "divider",
    "error-summary",
    "field",
    "fieldset",
    "heading",
    "input",
    "label",
    "link",
    "list",
    "pagination",
    "paragraph",
    "skip-link",
    "spinner",
    "table",
    "tabs",
    "tag",
    "validation-message",
)

"""Parts of Designsystemet that the pages use; a page that needs more adds its name. The rest is not sent."""

FONT = "@fontsource-variable/inter"
FONT_PARTS = {
    "latin": "U+0000-00FF,U+0131,U+0152-0153,U+02BB-02BC,U+02C6,U+02DA,U+02DC,U+0304,U+0308,U+0329,"
    "U+2000-206F,U+20AC,U+2122,U+2191,U+2193,U+2212,U+2215,U+FEFF,U+FFFD",
    "latin-ext": "U+0100-02BA,U+02BD-02C5,U+02C7-02CC,U+02CE-02D7,U+02DD-02FF,U+1E00-1E9F",
}
"""Inter in two files: Norwegian in the first; č đ ŋ š ŧ ž of Northern Sámi in the second, if used."""


class MissingPackageError(Exception):
    """A package that the pages are built from is not in node_modules: run `npm ci` first."""


def node_modules() -> Path:
    """The nearest node_modules of the project, or the folder that VARDE_NODE_MODULES names."""
    named = os.environ.get("VARDE_NODE_MODULES")
    if named:
        return Path(named)
    for folder in (Path.cwd(), *Path(__file__).parents):
        if (folder / "node_modules" / "htmx.org").is_dir():
            return folder / "node_modules"
    raise MissingPackageError("htmx.org")


def design_system(modules: Path) -> str:
    """Designsystemet's tokens and the components we use, in the layers its own index has."""
    package = modules / "@digdir" / "designsystemet-css" / "dist"
    parts = [
        "@layer ds.theme, ds.base, ds.components;",
        (package / "theme" / "designsystemet.css").read_text(),
    ]
    for name in COMPONENTS:
        css = (package / "src" / f"{name}.css").read_text()
        layer = "ds.base" if name == "base" else "ds.components"
        parts.append(css if css.lstrip().startswith("@layer") else f"@layer {layer}{{{css}}}")
    return "\n".join(parts)


def smaller(css: str) -> str:
    """Our own style sheet without comments and leading white space; nothing cleverer."""
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    return re.sub(r"\n\s*", "\n", css).strip()


def sources(modules: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of what browsers fetch, before hashing. The style sheet comes last: it names others."""
    for part in FONT_PARTS:
        file = modules / FONT / "files" / f"inter-{part}-wght-normal.woff2"
        if not file.is_file():
            raise MissingPackageError(FONT)
        yield f"inter-{part}.woff2", file.read_bytes()
    yield "htmx.js", (modules / "htmx.org" / "dist" / "htmx.min.js").read_bytes()
    for file in sorted(STATIC.glob("*.*")):
        if file.suffix in {".js", ".svg", ".png", ".ico"}:
            yield file.name, file.read_bytes()
    yield "varde.css", (design_system(modules) + "\n" + smaller((STATIC / "varde.css").read_text())).encode()


def font_faces(names: dict[str, str]) -> str:
    """@font-face rules that name the hashed font files."""
    return "".join(
        "@font-face{font-family:Inter;font-style:normal;font-display:swap;font-weight:100 900;"
        f"src:url({names[f'inter-{part}.woff2']}) format('woff2');unicode-range:{characters}}}"
        for part, characters in FONT_PARTS.items()
    )


def with_names(css: str, names: dict[str, str]) -> str:
    """The style sheet with its fonts, and with the hashed name of each of our files that it names."""
    for name, hashed in names.items():
        css = css.replace(f'url("{name}")', f'url("{hashed}")')
    return css + "\n" + font_faces(names)


def build(target: Path = VENDOR) -> dict[str, str]:
    """Write all files and the manifest to `target`; gives name -> hashed name. Raises MissingPackageError."""
    modules = node_modules()
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    names: dict[str, str] = {}
    for name, source in sources(modules):
        content = with_names(source.decode(), names).encode() if name == "varde.css" else source
        digest = hashlib.sha256(content).hexdigest()[:12]
        stem, dot, ending = name.rpartition(".")
        names[name] = f"{stem}.{digest}{dot}{ending}"
        (fresh / names[name]).write_bytes(content)
        if ending != "woff2":
            (fresh / f"{names[name]}.gz").write_bytes(gzip.compress(content, 9, mtime=0))
    (fresh / "manifest.json").write_text(json.dumps(names, indent=1, sort_keys=True))
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    return names


def main() -> int:
    """Build, and tell what came out and how heavy it is on the wire."""
    try:
        names = build()
    except MissingPackageError as missing:
        sys.stderr.write(f"{missing} is not in node_modules: run `npm ci` first\n")
        return 1
    for hashed in names.values():
        file = VENDOR / f"{hashed}.gz"
        weight = (file if file.exists() else VENDOR / hashed).stat().st_size
        sys.stdout.write(f"{weight / 1000:8.1f} kB  {hashed}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
