"""Searching without naming a field, as people do in Dashboards: a word, an address and a number find their rows."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.integration.context_agent import Agent
from tests.world import World

pytestmark = pytest.mark.integration

CONTEXTS = [
    {"message": "cURL error 28: timed out", "server": {"id": 4711}},
    {"peer": "198.51.100.23", "took": 12.5},
    {"peer": {"address": "198.51.100.23"}, "peers": ["203.0.113.9", 815]},
]
"""The last row meets `peer` as an object after a leaf: its values lie in the overflow."""


def test_a_word_an_address_and_a_number_find_their_rows_without_a_field(world: World) -> None:
    agent = Agent(world)
    ids = agent.take(map(json.dumps, CONTEXTS))
    detailed = agent.take([None], detail="quota of service 2373 lowered to 5 GB", ip_address="203.0.113.77")
    everything = {*ids, *detailed}

    for words, expected in {
        "timed": {ids[0]},
        '"timed out"': {ids[0]},
        "lowered": set(detailed),
        "a.b": everything,
        "impulsecore": everything,
        "198.51.100.23": {ids[1], ids[2]},
        "203.0.113.77": set(detailed),
        "203.0.113.9": {ids[2]},
        "4711": {ids[0]},
        "2373": set(detailed),
        "815": {ids[2]},
        "12.5": {ids[1]},
        "4711 AND error": {ids[0]},
        "nowhere": set(),
        "2026-11-23": set(),
        "99999999999999999999": set(),
        "true": set(),
    }.items():
        found = agent.ids({"query_string": {"query": words}})
        assert found == expected, words
        answer = world.request("GET", f"/{world.index}/_search?q={quote(words)}")
        assert answer["hits"]["total"]["value"] == len(expected), words
