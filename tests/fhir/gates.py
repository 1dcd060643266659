"""Gates for tests of the store alone: one that lets everything through, others that hide patients or resources.

All keep what they were told to log, so that tests can ask whether every answer left a record.
"""

from __future__ import annotations

from typing import Any

from varde.fhir.gate import Disclosure, Interaction, Parameters


class OpenGate:
    """Everything may be read and written."""

    def __init__(self) -> None:
        self.log: list[Disclosure] = []

    def allows(self, interaction: Interaction, resource_type: str) -> bool:
        return True

    def predicate(self, alias: str, resource_type: str | None, parameters: Parameters) -> str:
        return "true"

    def write_predicate(self, alias: str, resource_type: str, parameters: Parameters) -> str:
        return "true"

    def admits(self, interaction: Interaction, resource_type: str, content: Any) -> bool:
        return True

    async def record(self, disclosure: Disclosure, connection: Any | None) -> None:
        self.log.append(disclosure)


class HidingGate(OpenGate):
    """Resources of some patients can be neither read nor written."""

    def __init__(self, hidden: list[int]) -> None:
        super().__init__()
        self.hidden = hidden

    def predicate(self, alias: str, resource_type: str | None, parameters: Parameters) -> str:
        return f"({alias}.patient is null or not {alias}.patient = any({parameters.add(self.hidden)}::bigint[]))"

    def write_predicate(self, alias: str, resource_type: str, parameters: Parameters) -> str:
        return self.predicate(alias, resource_type, parameters)


class VeiledGate(OpenGate):
    """Some resources, whatever patient they are about, can be neither read nor written."""

    def __init__(self, hidden: list[int]) -> None:
        super().__init__()
        self.hidden = hidden

    def predicate(self, alias: str, resource_type: str | None, parameters: Parameters) -> str:
        return f"not {alias}.rid = any({parameters.add(self.hidden)}::bigint[])"

    def write_predicate(self, alias: str, resource_type: str, parameters: Parameters) -> str:
        return self.predicate(alias, resource_type, parameters)


class LabelGate(OpenGate):
    """Resources that carry a label of meta.security can be neither read nor written."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label

    def predicate(self, alias: str, resource_type: str | None, parameters: Parameters) -> str:
        return f"({alias}.security is null or not {parameters.add(self.label)} = any({alias}.security))"

    def write_predicate(self, alias: str, resource_type: str, parameters: Parameters) -> str:
        return self.predicate(alias, resource_type, parameters)
