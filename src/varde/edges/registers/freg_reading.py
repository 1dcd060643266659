"""Folkeregisteret's persons as NHN gives them out in FHIR, read into `RegisteredPerson`. Pure; `freg.py` fetches.

Source: HL7 Norge, Grunndata-profiles: gd-Person, gd-RelatedPerson and the extensions gd-parental, gd-family-relation,
gd-guardianship, gd-person-status, gd-deceased, gd-address-metadata, gd-fregmetadata (SPECS.md 3.8). A RelatedPerson
there is part of its `patient`'s entry: it goes from that person to the relative. Only what the register says is in
force now (`currentInfo`) is read. What cannot be read is an error: nothing of it is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from varde.edges.registers import (
    Extent,
    FormerNumber,
    GuardianKind,
    Guardianship,
    Kin,
    PersonStatus,
    PostalAddress,
    Protection,
    RegisteredPerson,
    RegisterUnavailable,
    Responsibility,
    Role,
)

NAME = "Folkeregisteret"
FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
DNR = "urn:oid:2.16.578.1.12.4.1.4.2"

_GD = "http://ehelse.no/fhir/StructureDefinition/"
_BASIS = "http://hl7.no/fhir/StructureDefinition/"
_CONFIDENTIALITY = ("gd-address-confidentiality", "gd-person-addressprotection")
_RESPONSIBILITY = ("no-basis-parental-responsibility",)
_GUARDIANS = ("gd-person-guardiantype",)
_MARKS = {"ø": "oe", "å": "aa", "æ": "ae"}
_LONE = frozenset({GuardianKind.LONE_ASYLUM_SEEKER, GuardianKind.LONE_REFUGEE})
_OSLO = ZoneInfo("Europe/Oslo")

Resource = Mapping[str, Any]


def numbers_of(resource: Resource) -> list[str]:
    """The national identity numbers of a Person or RelatedPerson, the one in use first."""
    found = [one for one in _list(resource, "identifier") if one.get("system") in {FNR, DNR} and one.get("value")]
    found.sort(key=lambda one: (_status(one) == "opphoert", one["system"] == DNR))
    return [str(one["value"]) for one in found]


def whose(related: Resource) -> str | None:
    """In whose entry a RelatedPerson stands, by number or else by the reference (Person/id)."""
    patient = related.get("patient") or {}
    number = (patient.get("identifier") or {}).get("value")
    if number:
        return str(number)
    reference = str(patient.get("reference") or "")
    return "/".join(reference.split("/")[-2:]) if reference else None


def unnested(resources: Iterable[Resource]) -> Iterator[Resource]:
    """The resources, and those that wrongly stand inside one of their own type, as the published example of a family
    has them."""
    for resource in resources:
        inner = resource.get("RelatedPerson")
        if resource.get("resourceType") == "RelatedPerson" and inner is not None:
            for one in inner if isinstance(inner, list) else [inner]:
                yield from unnested([{"resourceType": "RelatedPerson", **one}])
            if not resource.get("identifier"):
                continue
        yield {name: value for name, value in resource.items() if name != "RelatedPerson"}


def person_of(person: Resource, related: Iterable[Resource], wards: Iterable[str] = ()) -> RegisteredPerson:
    """A gd-Person with the gd-RelatedPersons of their entry. `wards`: those whose guardian they are, told by others'
    entries. Raises RegisterUnavailable for what cannot be read."""
    try:
        return _person(person, list(related), tuple(dict.fromkeys(wards)))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise RegisterUnavailable(NAME, "an entry is of another form") from error


def _person(person: Resource, related: list[Resource], wards: tuple[str, ...]) -> RegisteredPerson:
    numbers = numbers_of(person)
    protection = _protection(person)
    name, family = _name(person)
    residence, postal, municipality = None, None, None
    if not protection.hides_address:
        residence, postal, municipality = _addresses(person)
        if protection is Protection.NONE and any(
            _value(_extension(one, "gd-address-metadata"), "confidentiality") == "klientadresse"
            for one in _list(person, "address")
            if _current(one)
        ):
            protection = Protection.CLIENT
    status = _person_status(person)
    dead = _died(person)
    parents, children, responsibility = _parental(related)
    guardians = tuple(_guardianships(related))
    return RegisteredPerson(
        number=numbers[0],
        name=name,
        born=date.fromisoformat(person["birthDate"]),
        dead=dead,
        status=PersonStatus.DEAD if dead is not None else status,
        protection=protection,
        address=postal,
        parents=parents,
        children=children,
        municipality=municipality,
        family=family,
        residence=residence,
        responsibility=responsibility,
        former=tuple(_former(person, numbers)),
        guardians=guardians,
        wards=wards,
        kin=tuple(_kin(related)),
        placed=any(one.kind in _LONE for one in guardians) or _in_care(related),
    )


def _protection(person: Resource) -> Protection:
    """meta.security; the highest where there are several. Missing: no protection at all."""
    ranks = list(Protection)
    levels = [
        Protection(str(one["code"]))
        for one in _list(person.get("meta") or {}, "security")
        if any(word in str(one.get("system")) for word in _CONFIDENTIALITY) and _current(one)
    ]
    return max(levels, key=ranks.index, default=Protection.NONE)


def _name(person: Resource) -> tuple[str, str]:
    """(whole name, surname)."""
    names = [one for one in _list(person, "name") if _current(one)] or _list(person, "name")
    one = names[0]
    middle = [e["valueString"] for e in _list(one, "extension") if e.get("url") == f"{_BASIS}no-basis-middlename"]
    family = " ".join([*middle, str(one["family"])])
    return " ".join([*_list(one, "given"), family]).strip(), family


def _person_status(person: Resource) -> PersonStatus:
    for one in _extensions(person, "gd-person-status"):
        if _current(one):
            return PersonStatus(_ascii(str(_value(one, "fregPersonStatus"))))
    raise ValueError("no status")


def _died(person: Resource) -> date | None:
    for one in _extensions(person, "gd-deceased"):
        if _current(one) and (day := _value(one, "deceasedDate")):
            return date.fromisoformat(str(day)[:10])
    return None


def _addresses(person: Resource) -> tuple[str | None, PostalAddress | None, str | None]:
    """(dwelling, where mail reaches, municipality number). Mail goes where the person prefers, else where they may be
    reached, else home."""
    current = [one for one in _list(person, "address") if _current(one)]
    by_kind: dict[str, Resource] = {}
    for one in current:
        metadata = _extension(one, "gd-address-metadata")
        if str(_value(metadata, "fregAddressContentType")) in {"UkjentBosted", "AdressenErUkjent"}:
            continue
        by_kind.setdefault(str(_value(metadata, "fregAddressType")), one)
    home = by_kind.get("Bostedsadresse")
    mail = next(
        (by_kind[kind] for kind in ("PreferertKontaktadresse", "Kontaktadresse", "Bostedsadresse", "Oppholdsadresse",
                                    "KontaktadresseIUtlandet") if kind in by_kind),
        None,
    )  # fmt: skip
    return _dwelling(home), _postal(mail), _municipality(home)


def _dwelling(home: Resource | None) -> str | None:
    """The address with the number of the dwelling in the building: two flats of one block are two homes."""
    if home is None:
        return None
    metadata = _extension(home, "gd-address-metadata")
    unit = _value(_extension(home, "gd-separately-occupied-unit"), "separatelyOccupiedUnitNumber")
    cadastral = _value(metadata, "cadastralIdentifier")
    place = cadastral or "|".join([*_lines(home), str(home.get("postalCode") or ""), str(home.get("city") or "")])
    return f"{place}|{unit or ''}".casefold()


def _postal(address: Resource | None) -> PostalAddress | None:
    if address is None:
        return None
    lines = _lines(address)
    code, city = str(address.get("postalCode") or ""), str(address.get("city") or "")
    if not code and lines:
        # In free form the last line holds the postal code and the place.
        code, _, city = lines.pop().partition(" ")
    country = str(address.get("country") or "NO")
    return PostalAddress(tuple(lines), code, city, country) if lines or city else None


def _lines(address: Resource) -> list[str]:
    """The lines as they are written; a street's number may stand in an extension of the line alone."""
    extras = _list(address, "_line")
    made = []
    for place, text in enumerate(_list(address, "line")):
        extra = extras[place] if place < len(extras) else None
        number = next(
            (str(e["valueString"]) for e in _list(extra or {}, "extension")
             if str(e.get("url")).endswith("ADXP-houseNumberNumeric")),
            "",
        )  # fmt: skip
        made.append(f"{text} {number}".strip() if number and number not in str(text).split() else str(text))
    return made


def _municipality(home: Resource | None) -> str | None:
    for one in _list(home or {}, "extension"):
        if one.get("url") == f"{_BASIS}no-basis-propertyinformation":
            coding = _value(one, "municipality")
            return str(coding["code"]) if coding else None
    return None


def _former(person: Resource, numbers: list[str]) -> Iterator[FormerNumber]:
    by_number = {str(one.get("value")): one for one in _list(person, "identifier")}
    for number in numbers[1:]:
        ended = _moment(_value(_extension(by_number[number], "gd-fregmetadata"), "validTo"))
        yield FormerNumber(number, ended if _status(by_number[number]) == "opphoert" else None)


def _status(identifier: Resource) -> str:
    found = next((e.get("valueCode") for e in _extensions(identifier, "gd-person-identifier-status")), "iBruk")
    return _ascii(str(found))


def _parental(related: list[Resource]) -> tuple[tuple[str, ...], tuple[str, ...], Responsibility | None]:
    """(parents, children, how the responsibility is held): gd-parental names who is responsible, or for whom."""
    parents: list[str] = []
    children: list[str] = []
    held: Responsibility | None = None
    for relative, relationship, extension in _relations(related, "gd-parental"):
        child = _value(extension, "subjectOfResponsibility")
        if child:
            children.append(str(child))
            continue
        responsible = _value(extension, "responsibleParty") or (relative[0] if relative else None)
        if responsible:
            parents.append(str(responsible))
        code = _coded(relationship, _RESPONSIBILITY)
        held = held or (Responsibility(code) if code else None)
    return tuple(dict.fromkeys(parents)), tuple(dict.fromkeys(children)), held


def _in_care(related: list[Resource]) -> bool:
    """Whether an authority holds the responsibility for the child in the parents' place (FAM-20)."""
    return any(_value(one, "responsibleOrganization") for _, _, one in _relations(related, "gd-parental"))


def _kin(related: list[Resource]) -> Iterator[Kin]:
    for relative, relationship, extension in _relations(related, "gd-family-relation"):
        role = _value(extension, "roleOfRelatedPersonInstance") or _coded(relationship, ("no-basis-family-relation",))
        if relative and role:
            yield Kin(relative[0], Role(str(role)))


def _guardianships(related: list[Resource]) -> Iterator[Guardianship]:
    for relative, relationship, extension in _relations(related, "gd-guardianship"):
        scope = _value(extension, "scope")
        if not relative or scope is None:
            continue
        extent = Extent(str(scope["code"]))
        if extent.personal and _value(extension, "personalScope") is False:
            extent = Extent.ECONOMIC
        metadata = _extension(extension, "gd-fregmetadata")
        yield Guardianship(
            relative[0],
            GuardianKind(str(_coded(relationship, _GUARDIANS))),
            extent,
            starts=_moment(_value(metadata, "validFrom")),
            ends=_moment(_value(metadata, "validTo")),
        )


def is_guardian(related: Resource) -> bool:
    """Whether a RelatedPerson is a guardian in force."""
    return any(True for _ in _relations([related], "gd-guardianship"))


def _relations(related: list[Resource], name: str) -> Iterator[tuple[list[str], Resource, Resource]]:
    """(numbers of the relative, relationship, its extension) of each relationship in force that has this extension."""
    for one in related:
        for relationship in _list(one, "relationship"):
            for extension in _extensions(relationship, name):
                if _current(extension):
                    yield numbers_of(one), relationship, extension


def _coded(concept: Resource, systems: tuple[str, ...]) -> str | None:
    for one in _list(concept, "coding"):
        if any(word in str(one.get("system")) for word in systems):
            return str(one["code"])
    return None


def _current(element: Resource) -> bool:
    return _value(_extension(element, "gd-fregmetadata"), "currentInfo") is not False


def _extensions(element: Resource | None, name: str) -> list[Resource]:
    """Extensions by the name at the end of their url; fregmetadata is named both by url and by slice."""
    wanted = {f"{_GD}{name}"} | ({"fregMetadata"} if name == "gd-fregmetadata" else set())
    return [one for one in _list(element or {}, "extension") if one.get("url") in wanted]


def _extension(element: Resource | None, name: str) -> Resource | None:
    return next(iter(_extensions(element, name)), None)


def _value(extension: Resource | None, part: str) -> Any:
    """The value of a part of a complex extension, whatever its type."""
    for one in _list(extension or {}, "extension"):
        if one.get("url") == part:
            return next((value for name, value in one.items() if name.startswith("value")), None)
    return None


def _moment(text: Any) -> date | None:
    """The day in Norway of a moment or a date."""
    if not text:
        return None
    if len(str(text)) == len("2020-01-01"):
        return date.fromisoformat(str(text))
    return datetime.fromisoformat(str(text)).astimezone(_OSLO).date()


def _ascii(word: str) -> str:
    """The register's own words are without ø and å, as FHIR's code systems are not."""
    return "".join(_MARKS.get(letter, letter) for letter in word)


def _list(element: Resource, name: str) -> list[Any]:
    found = element.get(name)
    return found if isinstance(found, list) else []
