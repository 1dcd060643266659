"""A request to the store's HTTP face and its answer, as interactions and operations see them. No ASGI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Request:
    """A request to the store's HTTP face."""

    method: str
    segments: list[str]
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes
    connection: Any = None
    """The transaction it belongs to, for entries of a Bundle."""
    base: str = ""
    """The address of the API as the caller sees it, without a slash at its end."""


@dataclass(slots=True)
class Answer:
    """What is sent back: bytes as stored, an object to be written as JSON, or pieces sent as they come."""

    status: int
    body: bytes | dict[str, Any] | AsyncIterator[bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)
