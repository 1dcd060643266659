"""Reads the templates' files once, and refuses one that names what does not exist. Texts are `texts/*.toml`.

A text may name a value in braces: `{when}`. A block may have `when = "name"`, `"not name"` or `"field=choice"`:
it is left out unless that has something to say. A block with `use` stands for a passage of `passages.toml`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

from varde.services.letters.library.shapes import Field, Template, TemplateFault, Texts
from varde.web.languages import LANGUAGES

FOLDER = files("varde.services.letters.library") / "texts"
PASSAGES = "passages.toml"

VALUES = frozenset({
    "patient", "born", "unit", "trust", "hospital", "phone", "hours", "website", "when", "date", "time", "length",
    "place", "address", "room", "practitioner", "instruction", "previous", "referral_date", "deadline", "cancel_by",
    "fee", "missed_fee", "today", "map", "kind",
})  # fmt: skip
"""What every text may name; `composing.py` gives them."""
FLAGS = frozenset({"child", "for_parents", "in_person", "video", "telephone", "home", "coming"})
"""What only conditions may name."""
SHAPES = frozenset({"heading", "subheading", "paragraph", "facts", "bullets", "steps", "link", "action",
                    "paragraphs_of", "bullets_of", "use"})  # fmt: skip
FIELD_TYPES = frozenset({"text", "long", "date", "tel", "choice"})
_NAMED = re.compile(r"\{(\w+)\}")


@lru_cache(maxsize=1)
def templates() -> Sequence[Template]:
    """Every template in the order staff choose from. Raises TemplateFault for a wrong file."""
    shared = passages()
    found = []
    for file in FOLDER.iterdir():
        if file.name.endswith(".toml") and file.name != PASSAGES:
            found.append(_template(file.name, tomllib.loads(file.read_text(encoding="utf-8")), shared))
    return tuple(made for _, made in sorted(found, key=lambda pair: pair[0]))


def template(key: str) -> Template:
    """The template with this key. Raises KeyError."""
    for found in templates():
        if found.key == key:
            return found
    raise KeyError(key)


@lru_cache(maxsize=1)
def passages() -> Mapping[str, Any]:
    """`passages.toml`: blocks by name under `passages`, facts under `facts`, single texts under `texts`."""
    read: Mapping[str, Any] = tomllib.loads((FOLDER / PASSAGES).read_text(encoding="utf-8"))
    return read


def _template(name: str, read: Mapping[str, Any], shared: Mapping[str, Any]) -> tuple[tuple[int, str], Template]:
    fields = tuple(_field(name, _shared_field(name, entry, shared)) for entry in read.get("fields", ()))
    blocks = tuple(_expanded(name, read["blocks"], shared))
    known = VALUES | {field.name for field in fields}
    for block in blocks:
        _check_block(name, block, known, shared)
    made = Template(
        key=read["key"],
        version=read["version"],
        title=read["title"],
        kind=read["kind"],
        needs_appointment=read["needs_appointment"],
        fields=fields,
        needs=tuple(read.get("needs", ())),
        blocks=blocks,
        languages=_languages([read["title"], *_texts(blocks, shared)]),
    )
    if "nb" not in made.languages:
        raise TemplateFault(f"{name}: a text lacks Bokmål")
    return (read.get("order", 99), made.key), made


def _expanded(name: str, blocks: Sequence[Mapping[str, Any]], shared: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The blocks with each `use` replaced by its passage; a condition on `use` holds for all of it."""
    for block in blocks:
        if "use" not in block:
            yield block
            continue
        if block["use"] not in shared["passages"]:
            raise TemplateFault(f"{name}: no passage {block['use']}")
        for inner in shared["passages"][block["use"]]:
            conditions = [c for c in (block.get("when"), inner.get("when")) if c]
            yield {**inner, "when": " and ".join(conditions)} if conditions else inner


def _shared_field(name: str, entry: Mapping[str, Any], shared: Mapping[str, Any]) -> Mapping[str, Any]:
    """The entry itself, or the field of `passages.toml` that it uses, with what it sets otherwise."""
    if "use" not in entry:
        return entry
    if entry["use"] not in shared["fields"]:
        raise TemplateFault(f"{name}: no field {entry['use']}")
    return {**shared["fields"][entry["use"]], **entry}


def _field(name: str, entry: Mapping[str, Any]) -> Field:
    kind = entry.get("type", "text")
    if kind not in FIELD_TYPES:
        raise TemplateFault(f"{name}: field type {kind}")
    return Field(
        name=entry["name"],
        label=entry["label"],
        type=kind,
        required=entry.get("required", False),
        hint=entry.get("hint"),
        choices=tuple((choice["value"], choice["label"]) for choice in entry.get("choices", ())),
        rows=entry.get("rows", 5 if kind == "long" else None),
        longest=entry.get("longest", 2000 if kind == "long" else 200),
        prefill=entry.get("prefill", ""),
    )


def _check_block(name: str, block: Mapping[str, Any], known: frozenset[str], shared: Mapping[str, Any]) -> None:
    shape = shape_of(block)
    for condition in conditions_of(block):
        _check_condition(name, condition, known)
    for text in _texts([block], shared):
        for said in text.values():
            unknown = set(_NAMED.findall(said)) - known
            if unknown:
                raise TemplateFault(f"{name}: no value {', '.join(sorted(unknown))}")
    if shape.endswith("_of") and block[shape] not in known:
        raise TemplateFault(f"{name}: no value {block[shape]}")
    for fact in block.get("facts", ()):
        if fact not in shared["facts"]:
            raise TemplateFault(f"{name}: no fact {fact}")


def _check_condition(name: str, condition: str, known: frozenset[str]) -> None:
    wanted = condition.removeprefix("not ").partition("=")[0]
    if wanted not in known | FLAGS:
        raise TemplateFault(f"{name}: no condition {condition}")


def conditions_of(part: Mapping[str, Any]) -> Iterator[str]:
    """Each condition of a block, and of its items."""
    if part.get("when"):
        yield from part["when"].split(" and ")
    for shape in ("bullets", "steps"):
        for item in part.get(shape, ()):
            yield from conditions_of(item)


def shape_of(block: Mapping[str, Any]) -> str:
    """Which of SHAPES the block is. Raises TemplateFault unless exactly one."""
    shapes = sorted(SHAPES.intersection(block))
    if len(shapes) != 1:
        raise TemplateFault(f"a block of {sorted(block)}")
    return shapes[0]


def _texts(blocks: Sequence[Mapping[str, Any]], shared: Mapping[str, Any]) -> Iterator[Texts]:
    for block in blocks:
        for shape in ("heading", "subheading", "paragraph", "link", "action", "before"):
            if shape in block:
                yield block[shape]
        for shape in ("bullets", "steps"):
            for item in block.get(shape, ()):
                yield {language: item[language] for language in LANGUAGES if language in item}
        for fact in block.get("facts", ()):
            if fact in shared["facts"]:
                yield shared["facts"][fact]["label"]
                yield shared["facts"][fact].get("text", shared["facts"][fact]["label"])


def _languages(texts: Sequence[Texts]) -> frozenset[str]:
    return frozenset(language for language in LANGUAGES if all(language in text for text in texts))
