"""Partitions and bulk requests: a document has one place, and a missing place is named, never made by accident."""

from __future__ import annotations

from typing import Any

import orjson

from agent.opensearch.bulk import Verdict
from tests.contract.conftest import Stores

LEAF: dict[str, Any] = {"type": "keyword"}


def body(stores: Stores, *ids: int, partition: str = "2026.11", detail: str = "one") -> bytes:
    lines: list[dict[str, Any]] = []
    for row_id in ids:
        key = f"{stores.instance}:{row_id}"
        lines.append({"index": {"_index": stores.alias(partition), "_id": key}})
        lines.append({"id": row_id, "instance": stores.instance, "detail": detail})
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)


def keys(stores: Stores, *ids: int) -> list[str]:
    return [f"{stores.instance}:{row_id}" for row_id in ids]


def test_items_for_a_missing_partition_are_deferred_and_create_nothing(stores: Stores) -> None:
    outcomes = stores.bulk.send(body(stores, 1, 2), keys(stores, 1, 2))
    assert [(outcome.verdict, outcome.kind) for outcome in outcomes.values()] == [
        (Verdict.DEFERRED, "missing_alias")
    ] * 2
    assert stores.partitions.listed() == []


def test_sending_twice_leaves_one_document(stores: Stores) -> None:
    stores.partitions.ensure("2026.11", {})
    assert stores.bulk.send(body(stores, 1, 2), keys(stores, 1, 2)) == {}
    assert stores.bulk.send(body(stores, 1, detail="two"), keys(stores, 1)) == {}
    found = stores.document("shop:1")
    assert found is not None
    assert found["detail"] == "two"


def test_only_the_items_of_the_missing_partition_are_named(stores: Stores) -> None:
    stores.partitions.ensure("2026.11", {})
    mixed = body(stores, 1) + body(stores, 2, partition="2026.12") + body(stores, 3)
    assert list(stores.bulk.send(mixed, keys(stores, 1, 2, 3))) == [1]


def test_a_partition_is_created_once_and_widened_after(stores: Stores) -> None:
    assert stores.partitions.ensure("2026.11", {"context": {"properties": {"a": LEAF}}}) is True
    assert stores.partitions.ensure("2026.11", {"context": {"properties": {"b": LEAF}}}) is False
    stores.partitions.put_mapping("2026.11", {"context": {"properties": {"c": LEAF}}})
    mapping = stores.partitions.mapping("2026.11")
    assert mapping is not None
    assert set(mapping["context"]["properties"]) == {"a", "b", "c"}


def test_an_unknown_partition_has_no_mapping(stores: Stores) -> None:
    assert stores.partitions.mapping("2031.01") is None


def test_a_dropped_partition_is_gone_and_dropping_again_is_no_error(stores: Stores) -> None:
    stores.partitions.ensure("2026.11", {})
    stores.partitions.ensure("undated", {})
    assert len(stores.partitions.drop("2026.11")) == 1
    assert stores.partitions.drop("2026.11") == []
    assert [partition.name for partition in stores.partitions.listed()] == ["undated"]


def test_an_instance_whose_name_begins_like_ours_is_not_ours(stores: Stores) -> None:
    stores.other("shop-2").partitions.ensure("2026.11", {})
    stores.partitions.ensure("2026.12", {})
    assert [partition.name for partition in stores.partitions.listed()] == ["2026.12"]
    assert stores.partitions.drop("2026.11") == []
    assert len(stores.other("shop-2").partitions.listed()) == 1
