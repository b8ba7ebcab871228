"""`retain` on real servers: what the plan counts is what goes, and what must stay stays on both sides."""

from __future__ import annotations

import gzip
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demo.table import TABLE
from tests.integration.retention_world import aged, ids, insert_raw
from tests.world import Database, World

pytestmark = pytest.mark.integration

POLICY: dict[str, Any] = {
    "rows": {"days": 90},
    "documents": {"days": 90},
    "rules": [
        {"name": "errors-longer", "match": {"severity": ["error"]}, "rows": {"days": 180}, "documents": {"days": 400}},
        {"name": "licences", "match": {"module_slug": "impulsecore", "action": "license.*"}, "documents": {"days": 0}},
    ],
    "holds": [{"name": "dispute-5512", "match": {"client_id": 1234}, "until": "2099-01-01", "reason": "chargeback"}],
    "brakes": {"max_share": 1},
}


def retain(world: World, *arguments: str, code: int = 0) -> Any:
    outcome = world.run("retain", "--json", *arguments)
    assert outcome.code == code, outcome.stderr
    return outcome.json if outcome.stdout else outcome.stderr


def with_policy(world: World, **changes: Any) -> None:
    world.retention = {**POLICY, **changes}
    world.write()


def test_rules_holds_and_archive_end_to_end(world: World, database: Database) -> None:
    insert_raw(
        database,
        [
            aged(100, context='{"password": "hunter2-secret", "keep": 1}', detail="=SUM(A1)"),
            aged(100, severity="error"),
            aged(200, severity="error"),
            aged(100, action="license.check"),
            aged(100, client_id=1234),
            aged(89),
            aged(100, module_slug="IMPULSECORE", action="license.check"),
        ],
    )
    assert world.run("sync").code == 0
    with_policy(world, archive={"enabled": True, "directory": str(world.folder / "archive"), "format": "csv"})
    plan = retain(world)
    assert (plan["rows"]["expired"], plan["documents"]["expired"]) == (4, 2)
    assert ids(database) == set(range(1, 8)), "a plan deletes nothing"

    report = retain(world, "--execute")
    assert ids(database) == {2, 5, 6}
    assert {document["id"] for document in world.documents()} == {2, 3, 4, 5, 6}
    assert report["left"] == {"rows": 0, "documents": 0}

    (path,) = Path(world.folder / "archive" / world.instance).glob("*.csv.gz")
    verified = world.run("archive", "verify", str(path), "--json")
    assert (verified.code, verified.json["rows"]) == (0, 4)
    text = gzip.decompress(path.read_bytes()).decode()
    assert "hunter2" not in text and "'=SUM(A1)" in text
    path.write_bytes(path.read_bytes()[:-1])
    assert world.run("archive", "verify", str(path)).code == 1

    journal = world.run("journal", "--json").json["entries"]
    assert journal[-1]["what"]["rows"]["licences"]["deleted"] == 1
    assert world.run("journal", "--verify", "--json").json["intact"]


def test_tampering_with_the_journal_is_found(world: World, database: Database) -> None:
    insert_raw(database, [aged(100), aged(1)])
    world.run("sync")
    with_policy(world)
    retain(world, "--execute")
    index = f"{world.agent_prefix}-journal"
    hit = world.request("POST", f"/{index}/_search", {"size": 1})["hits"]["hits"][0]
    hit["_source"]["entry"]["who"] = "somebody else"
    world.request("PUT", f"/{index}/_doc/{hit['_id']}?refresh=true", hit["_source"])

    outcome = world.run("journal", "--verify")
    assert (outcome.code, "altered" in outcome.stdout) == (1, True)


@pytest.mark.slow
def test_twenty_thousand_rows_go_as_counted(world: World, database: Database) -> None:
    database.fill(20_000, days=150)
    assert world.run("sync").code == 0
    with_policy(world, rules=[], holds=[], pace={"rows_per_second": 100_000})
    plan = retain(world)
    report = retain(world, "--execute")

    counted = {side: plan[side]["expired"] for side in ("rows", "documents")}
    gone = {side: sum(each["deleted"] for each in report["deleted"][side].values()) for side in ("rows", "documents")}
    assert counted["rows"] > 1000
    assert gone == counted
    assert database.count() == 20_000 - gone["rows"]
    assert world.count() == 20_000 - gone["documents"]
    assert report["deleted"]["dropped_partitions"], "a month lies wholly before the cutoff"
    again = retain(world)
    assert again["rows"]["expired"] <= 30, "only what grew old meanwhile"


def test_a_brake_refuses_with_its_own_exit_code(world: World, database: Database) -> None:
    insert_raw(database, [aged(100), aged(1), aged(1)])
    world.run("sync")
    with_policy(world, brakes={"max_share": 0.25})
    retain(world, "--execute", code=4)
    assert ids(database) == {1, 2, 3}

    retain(world, "--execute", "--release-brake")
    assert ids(database) == {2, 3}


def test_a_shortened_policy_waits_for_the_next_run(world: World, database: Database) -> None:
    insert_raw(database, [aged(100), aged(50), aged(1)])
    world.run("sync")
    with_policy(world)
    retain(world, "--execute")
    with_policy(world, rows={"days": 30}, documents={"days": 30}, rules=[])
    report = retain(world, "--execute")
    assert report["newly_expired"] == {"rows": 1, "documents": 1}
    assert ids(database) == {2, 3}

    retain(world, "--execute")
    assert ids(database) == {3}


def test_opensearch_down_deletes_nothing(world: World, database: Database) -> None:
    insert_raw(database, [aged(100), aged(1)])
    world.run("sync")
    with_policy(world)
    world.write({"opensearch.hosts": ["http://127.0.0.1:9"], "opensearch.timeout_seconds": 2})
    outcome = world.run("retain", "--execute")

    assert (outcome.code, ids(database)) == (1, {1, 2})
    assert "unreachable" in outcome.stderr


@pytest.mark.parametrize("lost", ["document", "index", "checksum"])
def test_what_the_index_does_not_confirm_stays(world: World, database: Database, lost: str) -> None:
    insert_raw(database, [aged(100), aged(1)])
    world.run("sync")
    with_policy(world)
    world.refresh()
    if lost == "document":
        query = {"query": {"term": {"id": 1}}}
        world.request("POST", f"/{world.index}/_delete_by_query?refresh=true", query)
    elif lost == "index":
        names = list(world.request("GET", f"/{world.index}-*/_alias"))
        world.request("DELETE", f"/{','.join(names)}")
    else:
        database.execute(f"UPDATE `{TABLE}` SET detail = 'changed' WHERE id = 1")
    for _ in range(2):
        report = retain(world, "--execute")

        assert report["deleted"]["kept_unconfirmed"] == 1
        assert ids(database) == {1, 2}


def test_rows_without_a_real_date_stay_on_both_sides(world: World, database: Database) -> None:
    database.execute(f"ALTER TABLE `{TABLE}` MODIFY created_at DATETIME NULL")
    dates = [None, "0000-00-00 00:00:00", "2020-02-31 00:00:00", "2999-01-01 00:00:00"]
    insert_raw(database, [{**aged(0), "created_at": text} for text in dates])
    world.run("sync")
    with_policy(world, rows={"days": 1}, documents={"days": 1}, rules=[], holds=[])
    retain(world, "--execute")

    assert ids(database) == {1, 2, 3, 4}
    assert world.count() == 4


def test_cores_own_setting_is_followed_and_unreadable_keeps(world: World, database: Database) -> None:
    insert_raw(database, [aged(70), aged(50), aged(1)])
    world.run("sync")
    with_policy(world, follow_core_setting=True, rules=[])
    plan = retain(world)
    assert (plan["rows"]["expired"], "not readable" in plan["notes"][0]) == (0, True)

    database.create_settings({"audit_retention_days": "60"})
    assert retain(world)["rows"]["expired"] == 1


def test_documents_of_rows_core_purged_follow_their_own_rule_or_are_mirrored(world: World, database: Database) -> None:
    insert_raw(database, [aged(60), aged(50), aged(1)])
    world.run("sync")
    database.execute(f"DELETE FROM `{TABLE}` WHERE id = 2")
    with_policy(world)
    retain(world, "--execute")
    assert world.count() == 3

    with_policy(world, on_source_delete="mirror")
    assert retain(world)["orphans"] == 1
    assert retain(world, "--execute")["deleted"]["mirrored"] == 1
    assert {document["id"] for document in world.documents()} == {1, 3}


def test_cores_purge_at_the_same_time_causes_no_error_and_no_drift(world: World, database: Database) -> None:
    database.fill(6_000, days=200)
    world.run("sync")
    with_policy(world, rules=[], holds=[], pace={"rows_per_second": 100_000, "chunk_rows": 100})
    done = threading.Event()

    def purge() -> None:
        with database.connect() as connection, connection.cursor() as cursor:
            while not done.is_set():
                cursor.execute(
                    f"DELETE FROM `{TABLE}` WHERE created_at < UTC_TIMESTAMP() - INTERVAL 90 DAY ORDER BY id LIMIT 20"
                )
                connection.commit()
                time.sleep(0.002)

    purger = threading.Thread(target=purge)
    purger.start()
    try:
        report = retain(world, "--execute")
    finally:
        done.set()
        purger.join()
    assert report["left"] == {"rows": 0, "documents": 0}
    assert {document["id"] for document in world.documents()} >= ids(database)
    assert world.count() - database.count() <= 30, "only what grew old during the run"


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_exact_counts_and_a_whole_archive(world: World, database: Database) -> None:
    database.fill(6_000, days=200)
    world.run("sync")
    archive = {"enabled": True, "directory": str(world.folder / "archive"), "format": "ndjson"}
    pace = {"rows_per_second": 3_000, "chunk_rows": 50}
    with_policy(world, rules=[], holds=[], archive=archive, pace=pace)
    before = ids(database)
    for _ in range(3):
        count = database.count()
        process = world.start("retain", "--execute")
        while process.poll() is None and database.count() > count - 300:
            time.sleep(0.01)
        process.kill()
        process.wait()
    report = retain(world, "--execute")

    gone = before - ids(database)
    entries = [entry["what"] for entry in world.run("journal", "--json").json["entries"]]
    assert sum(each["deleted"] for what in entries for each in what["rows"].values()) == len(gone)
    assert [what["finished"] for what in entries] == [False, False, False, True]
    archived = []
    for path in sorted(Path(world.folder / "archive" / world.instance).glob("*.ndjson.gz")):
        assert world.run("archive", "verify", str(path)).code == 0
        archived += [json.loads(line)["id"] for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert sorted(archived) == sorted(gone)
    assert report["left"] == {"rows": 0, "documents": 0}
    assert world.count() == database.count()


def test_a_second_runner_is_turned_away(world: World, database: Database) -> None:
    insert_raw(database, [aged(100), aged(1)])
    world.run("sync")
    with_policy(world)
    with database.connect() as other, other.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK(%s, 0)", (f"audit-agent:{world.instance}:retention",))
        outcome = world.run("retain", "--execute")

    assert (outcome.code, ids(database)) == (1, {1, 2})
    assert "another process" in outcome.stderr


@pytest.mark.slow
def test_a_million_rows_go_as_counted(world: World, database: Database) -> None:
    """No row is near its cutoff, so that the preview's figures are the run's, to the row, on both sides."""
    now = datetime.now(UTC)
    database.fill(600_000, now=now - timedelta(days=100), seed=2)
    database.fill(400_000, days=80)
    assert world.run("sync", timeout=900).code == 0
    with_policy(world, pace={"rows_per_second": 1_000_000, "chunk_rows": 5_000})
    plan = retain(world)
    report = world.run("retain", "--json", "--execute", timeout=900).json

    for side in ("rows", "documents"):
        planned = {each["rule"]: each["expired"] for each in plan[side]["rules"] if each["expired"]}
        assert planned == {rule: each["deleted"] for rule, each in report["deleted"][side].items()}
        assert sum(planned.values()) == plan[side]["expired"] == report[side]["expired"] > 300_000
    assert report["left"] == {"rows": 0, "documents": 0}
    assert (database.count(), world.count()) == tuple(
        1_000_000 - plan[side]["expired"] for side in ("rows", "documents")
    )
    again = retain(world)
    assert (again["rows"]["expired"], again["documents"]["expired"]) == (0, 0)
    assert world.run("verify", "--json", timeout=900).code == 0
