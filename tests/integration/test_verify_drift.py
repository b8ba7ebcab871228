"""Planted drift is found, named by its kind, and repaired; nothing else is reported."""

from __future__ import annotations

import re

import pytest

from tests.integration.drift import Planter, bulk, lose, samples
from tests.proxy import Asked, HttpProxy, answer, path
from tests.world import World

pytestmark = pytest.mark.integration
TABLE = "mod_impulsecore_audit_log"
SHARDS_GONE = {
    "error": {"type": "search_phase_execution_exception", "reason": "Partial shards failure", "root_cause": []},
    "status": 503,
}


def synced(world: World, rows: int, *, free: int = 0) -> Planter:
    """Fill, leave some ids without a row below the last one, and ship everything."""
    world.database.fill(rows)
    if free:
        world.database.execute(f"ALTER TABLE {TABLE} AUTO_INCREMENT = {rows + free + 1}")
        world.database.fill(1)
    outcome = world.run("sync", "--json")
    assert outcome.code == 0, outcome.stderr
    assert outcome.json["watermark"] == rows + free + (1 if free else 0)
    return Planter(world, rows=rows, free=range(rows + 1, rows + free + 1))


def test_sides_that_agree_have_no_drift(world: World) -> None:
    synced(world, 500)

    outcome = world.run("verify", "--json")

    assert outcome.code == 0, outcome.stderr
    report = outcome.json
    assert (report["rows"], report["documents"]) == (500, 500)
    assert (report["missing"], report["orphan"], report["different"]) == (0, 0, 0)
    assert report["samples"] == {"missing": [], "orphan": [], "different": []}
    assert (report["complete"], report["left"], report["watermark"]) == (True, 0, 500)


def test_an_instance_that_never_shipped_has_nothing_to_compare(world: World) -> None:
    world.database.fill(10)

    outcome = world.run("verify", "--json")

    assert outcome.code == 0, outcome.stderr
    assert outcome.json["rows"] == 0
    assert world.run("verify").stdout.splitlines()[-1].startswith("nothing to compare: no id from 1 on is settled")


def test_rows_deleted_from_a_young_tables_front_are_orphans(world: World) -> None:
    """Core's own purge takes the oldest, too, but nothing that is younger than a day."""
    world.database.fill(50, days=0.5)
    assert world.run("sync").code == 0
    world.database.execute(f"DELETE FROM {TABLE} WHERE id <= 3")

    assert world.run("verify", "--json").json["samples"]["orphan"] == [1, 2, 3]

    world.database.execute(f"DELETE FROM {TABLE}")
    emptied = world.run("verify", "--json")
    assert (emptied.code, emptied.json["orphan"]) == (3, 50)


def test_documents_added_above_the_last_row_are_orphans(world: World) -> None:
    synced(world, 60)
    source = world.documents(size=1)[0]
    index = next(iter(world.request("GET", f"/{world.index}-*")))
    added = [61, 99, 10_000, 2**53 + 1, 2**63 - 1]
    for row_id in added:
        path = f"/{index}/_doc/{world.instance}:{row_id}?refresh=true"
        world.request("PUT", path, {**source, "id": row_id})

    assert world.run("verify", "--json").json["samples"]["orphan"] == added
    assert world.run("verify", "--to-id", "98", "--json").json["samples"]["orphan"] == [61]
    assert world.run("verify", "--delete-orphans", "--json").code == 0
    assert world.run("verify").stdout.splitlines()[-1] == "table and index agree"
    assert world.count() == 60


@pytest.mark.parametrize("window_rows", [pytest.param(100, marks=pytest.mark.slow), 10_000])
def test_every_planted_id_is_reported_with_its_kind_and_nothing_else(world: World, window_rows: int) -> None:
    world.write({"verify.window_rows": window_rows})
    planter = synced(world, 1500, free=9)
    for seed in (1, 2, 3):
        planted = planter.plant(window_rows + seed)
        plain = world.run("verify", "--json")
        deep = world.run("verify", "--deep", "--repair", "--json")

        assert plain.code == 3, plain.stderr
        assert deep.code == 3, deep.stderr  # orphans are left: each may be the last trace of a row
        found, deeply = samples(plain.json), samples(deep.json)
        assert found.missing == deeply.missing == planted.missing
        assert found.orphan == deeply.orphan == planted.orphan
        assert found.different - planted.swapped == planted.different
        assert deeply.different == planted.different | planted.altered | planted.swapped
        assert {int(row_id) for row_id in deep.json["fields"]} == planted.altered
        assert deep.json["repaired"] == len(deeply.missing | deeply.different)

        cleared = world.run("verify", "--deep", "--delete-orphans", "--json")
        assert cleared.code == 0, cleared.stdout
        assert samples(cleared.json).orphan == planted.orphan
        assert cleared.json["missing"] == cleared.json["different"] == 0
    clean = world.run("verify", "--deep", "--json")
    assert clean.code == 0, clean.stdout
    assert clean.json["documents"] == clean.json["rows"] == world.database.count()


def test_deleted_orphans_are_journaled(world: World) -> None:
    planter = synced(world, 300, free=3)
    planted = planter.plant(seed=1, each=2)

    assert world.run("verify", "--repair", "--delete-orphans").code == 0

    entries = [entry for entry in world.run("journal", "--json").json["entries"] if entry["kind"] == "orphans_deleted"]
    assert {row_id for entry in entries for row_id in entry["what"]["ids"]} == planted.orphan


def test_only_the_named_range_is_compared_and_repaired(world: World) -> None:
    synced(world, 1000)
    lose(world, 99, 100, 200, 201)

    outcome = world.run("verify", "--from-id", "100", "--to-id", "200", "--repair", "--json")

    assert outcome.code == 0, outcome.stderr
    assert outcome.json["samples"]["missing"] == [100, 200]
    assert outcome.json["rows"] == 101
    assert world.run("verify", "--json").json["samples"]["missing"] == [99, 201]


def test_the_last_days_are_found_without_reading_the_rest(world: World) -> None:
    synced(world, 2000)
    border = world.database.execute(
        f"SELECT MIN(id) FROM {TABLE} WHERE created_at >= UTC_TIMESTAMP() - INTERVAL 7 DAY"
    )[0][0]
    lose(world, 1, border, 2000)
    world.write({"verify.window_rows": 100})

    outcome = world.run("verify", "--last", "7d", "--json")

    assert outcome.code == 3
    assert outcome.json["samples"]["missing"] == [border, 2000]
    assert outcome.json["rows"] < 2000


def test_ids_may_jump_by_any_distance(world: World) -> None:
    database = world.database
    database.fill(50)
    database.execute(f"ALTER TABLE {TABLE} AUTO_INCREMENT = 4000000000")
    database.fill(50)
    assert world.run("sync").code == 0
    lose(world, 4000000010)

    outcome = world.run("verify", "--json")

    assert outcome.json["samples"]["missing"] == [4000000010]
    assert outcome.json["rows"] == 100


def test_a_deleted_index_is_restored_and_other_partitions_are_left_alone(world: World) -> None:
    synced(world, 2000)
    indices = sorted(world.request("GET", f"/{world.index}-*"))
    lost, kept = indices[1], [index for index in indices if index != indices[1]]
    held = int(world.request("GET", f"/{lost}/_count")["count"])
    before = {
        index: world.request("GET", f"/{index}/_stats/indexing")["_all"]["primaries"]["indexing"]["index_total"]
        for index in kept
    }
    world.request("DELETE", f"/{lost}")

    outcome = world.run("verify", "--repair", "--json")

    assert outcome.code == 0, outcome.stderr
    assert outcome.json["missing"] == outcome.json["repaired"] == held
    assert world.run("verify", "--deep").code == 0
    after = {
        index: world.request("GET", f"/{index}/_stats/indexing")["_all"]["primaries"]["indexing"]["index_total"]
        for index in kept
    }
    assert after == before


def test_everything_lost_is_restored(world: World) -> None:
    synced(world, 400)
    world.request("DELETE", f"/{world.index}-*")

    outcome = world.run("verify", "--repair", "--json")

    assert outcome.code == 0, outcome.stderr
    assert outcome.json["missing"] == 400
    assert world.run("verify", "--deep").code == 0


def test_a_document_on_another_route_says_the_same(world: World) -> None:
    """What lies in context_overflow instead of context is no drift: that depended on what was mapped."""
    synced(world, 200)
    hits = world.request(
        "POST", f"/{world.index}/_search", {"size": 200, "query": {"exists": {"field": "context.task"}}}
    )
    assert hits["hits"]["hits"], "the demo's rows have tasks"
    lines = []
    for hit in hits["hits"]["hits"]:
        source = hit["_source"]
        task = source["context"].pop("task")
        source["context_overflow"] = {"task": task}
        source["context_text"] = [task]
        source["agent"] |= {"overflow": ["task"], "overflow_reason": ["conflict"]}
        lines += [{"index": {"_index": hit["_index"], "_id": hit["_id"]}}, source]
    bulk(world, lines)
    assert world.run("verify", "--deep").code == 0

    lines[1]["context_overflow"]["task"] = lines[1]["context_text"][0] = "forged"
    bulk(world, lines[:2])

    outcome = world.run("verify", "--deep", "--json")
    assert outcome.json["samples"]["different"] == [lines[1]["id"]]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--last", "7x"),
        ("--from-id", "0"),
        ("--to-id", "many"),
        ("--to-id", str(2**63)),
        ("--from-id", "9", "--to-id", "8"),
    ],
)
def test_a_bad_argument_is_a_usage_error(world: World, arguments: tuple[str, ...]) -> None:
    assert world.run("verify", *arguments).code == 2


def test_questions_the_cluster_cannot_answer_at_once_are_asked_again(world: World) -> None:
    """An index deleted while it is asked, and a busy node, answer so: the next look at the alias is another answer."""
    synced(world, 300)
    lose(world, 7)
    asked: set[tuple[str, bytes]] = set()

    def first_time_of_each(question: Asked) -> bool:
        if not re.search("_search|_count|_refresh", question.path):
            return False
        fresh = (question.path, question.body) not in asked
        asked.add((question.path, question.body))
        return fresh

    with HttpProxy(world.opensearch_url) as proxy:
        proxy.on(first_time_of_each, answer(503, SHARDS_GONE))
        world.write({"opensearch.hosts": [proxy.url], "verify.window_rows": 100})
        outcome = world.run("verify", "--json")
        proxy.on(path("_search"), answer(403, {"error": {"type": "security_exception", "reason": "no"}}))
        refused = world.run("verify")

    assert len(asked) > 5, outcome.stderr
    assert (outcome.code, outcome.json["samples"]["missing"]) == (3, [7])
    assert refused.code == 1, "nobody waits for what only a person heals"
