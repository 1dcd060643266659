"""What data in bulk asks of a higher floor: to know who asks, and to have work done later in a worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

from varde.fhir.gate import Gate


class Runner(Protocol):
    """Knows callers, and has the work done."""

    def owner(self, gate: Gate) -> str:
        """Who asks, and in what role: the same text for the same caller only, from every process."""
        ...

    def kept(self, gate: Gate) -> Mapping[str, Any]:
        """As plain JSON, all from which the caller's gate is made again, by the rights that they have then."""
        ...

    async def begin(self, connection: Any, kind: str, bulk: UUID) -> None:
        """Have an export or import (`kind`) begun after the connection's transaction. Raises nothing of its own."""
        ...


__all__ = ["Runner"]
