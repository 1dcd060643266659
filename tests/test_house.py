"""Holds the house together: imports go down the floors, every file says what it is. No behaviour is tested here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "varde"
FILES = sorted(SOURCE.rglob("*.py"))
FLOORS = {
    "settings": 0, "clock": 0, "db": 0, "embedded": 0, "migrations": 0, "workdays": 0, "fhir": 1,
    "trust": 2, "work": 2, "edges": 2, "web": 2, "services": 3, "app": 4, "asgi": 4, "cli": 4, "audit_cli": 4,
    "demo": 4, "journey_cli": 4, "load_cli": 4,
    "api": 4, "bulk": 4, "lanes": 4, "scopes": 4,
    "families": 4, "population": 4, "health": 4, "observe": 4, "serving": 4, "working": 4, "probing": 4,
    "smart": 4, "client_cli": 4, "subscribing": 4, "reindex_cli": 4, "indexing": 4,
}  # fmt: skip
ARROWS = {("edges", "work"), ("web", "trust")}
"""Imports allowed within floor 2, as docs/architecture.md draws them."""


def imported(path: Path) -> set[tuple[str, ...]]:
    """The parts below `varde` of every module of ours that the file imports."""
    package = ("varde", *path.relative_to(SOURCE).parent.parts)
    found: set[tuple[str, ...]] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {tuple(name.name.split(".")) for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = (*start, *(node.module.split(".") if node.module else ()))
            found |= {(*module, name.name) for name in node.names}
    return {parts[1:] for parts in found if parts[0] == "varde" and len(parts) > 1}


def may_import(own: tuple[str, ...], target: tuple[str, ...]) -> bool:
    """Whether the module `own` may import `target`; both are paths below `varde`."""
    room, other = own[0], target[0]
    if other not in FLOORS:
        return True
    if room == other:
        services = room == "services" and len(own) > 2 and len(target) > 1
        return not services or target[1] == own[1] or not (SOURCE / "services" / target[1]).is_dir()
    same_floor_allowed = FLOORS[room] in (0, 4) or (room, other) in ARROWS
    return FLOORS[other] < FLOORS[room] or (FLOORS[other] == FLOORS[room] and same_floor_allowed)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down_the_floors(path: Path) -> None:
    own = path.relative_to(SOURCE).with_suffix("").parts
    if own == ("__init__",):
        return
    wrong = [target for target in imported(path) if not may_import(own, target)]
    assert not wrong, f"{'/'.join(own)} imports upwards or sideways: {sorted('.'.join(parts) for parts in wrong)}"


def test_every_room_has_a_floor() -> None:
    rooms = {path.relative_to(SOURCE).with_suffix("").parts[0] for path in FILES} - {"__init__"}
    assert rooms <= FLOORS.keys()


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.stat().st_size], ids=lambda path: str(path.relative_to(SOURCE))
)
def test_every_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_the_floors_forbid_what_they_should() -> None:
    assert not may_import(("fhir", "store"), ("trust", "scope"))
    assert not may_import(("trust", "scope"), ("web", "shell"))
    assert not may_import(("services", "letters", "flow"), ("services", "appointments", "flow"))
    assert may_import(("web", "guards"), ("trust", "sessions"))
