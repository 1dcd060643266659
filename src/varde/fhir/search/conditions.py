"""Each condition of a search as SQL on an alias of `resource`. The gate's predicate stands on every alias.

How one value is compared with one row is in `comparing.py`; words of full text are in `fulltext.py`, places in
`near.py`. Values become parameters of the statement, never part of its text, so that the same shape of question is
the same prepared statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from varde.fhir.definitions import SearchParameter, is_type, resource_types, search_parameters, type_number
from varde.fhir.errors import BadRequest
from varde.fhir.gate import Gate, Parameters
from varde.fhir.keys import resource_key
from varde.fhir.search import ages, fulltext, near
from varde.fhir.search.comparing import Comparing, split_prefix
from varde.fhir.search.composite import keys_of, parts_of, token_of
from varde.fhir.search.fold import fold
from varde.fhir.search.names import split_values, unescape
from varde.fhir.search.query import Chain, Compared, Condition, Every, Has, Not, Paired, Question
from varde.fhir.search.references import reference_keys
from varde.fhir.search.values import (
    CANONICAL,
    identifier_parameter,
    text_parameter,
    type_parameter,
)

TABLES = {
    "token": "index_token", "reference": "index_reference", "string": "index_string", "date": "index_date",
    "number": "index_quantity", "quantity": "index_quantity", "uri": "index_uri", "special": "index_quantity",
}  # fmt: skip
_COLUMNS = frozenset({"_id", "_lastUpdated"})
_HIERARCHIES = ("partof", "part-of", "parent")
"""Codes of the parameters by which resources of one type are parts of one another."""


class Compiler(Comparing):
    """Builds the conditions of one statement."""

    def __init__(self, gate: Gate, parameters: Parameters, now: datetime) -> None:
        super().__init__(parameters, now)
        self.gate = gate
        self._aliases = 0
        self._contained: set[str] = set()

    def alias(self, letter: str, *, contained: bool = False) -> str:
        """A fresh alias; `contained`: of a row of `resource_contained`, which has no time or text of its own."""
        self._aliases += 1
        made = f"{letter}{self._aliases}"
        if contained:
            self._contained.add(made)
        return made

    def visible(self, alias: str, resource_type: str | None, *, found: bool = False) -> str:
        """The row is of the type, is not deleted, and the gate lets it be seen.

        `found`: the row is found by its key, and the type only checked: the cast keeps the planner from walking all
        of a type for each key, as it does while its statistics know of no row of that type.
        """
        parts = [f"not {alias}.deleted"]
        if resource_type is not None:
            number = self.parameters.add(type_number(resource_type))
            parts.insert(0, f"{alias}.type::int = {number}::int" if found else f"{alias}.type = {number}::smallint")
        predicate = self.gate.predicate(alias, resource_type, self.parameters)
        if predicate != "true":
            parts.append(f"({predicate})")
        return " and ".join(parts)

    def meets(self, alias: str, question: Question, patient: str | None = None) -> str:
        """SQL that holds when the resource at `alias` meets `question`. `patient` is the placeholder of the
        one patient all matches must belong to, which lets the narrow indexes be used."""
        if isinstance(question, Condition):
            return self._condition(alias, question, patient)
        if isinstance(question, Compared):
            return self._compared(alias, question, patient)
        if isinstance(question, Paired):
            return self._paired(alias, question, patient)
        if isinstance(question, Chain):
            return self._chain(alias, question)
        if isinstance(question, Has):
            return self._has(alias, question)
        if isinstance(question, Not):
            return f"not {self.meets(alias, question.part, patient)}"
        joint = " and " if isinstance(question, Every) else " or "
        return "(" + joint.join(self.meets(alias, part, patient) for part in question.parts) + ")"

    def _condition(self, alias: str, condition: Condition, patient: str | None) -> str:
        code, modifier = condition.parameter.code, condition.modifier
        if code in _COLUMNS:
            if modifier == "missing":
                return "false" if condition.values[0] == "true" else "true"
            one = self._same_id if code == "_id" else self.updated_of
            test = self._any(condition, lambda v: one(alias, v))
            return f"not {test}" if modifier == "not" else test
        if condition.parameter.kind == "special" and modifier is None:
            return self._special(alias, condition, patient)
        if ages.is_age(condition.parameter):
            return self._any(condition, lambda v: self._age(alias, *split_prefix(v), patient))
        return self._indexed(alias, condition, patient)

    def _special(self, alias: str, condition: Condition, patient: str | None) -> str:
        code, values = condition.parameter.code, condition.values
        if code == "_list":
            return self._listed(alias, values)
        if code in {"_text", "_content"}:
            if alias in self._contained:
                raise BadRequest.of("words are not searched for in contained resources", code="not-supported")
            return fulltext.condition(self.parameters, alias, code, values)
        index = self.alias("i")
        test = self._any(condition, lambda v: near.test(self.parameters, index, split_values(v, "|")))
        return self._exists(alias, "index_quantity", index, condition.parameter.keys, patient, test)

    def _listed(self, alias: str, names: Sequence[str]) -> str:
        """The resource is an item of one of the lists."""
        if any(name.startswith("$") for name in names):
            raise BadRequest.of("functional lists ($current-…) are not kept here", code="not-supported")
        row, index = self.alias("l"), self.alias("f")
        lists = self.parameters.add([resource_key("List", unescape(n).removeprefix("List/")) for n in names])
        item = self.parameters.add(search_parameters("List")["item"].key)
        return (
            f"exists (select 1 from index_reference {index} join resource {row} on {row}.rid = {index}.rid"
            f" where {index}.param = {item}::int and {index}.target = {alias}.rid"
            f" and {row}.rid = any({lists}::bigint[]) and {self.visible(row, 'List', found=True)})"
        )

    def _same_id(self, alias: str, text: str) -> str:
        return f"{alias}.id = {self.parameters.add(unescape(text))}"

    def updated_of(self, alias: str, text: str) -> str:
        kept = len(self.parameters.values)
        test = self.updated(alias, text)  # reads the value, whatever it is compared with
        if alias not in self._contained:
            return test
        self.parameters.forget(kept)
        return "false"

    def _age(self, alias: str, prefix: str, text: str, patient: str | None) -> str:
        """Of living patients: R4's `age`, by the birth date and the clock."""
        own = search_parameters("Patient")
        born, dead = self.alias("i"), self.alias("i")
        low, high = f"{born}.low", f"{born}.high"
        test = ages.test(self.parameters, low, high, prefix, text, self.now)
        gone = f"{dead}.code = {self.parameters.add('true')}"
        return (
            f"({self._exists(alias, 'index_date', born, own['birthdate'].keys, patient, test)} and not"
            f" {self._exists(alias, 'index_token', dead, own['deceased'].keys, patient, gone)})"
        )

    @staticmethod
    def _any(condition: Condition, one: Callable[[str], str]) -> str:
        return "(" + " or ".join(one(value) for value in condition.values) + ")"

    def _indexed(self, alias: str, condition: Condition, patient: str | None) -> str:
        parameter, modifier = condition.parameter, condition.modifier
        if modifier == "missing":
            return self._missing(alias, parameter, patient, missing=condition.values[0] == "true")
        if parameter.kind == "composite":
            return self._any(condition, lambda v: self._composite(alias, parameter, v, patient))
        table, keys = TABLES[parameter.kind], parameter.keys
        index = self.alias("i")
        if condition.codes is not None:
            test = self.codes_test(index, condition.codes, parameter.systems)
        elif modifier == "text" and parameter.kind == "token":
            table, keys = "index_string", tuple(map(text_parameter, keys))
            test = self._any(condition, lambda v: self._prefix_of(f"{index}.value", fold(unescape(v))))
        elif modifier == "of-type":
            keys = tuple(map(type_parameter, keys))
            test = self._any(condition, lambda v: self._of_type(index, v))
        elif modifier == "identifier":
            table, keys = "index_token", tuple(map(identifier_parameter, keys))
            test = self._any(condition, lambda v: self.token_test(index, v))
        elif modifier in {"above", "below"} and parameter.kind == "reference":
            test = self._any(condition, lambda v: self._hierarchy(index, parameter, v, below=modifier == "below"))
        else:
            compare = getattr(self, f"_{parameter.kind}")
            test = self._any(condition, lambda v: compare(index, v, modifier, parameter))
        exists = self._exists(alias, table, index, keys, patient, test)
        return f"not {exists}" if modifier == "not" else exists

    def named(self, index: str, keys: Sequence[int]) -> str:
        """The row of an index table is of one of the parameters."""
        if len(keys) == 1:
            return f"{index}.param = {self.parameters.add(keys[0])}::int"
        return f"{index}.param = any({self.parameters.add(list(keys))}::int[])"

    def _exists(self, alias: str, table: str, index: str, keys: Sequence[int], patient: str | None, test: str) -> str:
        # The second comparison is the narrow indexes' own (migration 0018): nobody searches a Patient by whose it is.
        scope = f" and {index}.patient = {patient} and {index}.patient <> {index}.rid" if patient else ""
        named = self.named(index, keys)
        return f"exists (select 1 from {table} {index} where {index}.rid = {alias}.rid and {named}{scope} and {test})"

    def _composite(self, alias: str, parameter: SearchParameter, text: str, patient: str | None) -> str:
        parts, place = parts_of(parameter, text)
        token = token_of(parameter, [unescape(part) for part in split_values(parts[place], "|")])
        tests = []
        for number, component in enumerate(parameter.bases[0]["components"]):
            if number != place:
                index = self.alias("i")
                compare = getattr(self, f"_{component['kind']}")
                test = compare(index, parts[number], None, self._component(parameter, number))
                keys, system = keys_of(parameter, number, token)
                test += self._beside(index, system)
                tests.append(self._exists(alias, TABLES[component["kind"]], index, keys, patient, test))
        return "(" + " and ".join(tests) + ")"

    @staticmethod
    def _component(parameter: SearchParameter, number: int) -> SearchParameter:
        """A component as a parameter: a reference's possible targets are every type."""
        component = parameter.bases[0]["components"][number]
        return SearchParameter(parameter.code, component["kind"], "", resource_types(), 0, ())

    def _paired(self, alias: str, paired: Paired, patient: str | None) -> str:
        token = token_of(paired.parameter, paired.token.split("|"))
        component = self._component(paired.parameter, paired.component)
        index = self.alias("i")
        keys, system = keys_of(paired.parameter, paired.component, token)
        beside = self._beside(index, system)
        if paired.operator == "pr":
            if paired.value not in {"true", "false"}:
                raise BadRequest.of("pr is true or false")
            there = self._exists(alias, TABLES[component.kind], index, keys, patient, f"true{beside}")
            return there if paired.value == "true" else f"not {there}"
        test = self.compared(component.kind, index, paired.operator, paired.value, component) + beside
        return self._exists(alias, TABLES[component.kind], index, keys, patient, test)

    def _beside(self, index: str, system: int | None) -> str:
        """And the row of a pair is of a code of this system."""
        return "" if system is None else f" and {index}.token_system = {self.parameters.add(system)}::bigint"

    def _compared(self, alias: str, question: Compared, patient: str | None) -> str:
        parameter, operator, value = question.parameter, question.operator, question.value
        if parameter.code == "_id":
            return self._text_test(f"{alias}.id", operator, value)
        if parameter.code == "_lastUpdated":
            return self.updated_of(alias, operator + value)
        if parameter.kind == "special":
            return self._condition(alias, Condition(parameter, None, (value,)), patient)
        if ages.is_age(parameter):
            return self._age(alias, operator, value, patient)
        if parameter.kind == "composite":
            return self._composite(alias, parameter, value, patient)
        index = self.alias("i")
        if question.codes is not None:
            test = self.codes_test(index, question.codes, parameter.systems)
            found = self._exists(alias, "index_token", index, parameter.keys, patient, test)
            return f"not {found}" if operator == "ni" else found
        test = self.compared(parameter.kind, index, operator, value, parameter)
        return self._exists(alias, TABLES[parameter.kind], index, parameter.keys, patient, test)

    def _missing(self, alias: str, parameter: SearchParameter, patient: str | None, *, missing: bool) -> str:
        places = [(TABLES[parameter.kind], parameter.keys)]
        if ages.is_age(parameter):
            places = [("index_date", search_parameters("Patient")["birthdate"].keys)]
        if parameter.kind == "token":  # a concept may have its text only
            places.append(("index_string", tuple(map(text_parameter, parameter.keys))))
        found = " or ".join(
            self._exists(alias, table, self.alias("i"), keys, patient, "true") for table, keys in places
        )
        return f"not ({found})" if missing else f"({found})"

    def about(self, alias: str, condition: Condition, patient: str) -> str:
        """The resource, known to be in the patient's compartment, is there by the element that `condition` names:
        by literal reference or by the national id that the store has resolved."""
        index = self.alias("i")
        test = f"({index}.target = {patient} or {index}.form = 'i')"
        return self._exists(alias, "index_reference", index, condition.parameter.keys, patient, test)

    def _hierarchy(self, index: str, parameter: SearchParameter, text: str, *, below: bool) -> str:
        """The reference is to what is asked for or to a part of it (or, above, to what it is a part of). Every
        resource that the tree leads through must be seen (R4 3.1.1.4.17)."""
        kinds = [t for t in parameter.targets or resource_types() if is_type(t)]
        wanted = unescape(text)
        if "/" in wanted:
            kinds = [t for t in kinds if t == wanted.split("/")[-2]]
        codes = [search_parameters(t)[c].key for t in kinds for c in _HIERARCHIES if c in search_parameters(t)]
        if not codes:
            raise BadRequest.of("resources of that type are not parts of one another", code="not-supported")
        keys = self.parameters.add(codes)
        start = self.parameters.add(reference_keys(wanted, kinds))
        row, part, tree = self.alias("h"), self.alias("f"), self.alias("t")
        ends = ("target", "rid") if below else ("rid", "target")
        return (
            f"{index}.target in (with recursive {tree}(rid) as (select unnest({start}::bigint[]) union"
            f" select {part}.{ends[1]} from {tree} join index_reference {part} on {part}.{ends[0]} = {tree}.rid"
            f" and {part}.param = any({keys}::int[]) and {part}.form = 'l' join resource {row}"
            f" on {row}.rid = {part}.rid and {self.visible(row, None)}) select rid from {tree})"
        )

    def _chain(self, alias: str, chain: Chain) -> str:
        canonical = any(path["type"] in {"canonical", "uri", "url"} for path in chain.parameter.paths)
        ways = [way for target, inner in chain.inner for way in self._ways(chain, target, inner, canonical)]
        return f"{alias}.rid in ({' union all '.join(ways)})"

    def _ways(self, chain: Chain, target: str, inner: Question, canonical: bool) -> Iterable[str]:
        """The rids of what refers to a resource that meets `inner`: literally, by its canonical url, inside itself."""
        index, other = self.alias("f"), self.alias("c")
        yield (
            f"select {index}.rid from index_reference {index} join resource {other} on {other}.rid = {index}.target"
            f" where {self.named(index, chain.parameter.keys)} and {index}.form = 'l'"
            f" and {self.visible(other, target)} and {self.meets(other, inner)}"
        )
        if canonical and "url" in search_parameters(target):
            index, own, other = self.alias("f"), self.alias("u"), self.alias("c")
            yield (
                f"select {index}.rid from index_reference {index} join index_reference {own}"
                f" on {own}.target = {index}.target and {own}.param = {self.parameters.add(CANONICAL)}::int"
                f" join resource {other} on {other}.rid = {own}.rid where"
                f" {self.named(index, chain.parameter.keys)} and {index}.form = 'c'"
                f" and {self.visible(other, target)} and {self.meets(other, inner)}"
            )
        index, other, kept = self.alias("f"), self.alias("k", contained=True), len(self.parameters.values)
        # What is inside a resource is seen by those who see the resource: `alias`, on which the gate stands.
        try:
            meets = self.meets(other, inner)
        except BadRequest:
            self.parameters.forget(kept)
            return
        yield (
            f"select {index}.rid from index_reference {index} join resource_contained {other}"
            f" on {other}.rid = {index}.target where {self.named(index, chain.parameter.keys)}"
            f" and {index}.form = 'k' and {other}.type = {self.parameters.add(type_number(target))}::smallint"
            f" and {meets}"
        )

    def _has(self, alias: str, has: Has) -> str:
        index, other = self.alias("f"), self.alias("h")
        meets = f"{self.visible(other, has.source)} and {self.meets(other, has.inner)}"
        literal = (
            f"exists (select 1 from index_reference {index} join resource {other} on {other}.rid = {index}.rid"
            f" where {self.named(index, has.parameter.keys)} and {index}.target = {alias}.rid"
            f" and {index}.form = 'l' and {meets})"
        )
        if not any(path["type"] in {"canonical", "uri", "url"} for path in has.parameter.paths):
            return literal
        index, own, other = self.alias("f"), self.alias("u"), self.alias("h")
        meets = f"{self.visible(other, has.source)} and {self.meets(other, has.inner)}"
        return (
            f"({literal} or {alias}.rid in (select {own}.rid from index_reference {own} join index_reference {index}"
            f" on {index}.target = {own}.target and {self.named(index, has.parameter.keys)} and {index}.form = 'c'"
            f" join resource {other} on {other}.rid = {index}.rid"
            f" where {own}.param = {self.parameters.add(CANONICAL)}::int and {meets}))"
        )
