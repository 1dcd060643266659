"""What stands in files to be loaded: JSON resources, Bundles, NDJSON, gzip of either, npm packages, folders.

Reads and takes apart; writes nothing and judges nothing but whether it is FHIR JSON at all.
"""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from varde.fhir import splice
from varde.fhir.definitions import is_type
from varde.fhir.errors import FhirError

_UNPACKED = {"transaction", "batch", "collection", "searchset"}
_LINES = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz")
_WHOLE = (".json", ".json.gz")
_PACKAGES = (".tgz", ".tar.gz")
_NOT_LOADED = "of a Bundle only what is created or replaced (POST, PUT) is loaded"
MAXIMUM_FILE = 512 * 1024 * 1024
"""Bytes of a file that must be read whole (a Bundle); NDJSON is read by line."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file to be loaded."""

    path: Path
    name: str
    """As it is told in reports: the path below what was asked for."""
    size: int

    def digest(self) -> bytes:
        """SHA-256 of its bytes."""
        with self.path.open("rb") as file:
            return file_digest(file, "sha256").digest()


@dataclass(frozen=True, slots=True)
class Found:
    """One resource in a file, or the reason why there is none."""

    place: str
    """Line, entry or member of the file; "" for the file itself."""
    resource: bytes | Mapping[str, Any] | None
    fault: str = ""


def sources(paths: Sequence[Path]) -> list[Source]:
    """Every file at `paths`, folders with all that is in them, in the order of their names.

    Raises FileNotFoundError for a path that is not there.
    """
    found = []
    for path in paths:
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.is_file())
            found += [Source(p, str(p.relative_to(path)), p.stat().st_size) for p in files]
        else:
            found.append(Source(path, path.name, path.stat().st_size))
    return found


def read(source: Source) -> Iterator[Found]:
    """The resources of a file in their order. Never raises for what is in it."""
    name = source.name.lower()
    try:
        if name.endswith(_LINES):
            yield from _lines(source.path, zipped=name.endswith(".gz"))
        elif name.endswith(_WHOLE):
            yield from _whole(source.path, zipped=name.endswith(".gz"))
        elif name.endswith(_PACKAGES):
            yield from _package(source.path)
        else:
            yield Found("", None, "not JSON: a file to be loaded ends in .json, .ndjson, .json.gz, .ndjson.gz or .tgz")
    except (OSError, EOFError, tarfile.TarError) as error:
        yield Found("", None, f"the file cannot be read: {type(error).__name__}")


def _opened(path: Path, *, zipped: bool) -> IO[bytes] | gzip.GzipFile:
    return gzip.open(path) if zipped else path.open("rb")


def _lines(path: Path, *, zipped: bool) -> Iterator[Found]:
    with _opened(path, zipped=zipped) as file:
        for number, line in enumerate(file, start=1):
            text = line.strip()
            if text:
                yield Found(f"line {number}", text)


def _whole(path: Path, *, zipped: bool) -> Iterator[Found]:
    with _opened(path, zipped=zipped) as file:
        yield from _document(file, "")


def _package(path: Path) -> Iterator[Found]:
    with tarfile.open(path, "r|gz") as package:
        for member in package:
            if member.isfile() and member.name.endswith(".json"):
                file = package.extractfile(member)
                if file is not None:
                    yield from _document(file, member.name)


def _document(file: IO[bytes] | gzip.GzipFile, place: str) -> Iterator[Found]:
    text = file.read(MAXIMUM_FILE + 1)
    if len(text) > MAXIMUM_FILE:
        yield Found(place, None, "the file is too large for one JSON document; write it as NDJSON")
        return
    text = text.removeprefix(b"\xef\xbb\xbf")
    if b'"Bundle"' not in text:
        yield Found(place, text)
        return
    try:
        parsed = splice.parse_exact(text)
    except FhirError as error:
        yield Found(place, None, str(error))
        return
    if not (isinstance(parsed, dict) and parsed.get("resourceType") == "Bundle" and parsed.get("type") in _UNPACKED):
        yield Found(place, text)  # a document or message is a resource of its own
        return
    yield from unpack(parsed, place)


def unpack(bundle: Mapping[str, Any], place: str = "") -> Iterator[Found]:
    """The resources of a Bundle, with references by fullUrl between its entries made into references by id."""
    entries = bundle.get("entry")
    listed = entries if isinstance(entries, list) else []
    names = _names(listed)
    for number, entry in enumerate(listed):
        where = f"{place} entry {number}".strip()
        request = entry.get("request") if isinstance(entry, dict) else None
        method = request.get("method") if isinstance(request, dict) else None
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not (method is None or method == "POST" or method == "PUT"):
            yield Found(where, None, _NOT_LOADED)
        elif not isinstance(resource, dict):
            yield Found(where, None, "the entry has no resource")
        else:
            full = entry.get("fullUrl")
            known = names.get(full) if isinstance(full, str) else None
            named = {**resource, "id": known.partition("/")[2]} if known else resource
            yield Found(where, _renamed(named, names) if names else named)


def _names(entries: Sequence[Any]) -> dict[str, str]:
    """fullUrl -> "Type/id" of every entry; an entry without id is named by its urn:uuid, or by its content."""
    names: dict[str, str] = {}
    for entry in entries:
        full = entry.get("fullUrl") if isinstance(entry, dict) else None
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not (isinstance(full, str) and isinstance(resource, dict) and is_type(resource.get("resourceType"))):
            continue
        identifier = resource.get("id")
        if not isinstance(identifier, str):
            identifier = full.removeprefix("urn:uuid:") if full.startswith("urn:uuid:") else id_of(resource)
        names[full] = f"{resource['resourceType']}/{identifier}"
    return names


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            name: names.get(inner, inner) if name == "reference" and isinstance(inner, str) else _renamed(inner, names)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_renamed(inner, names) for inner in value]
    return value


def id_of(resource: Mapping[str, Any] | bytes) -> str:
    """The id that a resource without one is given: made of its content, so that loading it again makes no second."""
    text = resource if isinstance(resource, bytes) else splice.dump(resource)
    return str(UUID(bytes=sha256(text).digest()[:16]))
