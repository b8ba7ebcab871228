"""An index deleted by hand comes back, by verify or by backfill; its neighbours and the live tail notice nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.world import World

pytestmark = pytest.mark.integration
TABLE = "mod_impulsecore_audit_log"
ROWS = 4000
INSERTS_A_SECOND = 100
LAG_SECONDS = 5


def versions(world: World, index: str) -> dict[str, tuple[int, int]]:
    """Return `_seq_no` and `_version` of every document of an index."""
    world.refresh()
    body = {"size": 10_000, "_source": False, "seq_no_primary_term": True, "version": True, "track_total_hits": True}
    hits = world.request("POST", f"/{index}/_search", body)["hits"]["hits"]
    return {hit["_id"]: (hit["_seq_no"], hit["_version"]) for hit in hits}


@contextmanager
def live(world: World) -> Iterator[list[float]]:
    """Run the daemon beside a steady stream of rows; lend the lags that are seen from outside, in seconds.

    A lag is the age, by the database's clock, of the oldest of these rows that cannot be found in the index yet.
    """
    daemon = world.start("run")
    halt = threading.Event()
    lags: list[float] = []
    other = world.database.connect()

    def write() -> None:
        begun, written = time.monotonic(), 0
        while not halt.wait(0.1):
            due = int((time.monotonic() - begun) * INSERTS_A_SECOND)
            values = ",".join(["(UTC_TIMESTAMP(6), 'm', 'cron', 'a.live')"] * (due - written))
            with other.cursor() as cursor:
                cursor.execute(f"INSERT INTO {TABLE} (created_at, module_slug, source, action) VALUES {values}")
            written = due

    def watch() -> None:
        while not halt.wait(0.3):
            newest = _newest(world)
            sql = (
                "SELECT TIMESTAMPDIFF(MICROSECOND, MIN(created_at), UTC_TIMESTAMP(6)) / 1e6 "
                f"FROM {TABLE} WHERE action = 'a.live' AND id > %s"
            )
            with watcher.cursor() as cursor:
                cursor.execute(sql, (newest,))
                found = cursor.fetchone()
            lags.append(float(found[0] or 0) if found else 0)

    watcher = world.database.connect()
    threads = [threading.Thread(target=write), threading.Thread(target=watch)]
    for thread in threads:
        thread.start()
    try:
        yield lags
    finally:
        halt.set()
        for thread in threads:
            thread.join()
        daemon.terminate()
        daemon.communicate(timeout=60)


def _newest(world: World) -> int:
    body = {"size": 0, "track_total_hits": False, "aggs": {"newest": {"max": {"field": "id"}}}}
    answer = world.request("POST", f"/{world.index}/_search", body)
    return int(answer["aggregations"]["newest"]["value"] or 0)


def shipped(world: World) -> None:
    world.database.execute(f"ALTER TABLE {TABLE} MODIFY created_at DATETIME(6) NOT NULL")
    world.database.fill(ROWS)
    outcome = world.run("sync")
    assert outcome.code == 0, outcome.stderr


@pytest.mark.parametrize("way", ["verify --repair", pytest.param("backfill", marks=pytest.mark.slow)])
def test_a_deleted_index_is_restored_beside_a_live_tail(world: World, way: str) -> None:
    shipped(world)
    indices = sorted(world.request("GET", f"/{world.index}-*"))
    lost, kept = indices[1], [index for index in indices[:-1] if index != indices[1]]
    ids = sorted(int(key.rpartition(":")[2]) for key in versions(world, lost))
    before = {index: versions(world, index) for index in kept}

    with live(world) as lags:
        _until(lambda: _newest(world) > ROWS)
        del lags[:]  # the daemon's start is no part of it
        world.request("DELETE", f"/{lost}")
        if way == "backfill":
            outcome = world.run("backfill", "--from-id", str(ids[0]), "--to-id", str(ids[-1]), "--json")
            assert outcome.json["indexed"] == len(ids)
        else:
            outcome = world.run("verify", "--repair", "--json")
            assert (outcome.json["missing"], outcome.json["repaired"]) == (len(ids), len(ids))
        assert outcome.code == 0, outcome.stderr
        seen = list(lags)

    assert seen, "the tail was watched meanwhile"
    assert max(seen) < LAG_SECONDS
    assert {index: versions(world, index) for index in kept} == before
    assert len(versions(world, lost)) == len(ids)
    assert world.run("sync").code == 0
    report: Any = world.run("verify", "--deep", "--json")
    assert report.code == 0, report.stdout
    assert report.json["rows"] == report.json["documents"] > ROWS


def _until(is_so: Any) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)
