"""`$validate-code` of CodeSystem and ValueSet: whether a code is one, and is called what it is said to be called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from varde.fhir.definitions import canonical_system
from varde.fhir.errors import BadRequest, Issue
from varde.fhir.http.exchange import Answer
from varde.fhir.http.operations import Call, Level, Operation
from varde.fhir.terminology.arguments import Arguments, Kind
from varde.fhir.terminology.asking import Asking, asking
from varde.fhir.terminology.composing import Composer, Part, contained_in, own_concept, split
from varde.fhir.terminology.concepts import Concept
from varde.fhir.terminology.listed import Listed, Listing
from varde.fhir.terminology.selection import CodeSystem
from varde.fhir.terminology.texts import display_of, fits, merged, wanted

_COMMON = {
    "url": Kind.TEXT, "code": Kind.TEXT, "display": Kind.TEXT, "coding": Kind.CODING, "codeableConcept": Kind.CONCEPT,
    "date": Kind.MOMENT, "abstract": Kind.BOOLEAN, "displayLanguage": Kind.TEXT, "tx-resource": Kind.RESOURCE,
    "system-version": Kind.TEXT, "check-system-version": Kind.TEXT, "force-system-version": Kind.TEXT,
    "activeOnly": Kind.BOOLEAN, "lenient-display-validation": Kind.BOOLEAN,
}  # fmt: skip
_OF_SYSTEM = {**_COMMON, "codeSystem": Kind.RESOURCE, "version": Kind.TEXT, "system": Kind.TEXT}
_OF_SET = {
    **_COMMON, "valueSet": Kind.RESOURCE, "valueSetVersion": Kind.TEXT, "system": Kind.TEXT, "systemVersion": Kind.TEXT,
    "inferSystem": Kind.BOOLEAN,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """One coding that is asked of, and where it stands in the request."""

    code: str
    system: str | None
    version: str | None
    display: str | None
    place: str


@dataclass(slots=True)
class Verdict:
    """What is said of one coding."""

    asked: Asked
    good: bool = True
    system: str | None = None
    version: str | None = None
    display: str | None = None
    issues: list[Issue] = field(default_factory=list)

    def fault(self, code: str, text: str, place: str = "code") -> None:
        """It is not good, and why."""
        self.good = False
        where = self.asked.place
        self.issues.append(Issue(code, text, place if not where else f"{where}.{place}"))

    def remark(self, code: str, text: str, place: str = "code") -> None:
        """Something to know, that makes it no worse."""
        where = self.asked.place
        self.issues.append(Issue(code, text, place if not where else f"{where}.{place}", "warning"))


def _asked(arguments: Arguments, version: str) -> list[Asked]:
    """What is asked of: one way of naming it. Raises BadRequest."""
    ways = [name for name in ("code", "coding", "codeableConcept") if name in arguments]
    if len(ways) != 1:
        raise BadRequest.of("give one of 'code', 'coding' and 'codeableConcept'", code="required")
    if ways[0] == "code":
        named = (arguments.text(version), arguments.text("display"))
        return [Asked(arguments.one("code"), arguments.text("system"), *named, "")]
    if ways[0] == "coding":
        return [_coding(arguments.one("coding"), "Coding")]
    listed = arguments.one("codeableConcept").get("coding")
    codings = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return [_coding(one, f"CodeableConcept.coding[{place}]") for place, one in enumerate(codings)]


def _coding(coding: Mapping[str, Any], place: str) -> Asked:
    def text(name: str) -> str | None:
        value = coding.get(name)
        return value if isinstance(value, str) and value else None

    return Asked(text("code") or "", text("system"), text("version"), text("display"), place)


@dataclass(slots=True)
class _Judge:
    """Judges codings for one request."""

    ask: Asking
    languages: Sequence[str]
    abstract_allowed: bool
    active_only: bool
    lenient: bool

    async def of_system(self, asked: Asked, codes: CodeSystem | None, system: str) -> Verdict:
        """Whether the coding is one of the code system's."""
        verdict = Verdict(asked, system=system)
        if codes is None or codes.header.content == "not-present":
            verdict.fault(
                "not-found", f"the code system {system} is not known here; the code cannot be judged", "system"
            )
            return verdict
        verdict.version = codes.header.version
        concept = (await codes.find([asked.code])).get(asked.code)
        if concept is None:
            self._unknown(verdict, codes)
            return verdict
        await self._known(verdict, codes, await self._enriched(system, concept))
        return verdict

    async def of_set(self, asked: Asked, parts: Sequence[Part], name: str) -> Verdict:
        """Whether the coding is one of the value set's."""
        assert asked.system is not None
        verdict = Verdict(asked, system=asked.system)
        part = (await contained_in(parts, asked.system, [asked.code])).get(asked.code)
        codes = part.codes if part is not None else await self.ask.resolver.code_system(asked.system, asked.version)
        there = await codes.find([asked.code]) if codes is not None else {}
        verdict.version = codes.header.version if codes is not None else None
        if part is None:
            verdict.fault("code-invalid", f"'{asked.system}#{asked.code[:100]}' is not in the value set {name}")
            if codes is None:
                verdict.fault("not-found", f"the code system {asked.system} is not known here", "system")
            elif not there and codes.header.content != "not-present":
                self._unknown(verdict, codes)
            elif there:
                verdict.display = display_of(there[asked.code], self.languages, codes.header.language)
            return verdict
        if asked.version and part.version and asked.version != part.version:
            verdict.fault(
                "invalid", f"the value set {name} has {asked.system} in version {part.version}, not {asked.version}",
                "version",
            )  # fmt: skip
        if not there and codes is not None and codes.header.content not in {"complete", "not-present"}:
            self._unknown(verdict, codes)
        concept = await self._enriched(asked.system, own_concept(part, asked.code, there))
        await self._known(verdict, codes, concept)
        return verdict

    def _unknown(self, verdict: Verdict, codes: CodeSystem) -> None:
        text = f"the code system {codes.header.canonical} has no code '{verdict.asked.code[:100]}'"
        if codes.header.content in {"fragment", "example"}:
            verdict.remark("code-invalid", f"{text}; only a part of it is known here, and the code may be in another")
        else:
            verdict.fault("code-invalid", text)

    async def _enriched(self, system: str, concept: Concept) -> Concept:
        added = [await one.find([concept.code]) for one in await self.ask.resolver.supplements(system)]
        return merged(concept, [one[concept.code] for one in added if concept.code in one])

    async def _known(self, verdict: Verdict, codes: CodeSystem | None, concept: Concept) -> None:
        language = codes.header.language if codes is not None else None
        verdict.display = display_of(concept, self.languages, language)
        asked = verdict.asked
        if concept.abstract and not self.abstract_allowed:
            verdict.fault("business-rule", f"'{asked.code[:100]}' is abstract, a heading that no record is coded with")
        if concept.inactive:
            say = verdict.fault if self.active_only else verdict.remark
            say("business-rule", f"'{asked.code[:100]}' is inactive")
        if asked.display and not fits(asked.display, concept) and any(concept.texts):
            say = verdict.remark if self.lenient else verdict.fault
            choices = " or ".join(f"'{text}'" for text in dict.fromkeys(concept.texts))
            text = f"'{asked.display[:200]}' is not what the code is called; that is {choices[:1000]}"
            say("invalid", text, "display")


async def _of_system(call: Call) -> Answer:
    arguments = Arguments(call, _OF_SYSTEM)
    async with asking(call, arguments, "CodeSystem") as ask:
        given = await ask.instance() or arguments.one("codeSystem")
        verdicts = []
        judge = _judge(ask, arguments)
        for asked in _asked(arguments, "version"):
            own = given.get("url") if given is not None else arguments.text("url") or asked.system
            if not isinstance(own, str) or not own:
                raise BadRequest.of("the code system is named by its url, given, or in the address", code="required")
            url, version = split(own)
            if given is not None:
                codes: CodeSystem | None = await _as_code_system(ask, given)
            else:
                codes = await ask.resolver.code_system(url, asked.version or arguments.text("version") or version)
            if asked.system is not None and canonical_system(asked.system) != canonical_system(url):
                verdict = Verdict(asked, system=asked.system)
                verdict.fault("code-invalid", f"the code is of {asked.system}, not of {url}", "system")
            else:
                verdict = await judge.of_system(asked, codes, url)
            verdicts.append(verdict)
        return Answer(200, orjson.dumps(_said(arguments, verdicts, "the code system")))


async def _as_code_system(ask: Asking, given: Mapping[str, Any]) -> CodeSystem:
    """The code system of the address or the request: of the store, its tables; else its own content."""
    if given.get("resourceType") != "CodeSystem":
        raise BadRequest.of("'codeSystem' is a CodeSystem")
    stored = await ask.resolver.stored_code_system(ask.call.id) if ask.call.id is not None else None
    return stored or Listed(Listing(given), ask.resolver.connection)


async def _of_set(call: Call) -> Answer:
    arguments = Arguments(call, _OF_SET)
    async with asking(call, arguments, "ValueSet", "CodeSystem") as ask:
        value_set = await ask.value_set()
        name = str(value_set.get("url") or value_set.get("name") or "given")
        if isinstance(value_set.get("version"), str):
            name += f"|{value_set['version']}"
        parts = await Composer(ask.resolver).parts(value_set)
        judge = _judge(ask, arguments)
        verdicts = []
        for asked in _asked(arguments, "systemVersion"):
            if asked.system is None:
                asked, verdict = await _inferred(arguments, asked, parts, name)
                if verdict is not None:
                    verdicts.append(verdict)
                    continue
            verdicts.append(await judge.of_set(asked, parts, name))
        return Answer(200, orjson.dumps(_said(arguments, verdicts, f"the value set {name}")))


async def _inferred(
    arguments: Arguments, asked: Asked, parts: Sequence[Part], name: str
) -> tuple[Asked, Verdict | None]:
    """The coding with the one code system of the value set that has its code; a Verdict where there is not one."""
    if not arguments.true("inferSystem"):
        if asked.place:
            verdict = Verdict(asked)
            verdict.fault("invalid", "the coding names no system", "system")
            return asked, verdict
        raise BadRequest.of("a code is given with its system, or with inferSystem=true", code="required")
    systems = [
        system for system in dict.fromkeys(canonical_system(part.system) for part in parts)
        if await contained_in(parts, system, [asked.code])
    ]  # fmt: skip
    if len(systems) == 1:
        spelled = next(part.system for part in parts if canonical_system(part.system) == systems[0])
        return Asked(asked.code, spelled, asked.version, asked.display, asked.place), None
    verdict = Verdict(asked)
    if systems:
        verdict.fault("invalid", f"'{asked.code[:100]}' is in the value set {name} from several code systems")
    else:
        verdict.fault("code-invalid", f"'{asked.code[:100]}' is not in the value set {name}")
    return asked, verdict


def _judge(ask: Asking, arguments: Arguments) -> _Judge:
    return _Judge(
        ask, wanted(arguments.text("displayLanguage") or ask.accept_language), arguments.one("abstract") is not False,
        arguments.true("activeOnly"), arguments.true("lenient-display-validation"),
    )  # fmt: skip


def _said(arguments: Arguments, verdicts: Sequence[Verdict], where: str) -> dict[str, Any]:
    """The answer: of a CodeableConcept it is enough that one coding is good and none is called what it is not."""
    best = next((one for one in verdicts if one.good), verdicts[0] if verdicts else None)
    issues = [issue for one in verdicts for issue in one.issues]
    wrong = any((i.expression or "").endswith("display") and i.severity == "error" for i in issues)
    good = best is not None and best.good and not wrong
    if best is not None and best.good and len(verdicts) > 1:
        # Another coding that is not in the value set may stand beside one that is.
        issues = [i for one in verdicts for i in one.issues if one.good or (i.expression or "").endswith("display")]
    said: list[dict[str, Any]] = [{"name": "result", "valueBoolean": good}]
    if not verdicts:
        issues = [Issue("not-found", f"no code is given that could be in {where}")]
    if issues:
        errors = [issue.diagnostics for issue in issues if issue.severity == "error"]
        said.append({"name": "message", "valueString": "; ".join(errors or [one.diagnostics for one in issues])})
    if best is not None:
        if best.display:
            said.append({"name": "display", "valueString": best.display})
        if best.asked.code:
            said.append({"name": "code", "valueCode": best.asked.code})
        if best.system:
            said.append({"name": "system", "valueUri": best.system})
        if best.version:
            said.append({"name": "version", "valueString": best.version})
    if "codeableConcept" in arguments:
        said.append({"name": "codeableConcept", "valueCodeableConcept": arguments.one("codeableConcept")})
    if issues:
        outcome = {"resourceType": "OperationOutcome", "issue": [issue.as_fhir() for issue in issues]}
        said.append({"name": "issues", "resource": outcome})
    return {"resourceType": "Parameters", "parameter": said}


OF_SYSTEM = Operation(
    "validate-code", "http://hl7.org/fhir/OperationDefinition/CodeSystem-validate-code", _of_system,
    Level.TYPE | Level.INSTANCE, frozenset({"CodeSystem"}),
)  # fmt: skip
OF_SET = Operation(
    "validate-code", "http://hl7.org/fhir/OperationDefinition/ValueSet-validate-code", _of_set,
    Level.TYPE | Level.INSTANCE, frozenset({"ValueSet"}),
)  # fmt: skip
