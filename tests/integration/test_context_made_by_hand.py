"""Mappings a person made by hand in a partition: its values stay searchable, and nothing else there suffers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.context_agent import NOVEMBER, Agent
from tests.world import World

pytestmark = pytest.mark.integration

KEYWORD = {"type": "keyword", "ignore_above": 1024}
BY_HAND: dict[str, dict[str, Any]] = {
    "alias": {"type": "alias", "path": "action"},
    "nested": {"type": "nested", "properties": {"b": KEYWORD}},
    "flat": {"type": "flat_object"},
    "closed": {"type": "object", "enabled": False},
    "strict_object": {"dynamic": "strict", "properties": {"b": KEYWORD}},
    "place": {"type": "geo_point"},
    "yes": {"type": "boolean"},
    "whole": {"type": "integer"},
    "address": {"type": "ip"},
    "day": {"type": "date"},
    "unindexed": {**KEYWORD, "index": False},
    "lean": {**KEYWORD, "doc_values": False},
    "longer": {"type": "keyword", "ignore_above": 8191},
    "words": {"type": "text"},
    "other_subfields": {**KEYWORD, "fields": {"text": {"type": "keyword"}, "number": {"type": "long"}}},
    "own_subfield": {**KEYWORD, "fields": {"raw": {"type": "keyword"}}},
}
VALUES: list[Any] = ["word", "42", 17, 2.5, True, ["x", 3], {"b": "below"}, {"b": {"c": 1}}, [{"b": "one"}, "two"]]


def test_a_mapping_made_by_hand_costs_no_row_and_leaves_the_partition_open(world: World) -> None:
    agent = Agent(world)
    agent.take(['{"first": 1}'])
    path = f"/{agent.app.names.alias(NOVEMBER)}/_mapping"
    for name, mapping in BY_HAND.items():
        world.request("PUT", path, {"properties": {"context": {"properties": {name: mapping}}}})

    for step, running in enumerate((agent, agent.again())):
        running.frontier, running._last_id = agent.frontier, agent._last_id
        texts = [
            json.dumps({name: value, f"new{step}_{place}": f"beside{place}"})
            for place, value in enumerate(VALUES)
            for name in BY_HAND
        ]
        ids = running.take(texts)
        asked = []
        for row_id, text in zip(ids, texts, strict=True):
            [(key, word)] = [pair for pair in json.loads(text).items() if pair[0].startswith("new")]
            asked.append([(row_id, {"term": {f"{root}.{key}": word}}) for root in ("context", "context_overflow")])
        assert [any(running.finds(ways)) for ways in asked] == [True] * len(asked)
        agent.frontier, agent._last_id = running.frontier, running._last_id
        # The ladder moves a context whole, so of each kind only some rows hold the new path mapped.
        assert {f"new{step}_{place}" for place in range(len(VALUES))} <= agent.leaves()
    assert agent.app.dead_letters.count() == 0
    for name in BY_HAND:
        paths = [root + name + below for root in ("context.", "context_overflow.") for below in ("", ".b")]
        for word in ("word", "below"):
            query = {"multi_match": {"query": word, "fields": [*paths, "context_text"], "lenient": True}}
            own = {"exists": {"field": "id"}}
            assert agent.ids({"bool": {"filter": [query, own]}}), (name, word)
