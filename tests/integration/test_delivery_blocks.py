"""A real node that will not take documents: named in `status`, put on no row, and over by itself once it is lifted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from agent.shipping.refusals import TRIES_BEFORE_SUSPICION
from tests.integration.delivery import RunningAgent
from tests.world import Database, World

pytestmark = pytest.mark.integration
MakeWorld = Callable[..., World]


class Node:
    """The real node as an administrator handles it."""

    def __init__(self, agent: RunningAgent) -> None:
        self.agent = agent
        self.world = agent.world
        self.index = f"{agent.world.index}-2026.11-000001"
        self.alias = f"{agent.world.index}-2026.11"

    def settings(self, **changes: Any) -> None:
        self.world.request("PUT", f"/{self.index}/_settings", changes)

    def of_the_cluster(self, **changes: Any) -> None:
        self.world.request("PUT", "/_cluster/settings", {"persistent": changes})

    def move_alias(self, here: str, there: str) -> None:
        moves = [{"remove": {"index": here, "alias": self.alias}}, {"add": {"index": there, "alias": self.alias}}]
        self.world.request("POST", "/_aliases", {"actions": moves})

    def retries(self) -> int:
        """Return how often it had to try again so far."""
        told = self.agent.probed("metrics")[1].splitlines()
        return sum(int(float(line.split()[-1])) for line in told if line.startswith("audit_agent_bulk_retries_total"))

    def mapping(self, index: str) -> dict[str, Any]:
        found = self.world.request("GET", f"/{index}/_mapping")
        return dict(found[index]["mappings"])


@pytest.fixture(scope="module")
def node(mariadb: str, opensearch: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    database = Database(mariadb)
    database.create_table()
    world = World(folder=tmp_path_factory.mktemp("blocks"), database=database, opensearch_url=opensearch)
    with RunningAgent(world) as agent:
        agent.delivers(agent.insert(20))
        yield Node(agent)
    world.remove()
    database.drop()


@contextmanager
def named(node: Node, word: str, *, tries: int = 1) -> Iterator[None]:
    """Insert rows; expect the word in the state; when the block ends, expect the rows to arrive."""
    agent = node.agent
    before = node.retries()
    ids = agent.insert(20)
    agent.is_degraded_for(word)
    shown = node.world.run("status", "--json").json
    assert shown["state"] == "degraded"
    assert word in shown["reason"]
    assert agent.missing(ids) == set(ids)
    agent.wait(lambda: node.retries() >= before + tries, 60, "it tries again and again")
    assert agent.dead_letters() == []
    yield
    agent.delivers(ids)
    agent.is_well()
    assert agent.dead_letters() == []


@pytest.mark.parametrize(
    "block", ["index.blocks.read_only", "index.blocks.write", "index.blocks.read_only_allow_delete"]
)
def test_a_block_is_waited_out(node: Node, block: str) -> None:
    node.settings(**{block: True})
    with named(node, "blocks writing"):
        node.settings(**{block: None})


def test_a_closed_index_is_waited_for(node: Node) -> None:
    node.world.request("POST", f"/{node.index}/_close")
    with named(node, "an index is closed"):
        node.world.request("POST", f"/{node.index}/_open")


def pipeline(node: Node, *processors: dict[str, Any]) -> str:
    """Make an ingest pipeline; it goes with the test's other things."""
    name = f"{node.world.index_prefix}-by-a-person"
    node.world.request("PUT", f"/_ingest/pipeline/{name}", {"processors": list(processors)})
    return name


DROP = {"drop": {}}
RENAME = {"set": {"field": "_id", "value": "another"}}
FAIL = {"fail": {"message": "no way"}}
BREAK = {"script": {"source": "ctx.nothing.at.all = 1"}}


@pytest.mark.parametrize(
    ("processor", "word"),
    [
        pytest.param(DROP, "drops documents", id="drop"),
        pytest.param(RENAME, "about other documents", id="rename", marks=pytest.mark.slow),
        pytest.param(FAIL, "an ingest pipeline fails", id="fail", marks=pytest.mark.slow),
        pytest.param(BREAK, "an ingest pipeline fails", id="break", marks=pytest.mark.slow),
        pytest.param(None, "an ingest pipeline is missing", id="missing", marks=pytest.mark.slow),
    ],
)
def test_a_pipeline_that_lets_no_document_pass_is_named_and_blamed_on_none(
    node: Node, processor: dict[str, Any] | None, word: str
) -> None:
    before = node.world.count()
    node.settings(**{"index.final_pipeline": pipeline(node, processor) if processor else "nowhere"})
    try:
        # More often than an error inside the server has to come back to be put on a document.
        with named(node, word, tries=TRIES_BEFORE_SUSPICION + 1):
            node.settings(**{"index.final_pipeline": None})
    finally:
        node.settings(**{"index.final_pipeline": None})
        node.world.request(
            "POST", f"/{node.index}/_delete_by_query?refresh=true", {"query": {"ids": {"values": ["another"]}}}
        )
        node.world.request("DELETE", f"/_ingest/pipeline/{node.world.index_prefix}-by-a-person")
    assert node.world.count() == before + 20


def test_a_default_pipeline_does_not_touch_documents(node: Node) -> None:
    node.settings(**{"index.default_pipeline": pipeline(node, DROP)})
    node.agent.delivers(node.agent.insert(20))
    node.settings(**{"index.default_pipeline": None})


def test_an_alias_on_two_indices_is_named_until_it_is_on_one(node: Node) -> None:
    other = f"{node.world.index_prefix}-of-a-person"
    node.world.request("PUT", f"/{other}", {"settings": {"number_of_replicas": 0}, "aliases": {node.alias: {}}})
    with named(node, "more than one index"):
        node.world.request("DELETE", f"/{other}")


def test_an_alias_moved_to_another_index_is_named_and_blamed_on_no_document(node: Node) -> None:
    other = f"of-a-person-{node.world.instance}"
    strict = {"dynamic": "strict", "properties": {"name": {"type": "keyword"}}}
    node.world.request("PUT", f"/{other}", {"settings": {"number_of_replicas": 0}, "mappings": strict})
    try:
        node.move_alias(node.index, other)
        with named(node, "not the agent's", tries=3):
            node.move_alias(other, node.index)
    finally:
        node.world.request("DELETE", f"/{other}")


def test_a_deleted_alias_is_put_back(node: Node) -> None:
    node.world.request("DELETE", f"/{node.index}/_alias/*")
    ids = node.agent.insert(20)
    node.agent.delivers(ids)
    assert node.world.request("GET", f"/_alias/{node.alias}")
    assert node.agent.dead_letters() == []


def test_a_deleted_index_is_made_again_from_the_template(node: Node) -> None:
    before = node.mapping(node.index)
    node.world.request("DELETE", f"/{node.index}")
    ids = node.agent.insert(20)
    node.agent.delivers(ids)
    after = node.mapping(node.index)
    assert after["dynamic"] == before["dynamic"] == "strict"
    assert after["properties"]["context"]["properties"] == before["properties"]["context"]["properties"]
    assert node.agent.dead_letters() == []


def test_a_deleted_template_is_put_back_before_an_index_is_made(node: Node) -> None:
    prefix = node.world.index_prefix
    before = node.mapping(node.index)
    node.world.request("DELETE", f"/_index_template/{prefix}*")
    node.world.request("DELETE", f"/_component_template/{prefix}*")
    ids = node.agent.insert(20, at="2026-05-15 08:00:00")
    node.agent.delivers(ids)
    made = node.mapping(f"{node.world.index}-2026.05-000001")
    assert made["dynamic"] == "strict"
    assert made["properties"].keys() == before["properties"].keys()
    assert node.world.request("GET", f"/_index_template/{prefix}*")["index_templates"]


def test_a_blocked_state_index_stops_the_checkpoint_and_nothing_else(node: Node) -> None:
    agent = node.agent
    state = f"{node.world.agent_prefix}-state"
    found = next(iter(node.world.request("GET", f"/{state}")))
    node.world.request("PUT", f"/{found}/_settings", {"index.blocks.write": True})
    ids = agent.insert(20)
    agent.wait(lambda: agent.missing(ids) == set(), 60, "the documents are there")
    assert agent.watermark() < max(ids)
    node.world.request("PUT", f"/{found}/_settings", {"index.blocks.write": None})
    agent.delivers(ids)


@pytest.mark.slow
def test_sync_says_what_is_in_its_way_and_ends(make_world: MakeWorld, database: Database) -> None:
    world = make_world(database)
    database.fill(50, days=1)
    assert world.run("sync").code == 0
    world.request("PUT", f"/{world.index}-*/_settings", {"index.blocks.write": True})
    database.fill(50, seed=2, days=1)
    failed = world.run("sync")
    assert failed.code == 1
    assert "blocks writing" in failed.stderr
    assert world.run("dead-letters", "list", "--json").json["count"] == 0
    world.request("PUT", f"/{world.index}-*/_settings", {"index.blocks.write": None})
    assert world.run("sync").code == 0
    assert world.count() == 100
