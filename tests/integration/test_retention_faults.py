"""What may go wrong around a run, on real servers: it stops, says why, and what went was confirmed and archived."""

from __future__ import annotations

import gzip
import json
import resource
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from demo.table import TABLE
from tests.integration.retention_world import aged, ids, insert_raw
from tests.world import Database, World

pytestmark = pytest.mark.integration

NINETY: dict[str, Any] = {"rows": {"days": 90}, "documents": {"days": 90}, "brakes": {"max_share": 1}}


def shipped(world: World, rows: list[dict[str, Any]], **policy: Any) -> None:
    """Insert rows, index them, and write the policy down."""
    insert_raw(world.database, rows)
    assert world.run("sync").code == 0
    world.retention = {**NINETY, **policy}
    world.write()


def retain(world: World, *arguments: str, code: int = 0) -> Any:
    outcome = world.run("retain", "--json", *arguments)
    assert outcome.code == code, outcome.stderr
    return outcome.json if outcome.stdout else outcome.stderr


def archived(world: World) -> list[int]:
    found = []
    for path in sorted(world.folder.glob(f"archive/{world.instance}/*.ndjson.gz")):
        assert world.run("archive", "verify", str(path)).code == 0
        found += [json.loads(line)["id"] for line in gzip.decompress(path.read_bytes()).splitlines()]
    return sorted(found)


def until(process: subprocess.Popen[str], holds: Callable[[], bool]) -> None:
    """Wait for something a running verb does; its end is the end of waiting, too."""
    give_up = time.monotonic() + 60
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.02)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let whatever is started meanwhile write no file larger than this: its disk is full there."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_row_that_comes_with_an_old_date_is_indexed_before_it_goes(world: World, database: Database) -> None:
    """Also after a run whose cutoffs it is older than: without a document no row goes."""
    shipped(world, [aged(100), aged(1)])
    retain(world, "--execute")
    insert_raw(database, [aged(150), aged(200)])
    report = retain(world, "--execute")
    assert (ids(database), report["deleted"]["kept_unconfirmed"]) == ({2, 3, 4}, 0)

    assert world.run("sync").code == 0
    assert {document["id"] for document in world.documents()} == {2, 3, 4}
    retain(world, "--execute")
    assert ids(database) == {2} == {document["id"] for document in world.documents()}
    assert world.run("sync", "--restart").code == 0
    assert world.count() == 1


@pytest.mark.parametrize("fault", ["full", pytest.param("unwritable", marks=pytest.mark.slow)])
def test_an_archive_that_cannot_be_written_stops_the_run_before_its_rows(
    world: World, database: Database, fault: str
) -> None:
    shipped(
        world,
        [aged(100, context=json.dumps({"noise": secrets.token_hex(400)})) for _ in range(200)] + [aged(1)],
        archive={"enabled": True, "directory": "archive", "format": "ndjson"},
    )
    if fault == "unwritable":
        (world.folder / "archive").write_text("a file, not a folder")
        outcome = world.run("retain", "--execute")
    else:
        with largest_file(16_384):
            process = world.start("retain", "--execute")
        stdout, stderr = process.communicate(timeout=120)
        outcome = type("Ended", (), {"code": process.returncode, "stdout": stdout, "stderr": stderr})
    assert outcome.code == 1
    assert "archive cannot be written" in outcome.stderr and "free space" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert len(ids(database)) == 201 == world.count()

    if fault == "unwritable":
        (world.folder / "archive").unlink()
    report = retain(world, "--execute")
    assert ids(database) == {201}
    assert archived(world) == list(range(1, 201))
    assert report["left"] == {"rows": 0, "documents": 0}
    assert not list((world.folder / "archive").rglob("*.undeleted")) + list((world.folder / "archive").rglob("*.part"))


def test_a_replica_that_does_not_say_its_lag_is_waited_for_and_named(world: World, database: Database) -> None:
    shipped(world, [aged(100), aged(1)], pace={"replicas": [database.url]})
    process = world.start("retain", "--execute")
    assert process.stderr is not None
    said = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)

    assert said.startswith("waiting: replica ") and "does not say how far behind it is" in said
    assert (process.returncode, ids(database)) == (130, {1, 2})
    assert "the next run counts and finishes" in stderr
    assert "root" not in said


def test_a_lease_taken_away_in_mid_run_stops_it(world: World, database: Database) -> None:
    shipped(world, [aged(100) for _ in range(300)], pace={"rows_per_second": 100, "chunk_rows": 10})
    lock = f"audit-agent:{world.instance}:retention"
    process = world.start("retain", "--execute")
    until(process, lambda: database.count() < 300)
    with database.connect() as other, other.cursor() as cursor:
        cursor.execute("SELECT IS_USED_LOCK(%s)", (lock,))
        (holder,) = cursor.fetchone() or (None,)
        cursor.execute(f"KILL {holder}")
        cursor.execute("SELECT GET_LOCK(%s, 10)", (lock,))
        count = database.count()
        _, stderr = process.communicate(timeout=60)
        assert (process.returncode, "lease was lost" in stderr) == (1, True), stderr
        assert count - database.count() <= 10, "at most the chunk that was being deleted"
        assert "another process" in retain(world, "--execute", code=1)

    world.retention["pace"] = {"rows_per_second": 100_000}
    world.write()
    retain(world, "--execute")
    entries = [entry["what"] for entry in world.run("journal", "--json").json["entries"]]
    assert sum(each["deleted"] for what in entries for each in what["rows"].values()) == 300
    assert (database.count(), world.count()) == (0, 0)


@pytest.mark.slow
def test_a_hold_written_down_during_a_run_ends_it(world: World, database: Database) -> None:
    shipped(world, [aged(100, client_id=7) for _ in range(300)], pace={"rows_per_second": 100, "chunk_rows": 10})
    process = world.start("retain", "--execute")
    until(process, lambda: database.count() < 300)
    world.retention["holds"] = [{"name": "dispute", "match": {"client_id": 7}, "reason": "chargeback"}]
    world.write()
    _, stderr = process.communicate(timeout=60)

    assert (process.returncode, "rules changed during a run" in stderr) == (1, True), stderr
    left = database.count()
    assert left > 0
    retain(world, "--execute")
    assert database.count() == left


@pytest.mark.slow
def test_two_runs_at_once_delete_and_count_each_row_once(world: World, database: Database) -> None:
    shipped(
        world,
        [aged(100) for _ in range(400)] + [aged(1)],
        pace={"rows_per_second": 100_000, "chunk_rows": 20},
        archive={"enabled": True, "directory": "archive", "format": "ndjson"},
    )
    processes = [world.start("retain", "--execute", "--json") for _ in range(2)]
    ended = [(process.communicate(timeout=120), process.returncode) for process in processes]

    assert min(code for _, code in ended) == 0
    for (_, stderr), code in ended:
        assert code == 0 or "another process deletes for this instance" in stderr
    assert ids(database) == {401}
    assert archived(world) == list(range(1, 401))
    entries = [entry["what"] for entry in world.run("journal", "--json").json["entries"]]
    assert sum(each["deleted"] for what in entries for each in what["rows"].values()) == 400


@pytest.mark.slow
def test_a_person_retains_beside_a_daemon_that_ships(world: World, database: Database) -> None:
    shipped(world, [aged(100) for _ in range(200)] + [aged(1)], pace={"rows_per_second": 100_000})
    world.write({"log.format": "json"})
    daemon = world.start("run")
    until(daemon, lambda: world.run("status", "--json").json["state"] == "idle")
    insert_raw(database, [aged(0.5), aged(95)])
    report = retain(world, "--execute")
    until(daemon, lambda: world.count() >= 2)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(timeout=30) == 0

    assert report["left"] == {"rows": 0, "documents": 0}
    assert ids(database) >= {201, 202}
    verified = world.run("verify", "--json")
    assert verified.code == 0, verified.stdout


def test_a_pause_holds_for_a_person_too_until_it_is_taken_back(world: World, database: Database) -> None:
    shipped(world, [aged(100), aged(1)])
    assert world.run("pause", "retention", "--why", "lawsuit 5512").code == 0
    said = retain(world, "--execute", code=1)
    assert "retention is paused" in said and "lawsuit 5512" in said and "resume retention" in said
    assert retain(world)["rows"]["expired"] == 1
    assert ids(database) == {1, 2}

    assert world.run("resume", "retention").code == 0
    retain(world, "--execute")
    assert ids(database) == {2}


@pytest.mark.parametrize("cut", ["end", pytest.param("all", marks=pytest.mark.slow)])
def test_a_journal_whose_end_was_cut_off_is_found(world: World, cut: str) -> None:
    shipped(world, [aged(100), aged(95), aged(1)])
    retain(world, "--execute")
    insert_raw(world.database, [aged(99)])
    world.run("sync")
    retain(world, "--execute")
    assert world.run("journal", "--verify").code == 0
    query = {"match_all": {}} if cut == "all" else {"term": {"seq": 2}}
    world.request("POST", f"/{world.agent_prefix}-journal/_delete_by_query?refresh=true", {"query": query})

    outcome = world.run("journal", "--verify", "--json")
    assert (outcome.code, outcome.json["intact"]) == (1, False)
    assert "retention noted entry 2" in outcome.json["reason"]


@pytest.mark.slow
def test_a_lock_that_is_held_ends_the_run_which_says_so(world: World, database: Database) -> None:
    shipped(world, [aged(100), aged(1)])
    with database.connect() as other, other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"UPDATE `{TABLE}` SET detail = 'changed meanwhile' WHERE id = 1")
        report = retain(world, "--execute", code=1)
        assert (report["deleted"]["kept_in_use"], report["left"]) == (1, {"rows": 1, "documents": 1})
        assert {document["id"] for document in world.documents()} == {1, 2}, "its document stays with it"
        other.commit()
    report = retain(world, "--execute")
    assert (report["deleted"]["kept_unconfirmed"], ids(database)) == (1, {1, 2}), "what it says now is not indexed yet"

    assert world.run("verify", "--repair").code == 0
    retain(world, "--execute")
    assert ids(database) == {2} == {document["id"] for document in world.documents()}


@pytest.mark.slow
def test_documents_with_other_content_or_of_others_confirm_nothing(
    make_world: Callable[..., World], database: Database, tmp_path: Path
) -> None:
    world = make_world(database)
    shipped(world, [aged(100), aged(101), aged(1)])
    neighbour = make_world(database)
    assert neighbour.run("sync").code == 0
    world.refresh()
    body = {"query": {"term": {"id": 1}}, "script": {"source": "ctx._source.agent.crc += 1"}}
    world.request("POST", f"/{world.index}/_update_by_query?refresh=true", body)
    world.request("POST", f"/{world.index}/_delete_by_query?refresh=true", {"query": {"term": {"id": 2}}})
    report = retain(world, "--execute")

    assert (report["deleted"]["kept_unconfirmed"], ids(database)) == (2, {1, 2, 3})
    assert neighbour.count() == 3, "another instance's documents are nobody's business"


@pytest.mark.slow
def test_an_archive_holds_columns_of_any_type(world: World, database: Database) -> None:
    database.execute(
        f"ALTER TABLE `{TABLE}` ADD raw VARBINARY(8), ADD flags BIT(3), ADD cost DECIMAL(9,4), ADD at TIME(3),"
        " ADD big BIGINT UNSIGNED, ADD share DOUBLE, ADD more LONGBLOB, ADD doc JSON"
    )
    odd = {"raw": b"\x00\xff\x27", "flags": 5, "cost": "1.5000", "at": "-12:00:00.5", "big": 2**64 - 1, "share": 0.1}
    rows = [
        aged(100, **odd, more=b"\xff" * 300_000, doc='{"a": 1}'),
        aged(100, **dict.fromkeys(odd), more=None, doc=None),
    ]
    for kind in ("ndjson", "csv"):
        shipped(world, rows, archive={"enabled": True, "directory": kind, "format": kind})
        retain(world, "--execute")
        assert ids(database) == set()
        (path,) = (world.folder / kind / world.instance).glob(f"*.{kind}.gz")
        assert world.run("archive", "verify", str(path)).code == 0
        assert len(gzip.decompress(path.read_bytes())) > 300_000


@pytest.mark.slow
def test_a_partition_that_somebody_closed_stops_the_run_which_names_it(world: World, database: Database) -> None:
    shipped(world, [aged(200), aged(100), aged(1)])
    partitions = sorted(world.request("GET", f"/{world.index}-*/_alias"))
    world.request("POST", f"/{partitions[0]}/_close")
    said = retain(world, "--execute", code=1)
    assert "closed" in said and "_open" in said, said
    assert ids(database) == {1, 2, 3}

    world.request("POST", f"/{partitions[0]}/_open?wait_for_active_shards=1")
    retain(world, "--execute")
    assert ids(database) == {3} == {document["id"] for document in world.documents()}


@pytest.mark.slow
@pytest.mark.parametrize("aliases", ["*", "partition", "read"])
def test_a_partition_whose_aliases_were_removed_gets_them_back_and_its_rows_go(
    world: World, database: Database, aliases: str
) -> None:
    shipped(world, [aged(100), aged(1)])
    (partition, *_) = sorted(world.request("GET", f"/{world.index}-*/_alias"))
    named = {"*": "*", "partition": partition.removesuffix("-000001"), "read": world.index}[aliases]
    world.request("DELETE", f"/{partition}/_alias/{named}")
    assert retain(world, "--execute")["deleted"]["kept_unconfirmed"] == 0
    assert ids(database) == {2} == {document["id"] for document in world.documents()}
