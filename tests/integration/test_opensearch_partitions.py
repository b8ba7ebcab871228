"""Partitions on a real node: whatever a person deletes, closes or blocks is named, and nothing is blamed on a row."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from agent.errors import TemporaryError
from agent.opensearch.bulk import Verdict
from agent.opensearch.client import url_path
from agent.opensearch.mappings import MappingRefused
from agent.opensearch.templates import Action
from tests.corner import Corner, corner_of

pytestmark = pytest.mark.integration

KEYWORD: dict[str, Any] = {"type": "keyword"}


@pytest.fixture
def corner(opensearch: str) -> Iterator[Corner]:
    with corner_of(opensearch) as made:
        yield made


def kinds(outcomes: dict[int, Any]) -> list[tuple[Verdict, str]]:
    return [(outcome.verdict, outcome.kind) for _, outcome in sorted(outcomes.items())]


def test_a_new_partition_is_strict_and_has_all_its_aliases(corner: Corner) -> None:
    assert corner.partitions.ensure("2026.11", {"context": {"properties": {"a": KEYWORD}}})
    (partition,) = corner.partitions.listed()
    names = corner.names
    assert (partition.index, partition.current, partition.closed) == (corner.index(), True, False)
    assert partition.aliases == {names.alias("2026.11"), names.read, names.read_all}
    outcomes = corner.ship([corner.document(1, nonsense=1), corner.document(2, context={"unmapped": {"deep": 1}})])
    assert kinds(outcomes) == [(Verdict.REJECTED, "mapping")]
    mapping = corner.partitions.mapping("2026.11")
    assert mapping is not None
    assert set(mapping["context"]["properties"]) == {"a"}


def test_a_deleted_alias_is_put_back_on_the_same_index(corner: Corner) -> None:
    corner.partitions.ensure("2026.11", {})
    corner.ship([corner.document(1)])
    for alias in (corner.names.alias("2026.11"), corner.names.read):
        corner.cluster.call("DELETE", url_path(corner.index(), "_alias", alias))
    assert kinds(corner.ship([corner.document(2)])) == [(Verdict.DEFERRED, "missing_alias")]
    assert corner.partitions.ensure("2026.11", {}) is False
    assert corner.ship([corner.document(2)]) == {}
    assert corner.search.count({"match_all": {}}) == 2


def test_a_deleted_index_is_created_again(corner: Corner) -> None:
    corner.partitions.ensure("2026.11", {})
    corner.cluster.call("DELETE", url_path(corner.index()))
    assert kinds(corner.ship([corner.document(1)])) == [(Verdict.DEFERRED, "missing_alias")]
    assert corner.partitions.ensure("2026.11", {}) is True
    assert corner.ship([corner.document(1)]) == {}


@pytest.mark.own_accounts("deletes templates, which the agent never does")
def test_deleted_templates_are_installed_before_the_next_index_is_born(corner: Corner) -> None:
    corner.templates.install()
    for path in (
        url_path("_index_template", corner.names.prefix),
        url_path("_component_template", f"{corner.names.prefix}-mappings"),
    ):
        corner.cluster.call("DELETE", path)
    corner.partitions.ensure("2026.11", {})
    assert kinds(corner.ship([corner.document(1, nonsense=1)])) == [(Verdict.REJECTED, "mapping")]
    assert {line.action for line in corner.templates.inspect()} == {Action.UNCHANGED}


def test_a_template_a_person_changed_is_kept_on_the_real_node_too(corner: Corner) -> None:
    corner.templates.install()
    path = url_path("_component_template", f"{corner.names.prefix}-settings")
    kept = corner.cluster.call("GET", path)["component_templates"][0]["component_template"]
    kept["template"]["settings"]["index"]["refresh_interval"] = "30s"
    corner.cluster.call("PUT", path, body=kept)
    report = {line.name: line.action for line in corner.templates.install()}
    assert report.pop(f"{corner.names.prefix}-settings") is Action.DRIFTED
    assert set(report.values()) == {Action.UNCHANGED}
    corner.templates.install(force=True)
    assert {line.action for line in corner.templates.inspect()} == {Action.UNCHANGED}


@pytest.mark.own_accounts("closes an index, which the agent never does")
def test_a_closed_index_is_named_and_taken_up_again_when_opened(corner: Corner) -> None:
    corner.partitions.ensure("2026.11", {})
    corner.cluster.call("POST", url_path(corner.index(), "_close"))
    outcomes = dict(corner.bulk.send(corner.body([corner.document(1)]), corner.keys(1)))
    assert kinds(outcomes) == [(Verdict.DEFERRED, "closed_index")]
    assert corner.partitions.listed()[0].closed is True
    corner.cluster.call("POST", url_path(corner.index(), "_open"), params={"wait_for_active_shards": "1"})
    assert corner.ship([corner.document(1)]) == {}


@pytest.mark.parametrize(
    "block", ["index.blocks.write", "index.blocks.read_only", "index.blocks.read_only_allow_delete"]
)
def test_a_block_defers_documents_and_lifts(corner: Corner, block: str) -> None:
    corner.partitions.ensure("2026.11", {})
    settings = url_path(corner.index(), "_settings")
    corner.cluster.call("PUT", settings, body={block: True})
    try:
        assert kinds(dict(corner.bulk.send(corner.body([corner.document(1)]), corner.keys(1)))) == [
            (Verdict.DEFERRED, "blocked")
        ]
        if block == "index.blocks.read_only":
            with pytest.raises(TemporaryError) as failure:
                corner.partitions.put_mapping("2026.11", {"context": {"properties": {"z": KEYWORD}}})
            assert failure.value.kind == "blocked"
    finally:
        corner.cluster.call("PUT", settings, body={block: None})
    assert corner.ship([corner.document(1)]) == {}


def test_an_index_that_bears_the_aliass_name_is_named(corner: Corner) -> None:
    corner.cluster.call("PUT", url_path(corner.names.alias("2026.11")))
    with pytest.raises(TemporaryError) as failure:
        corner.partitions.ensure("2026.11", {})
    assert failure.value.kind == "alias_taken"


def test_a_write_alias_on_two_indices_is_named(corner: Corner) -> None:
    corner.partitions.ensure("2026.11", {})
    corner.cluster.call("PUT", url_path(corner.index(number=2)))
    corner.cluster.call("PUT", url_path(corner.index(number=2), "_alias", corner.names.alias("2026.11")))
    assert kinds(dict(corner.bulk.send(corner.body([corner.document(1)]), corner.keys(1)))) == [
        (Verdict.DEFERRED, "alias_ambiguous")
    ]
    with pytest.raises(TemporaryError) as failure:
        corner.partitions.ensure("2026.11", {})
    assert failure.value.kind == "alias_ambiguous"


def test_two_agents_that_ensure_the_same_partition_both_succeed(corner: Corner) -> None:
    corner.templates.install()
    created: list[bool] = []
    together = threading.Barrier(4)

    def ensure(name: str) -> None:
        together.wait()
        created.append(corner.partitions.ensure("2026.11", {"context": {"properties": {name: KEYWORD}}}))

    threads = [threading.Thread(target=ensure, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(created) == [False, False, False, True]
    mapping = corner.partitions.mapping("2026.11")
    assert mapping is not None
    assert set(mapping["context"]["properties"]) == set("abcd")


@pytest.mark.parametrize(
    "theirs", [{"a": {"properties": {"b": KEYWORD}}}, {"a": {"type": "long"}}, {"new": KEYWORD, "a": {"type": "long"}}]
)
def test_a_contradicting_mapping_is_refused_as_a_whole(corner: Corner, theirs: dict[str, Any]) -> None:
    corner.partitions.ensure("2026.11", {"context": {"properties": {"a": KEYWORD}}})
    with pytest.raises(MappingRefused) as failure:
        corner.partitions.put_mapping("2026.11", {"context": {"properties": theirs}})
    assert failure.value.kind == "conflict"
    mapping = corner.partitions.mapping("2026.11")
    assert mapping is not None
    assert mapping["context"]["properties"] == {"a": KEYWORD}


def test_a_mapping_without_room_says_so(corner: Corner) -> None:
    corner.partitions.ensure("2026.11", {})
    corner.cluster.call("PUT", url_path(corner.index(), "_settings"), body={"index.mapping.total_fields.limit": 60})
    with pytest.raises(MappingRefused) as failure:
        corner.partitions.put_mapping("2026.11", {"context": {"properties": {f"f{n}": KEYWORD for n in range(60)}}})
    assert failure.value.kind == "field_limit"


def test_a_search_without_a_field_never_fails_on_the_words(corner: Corner) -> None:
    corner.partitions.ensure("2026.11", {})
    corner.ship(
        [
            corner.document(
                1, detail="usage sync timed out on node 42", ip_address="10.0.0.7", action="cron.task_failed"
            ),
            corner.document(2, context_text="cURL error 28", ip_address="no address", module_slug="impulseminio"),
        ]
    )
    found = {}
    for words in (
        "timed",
        "10.0.0.7",
        "42",
        "28",
        "cron.task_failed",
        "impulseminio",
        '"no address"',
        "2026-11-23",
        "1e5",
    ):
        for kind in ("query_string", "simple_query_string"):
            hits = corner.search.search({"query": {kind: {"query": words}}})["hits"]["hits"]
            found.setdefault(words, []).append([hit["_source"]["id"] for hit in hits])
    assert found == {
        "timed": [[1], [1]],
        "10.0.0.7": [[1], [1]],
        "42": [[1], [1]],
        "28": [[2], [2]],
        "cron.task_failed": [[1], [1]],
        "impulseminio": [[2], [2]],
        '"no address"': [[2], [2]],
        "2026-11-23": [[], []],
        "1e5": [[], []],
    }


def test_the_common_schema_is_answered_by_aliases(corner: Corner) -> None:
    corner.partitions.ensure("2026.11", {})
    corner.ship(
        [
            corner.document(
                1, action="cron.task_failed", module_slug="m", severity="error", ip_address="10.0.0.7", detail="x y"
            )
        ]
    )
    for query in (
        {"range": {"@timestamp": {"gte": "2026-11-23", "lt": "2026-11-24"}}},
        {"term": {"event.action": "cron.task_failed"}},
        {"term": {"event.module": "m"}},
        {"term": {"log.level": "error"}},
        {"match": {"message": "y"}},
        {"term": {"client.ip": "10.0.0.0/8"}},
    ):
        assert corner.search.count(query) == 1, query


@pytest.mark.slow
def test_a_cluster_without_room_for_a_shard_is_waited_for(private_opensearch: Any) -> None:
    node = private_opensearch()
    with corner_of(node.url) as corner:
        corner.partitions.ensure("2026.10", {})
        corner.cluster.call("PUT", "/_cluster/settings", body={"persistent": {"cluster.max_shards_per_node": 1}})
        with pytest.raises(TemporaryError) as failure:
            corner.partitions.ensure("2026.11", {})
        assert failure.value.kind == "shard_limit"
        corner.cluster.call("PUT", "/_cluster/settings", body={"persistent": {"cluster.max_shards_per_node": None}})
        assert corner.partitions.ensure("2026.11", {}) is True
