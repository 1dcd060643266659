"""FHIRPath Patch (R4 fhirpatch.html): what its operations do at the places that their paths name. Pure.

Raises BadRequest for what is no such patch, Unprocessable when it does not fit the resource.
"""

from __future__ import annotations

from typing import Any

from varde.fhir.errors import BadRequest, FhirError, Unprocessable
from varde.fhir.patching.patch_path import Place, locate
from varde.fhir.validate import member

_MAXIMUM_OPERATIONS = 1000
_MAXIMUM_DEPTH = 20
_KINDS = ("add", "insert", "delete", "replace", "move")
Parts = dict[str, dict[str, Any]]


def apply_parameters(root: dict[str, Any], operations: Any) -> None:
    """Carry out the operations of a Parameters resource on `root`, in place. None at all is a patch, too."""
    operations = [] if operations is None else operations
    if not isinstance(operations, list) or len(operations) > _MAXIMUM_OPERATIONS:
        raise BadRequest.of(f"a FHIRPath Patch has at most {_MAXIMUM_OPERATIONS} parameters 'operation'")
    for operation in operations:
        parts = operation.get("part") if isinstance(operation, dict) else None
        if not isinstance(parts, list) or operation.get("name") != "operation":
            raise BadRequest.of("a FHIRPath Patch has parameters 'operation', each with parts")
        named: Parts = {}
        for part in parts:
            if not isinstance(part, dict) or not isinstance(part.get("name"), str):
                raise BadRequest.of("the parts of an operation have names")
            named[part["name"]] = part
        _operation(root, named)


def _operation(root: dict[str, Any], parts: Parts) -> None:
    kind = _text(parts, "type")
    if kind not in _KINDS:
        raise BadRequest.of("a patch operation is " + ", ".join(_KINDS))
    places = locate(root, _text(parts, "path"))
    if kind in {"insert", "move"}:
        _in_list(kind, _one(places), parts)
        return
    items = [item for place in places for item in place.items()]
    if kind == "delete":
        if items:
            _delete(_one(items))
    elif kind == "replace":
        _replace(_one(items), parts.get("value"))
    else:
        _add(_one(items), _text(parts, "name"), parts.get("value"))


def _one(places: list[Place]) -> Place:
    if not places:
        raise Unprocessable.of("the path of a patch operation names nothing that is there")
    if len(places) > 1:
        raise Unprocessable.of("the path of a patch operation must name exactly one element")
    return places[0]


def _in_list(kind: str, place: Place, parts: Parts) -> None:
    items = place.value
    if not isinstance(items, list) or not place.trail:
        raise Unprocessable.of(f"'{kind}' is for elements that repeat")
    holder, name = place.trail[-1]
    beside = holder.get(f"_{name}") if isinstance(holder, dict) else None
    lists = [items] + ([beside] if isinstance(beside, list) else [])
    if kind == "insert":
        at = _number(parts, "index")
        if at > len(items):
            raise Unprocessable.of("the index is beyond the end of the list")
        items.insert(at, _made(parts.get("value"), place.datatype)[0])
        if len(lists) > 1:
            lists[1].insert(at, None)
        return
    source, destination = _number(parts, "source"), _number(parts, "destination")
    if source >= len(items) or destination >= len(items):
        raise Unprocessable.of("the index is beyond the end of the list")
    for one in lists:
        if source < len(one):
            one.insert(destination, one.pop(source))


def _delete(place: Place) -> None:
    if not place.trail:
        raise Unprocessable.of("the whole resource cannot be removed by a patch")
    holder, key = place.trail[-1]
    if not isinstance(place.value, (dict, list)):
        _forget_beside(place)
    del holder[key]
    _prune(place.trail[:-1])


def _forget_beside(place: Place) -> None:
    """Take away what stands beside a primitive that is about to be deleted."""
    holder, key = place.trail[-1]
    if isinstance(holder, dict):
        holder.pop(f"_{key}", None)
        return
    outer, name = place.trail[-2]
    listed = outer.get(f"_{name}")
    if isinstance(listed, list) and key < len(listed):
        del listed[key]
        if not any(listed):
            del outer[f"_{name}"]


def _prune(trail: tuple[tuple[Any, Any], ...]) -> None:
    """Take away what is empty now: FHIR knows no empty objects and arrays."""
    for holder, key in reversed(trail):
        if holder[key]:
            return
        del holder[key]


def _replace(place: Place, value: dict[str, Any] | None) -> None:
    if not place.trail:
        raise Unprocessable.of("the whole resource cannot be replaced by a patch")
    holder, key = place.trail[-1]
    made, kind = _made(value, place.datatype)
    if isinstance(holder, dict) and kind is not None and place.datatype is not None:
        written = _other_choice(place, str(key), kind)
        if written != key:
            holder.pop(f"_{key}", None)
            _put_in_place(holder, str(key), written, made)
            return
    holder[key] = made


def _other_choice(place: Place, key: str, kind: str) -> str:
    """The member that bears a choice's new type: valueQuantity becomes valueString. `key` where it is no choice."""
    datatype = str(place.datatype)
    suffix = datatype[:1].upper() + datatype[1:]
    parent = Place(place.trail[:-1], None, place.root)
    if not key.endswith(suffix) or kind == suffix:
        return key
    holder = _datatype(parent)
    written = key.removesuffix(suffix) + kind
    return written if holder and member(holder, written) is not None else key


def _datatype(place: Place) -> str | None:
    """The datatype of what is at a place, found anew from the resource's own."""
    datatype: str | None = str(place.root.get("resourceType"))
    for _, key in place.trail:
        if isinstance(key, str) and datatype is not None:
            described = member(datatype, key)
            datatype = described[0] if described else None
    return datatype


def _put_in_place(holder: dict[str, Any], old: str, new: str, value: Any) -> None:
    """Put `new` where `old` stood, so that the order of the members stays."""
    kept = [(new, value) if name == old else (name, inner) for name, inner in holder.items()]
    holder.clear()
    holder.update(kept)


def _add(place: Place, name: str, value: dict[str, Any] | None) -> None:
    target, datatype = place.value, place.datatype
    if not isinstance(target, dict):
        if name not in {"extension", "id"} or not place.trail or isinstance(target, list):
            raise Unprocessable.of("a member can only be added to an object")
        target, datatype = _made_beside(place), "Element"
    kind = _suffix(value)
    written = name
    if datatype is not None and member(datatype, name) is None and kind is not None:
        written = f"{name}{kind}"
        if member(datatype, written) is None:
            raise Unprocessable.of("the element has no such member")
        if any(other != written and member(datatype, other) and _same_choice(name, other) for other in target):
            raise Unprocessable.of("the element is there already with another type; replace it")
    described = member(datatype, written) if datatype else None
    made, _ = _made(value, described[0] if described else None)
    if isinstance(target.get(written), list):
        target[written].append(made)
    elif written in target:
        raise Unprocessable.of("the element is there already and does not repeat; replace it")
    else:
        target[written] = [made] if described is not None and described[1] else made


def _same_choice(stem: str, written: str) -> bool:
    return written.startswith(stem) and written[len(stem) : len(stem) + 1].isupper()


def _made_beside(place: Place) -> dict[str, Any]:
    """The object beside a primitive that holds its extensions, made where it is missing."""
    holder, key = place.trail[-1]
    if isinstance(holder, dict):
        made: dict[str, Any] = holder.setdefault(f"_{key}", {})
        return made
    outer, name = place.trail[-2]
    listed = outer.setdefault(f"_{name}", [])
    listed += [None] * (len(holder) - len(listed))
    if listed[key] is None:
        listed[key] = {}
    inside: dict[str, Any] = listed[key]
    return inside


def _suffix(part: dict[str, Any] | None) -> str | None:
    """The type that a part's value is written with: Quantity of valueQuantity."""
    for name in part or ():
        if name.startswith("value") and len(name) > len("value"):
            return name[len("value") :]
    return None


def _made(part: dict[str, Any] | None, datatype: str | None, depth: int = 0) -> tuple[Any, str | None]:
    """(element, its type as written) of a part: its value[x], or what its own parts make (of a type without a
    name, such as Patient.contact, which stands in no value[x])."""
    if part is None or depth > _MAXIMUM_DEPTH:
        raise BadRequest.of("the operation needs a value")
    if any(name.startswith("_value") for name in part):
        raise BadRequest.of("a primitive with extensions is put there in two operations", code="not-supported")
    kind = _suffix(part)
    if kind is not None:
        return part[f"value{kind}"], kind
    if isinstance(part.get("resource"), dict):
        return part["resource"], None
    inner = part.get("part")
    if not isinstance(inner, list) or not inner:
        raise BadRequest.of("the operation needs a value")
    made: dict[str, Any] = {}
    for one in inner:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise BadRequest.of("the parts of a value have names")
        name = one["name"]
        written = name
        if datatype is not None and member(datatype, name) is None and (suffix := _suffix(one)) is not None:
            written = f"{name}{suffix}"
        described = member(datatype, written) if datatype else None
        value, _ = _made(one, described[0] if described else None, depth + 1)
        if (described is not None and described[1]) or written in made:
            _append(made, written, value)
        else:
            made[written] = value
    return made, None


def _append(made: dict[str, Any], name: str, value: Any) -> None:
    there = made.setdefault(name, [])
    if not isinstance(there, list):
        made[name] = there = [there]
    there.append(value)


def _number(parts: Parts, name: str) -> int:
    found = _plain(parts, name)
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise BadRequest.of(f"'{name}' is a whole number, 0 or more")
    return found


def _text(parts: Parts, name: str) -> str:
    found = _plain(parts, name)
    if not isinstance(found, str):
        raise BadRequest.of(f"'{name}' is a text")
    return found


def _plain(parts: Parts, name: str) -> Any:
    part = parts.get(name)
    kind = _suffix(part)
    if part is None or kind is None:
        raise _needed(name)
    return part[f"value{kind}"]


def _needed(name: str) -> FhirError:
    return BadRequest.of(f"the operation needs '{name}'")
