"""The demo's persons as lists: for the login page of the demo's issuer, and for `varde people`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from varde.demo import probe
from varde.demo.people import OPERATIONS, Human, Worker
from varde.demo.world import World
from varde.trust.consents import PowerOfAttorney
from varde.trust.login import PID, STAFF_HPR
from varde.trust.persons import HEALTH_MAJORITY, PARENTS_FULL_UNTIL, age

PROTECTION_WORDS = {"fortrolig": "kode 7", "strengtFortrolig": "kode 6"}


def patients(world: World) -> Iterator[dict[str, Any]]:
    """Everybody as `varde people --json` tells of them, the named persons first."""
    for household in world.households():
        children: dict[str, list[Human]] = {}
        known = {human.number: human for human in household}
        for human in household:
            for parent in human.parents:
                children.setdefault(parent, []).append(human)
        for human in household:
            relations = [
                {"relation": "parent", "fnr": number, "name": known[number].name}
                for number in human.parents
                if number in known
            ]
            relations += [
                {"relation": "child", "fnr": child.number, "name": child.name}
                for child in children.get(human.number, ())
            ]
            relations += _mandates(human, household)
            yield {
                "role": "patient",
                "fnr": human.number,
                "name": human.name,
                "born": human.born.isoformat(),
                "age": age(human.born, world.today),
                "former": [number for number, _ in human.former],
                "id": human.id,
                "relations": relations,
                "user": human.user,
                "reserved": human.reserved,
                "protection": human.protection,
                "dead": human.dead is not None or human.dies,
                "placed": human.placed,
                "emigrated": human.emigrated,
                "language": human.language,
                "mobile": human.mobile is not None,
                "municipality": human.municipality[1],
                "part": human.part,
            }


def _mandates(human: Human, household: Sequence[Human]) -> Iterator[dict[str, str]]:
    """Guardians and powers of attorney, from both sides: what the other is to the person."""
    for other in household:
        if any(one.guardian == other.number for one in human.guardians):
            yield {"relation": "guardian", "fnr": other.number, "name": other.name}
        if any(one.guardian == human.number for one in other.guardians):
            yield {"relation": "ward", "fnr": other.number, "name": other.name}
        for giver, receiver, word in ((human, other, "attorney"), (other, human, "giver")):
            if any(
                isinstance(one, PowerOfAttorney) and one.receiver == receiver.id and not one.withdrawn
                for one in giver.consents
            ):
                yield {"relation": word, "fnr": other.number, "name": other.name}


def staff(world: World) -> Iterator[dict[str, Any]]:
    """Everybody who works somewhere, with every unit; the first ward's first."""
    positions: dict[str, list[Worker]] = {}
    for worker in world.fixed.workers:
        positions.setdefault(worker.hpr, []).append(worker)
    for hpr, places in positions.items():
        units = [
            {"id": one.unit.id, "name": one.unit.name, "org": one.unit.trust.number, "trust": one.unit.trust.name}
            for one in places
        ]
        yield {
            "role": "operator" if places[0].unit.id == OPERATIONS else "staff",
            "hpr": hpr,
            "name": places[0].name,
            "position": places[0].role,
            "title": places[0].role_text,
            "unit": units[0],
            "units": units,
        }


def write_directory(world: World, file: Path) -> None:
    """The issuer's list of persons, one JSON file. The dead are not on it: nobody logs in as they."""
    sides: dict[str, list[dict[str, Any]]] = {"patient": [], "staff": []}
    for person in patients(world):
        if not person["dead"]:
            sides["patient"].append(
                {
                    "key": person["fnr"],
                    "subject": person["id"],
                    "name": person["name"],
                    "detail": _detail(person),
                    "first": person["part"] is not None,
                    "claims": {PID: person["fnr"], "name": person["name"]},
                }
            )
    for person in staff(world):
        sides["staff"].append(
            {
                "key": person["hpr"],
                "subject": f"hpr-{person['hpr']}",
                "name": person["name"],
                "detail": f"{person['title']}, {' og '.join(unit['name'] for unit in person['units'])}",
                "first": person["position"] in {"operator", "auditor"} or person["unit"]["id"] == world.fixed.ward.id,
                "claims": {STAFF_HPR: person["hpr"], "name": person["name"]},
            }
        )
    sides["staff"].sort(key=lambda person: not person["first"])
    for side, entries in probe.directory().items():
        sides[side] += entries
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_bytes(orjson.dumps(sides))
    fresh.replace(file)


def _detail(person: dict[str, Any]) -> str:
    words = [f"{person['age']} år", person["municipality"]]
    if person["part"]:
        words.append(person["part"])
    else:
        children = [r for r in person["relations"] if r["relation"] == "child"]
        if children:
            words.append(f"{len(children)} barn")
        if person["age"] < HEALTH_MAJORITY:
            words.append("barn" if person["age"] < PARENTS_FULL_UNTIL else "ungdom")
        if person["reserved"]:
            words.append("reservert")
        elif not person["user"] and person["age"] >= HEALTH_MAJORITY:
            words.append("bruker ikke portalen")
        if person["protection"] in PROTECTION_WORDS:
            words.append(PROTECTION_WORDS[person["protection"]])
    return ", ".join(words)
