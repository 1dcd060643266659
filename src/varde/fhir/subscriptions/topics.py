"""The topics that can be subscribed to: those of `topics.toml`, and one for each resource type. As objects, and as
R4 carries a SubscriptionTopic: a Basic with R5's elements as extensions. Pure.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from varde.fhir.definitions import is_type, resource_types, search_parameters
from varde.fhir.subscriptions.model import PROFILE, TOPIC_CANONICAL

CANONICAL = "https://varde.no/fhir/SubscriptionTopic/"
_FILE = Path(__file__).with_name("topics.toml")
_R5 = "http://hl7.org/fhir/5.0/StructureDefinition/extension-SubscriptionTopic."
_TYPES = "http://hl7.org/fhir/StructureDefinition/"
EVERY = ("create", "update", "delete")


@dataclass(frozen=True, slots=True)
class Trigger:
    """What happens to which type. `previous` and `current` are criteria on the versions before and after."""

    resource: str
    on: tuple[str, ...]
    previous: str | None = None
    current: str | None = None


@dataclass(frozen=True, slots=True)
class Topic:
    """Something that can be subscribed to."""

    name: str
    title: str
    description: str
    triggers: tuple[Trigger, ...]
    filters: Mapping[str, tuple[str, ...]]
    """By type the search parameters that may narrow it."""

    @property
    def url(self) -> str:
        """Its canonical url."""
        return CANONICAL + self.name


@cache
def named_topics() -> tuple[Topic, ...]:
    """The topics of the file."""
    read = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(
        Topic(
            one["name"], one["title"], one["description"],
            tuple(
                Trigger(t["resource"], tuple(t["on"]), t.get("previous"), t.get("current")) for t in one["trigger"]
            ),
            {kind: tuple(codes) for kind, codes in one["filters"].items()},
        )
        for one in read["topic"]
    )  # fmt: skip


@cache
def topic_of_type(resource_type: str) -> Topic:
    """The topic of everything that happens to a type."""
    codes = tuple(code for code, p in search_parameters(resource_type).items() if p.kind != "special")
    return Topic(
        resource_type, f"Any change of a {resource_type}", f"A {resource_type} is created, changed or deleted.",
        (Trigger(resource_type, EVERY),), {resource_type: codes},
    )  # fmt: skip


def find(url: str) -> Topic | None:
    """The topic with a canonical url, with or without a version."""
    name = url.split("|")[0].removeprefix(CANONICAL)
    if not url.startswith(CANONICAL):
        return None
    return topic_of_type(name) if is_type(name) else next((t for t in named_topics() if t.name == name), None)


def every_topic() -> list[Topic]:
    """All of them, the named ones first."""
    return [*named_topics(), *(topic_of_type(name) for name in resource_types())]


def declared_topics() -> dict[str, Any]:
    """Members of the CapabilityStatement's resource Subscription: the topics and the profile of the backport."""
    return {
        "extension": [{"url": TOPIC_CANONICAL, "valueUri": topic.url} for topic in every_topic()],
        "supportedProfile": [PROFILE],
        "updateCreate": False,  # an id that is free would tell of others' subscriptions
    }


def as_basic(topic: Topic) -> dict[str, Any]:
    """The topic as a Basic of R4."""

    def said(name: str, member: str, value: Any) -> dict[str, Any]:
        return {"url": f"{_R5}{name}", member: value}

    return {
        "resourceType": "Basic",
        "id": f"topic-{topic.name}",
        "extension": [
            said("url", "valueUri", topic.url),
            said("title", "valueString", topic.title),
            said("description", "valueMarkdown", topic.description),
            *({"url": f"{_R5}resourceTrigger", "extension": _trigger(one)} for one in topic.triggers),
            *(
                {
                    "url": f"{_R5}canFilterBy",
                    "extension": [
                        {"url": "resource", "valueUri": f"{_TYPES}{kind}"},
                        {"url": "filterParameter", "valueString": code},
                    ],
                }
                for kind, codes in topic.filters.items()
                for code in codes
            ),
        ],
        "modifierExtension": [said("status", "valueCode", "active")],
        "code": {"coding": [{"system": "http://hl7.org/fhir/fhir-types", "code": "SubscriptionTopic"}]},
    }


def _trigger(trigger: Trigger) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [
        {"url": "resource", "valueUri": f"{_TYPES}{trigger.resource}"},
        *({"url": "supportedInteraction", "valueCode": one} for one in trigger.on),
    ]
    if trigger.previous or trigger.current:
        query: list[dict[str, Any]] = []
        if trigger.previous:
            query += [
                {"url": "previous", "valueString": trigger.previous},
                {"url": "resultForCreate", "valueCode": "test-passes"},
            ]
        if trigger.current:
            query += [
                {"url": "current", "valueString": trigger.current},
                {"url": "resultForDelete", "valueCode": "test-fails"},
            ]
        query.append({"url": "requireBoth", "valueBoolean": True})
        parts.append({"url": "queryCriteria", "extension": query})
    return parts
