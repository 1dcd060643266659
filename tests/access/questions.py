"""Questions drawn from a seed: searches of every kind, reads, histories, writes on conditions, operations, pages. What
may be asked is taken from the definitions that the store itself works by, values from what is in the two worlds.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote

import orjson

from tests.access.varde_in_process import BASE, FHIR_JSON, FORM
from varde.fhir.definitions import SearchParameter, compartment_parameters, search_parameters
from varde.fhir.search.shaping import RESULT

Resource = Mapping[str, Any]
_PREFIXES = ("", "", "eq", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap")
_MODIFIERS = {
    "string": ("", "", ":exact", ":contains", ":missing"), "token": ("", "", ":not", ":text", ":missing", ":not-in"),
    "reference": ("", "", ":missing", ":identifier"), "date": ("", "", ":missing"), "number": ("", ":missing"),
    "quantity": ("", ":missing"), "uri": ("", ":below", ":above", ":missing"),
}  # fmt: skip
_NEVER = "never-was"
_SOUGHT_FIRST = ("_id", "status", "code", "date", "identifier", "subject", "patient", "category", "based-on")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question."""

    method: str
    target: str
    body: Any = None
    kind: str = FHIR_JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    acting: bool = False
    sort: str = ""
    """Which kind of question it is."""

    def curl(self, caller: str) -> str:
        """The question as a line to be tried by hand; `$TOKEN` is the caller's."""
        words = ["curl", "-g", "-X", self.method, f"{BASE}{self.target}"]
        for name, value in self.headers.items():
            words += ["-H", f"{name}: {value}"]
        if self.body is not None:
            raw = self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)
            words += ["-H", f"content-type: {self.kind}", "--data-binary", raw.decode()]
        return f'{shlex.join(words)} -H "authorization: Bearer $TOKEN"  # {caller}'


class Pool:
    """Words, codes, dates, numbers and references that stand in some resources: what is worth asking for."""

    def __init__(self, resources: Sequence[Resource]) -> None:
        self.by_type: dict[str, list[Resource]] = {}
        self.tokens: dict[str, set[str]] = {}
        self.words: dict[str, set[str]] = {}
        self.dates: dict[str, set[str]] = {}
        self.numbers: dict[str, set[str]] = {}
        self.references: dict[str, set[str]] = {}
        self.identifiers: dict[str, set[str]] = {}
        for one in resources:
            kind = one["resourceType"]
            self.by_type.setdefault(kind, []).append(one)
            self._walk(kind, one)
        self.types = sorted(self.by_type)

    def _walk(self, kind: str, node: Any) -> None:
        if isinstance(node, Mapping):
            if "code" in node and isinstance(node["code"], str):
                system = node.get("system")
                self._put(self.tokens, kind, f"{system}|{node['code']}" if system else node["code"])
                self._put(self.tokens, kind, node["code"])
            if "value" in node and isinstance(node["value"], str):
                self._put(self.identifiers, kind, f"{node.get('system', '')}|{node['value']}")
            if isinstance(node.get("reference"), str) and "/" in node["reference"]:
                self._put(self.references, kind, node["reference"])
            for value in node.values():
                self._walk(kind, value)
        elif isinstance(node, list):
            for value in node:
                self._walk(kind, value)
        elif isinstance(node, bool):
            self._put(self.tokens, kind, str(node).lower())
        elif isinstance(node, int | float):
            self._put(self.numbers, kind, str(node))
        elif isinstance(node, str):
            if re.match(r"\d{4}-\d\d-\d\d", node):
                self._put(self.dates, kind, node[:10])
                self._put(self.dates, kind, node[:7])
            elif len(node) < 60:
                for word in node.split():
                    self._put(self.words, kind, word.strip(".,<>/\"'"))
                if re.fullmatch(r"[a-z-]+", node):
                    self._put(self.tokens, kind, node)

    @staticmethod
    def _put(kept: dict[str, set[str]], kind: str, value: str) -> None:
        if value and "," not in value and "\\" not in value:
            kept.setdefault(kind, set()).add(value)


def _of_kinds(kind: str) -> list[tuple[str, SearchParameter]]:
    return [
        (code, one) for code, one in search_parameters(kind).items() if code not in RESULT and one.ready
    ]  # fmt: skip


class Questions:
    """Draws questions about a patient. `hidden` and `seen`: what is in the worlds."""

    def __init__(
        self, seed: int, focus: str, hidden: Sequence[Resource], seen: Sequence[Resource], *,
        person: bool, writes: bool, chooses: bool = False,
    ) -> None:  # fmt: skip
        """`person`: asks with a session too. `writes`: may write by the token alone. `chooses`: may choose the ids of
        what it writes, and is told of one it knows that it is taken; so it is not asked to write at those hidden."""
        self.random = Random(seed)
        self.focus = focus
        self.hidden = [f"{one['resourceType']}/{one['id']}" for one in hidden]
        self.seen = [f"{one['resourceType']}/{one['id']}" for one in seen]
        self.pool = Pool([*hidden, *seen])
        self.secret = Pool(hidden)
        self.types = [t for t in self.pool.types if t in self.secret.by_type] or self.pool.types
        self.resources = {f"{one['resourceType']}/{one['id']}": one for one in [*hidden, *seen]}
        self.person = person
        self.writes = writes
        self.chooses = chooses
        self._made: list[tuple[int, Callable[[], Asked]]] = [
            (38, self.search), (8, self.filtered), (6, self.everywhere), (8, self.compartment), (10, self.read),
            (8, self.write), (4, self.conditional), (3, self.batch), (3, self.transaction), (4, self.operation),
            (2, self.graphql), (2, self.match), (4, self.page if person else self.search),
        ]  # fmt: skip

    def draw(self) -> Asked:
        """The next question."""
        weights = [weight for weight, _ in self._made]
        (chosen,) = self.random.choices([one for _, one in self._made], weights)
        return chosen()

    # Parts of a search

    def _pick(self, among: Any, otherwise: str = "x") -> str:
        chosen = sorted(among or ())
        return self.random.choice(chosen) if chosen else otherwise

    def _type(self) -> str:
        return self.random.choice(self.types)

    def _ids(self, kind: str | None = None) -> str:
        """An id: of something hidden, mostly, or seen, or that never was."""
        own = [one for one in self.hidden if kind is None or one.startswith(f"{kind}/")]
        others = [one for one in self.seen if kind is None or one.startswith(f"{kind}/")]
        draw = self.random.random()
        chosen = (
            own if draw < 0.6 and own else others if draw < 0.8 and others else [f"{kind or 'Observation'}/{_NEVER}"]
        )
        return self.random.choice(chosen)

    def _value(self, kind: str, parameter: SearchParameter) -> str:
        pool, draw = (self.secret if self.random.random() < 0.7 else self.pool), self.random
        form = parameter.kind
        if parameter.code == "_id":
            return ",".join(self._ids(kind).split("/")[1] for _ in range(draw.choice((1, 1, 2))))
        if parameter.code == "_lastUpdated":
            return draw.choice(("gt2026-11-24", "lt2026-11-24T08:00:00Z", "ge2026-11-24T07:23:00Z", "le2026-11-24"))
        if form == "token":
            where = pool.identifiers if "identifier" in parameter.code else pool.tokens
            if parameter.code == "_security":
                return draw.choice(("N", "NORS", "NORN_FORANS", "NORU", "urn:oid:2.16.578.1.12.4.1.1.9603|N"))
            return ",".join(self._pick(where.get(kind)) for _ in range(draw.choice((1, 1, 1, 2))))
        if form == "string":
            word = self._pick(pool.words.get(kind))
            return word[: draw.randrange(2, 9)]
        if form == "date":
            return draw.choice(_PREFIXES) + self._pick(pool.dates.get(kind), "2026-11-09")
        if form in {"number", "quantity"}:
            return draw.choice(_PREFIXES) + self._pick(pool.numbers.get(kind), "5")
        if form == "reference":
            chosen = self._pick(pool.references.get(kind), f"Patient/{self.focus}")
            if draw.random() < 0.3:
                chosen = self._ids()
            return chosen if draw.random() < 0.8 else chosen.split("/")[1]
        if form == "uri":
            return self._pick({"http://q/form", "http://q", "http://vs/none"})
        if form == "composite":
            return (
                f"{self._pick(pool.tokens.get(kind))}${draw.choice(_PREFIXES)}{self._pick(pool.numbers.get(kind), '5')}"
            )
        if parameter.code in {"_text", "_content"}:
            return draw.choice(("hemmelighet", "hemmel", "åpenhet", "prøve", "samtale", "brev"))
        if parameter.code == "_list":
            return self._ids("List").split("/")[1]
        if parameter.code == "_filter":
            return self._filter(kind)
        if parameter.code == "near":
            return draw.choice(("69.65|18.95|10|km", "69.65|18.95|1|m"))
        return self._pick(pool.words.get(kind))

    def _condition(self, kind: str, depth: int = 0) -> tuple[str, str]:
        """(name, value): plain, a chain or a _has, up to three deep."""
        draw = self.random.random()
        if depth < 3 and draw < 0.22:
            chains = [(c, p) for c, p in _of_kinds(kind) if p.kind == "reference" and c[0] != "_"]
            chains = [(c, p, t) for c, p in chains for t in (p.targets or self.types) if t in self.pool.by_type]
            if chains:
                code, parameter, target = self.random.choice(chains)
                name, value = self._condition(target, depth + 1)
                if not name.startswith("_has") or self.random.random() < 0.5:
                    typed = len(parameter.targets) != 1 or self.random.random() < 0.3
                    return f"{code}{f':{target}' if typed else ''}.{name}", value
        elif depth < 3 and draw < 0.40:
            sources = [
                (source, code)
                for source in self.types
                for code, one in search_parameters(source).items()
                if one.kind == "reference" and kind in (one.targets or (kind,)) and code[0] != "_"
            ]
            if sources:
                source, code = self.random.choice(sources)
                name, value = self._condition(source, depth + 1)
                return f"_has:{source}:{code}:{name}", value
        code, parameter = self.random.choice(_of_kinds(kind))
        if self.random.random() < 0.3:  # what one would look for first
            code = self.random.choice([one for one in _SOUGHT_FIRST if one in search_parameters(kind)])
            parameter = search_parameters(kind)[code]
        if code in {"_list", "_filter", "_text", "_content"} and depth:
            code = "_id"
            parameter = search_parameters(kind)[code]
        modifier = self.random.choice(_MODIFIERS.get(parameter.kind, ("",)))
        if code == "_id":
            modifier = self.random.choice(("", "", ":not"))
        if code in {"_lastUpdated", "age"} or parameter.kind == "special":
            modifier = ""
        if modifier == ":missing":
            return f"{code}:missing", self.random.choice(("true", "false"))
        if modifier == ":identifier":
            return f"{code}:identifier", self._pick(self.pool.identifiers.get(kind), "urn:p|1")
        if modifier == ":not-in":
            return f"{code}:not-in", "http://hl7.org/fhir/ValueSet/observation-status"
        return f"{code}{modifier}", self._value(kind, parameter)

    def _filter(self, kind: str) -> str:
        own = [(c, p) for c, p in _of_kinds(kind) if p.kind in {"token", "string", "date", "reference", "quantity"}]
        parts = []
        for _ in range(self.random.choice((1, 1, 2))):
            code, parameter = self.random.choice(own)
            operator = {
                "string": ("co", "sw", "eq"), "date": ("gt", "lt", "eq"), "quantity": ("gt", "lt"),
            }.get(parameter.kind, ("eq", "ne"))  # fmt: skip
            value = self._value(kind, parameter).split(",")[0]
            value = value.lstrip("aegilnopqstbw") if parameter.kind in {"date", "quantity"} else value
            value = f'"{value}"' if parameter.kind == "string" else value
            parts.append(f"{code} {self.random.choice(operator)} {value}")
        text = self.random.choice((" and ", " or ")).join(parts)
        return f"not ({text})" if self.random.random() < 0.25 else text

    def _shapers(self, kind: str | None) -> list[tuple[str, str]]:
        draw, found = self.random, []
        if draw.random() < 0.35:
            found.append(("_total", draw.choice(("accurate", "none", "estimate"))))
        if draw.random() < 0.3:
            found.append(("_count", draw.choice(("0", "1", "2", "3", "50"))))
        if draw.random() < 0.2:
            found.append(("_summary", draw.choice(("count", "true", "data", "false"))))
        elif draw.random() < 0.1:
            found.append(("_elements", draw.choice(("id", "status,subject", "id,meta"))))
        if draw.random() < 0.3:
            keys = ["_id", "_lastUpdated"]
            if kind is not None:
                keys += [c for c, p in search_parameters(kind).items()
                         if p.kind not in {"composite", "special"} and c != "age"]  # fmt: skip
            found.append(
                ("_sort", ",".join(draw.choice(("", "-")) + draw.choice(keys) for _ in range(draw.choice((1, 2)))))
            )
        if draw.random() < 0.3:
            for _ in range(draw.choice((1, 2))):
                found.append(self._include(kind or self._type()))
        return found

    def _include(self, kind: str) -> tuple[str, str]:
        draw = self.random
        mark = draw.choice(("", "", ":iterate"))
        if draw.random() < 0.3:
            return f"{draw.choice(('_include', '_revinclude'))}{mark}", "*"
        if draw.random() < 0.5:
            codes = [c for c, p in search_parameters(kind).items() if p.kind == "reference"]
            return f"_include{mark}", f"{kind}:{draw.choice([*codes, '*'])}"
        sources = [(s, c) for s in self.types for c, p in search_parameters(s).items()
                   if p.kind == "reference" and kind in (p.targets or (kind,))]  # fmt: skip
        if not sources:
            return f"_revinclude{mark}", "*"
        return f"_revinclude{mark}", ":".join(draw.choice(sources))

    @staticmethod
    def _text(pairs: Sequence[tuple[str, str]]) -> str:
        return "&".join(f"{quote(name, safe=':._-')}={quote(value, safe='|$:/.,-*')}" for name, value in pairs)

    def _search_at(self, place: str, pairs: Sequence[tuple[str, str]], sort: str) -> Asked:
        text = self._text(pairs)
        if self.random.random() < 0.15 and "/" not in place.strip("/"):
            return Asked("POST", f"/fhir{place}/_search", text.encode(), FORM, sort=f"{sort} by form")
        return Asked("GET", f"/fhir{place}?{text}" if text else f"/fhir{place}", sort=sort)

    # Kinds of questions

    def search(self) -> Asked:
        """Of a type."""
        kind = self._type()
        pairs = [self._condition(kind) for _ in range(self.random.choice((0, 1, 1, 1, 2, 2, 3)))]
        return self._search_at(f"/{kind}", [*pairs, *self._shapers(kind)], "search")

    def filtered(self) -> Asked:
        """By `_filter`, words, lists, places or what is inside others."""
        kind = self._type()
        code = self.random.choice(("_filter", "_filter", "_content", "_text", "_list", "near", "_contained"))
        if code == "near":
            kind, pair = "Location", ("near", "69.65|18.95|10|km")
        elif code == "_contained":
            kind, pair = "Medication", ("_contained", self.random.choice(("true", "both")))
        else:
            pair = (code, self._value(kind, search_parameters(kind)[code]) if code in search_parameters(kind) else "x")
        return self._search_at(f"/{kind}", [pair, *self._shapers(kind)], code)

    def everywhere(self) -> Asked:
        """Of several types or of all."""
        pairs = []
        if self.random.random() < 0.6:
            pairs.append(("_type", ",".join({self._type() for _ in range(3)})))
        name = self.random.choice(("_id", "_lastUpdated", "_content", "_list", "_security", "_tag", "_profile", ""))
        if name:
            pairs.append((name, self._value("Observation", search_parameters("Observation")[name])))
        return self._search_at("", [*sorted(pairs), *self._shapers(None)], "system search")

    def compartment(self) -> Asked:
        """Of a compartment."""
        whose = self.random.choice((f"Patient/{self.focus}", f"Patient/{self.focus}", self._ids("Patient"),
                                    self._ids("Encounter"), "Patient/ola", "Practitioner/p8100001"))  # fmt: skip
        kind = self.random.choice(("*", self._type(), self._type()))
        if kind != "*" and whose.startswith("Patient/") and not compartment_parameters(kind):
            kind = "*"
        pairs = [] if kind == "*" else [self._condition(kind) for _ in range(self.random.choice((0, 1)))]
        text = self._text([*pairs, *self._shapers(None if kind == "*" else kind)])
        return Asked("GET", f"/fhir/{whose}/{kind}" + (f"?{text}" if text else ""), sort="compartment")

    def read(self) -> Asked:
        """One resource, now, as it was, or its history; a type's and everything's."""
        place = self._ids()
        version = self.random.choice(("1", "2", "3", "99"))
        kind = place.partition("/")[0]
        target = self.random.choice((
            place, place, f"{place}/_history", f"{place}/_history/{version}", f"{kind}/_history",
            f"{kind}/_history?_count=2", f"{kind}/_history?_since=2026-11-24T07:23:00Z", "_history?_count=3",
            "_history?_at=2026-11-24T07:24:00Z&_count=50", f"{place}?_summary=true", f"{place}?_elements=status",
            f"{kind}/_history?_list={self._ids('List').split('/')[1]}", f"{place}/_history?_count=1",
        ))  # fmt: skip
        headers = self.random.choice(
            ({}, {}, {"if-none-match": 'W/"1"'}, {"if-modified-since": "Tue, 24 Nov 2026 08:00:00 GMT"})
        )
        return Asked(self.random.choice(("GET", "GET", "GET", "HEAD")), f"/fhir/{target}", headers=headers, sort="read")

    def _content(self, place: str) -> dict[str, Any]:
        """What somebody would write at a place."""
        kind, identifier = place.split("/")
        same = self.resources.get(place) or self._sample(kind)
        made = {name: value for name, value in same.items() if name != "meta"} | {"id": identifier}
        return made | ({"status": "nonsense"} if self.random.random() < 0.1 else {})

    def _sample(self, kind: str) -> Resource:
        """One that is seen: what is new stands on nothing hidden, or would be taken in with it."""
        seen = [one for one in self.pool.by_type.get(kind, ()) if f"{kind}/{one['id']}" in self.seen]
        return seen[0] if seen else {"resourceType": kind}

    def _fresh(self, kind: str) -> dict[str, Any]:
        return {name: value for name, value in self._content(f"{kind}/x").items() if name != "id"}

    def _match(self) -> dict[str, str]:
        return self.random.choice(({}, {}, {"if-match": 'W/"1"'}, {"if-match": 'W/"2"'}, {"if-match": 'W/"99"'},
                                   {"if-match": "*"}, {"if-none-match": "*"}))  # fmt: skip

    def _hidden_or_never(self) -> str:
        """A place that those who ask cannot see, for writes that would change what is common."""
        if self.hidden and self.random.random() < 0.7:
            return self.random.choice(self.hidden)
        return f"{self._type()}/{_NEVER}"

    def write(self) -> Asked:
        """At a place where something hidden is, or nothing."""
        place = self._hidden_or_never()
        kind = place.partition("/")[0]
        method = self.random.choice(("PUT", "PUT", "DELETE", "PATCH", "PATCH", "POST", "META"))
        acting = not self.writes
        if method in {"PUT", "DELETE"} and self.chooses:
            place = f"{kind}/{_NEVER}"
        if method == "PUT":
            return Asked(
                "PUT", f"/fhir/{place}", self._content(place), headers=self._match(), acting=acting, sort="put"
            )
        if method == "DELETE":
            return Asked("DELETE", f"/fhir/{place}", headers=self._match(), acting=acting, sort="delete")
        if method == "META":
            body = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {
                "security": [{"system": "urn:oid:2.16.578.1.12.4.1.1.9603", "code": "N"}]}}]}  # fmt: skip
            name = self.random.choice(("$meta", "$meta-add", "$meta-delete"))
            return Asked("POST", f"/fhir/{place}/{name}", body, acting=acting, sort=name)
        if method == "POST":
            body = {**self._fresh(kind), "id": place.partition("/")[2]}
            return Asked("POST", f"/fhir/{kind}", body, acting=acting, sort="create with an id")
        patch: Any = self.random.choice((
            [{"op": "replace", "path": "/status", "value": "final"}],
            [{"op": "test", "path": "/id", "value": "hid-lab"}],
            [{"op": "remove", "path": "/meta/security"}],
        ))  # fmt: skip
        return Asked("PATCH", f"/fhir/{place}", patch, "application/json-patch+json", self._match(), acting, "patch")

    def _secret_condition(self, kind: str) -> str:
        """A condition that something hidden of the type meets, and nothing seen."""
        own = list(self.secret.by_type.get(kind, ()))
        if not own:
            return f"_id={_NEVER}"
        one = self.random.choice(own)
        found = [f"_id={one['id']}", f"_id={one['id']}&_lastUpdated=gt2020"]
        found += [f"identifier={quote(i['system'])}|{i['value']}" for i in one.get("identifier", ()) if "system" in i]
        return self.random.choice(found)

    def conditional(self) -> Asked:
        """A write on a condition that only something hidden meets."""
        kind = self._type()
        condition = self._secret_condition(kind)
        acting = not self.writes
        method = self.random.choice(("POST", "POST", "PUT", "PUT", "DELETE", "PATCH"))
        if method == "POST":
            return Asked("POST", f"/fhir/{kind}", self._fresh(kind), headers={"if-none-exist": condition},
                         acting=acting, sort="conditional create")  # fmt: skip
        if method == "PUT":
            place = self._ids(kind)
            plain = self.random.random() < 0.6 or (self.chooses and place in self.hidden)
            body = self._fresh(kind) if plain else self._content(place)
            return Asked("PUT", f"/fhir/{kind}?{condition}", body, headers=self._match(), acting=acting,
                         sort="conditional update")  # fmt: skip
        if method == "DELETE":
            return Asked("DELETE", f"/fhir/{kind}?{condition}", headers=self._match(), acting=acting,
                         sort="conditional delete")  # fmt: skip
        patch = [{"op": "replace", "path": "/status", "value": "final"}]
        return Asked("PATCH", f"/fhir/{kind}?{condition}", patch, "application/json-patch+json", acting=acting,
                     sort="conditional patch")  # fmt: skip

    def batch(self) -> Asked:
        """Several reads and searches at once."""
        entries = []
        for _ in range(self.random.choice((1, 2, 3))):
            one = self.random.choice((self.read, self.search, self.everywhere, self.compartment))()
            if one.method == "GET":
                entries.append({"request": {"method": "GET", "url": one.target.removeprefix("/fhir/")}})
        return Asked("POST", "/fhir", {"resourceType": "Bundle", "type": "batch", "entry": entries}, sort="batch")

    def transaction(self) -> Asked:
        """Writes that point at something hidden, by id and by condition."""
        kind = self._type()
        place, other = (
            self._hidden_or_never(),
            f"Patient?identifier={self._pick(self.secret.identifiers.get('Patient'), 'urn:p|1')}",
        )
        free = f"{kind}/{_NEVER}" if self.chooses else place
        fresh = self._fresh("Observation" if "Observation" in self.pool.by_type else kind)
        entry: dict[str, Any] = self.random.choice((
            {"request": {"method": "DELETE", "url": free}},
            {"request": {"method": "PUT", "url": free, "ifMatch": 'W/"1"'}, "resource": self._content(free)},
            {"request": {"method": "PUT", "url": f"{kind}?{self._secret_condition(kind)}"},
             "resource": self._fresh(kind)},
            {"request": {"method": "POST", "url": kind, "ifNoneExist": self._secret_condition(kind)},
             "resource": self._fresh(kind)},
            {"request": {"method": "POST", "url": fresh["resourceType"]},
             "resource": fresh | {"subject": {"reference": other}}},
            {"request": {"method": "POST", "url": fresh["resourceType"]},
             "resource": fresh | {"encounter": {"reference": f"Encounter?{self._secret_condition('Encounter')}"}}},
            {"request": {"method": "GET", "url": place}},
        ))  # fmt: skip
        return Asked("POST", "/fhir", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]},
                     acting=not self.writes, sort="transaction")  # fmt: skip

    def operation(self) -> Asked:
        """$everything, $summary, $meta, $validate and those of subscriptions."""
        patient = self.random.choice((self.focus, self.focus, self._ids("Patient").split("/")[1], "ola"))
        place = self._ids()
        kind = place.partition("/")[0]
        target = self.random.choice((
            f"Patient/{patient}/$everything", f"Patient/{patient}/$everything?_count=5",
            f"Patient/{patient}/$everything?_type={self._type()},{self._type()}", "Patient/$everything",
            f"Patient/{patient}/$everything?_since=2026-11-24T07:23:00Z",
            f"Encounter/{self._ids('Encounter').split('/')[1]}/$everything",
            f"Patient/{patient}/$summary", f"{place}/$meta", f"{kind}/$meta", "$meta",
            f"Patient/$summary?identifier={self._pick(self.secret.identifiers.get('Patient'), 'urn:p|1')}",
            f"{place}/$validate", "Subscription/$status", "Subscription/hid-subscription/$status",
            "Subscription/hid-subscription/$events", "Group/hid-group/$export",
        ))  # fmt: skip
        headers = {"prefer": "respond-async"} if target.endswith("$export") else {}
        return Asked("GET", f"/fhir/{target}", headers=headers, sort=target.rpartition("$")[2].partition("?")[0])

    def graphql(self) -> Asked:
        """A query of GraphQL."""
        kind, place = self._type(), self._ids()
        one, identifier = place.split("/")
        query = self.random.choice((
            f'{{ {one}(id: "{identifier}") {{ id }} }}',
            f"{{ {kind}List(_count: 50) {{ id meta {{ versionId lastUpdated }} }} }}",
            f'{{ {kind}List(_id: "{self._ids(kind).split("/")[1]}") {{ id }} }}',
            "{ ObservationList(_count: 50) { id hasMember { reference"
            " resource { ... on Observation { id status } } } } }",
            f'{{ Patient(id: "{self.focus}") {{ id ObservationList(_reference: subject) {{ id status }} }} }}',
            f'{{ {kind}Connection(_count: 2) {{ count pagesize edges {{ resource {{ id }} }} }} }}',
        ))  # fmt: skip
        return Asked("POST", "/fhir/$graphql", {"query": query}, "application/json", sort="graphql")

    def match(self) -> Asked:
        """Who somebody may be."""
        people = [one for one in self.resources.values() if one["resourceType"] == "Patient"]
        one = (
            dict(self.random.choice(people)) if people else {"resourceType": "Patient", "name": [{"family": "Person"}]}
        )
        for name in ("id", "meta", "generalPractitioner", *(["identifier"] if self.random.random() < 0.5 else [])):
            one.pop(name, None)
        body = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": one},
                {"name": "onlyCertainMatches", "valueBoolean": self.random.random() < 0.3}]}  # fmt: skip
        return Asked("POST", "/fhir/Patient/$match", body, sort="match")

    def page(self) -> Asked:
        """A page of letters, appointments and what else there is, and its parts."""
        letter, appointment = self._ids("Communication").split("/")[1], self._ids("Appointment").split("/")[1]
        target = self.random.choice((
            "/", "/brev", "/brev/arkiv", f"/brev/{letter}", f"/brev/{letter}/pdf", "/timer", f"/timer/{appointment}",
            "/familie/velg", "/apper", "/arbeid", "/arbeid/arbeidsliste", f"/arbeid/brev/{letter}", "/arbeid/brev/ny",
            f"/arbeid/brev/{letter}/pdf", "/arbeid?tilstand=notified", "/arbeid/enhet", "/arbeid/apper", "/drift",
            "/drift/apper", "/status", f"/arbeid/utsending/{letter}", "/innsyn", "/innsyn", "/innsyn/utskrift",
            "/innsyn/last-ned", "/arbeid/innsyn", "/arbeid/innsyn", "/arbeid/innsyn/sporsmal", "/arbeid/pasienten-ser",
            "/arbeid/nodtilgang", "/arbeid/unge", "/familie/sperringer", "/familie",
        ))  # fmt: skip
        return Asked("GET", target, sort="page")
