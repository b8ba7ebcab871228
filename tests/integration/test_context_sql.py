"""What people ask of the context, asked twice: of the node, and of the table with its server's JSON functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from demo.table import TABLE, Kind
from tests.integration.context_agent import Query
from tests.world import Database, World

pytestmark = pytest.mark.integration

ROWS = 4000
# Some writers encode twice; the agent decodes them, so SQL has to do the same.
DECODED = "(CASE WHEN JSON_TYPE(context) = 'STRING' AND JSON_VALID(JSON_UNQUOTE(context)) THEN JSON_UNQUOTE(context) ELSE context END)"  # fmt: skip


@pytest.fixture(params=["mariadb", pytest.param("mysql9", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest) -> str:
    """Give the URL of each server whose JSON functions are asked."""
    had = request.getfixturevalue(request.param)
    return str(getattr(had, "url", had))


@pytest.fixture(params=[Kind.TIMESTAMP, Kind.JSON], ids=["text", "json"])
def synced(request: pytest.FixtureRequest, server: str, make_world: Callable[..., World]) -> Iterator[World]:
    """Give a table of realistic rows and their index; no key has a native type."""
    database = Database(server)
    database.create_table(request.param)
    database.fill(ROWS, seed=11, days=60, json_only=True)
    world = make_world(database)
    world.context_fields = {}
    world.write()
    outcome = world.run("sync", "--json")
    assert outcome.code == 0, outcome.stderr
    assert (outcome.json["indexed"], outcome.json["dead_letters"]) == (ROWS, 0)
    yield world
    database.drop()


def test_the_node_and_sql_agree(synced: World) -> None:
    assert counted(synced, "context.server_id") == counted_by_sql(synced, "$.server_id")
    assert counted(synced, "context.server.id") == counted_by_sql(synced, "$.server.id")
    assert counted(synced, "context.before.storage_mb") == counted_by_sql(synced, "$.before.storage_mb")
    assert len(counted(synced, "context.server_id")) > 20

    for low, high in ((0, 4999), (200, 200), (10_000, 10_499), (1, 10**9)):
        ranged = ids(synced, {"range": {"context.duration_ms.number": {"gte": low, "lte": high}}})
        number = f"CAST({text_of('$.duration_ms')} AS DECIMAL(30,6))"
        assert ranged == ids_by_sql(
            synced, f"{text_of('$.duration_ms')} IS NOT NULL AND {number} BETWEEN {low} AND {high}"
        )
    # Through PDO a number is a string here and a number there; both count.
    mixed = ids(synced, {"range": {"context.attempt.number": {"gte": 3}}})
    assert mixed == ids_by_sql(synced, f"CAST({text_of('$.attempt')} AS DECIMAL(30,6)) >= 3")
    assert ids_by_sql(synced, f"JSON_TYPE(JSON_EXTRACT({DECODED}, '$.attempt')) = 'STRING'") & mixed

    for words in ("timed out", "curl error", "took longer than 300 seconds"):
        phrase = ids(synced, {"match_phrase": {"context.message.text": words}})
        assert phrase and phrase == ids_by_sql(synced, like(text_of("$.message"), words))
    for words in (
        "Requested by client",
        "RuntimeException",
        "no capacity",
        "株式会社サンプル",
        "Café Zoë",
        "snapshot_id",
    ):
        anywhere = ids(synced, {"match_phrase": {"context_text": words}})
        assert anywhere == ids_by_sql(
            synced, f"JSON_SEARCH(LOWER({DECODED}), 'one', '%{words.lower()}%') IS NOT NULL"
        ), words


def text_of(path: str) -> str:
    """Return SQL for a scalar as text, NULL where there is none."""
    value = f"JSON_EXTRACT({DECODED}, '{path}')"
    return f"(CASE WHEN JSON_TYPE({value}) NOT IN ('NULL', 'OBJECT', 'ARRAY') THEN JSON_UNQUOTE({value}) END)"


def like(text: str, words: str) -> str:
    return f"LOWER(CONVERT({text} USING utf8mb4)) LIKE '%{words}%'"


def counted(world: World, field: str) -> dict[str, int]:
    world.refresh()
    body = {"size": 0, "aggs": {"by": {"terms": {"field": field, "size": 10_000}}}}
    answer = world.request("POST", f"/{world.index}/_search", body)["aggregations"]["by"]
    assert answer["sum_other_doc_count"] == answer["doc_count_error_upper_bound"] == 0
    return {bucket["key"]: bucket["doc_count"] for bucket in answer["buckets"]}


def counted_by_sql(world: World, path: str) -> dict[str, int]:
    found = world.database.execute(f"SELECT {text_of(path)} AS value, COUNT(*) FROM {TABLE} GROUP BY value")
    return {str(value): int(count) for value, count in found if value is not None}


def ids(world: World, query: Query) -> set[int]:
    return {document["id"] for document in world.documents(query)}


def ids_by_sql(world: World, condition: str) -> set[int]:
    rows: Any = world.database.execute(f"SELECT id FROM {TABLE} WHERE {condition}")
    return {int(row[0]) for row in rows}
