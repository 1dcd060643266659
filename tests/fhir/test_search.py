"""Search against a naive scan: every parameter kind, prefix and modifier, on random resources, by other code than
the store's: the scan below reads the resources themselves, in the words of R4's chapter on search."""

from __future__ import annotations

import calendar
import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from tests.fhir.gates import OpenGate
from varde.clock import OSLO
from varde.fhir.store import Store

Resource = dict[str, Any]
DRAWN = Random(20261124)
SYSTEMS = ["urn:s:1", "urn:s:2"]
CODES = ["a", "b", "a,b", "c|d", "æ"]
WORDS = ["Hætta", "Åsen", "asen", "Čáhppe", "O'Brien", "van der Berg", "Bjørn", "Sæther", "per", "Per-Olav", "Ætt"]
DATES = ["1980", "1980-05", "1980-05-17", "2020-02-29", "2026-01-01T00:00:00+01:00", "2025-12-31T23:30:00Z",
         "2026-03-29T02:30:00+01:00", "2026-11-24T09:00:00.123Z", "2026-11", "2026", "1899-12-31"]  # fmt: skip


def _patient(number: int) -> Resource:
    made: Resource = {"resourceType": "Patient", "id": f"p{number}"}
    if DRAWN.random() < 0.8:
        made["name"] = [{"family": DRAWN.choice(WORDS), "given": DRAWN.sample(WORDS, 2)}]
    if DRAWN.random() < 0.7:
        made["birthDate"] = DRAWN.choice([d for d in DATES if "T" not in d])
    if DRAWN.random() < 0.7:
        made["gender"] = DRAWN.choice(["male", "female", "other"])
    if DRAWN.random() < 0.6:
        made["active"] = DRAWN.random() < 0.5
    if DRAWN.random() < 0.7:
        made["identifier"] = [
            {"system": DRAWN.choice(SYSTEMS), "value": str(DRAWN.randrange(5)),
             "type": {"coding": [{"system": "urn:t", "code": DRAWN.choice("xy")}]}}
        ]  # fmt: skip
    return made


def _observation(number: int, patients: int) -> Resource:
    made: Resource = {
        "resourceType": "Observation", "id": f"o{number}", "status": DRAWN.choice(["final", "amended"]),
        "code": {"text": DRAWN.choice(WORDS), "coding": [
            {"system": DRAWN.choice(SYSTEMS), "code": DRAWN.choice(CODES), "display": DRAWN.choice(WORDS)}
            for _ in range(DRAWN.randrange(3))
        ]},
    }  # fmt: skip
    if not made["code"]["coding"]:
        del made["code"]["coding"]
    if DRAWN.random() < 0.8:
        made["subject"] = {"reference": f"Patient/p{DRAWN.randrange(patients + 2)}"}
    chance = DRAWN.random()
    if chance < 0.5:
        made["effectiveDateTime"] = DRAWN.choice(DATES)
    elif chance < 0.8:
        start, end = sorted(DRAWN.sample([d for d in DATES if "T" not in d], 2), key=lambda d: _range(d)[0])
        made["effectivePeriod"] = {k: v for k, v in (("start", start), ("end", end)) if DRAWN.random() < 0.7}
        if not made["effectivePeriod"]:
            del made["effectivePeriod"]
    if DRAWN.random() < 0.7:
        made["valueQuantity"] = _quantity()
    if DRAWN.random() < 0.4:
        made["component"] = [
            {"code": {"coding": [{"system": SYSTEMS[0], "code": DRAWN.choice("ab")}]}, "valueQuantity": _quantity()}
            for _ in range(2)
        ]
    if number and DRAWN.random() < 0.4:
        made["hasMember"] = [{"reference": f"Observation/o{DRAWN.randrange(number)}"}]
    if DRAWN.random() < 0.3:
        made["meta"] = {"tag": [{"system": SYSTEMS[0], "code": DRAWN.choice("ab")}]}
    return made


def _quantity() -> Resource:
    made: Resource = {"value": DRAWN.choice([1, 5, 5.4, 5.40, 5.44, 5.5, 100, -3, 0.05]), "system": "urn:u",
                      "code": DRAWN.choice(["g", "mg"])}  # fmt: skip
    if DRAWN.random() < 0.15:
        made["comparator"] = DRAWN.choice(["<", ">"])
    return made


def _resources() -> list[Resource]:
    valuesets = [
        {"resourceType": "ValueSet", "id": f"v{n}", "status": "draft", "url": url}
        for n, url in enumerate(["http://a/b", "http://a/b/c", "http://a/bc", "urn:x:1", "http://a"])
    ]
    return [_patient(n) for n in range(25)] + [_observation(n, 25) for n in range(90)] + valuesets


# The scan: dates as ranges, numbers by their precision, texts folded, one function a kind.


def _range(text: str) -> tuple[datetime, datetime]:
    if "T" not in text:
        parts = [int(p) for p in text.split("-")]
        year, month, day = (*parts, 1, 1)[:3] if len(parts) < 3 else parts
        low = datetime(year, month, day, tzinfo=OSLO)
        if len(parts) == 1:
            return low, datetime(year + 1, 1, 1, tzinfo=OSLO)
        last = calendar.monthrange(year, month)[1]
        end = datetime(year, month, day if len(parts) == 3 else last, tzinfo=OSLO) + timedelta(days=1)
        return low, end
    low = datetime.fromisoformat(text)
    fraction = re.search(r"\.(\d+)", text)
    return low, low + (timedelta(seconds=10 ** -len(fraction[1])) if fraction else timedelta(seconds=1))


FOREVER = (datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC))


def _date_matches(values: list[tuple[datetime, datetime]], asked: str) -> bool:
    prefix, rest = (asked[:2], asked[2:]) if asked[:2].isalpha() else ("eq", asked)
    a, b = _range(rest)
    tests: dict[str, Callable[[datetime, datetime], bool]] = {
        "eq": lambda low, high: a <= low and high <= b,
        "ne": lambda low, high: not (a <= low and high <= b),
        "gt": lambda low, high: high > b,
        "lt": lambda low, high: low < a,
        "ge": lambda low, high: high > b or (a <= low and high <= b),
        "le": lambda low, high: low < a or (a <= low and high <= b),
        "sa": lambda low, high: low >= b,
        "eb": lambda low, high: high <= a,
    }
    return any(tests[prefix](low, high) for low, high in values)


def _number_matches(values: list[tuple[float, float]], asked: str) -> bool:
    prefix, rest = (asked[:2], asked[2:]) if asked[:2].isalpha() else ("eq", asked)
    exact = Decimal(rest)
    half = Decimal(1).scaleb(int(exact.as_tuple().exponent)) / 2
    low, high, at = float(exact - half), float(exact + half), float(exact)
    tests: dict[str, Callable[[float, float], bool]] = {
        "eq": lambda a, b: low <= a and b < high,
        "ne": lambda a, b: not (low <= a and b < high),
        "gt": lambda a, b: b > at,
        "lt": lambda a, b: a < at,
        "ge": lambda a, b: b >= at,
        "le": lambda a, b: a <= at,
        "sa": lambda a, b: a > at,
        "eb": lambda a, b: b < at,
    }
    return any(tests[prefix](a, b) for a, b in values)


def _fold(text: str) -> str:
    kept = {"å": "å", "æ": "æ", "ø": "ø", "ä": "æ", "ö": "ø", "đ": "d"}
    out = ""
    for character in unicodedata.normalize("NFC", text).lower():
        plain = "".join(c for c in unicodedata.normalize("NFD", character) if not unicodedata.combining(c))
        out += kept.get(character, plain)
    return " ".join(out.split())


def _texts(resource: Resource, code: str) -> list[str]:
    found = []
    for name in resource.get("name", ()):
        if code in {"name", "family"}:
            found.append(name["family"])
        if code in {"name", "given"}:
            found += name["given"]
    return found


def _codings(resource: Resource, code: str) -> list[tuple[str, str]]:
    if code == "code":
        return [(c["system"], c["code"]) for c in resource["code"].get("coding", ())]
    if code == "component-code":
        return [(c["system"], c["code"]) for p in resource.get("component", ()) for c in p["code"]["coding"]]
    if code == "identifier":
        return [(i["system"], i["value"]) for i in resource.get("identifier", ())]
    if code == "_tag":
        return [(c["system"], c["code"]) for c in resource.get("meta", {}).get("tag", ())]
    value = resource.get(code)
    return [] if value is None else [("", str(value).lower() if isinstance(value, bool) else value)]


def _token_matches(values: list[tuple[str, str]], asked: str) -> bool:
    parts = [p.replace("\0", "|") for p in asked.replace("\\|", "\0").replace("\\,", ",").split("|")]
    if len(parts) == 1:
        return any(code == parts[0] for _, code in values)
    return any(system == parts[0] and (not parts[1] or code == parts[1]) for system, code in values)


def _dates(resource: Resource, code: str) -> list[tuple[datetime, datetime]]:
    if code == "birthdate":
        return [_range(resource["birthDate"])] if "birthDate" in resource else []
    if "effectiveDateTime" in resource:
        return [_range(resource["effectiveDateTime"])]
    if "effectivePeriod" in resource:
        period = resource["effectivePeriod"]
        return [(_range(period["start"])[0] if "start" in period else FOREVER[0],
                 _range(period["end"])[1] if "end" in period else FOREVER[1])]  # fmt: skip
    return []


def _figures(quantity: Resource | None) -> list[tuple[float, float]]:
    if quantity is None:
        return []
    value, comparator = float(quantity["value"]), quantity.get("comparator")
    return [(-float("inf") if comparator == "<" else value, float("inf") if comparator == ">" else value)]


def _quantity_matches(quantity: Resource | None, asked: str) -> bool:
    number, _, unit = asked.partition("|")
    if quantity is None or not _number_matches(_figures(quantity), number):
        return False
    system, _, code = unit.partition("|")
    return not unit or (quantity["code"] == code and (not system or quantity["system"] == system))


class Scan:
    """The answer to a question by looking at every resource."""

    def __init__(self, resources: list[Resource]) -> None:
        self.all = {f"{r['resourceType']}/{r['id']}": r for r in resources}

    def find(self, kind: str, pairs: list[tuple[str, str]]) -> set[str]:
        return {
            r["id"] for r in self.all.values()
            if r["resourceType"] == kind and all(self.meets(r, name, value) for name, value in pairs)
        }  # fmt: skip

    def meets(self, resource: Resource, name: str, text: str) -> bool:
        if name.startswith("_has:"):
            _, source, reference, inner = name.split(":", 3)
            return any(
                other["resourceType"] == source
                and resource in self.targets(other, reference)
                and self.meets(other, inner, text)
                for other in self.all.values()
            )
        head, dot, rest = name.partition(".")
        code, _, modifier = head.partition(":")
        if dot:
            return any(
                self.meets(target, rest, text) for target in self.targets(resource, code)
                if not modifier or target["resourceType"] == modifier
            )  # fmt: skip
        values = re.split(r"(?<!\\),", text)
        return any(self.one(resource, code, modifier, value) for value in values) != (modifier == "not")

    def targets(self, resource: Resource, code: str) -> list[Resource]:
        found = [self.all.get(reference) for reference in _references(resource, code)]
        return [target for target in found if target is not None]

    def one(self, resource: Resource, code: str, modifier: str, text: str) -> bool:
        if modifier == "missing":
            return _present(resource, code) == (text == "false")
        if code in {"name", "family", "given"}:
            plain = text.replace("\\,", ",")
            if modifier == "exact":
                return plain in _texts(resource, code)
            folded = _fold(plain)
            return any(folded in _fold(t) if modifier == "contains" else _fold(t).startswith(folded)
                       for t in _texts(resource, code))  # fmt: skip
        if modifier == "text":
            shown = [resource["code"]["text"], *(c["display"] for c in resource["code"].get("coding", ()))]
            return any(_fold(s).startswith(_fold(text)) for s in shown)
        if modifier == "of-type":
            system, kind, value = text.split("|")
            return any(
                i["value"] == value and {"system": system, "code": kind} in i["type"]["coding"]
                for i in resource.get("identifier", ())
            )
        if code in {"birthdate", "date"}:
            return _date_matches(_dates(resource, code), text)
        if code == "value-quantity":
            return _quantity_matches(resource.get("valueQuantity"), text)
        if code == "component-value-quantity":
            return any(_quantity_matches(c["valueQuantity"], text) for c in resource.get("component", ()))
        if code.endswith("code-value-quantity"):
            token, quantity = text.split("$")
            own = [(resource["code"], resource.get("valueQuantity"))] if not code.startswith("component") else []
            parts = [(c["code"], c["valueQuantity"]) for c in resource.get("component", ())]
            pairs = own + (parts if code != "code-value-quantity" else [])
            return any(
                _token_matches([(c["system"], c["code"]) for c in concept.get("coding", ())], token)
                and _quantity_matches(value, quantity)
                for concept, value in pairs
            )
        if code in {"subject", "patient", "has-member"}:
            target = (
                text if "/" in text else f"{modifier or ('Observation' if code == 'has-member' else 'Patient')}/{text}"
            )
            return target.removeprefix("http://test/fhir/") in _references(resource, code)
        if code == "url":
            url = resource["url"]
            if not text.startswith("http"):
                return bool(url == text)  # a urn has nothing above or below it
            above = url == text or text.startswith(url.rstrip("/") + "/")
            return {"": url == text, "below": url.startswith(text), "above": above}[modifier]
        if code == "_id":
            return bool(resource["id"] == text)
        return _token_matches(_codings(resource, code), text)


def _references(resource: Resource, code: str) -> list[str]:
    if code in {"subject", "patient"}:
        return [resource["subject"]["reference"]] if "subject" in resource else []
    return [member["reference"] for member in resource.get("hasMember", ())]


def _present(resource: Resource, code: str) -> bool:
    if code in {"birthdate", "date"}:
        return bool(_dates(resource, code))
    if code in {"name", "family", "given"}:
        return bool(_texts(resource, code))
    if code in {"subject", "patient", "has-member"}:
        return bool(_references(resource, code))
    if code == "value-quantity":
        return "valueQuantity" in resource
    return code == "code" or bool(_codings(resource, code))


def _escaped(code: str) -> str:
    return code.replace("|", "\\|").replace(",", "\\,")


def _token() -> str:
    code, system = _escaped(DRAWN.choice(CODES)), DRAWN.choice(SYSTEMS)
    return DRAWN.choice([code, f"{system}|{code}", f"{system}|", f"{code},{system}|{_escaped(DRAWN.choice(CODES))}"])


def _figure() -> str:
    number = DRAWN.choice(["5", "5.4", "5.40", "5.44", "100", "1e2", "-3", "0.05", "0", "5.0"])
    return DRAWN.choice(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"]) + number


def _amount() -> str:
    return _figure() + DRAWN.choice(["", "", "|urn:u|g", "||mg", "|urn:x|g"])


def _moment() -> str:
    return DRAWN.choice(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"]) + DRAWN.choice(DATES)


def _word() -> str:
    word = DRAWN.choice([*WORDS, "h", "Å", "cah", "van", "berg", "ä", "AS", "olav"])
    return word[: DRAWN.randrange(1, len(word) + 1)]


def _of_patient() -> tuple[str, str]:
    return DRAWN.choice([
        lambda: (DRAWN.choice(["name", "family", "given"]) + DRAWN.choice(["", "", ":exact", ":contains"]), _word()),
        lambda: ("birthdate", _moment()),
        lambda: ("birthdate", f"{_moment()},{_moment()}"),
        lambda: ("gender" + DRAWN.choice(["", ":not"]), DRAWN.choice(["male", "female", "male,other"])),
        lambda: ("active", DRAWN.choice(["true", "false"])),
        lambda: ("identifier" + DRAWN.choice(["", ":not"]), DRAWN.choice([*"01234", "urn:s:1|1", "urn:s:2|", "|1"])),
        lambda: ("identifier:of-type", f"urn:t|{DRAWN.choice('xy')}|{DRAWN.randrange(5)}"),
        lambda: (DRAWN.choice(["name", "birthdate", "gender", "active", "identifier"]) + ":missing",
                 DRAWN.choice(["true", "false"])),
        lambda: ("_id" + DRAWN.choice(["", ":not"]), f"p{DRAWN.randrange(25)},p{DRAWN.randrange(25)}"),
    ])()  # fmt: skip


def _of_observation(depth: int = 0) -> tuple[str, str]:
    ways = [
        lambda: ("code" + DRAWN.choice(["", "", ":not"]), _token()),
        lambda: ("code:text", _word()),
        lambda: ("status" + DRAWN.choice(["", ":not"]), DRAWN.choice(["final", "amended"])),
        lambda: ("date", _moment()),
        lambda: ("date", _moment()),
        lambda: ("value-quantity", _amount()),
        lambda: ("component-value-quantity", _amount()),
        lambda: (DRAWN.choice(["", "combo-", "component-"]) + "code-value-quantity",
                 DRAWN.choice(["a", "b", "urn:s:1|a", "urn:s:2|b"]) + "$" + _amount()),
        lambda: (DRAWN.choice(["subject", "patient", "subject:Patient"]), f"p{DRAWN.randrange(27)}"),
        lambda: (DRAWN.choice(["subject", "patient"]),
                 f"Patient/p{DRAWN.randrange(27)},Patient/p{DRAWN.randrange(27)}"),
        lambda: ("has-member", f"o{DRAWN.randrange(90)}"),
        lambda: (DRAWN.choice(["code", "date", "value-quantity", "subject", "has-member", "_tag"]) + ":missing",
                 DRAWN.choice(["true", "false"])),
        lambda: ("_tag" + DRAWN.choice(["", ":not"]), DRAWN.choice(["a", "urn:s:1|b", "urn:s:1|"])),
    ]  # fmt: skip
    if depth < 3:
        ways += [lambda: _prefixed(DRAWN.choice(["subject:Patient.", "patient."]), _of_patient())] * 3
        ways += [lambda: _prefixed("has-member:Observation.", _of_observation(depth + 1))] * 2
        ways += [lambda: _prefixed("_has:Observation:has-member:", _of_observation(depth + 1))] * 2
    return DRAWN.choice(ways)()


def _prefixed(start: str, pair: tuple[str, str]) -> tuple[str, str]:
    return start + pair[0], pair[1]


def _questions() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    for _ in range(90):
        yield "Patient", [_of_patient() for _ in range(DRAWN.randrange(1, 3))]
        yield "Patient", [_prefixed("_has:Observation:patient:", _of_observation(2))]
    for _ in range(320):
        yield "Observation", [_of_observation() for _ in range(DRAWN.randrange(1, 4))]
    for url in ("http://a", "http://a/b", "http://a/b/c/d", "urn:x", "b"):
        for modifier in ("", ":below", ":above"):
            yield "ValueSet", [("url" + modifier, url)]


@pytest.mark.slow
async def test_search_finds_what_a_scan_finds(store: Store, gate: OpenGate) -> None:
    resources = _resources()
    await store.write_many(gate, resources)
    scan = Scan(resources)
    empty = 0
    for kind, pairs in _questions():
        page = await store.search(gate, kind, [*pairs, ("_count", "1000")])
        expected = scan.find(kind, pairs)
        assert {m.id for m in page.matches} == expected, (kind, pairs)
        assert len(page.matches) == len(expected) == page.total
        empty += not expected
    assert empty < 350  # most questions find something, or the test would prove little


Tree = tuple[str, Any, Any]
"""("and" | "or", tree, tree), ("not", tree, None), or a leaf: ("leaf", its text, the same as (name, value))."""


def _leaf_of_patient() -> Tree:
    word, date = _word().replace('"', ""), DRAWN.choice(DATES)
    compare = DRAWN.choice(["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"])
    return DRAWN.choice([
        ("leaf", f'family co "{word}"', ("family:contains", word)),
        ("leaf", f'given sw "{word}"', ("given", word)),
        ("leaf", f"birthdate {compare} {date}", ("birthdate", compare + date)),
        ("leaf", "gender eq male", ("gender", "male")),
        ("leaf", "identifier eq urn:s:1|1", ("identifier", "urn:s:1|1")),
        ("leaf", "name pr true", ("name:missing", "false")),
        ("leaf", "_id eq p3", ("_id", "p3")),
    ])  # fmt: skip


def _leaf_of_observation() -> Tree:
    compare = DRAWN.choice(["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"])
    number, date, inner = DRAWN.choice(["5", "5.4", "-3"]), DRAWN.choice(DATES), _leaf_of_patient()
    return DRAWN.choice([
        ("leaf", f"value-quantity {compare} {number}", ("value-quantity", compare + number)),
        ("leaf", f"date {compare} {date}", ("date", compare + date)),
        ("leaf", "status eq final", ("status", "final")),
        ("leaf", "code eq urn:s:1|a", ("code", "urn:s:1|a")),
        ("leaf", "has-member.status eq amended", ("has-member:Observation.status", "amended")),
        ("leaf", "_has:Observation:has-member:status eq final", ("_has:Observation:has-member:status", "final")),
        ("leaf", f"subject:Patient.{inner[1]}", (f"subject:Patient.{inner[2][0]}", inner[2][1])),
        ("leaf", "subject pr false", ("subject:missing", "true")),
    ])  # fmt: skip


def _tree(leaf: Callable[[], Tree], depth: int = 0) -> Tree:
    if depth > 2 or DRAWN.random() < 0.3:
        return leaf()
    kind = DRAWN.choice(["and", "or", "not"])
    return kind, _tree(leaf, depth + 1), None if kind == "not" else _tree(leaf, depth + 1)


def _written(tree: Tree) -> str:
    kind, left, right = tree
    if kind == "leaf":
        return str(left)
    return f"not ({_written(left)})" if kind == "not" else f"({_written(left)} {kind} {_written(right)})"


def _holds(scan: Scan, resource: Resource, tree: Tree) -> bool:
    kind, left, right = tree
    if kind == "leaf":
        return scan.meets(resource, *right)
    if kind == "not":
        return not _holds(scan, resource, left)
    one, other = _holds(scan, resource, left), _holds(scan, resource, right)
    return (one and other) if kind == "and" else (one or other)


@pytest.mark.slow
async def test_filters_find_what_a_scan_finds(store: Store, gate: OpenGate) -> None:
    resources = _resources()
    await store.write_many(gate, resources)
    scan = Scan(resources)
    found = 0
    for number in range(160):
        kind, leaf = [("Patient", _leaf_of_patient), ("Observation", _leaf_of_observation)][number % 2]
        tree = _tree(leaf)
        page = await store.search(gate, kind, [("_filter", _written(tree)), ("_count", "1000")])
        expected = {r["id"] for r in resources if r["resourceType"] == kind and _holds(scan, r, tree)}
        assert {m.id for m in page.matches} == expected, _written(tree)
        found += bool(expected)
    assert found > 80


SORTS: dict[str, Callable[[Resource], Any]] = {
    "_id": lambda r: r["id"],
    "status": lambda r: r["status"],
    "value-quantity": lambda r: _figures(r.get("valueQuantity"))[0][0] if "valueQuantity" in r else None,
}


@pytest.mark.slow
async def test_sorting_by_several_keys_and_paging_and_totals(store: Store, gate: OpenGate) -> None:
    observations = [r for r in _resources() if r["resourceType"] == "Observation"]
    observations = [r for r in observations if "comparator" not in r.get("valueQuantity", {})]
    await store.write_many(gate, observations)
    for text in (
        "_id",
        "-_id",
        "status,_id",
        "-status,value-quantity,_id",
        "value-quantity,-_id",
        "-value-quantity,_id",
    ):
        expected = sorted(observations, key=lambda r: r["id"])
        for key in reversed(text.split(",")):
            down, value = key.startswith("-"), SORTS[key.removeprefix("-")]
            there = [r for r in expected if value(r) is not None]
            there.sort(key=lambda r: value(r), reverse=down)
            if down:  # a stable sort turned round would turn equals round too
                there = sorted((r for r in expected if value(r) is not None), key=lambda r: value(r))
                groups: dict[Any, list[Resource]] = {}
                for r in there:
                    groups.setdefault(value(r), []).append(r)
                there = [r for v in sorted(groups, reverse=True) for r in groups[v]]
            expected = there + [r for r in expected if value(r) is None]  # without a value: last either way
        for count in (4, 1000):
            told: list[str] = []
            page: str | None = ""
            while page is not None:
                query = [("_sort", text), ("_count", str(count)), ("_total", "accurate")]
                found = await store.search(gate, "Observation", query + ([("_page", page)] if page else []))
                told += [m.id for m in found.matches]
                assert found.total == len(observations)
                page = found.next
            assert told == [r["id"] for r in expected], text


async def test_an_appointment_of_two_patients_is_found_by_either(store: Store, gate: OpenGate) -> None:
    participants = [{"actor": {"reference": f"Patient/{p}"}, "status": "accepted"} for p in ("mother", "child")]
    appointment = {"resourceType": "Appointment", "id": "a", "status": "booked", "participant": participants}
    observation = {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"},
                   "subject": {"reference": "Group/g"}, "performer": [{"reference": "Patient/mother"}]}  # fmt: skip
    await store.write_many(gate, [appointment, observation])
    for patient in ("mother", "child"):
        for query in (f"patient={patient}", f"patient=Patient/{patient}", f"actor=Patient/{patient}"):
            assert [m.id for m in (await store.search(gate, "Appointment", query)).matches] == ["a"], query
        page = await store.search(gate, "Appointment", "", compartment=patient)
        assert [m.id for m in page.matches] == ["a"]
    # In the mother's compartment as who performed it, but not about her.
    assert (await store.search(gate, "Observation", "patient=mother")).matches == []
    assert [m.id for m in (await store.search(gate, "Observation", "", compartment="mother")).matches] == ["o"]
    assert {m.id for m in (await store.search(gate, None, "", compartment="mother")).matches} == {"a", "o"}


async def test_includes_of_every_form(store: Store, gate: OpenGate) -> None:
    chain = [{"resourceType": "Organization", "id": f"o{n}", **({"partOf": {"reference": f"Organization/o{n + 1}"}}
                                                               if n < 3 else {})} for n in range(4)]  # fmt: skip
    patient = {"resourceType": "Patient", "id": "p", "managingOrganization": {"reference": "Organization/o0"},
               "generalPractitioner": [{"reference": "Organization/o3"}, {"reference": "Practitioner/x"}]}  # fmt: skip
    doctor = {"resourceType": "Practitioner", "id": "x"}
    await store.write_many(gate, [*chain, patient, doctor])

    async def included(kind: str, query: str) -> set[str]:
        page = await store.search(gate, kind, query)
        return {e.stored.id for e in page.entries if e.mode == "include"}

    assert await included("Patient", "_include=Patient:organization") == {"o0"}
    assert await included("Patient", "_include=Patient:general-practitioner:Practitioner") == {"x"}
    assert (
        await included("Patient", "_include=Patient:*") == await included("Patient", "_include=*") == {"o0", "o3", "x"}
    )
    assert await included("Patient", "_include=Patient:organization&_include:iterate=Organization:partof") == {
        "o0", "o1", "o2", "o3",
    }  # fmt: skip
    assert await included("Organization", "_id=o3&_revinclude=Organization:partof") == {"o2"}
    assert await included("Organization", "_id=o3&_revinclude:iterate=Organization:partof") == {"o0", "o1", "o2"}
    assert await included("Practitioner", "_revinclude=*") == {"p"}
    assert await included("Patient", "_include=Observation:subject") == set()


async def test_conditions_and_texts_beyond_the_ordinary(store: Store, gate: OpenGate) -> None:
    long = "".join(chr(0x4E00 + DRAWN.randrange(20000)) for _ in range(3000))
    made = {"resourceType": "ValueSet", "id": "v", "status": "draft", "url": f"urn:{long}", "name": long,
            "identifier": [{"system": "urn:i", "value": long}]}  # fmt: skip
    await store.create(gate, made)
    for query in (
        [("url", f"urn:{long}")],
        [("identifier", f"urn:i|{long}")],
        [("name", long)],
        [("name:exact", long)],
    ):
        assert len((await store.search(gate, "ValueSet", query)).matches) == 1
    assert (await store.search(gate, None, "_tag=x")).matches == []
    await store.create(gate, {"resourceType": "Basic", "code": {"text": "x"}, "meta": {"tag": [{"code": "x"}]}})
    await store.create(gate, {"resourceType": "Patient", "meta": {"tag": [{"code": "x"}]}})
    assert len((await store.search(gate, None, "_tag=x")).matches) == 2
    assert len((await store.search(gate, None, "_tag:not=x")).matches) == 1
