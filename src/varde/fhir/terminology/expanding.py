"""Listing the parts of a value set: counting, paging and finding by words, without ever holding all of a big one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from varde.fhir.definitions import canonical_system
from varde.fhir.errors import Unprocessable
from varde.fhir.terminology.composing import Part, among, own_concept, same, unknown
from varde.fhir.terminology.concepts import Concept, named_by, speaks_of, words
from varde.fhir.terminology.resolving import Resolver
from varde.fhir.terminology.selection import Group, Selection
from varde.fhir.terminology.texts import merged

MAXIMUM = 10_000
"""Concepts of one answer, and of a part that must be looked through one by one."""


@dataclass(frozen=True, slots=True)
class Item:
    """One concept of an expansion."""

    system: str
    version: str | None
    concept: Concept
    language: str | None
    """Of the code system's own displays."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of an expansion."""

    items: list[Item]
    total: int


@dataclass(slots=True)
class Expander:
    """Lists parts for one request."""

    resolver: Resolver
    text: str = ""
    active_only: bool = False
    selectable_only: bool = False
    maximum: int = MAXIMUM
    _words: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self._words = tuple(dict.fromkeys(words(self.text)))

    async def page(self, parts: Sequence[Part], count: int | None, offset: int = 0) -> Listing:
        """The items from `offset`, at most `count` (None: all). Raises Unprocessable."""
        if self.text.strip() and not self._words:
            return Listing([], 0)
        total, wanted = 0, count if count is not None else self.maximum + 1
        items: list[Item] = []
        for source in self._sources(parts):
            size = await source.size()
            total += size
            skip = max(0, offset - (total - size))
            room = wanted - len(items)
            if skip < size and room > 0 and not (count is None and total > self.maximum):
                items += await source.items(room, skip)
        if count is None and total - offset > self.maximum:
            raise Unprocessable.of(
                f"the value set has more than {self.maximum} concepts; ask for pages of it with count and offset, or"
                " look for some with filter", code="too-costly",
            )  # fmt: skip
        return Listing(items, total)

    def _sources(self, parts: Sequence[Part]) -> list[_Source]:
        """The parts such that no concept comes twice."""
        made: list[_Source] = []
        for place, part in enumerate(parts):
            earlier = [one for one in parts[:place] if same(one.system, part.system)]
            listed = part.listed is not None or not part.plain
            before: list[Group] = []
            for one in earlier:
                if one.simple:
                    before.append(one.group)
                else:
                    listed = True
            if listed:
                made.append(_Looked(self, part, tuple(earlier)))
            else:
                made.append(_Selected(self, part, tuple(before)))
        return made

    def selection(self, part: Part, before: Sequence[Group] = (), *, also: Sequence[str] = ()) -> Selection:
        """The part as its code system carries it out."""
        return Selection(
            part.group, (*part.left_out, *before), self._words, tuple(also), self.active_only or part.active_only,
            self.selectable_only,
        )  # fmt: skip

    def finds(self, concept: Concept) -> bool:
        """Whether the words that are looked for find it, and it is not one that is not wanted."""
        if (self.active_only and concept.inactive) or (self.selectable_only and concept.abstract):
            return False
        return not self._words or speaks_of(self._words, named_by(concept))

    async def in_supplements(self, system: str) -> list[str]:
        """Codes that the words find in what supplements say."""
        if not self._words:
            return []
        found: list[str] = []
        for one in await self.resolver.supplements(system):
            found += [c.code for c in await one.select(Selection(words=self._words), self.maximum)]
        return found

    async def enriched(self, system: str, concepts: Sequence[Concept]) -> list[Concept]:
        """The concepts with what supplements add."""
        supplements = await self.resolver.supplements(system)
        if not supplements or not concepts:
            return list(concepts)
        added = [await one.find([concept.code for concept in concepts]) for one in supplements]
        return [merged(concept, [more[concept.code] for more in added if concept.code in more]) for concept in concepts]


class _Source:
    """A part that gives its items by number."""

    def __init__(self, expander: Expander, part: Part) -> None:
        self.expander = expander
        self.part = part

    async def size(self) -> int:
        """How many items there are."""
        raise NotImplementedError

    async def items(self, count: int, offset: int) -> list[Item]:
        """At most `count` of them from `offset`."""
        raise NotImplementedError

    def item(self, concept: Concept) -> Item:
        """A concept as an item."""
        language = self.part.codes.header.language if self.part.codes is not None else None
        return Item(self.part.system, self.part.version, concept, language)


class _Selected(_Source):
    """A part that its code system counts and pages."""

    def __init__(self, expander: Expander, part: Part, before: tuple[Group, ...]) -> None:
        super().__init__(expander, part)
        self._before = before
        self._selection: Selection | None = None

    async def _asked(self) -> Selection:
        if self.part.codes is None or not self.part.codes.enumerable:
            if self.part.codes is not None and self.part.codes.header.content != "not-present":
                raise Unprocessable.of(f"the codes of {self.part.system} have no end", code="too-costly")
            raise unknown(self.part.system)
        if self._selection is None:
            also = await self.expander.in_supplements(self.part.system)
            self._selection = self.expander.selection(self.part, self._before, also=also)
        return self._selection

    async def size(self) -> int:
        asked = await self._asked()
        assert self.part.codes is not None
        return await self.part.codes.count(asked)

    async def items(self, count: int, offset: int) -> list[Item]:
        asked = await self._asked()
        assert self.part.codes is not None
        found = await self.part.codes.select(asked, count, offset)
        return [self.item(concept) for concept in await self.expander.enriched(self.part.system, found)]


class _Looked(_Source):
    """A part whose concepts are looked through one by one: those it lists, or those that its code system selects."""

    def __init__(self, expander: Expander, part: Part, earlier: tuple[Part, ...]) -> None:
        super().__init__(expander, part)
        self._earlier = earlier
        self._found: list[Item] | None = None

    async def size(self) -> int:
        return len(await self._all())

    async def items(self, count: int, offset: int) -> list[Item]:
        return (await self._all())[offset : offset + count]

    async def _all(self) -> list[Item]:
        if self._found is None:
            self._found = await self._look()
        return self._found

    async def _look(self) -> list[Item]:
        part, expander = self.part, self.expander
        if part.listed is not None:
            codes = list(part.listed)
            if len(codes) > 20 * expander.maximum:
                raise Unprocessable.of("the value set lists too many concepts", code="too-costly")
        else:
            codes = await self._candidates()
        kept = await among(part, codes)
        for one in self._earlier:
            gone = set(await among(one, kept))
            kept = [code for code in kept if code not in gone]
        found = await part.codes.find(kept) if part.codes is not None else {}
        concepts = await expander.enriched(part.system, [own_concept(part, code, found) for code in kept])
        return [self.item(concept) for concept in concepts if expander.finds(concept)]

    async def _candidates(self) -> list[str]:
        """Codes of the part before it is looked through; of those that it must be within, where they are listed."""
        part, expander = self.part, self.expander
        for alternatives in part.within:
            if all(one.listed is not None for one in alternatives):
                return list(dict.fromkeys(
                    code for one in alternatives if same(one.system, part.system) for code in one.listed or ()
                ))  # fmt: skip
        if part.codes is None or not part.codes.enumerable:
            raise unknown(part.system)
        also = await expander.in_supplements(part.system)
        found = await part.codes.select(expander.selection(part, also=also), expander.maximum + 1)
        if len(found) > expander.maximum:
            raise Unprocessable.of(
                f"the part of {canonical_system(part.system)} has too many concepts to look through", code="too-costly"
            )
        return [concept.code for concept in found]
