"""Verification beside a live tail, a retention run and Core's purge: what is on its way is never called drift."""

from __future__ import annotations

import threading
import time

import pytest

from tests.world import World

pytestmark = pytest.mark.integration
TABLE = "mod_impulsecore_audit_log"
INSERTS_A_SECOND = 1000


def test_a_thousand_inserts_a_second_late_commits_and_rollbacks_are_no_drift(world: World) -> None:
    world.write({"verify.window_rows": 500})
    world.database.fill(2000)
    daemon = world.start("run")
    stop = threading.Event()
    inserted: list[int] = []
    thread = threading.Thread(target=_insert, args=(world, stop, inserted))
    begun = time.monotonic()
    thread.start()
    try:
        reports = []
        deadline = begun + 60
        while _watermark(world) < 2000 and time.monotonic() < deadline:
            time.sleep(0.2)
        while len(reports) < 6 and time.monotonic() < deadline:
            reports.append(world.run("verify", "--json"))
    finally:
        stop.set()
        thread.join()
        seconds = time.monotonic() - begun
        daemon.terminate()
        daemon.communicate(timeout=60)

    assert sum(inserted) / seconds > 0.8 * INSERTS_A_SECOND, "the writer kept its pace"
    assert [report.code for report in reports] == [0] * len(reports), [
        report.stdout + report.stderr for report in reports if report.code
    ]
    assert reports[-1].json["rows"] > reports[0].json["rows"] > 0, "the tail went on meanwhile"
    assert world.run("sync").code == 0
    last = world.run("verify", "--deep", "--json")
    assert last.code == 0, last.stdout
    assert last.json["rows"] == last.json["documents"] == world.database.count()


def _watermark(world: World) -> int:
    """Return how far the daemon is; 0 while its first checkpoint is being made."""
    shown = world.run("checkpoint", "show", "--json")
    return int(shown.json["watermark"]) if shown.code == 0 else 0


def _insert(world: World, stop: threading.Event, inserted: list[int]) -> None:
    """Insert at a steady pace, catching up when held up; every tenth transaction commits late or not at all."""
    quick, slow = world.database.connect(), world.database.connect()
    insert = f"INSERT INTO {TABLE} (created_at, module_slug, source, action) VALUES "
    row = "(UTC_TIMESTAMP(), 'm', 'cron', 'a.b')"
    turn, begun = 0, time.monotonic()
    while not stop.wait(0.04):
        turn += 1
        with slow.cursor() as cursor:
            if turn % 10 == 1:
                slow.begin()
                cursor.execute(insert + row)
        due = int((time.monotonic() - begun) * INSERTS_A_SECOND) - sum(inserted)
        with quick.cursor() as cursor:
            cursor.execute(insert + ",".join([row] * due))
        inserted.append(due)
        if turn % 10 == 6:
            (slow.commit if turn % 20 == 6 else slow.rollback)()
    slow.rollback()
    for connection in (quick, slow):
        connection.close()


def test_a_retention_run_beside_is_no_drift(world: World) -> None:
    world.write({"verify.window_rows": 300})
    world.retention |= {
        "rows": {"days": 20},
        "documents": {"days": 40},
        "brakes": {"max_share": 1},
        "pace": {"rows_per_second": 400, "chunk_rows": 100},
    }
    world.write()
    world.database.fill(3000, days=60)
    assert world.run("sync").code == 0

    retain = world.start("retain", "--execute")
    reports = []
    while retain.poll() is None:
        reports.append(world.run("verify", "--json"))
    _, stderr = retain.communicate()

    assert retain.returncode == 0, stderr
    assert len(reports) > 2
    assert [report.code for report in reports] == [0] * len(reports), [
        report.stdout + report.stderr for report in reports if report.code
    ]
    last = world.run("verify", "--json")
    assert last.code == 0
    assert last.json["explained"] == {"expired": last.json["documents"] - last.json["rows"]}
    # Repair ships nothing that has expired again.
    assert world.run("verify", "--repair", "--json").json["repaired"] == 0


def test_a_purge_by_core_between_two_looks_is_no_drift(world: World) -> None:
    world.write({"verify.window_rows": 200})
    world.database.fill(2000, days=100)
    assert world.run("sync").code == 0
    stop = threading.Event()

    def purge() -> None:
        other = world.database.connect()
        for days in range(99, 30, -1):
            with other.cursor() as cursor:
                cursor.execute(f"DELETE FROM {TABLE} WHERE created_at < UTC_TIMESTAMP() - INTERVAL {days} DAY")
            other.commit()
            if stop.wait(0.1):
                break
        other.close()

    thread = threading.Thread(target=purge)
    thread.start()
    try:
        reports = [world.run("verify", "--json") for _ in range(5)]
    finally:
        stop.set()
        thread.join()
    assert [report.code for report in reports] == [0] * 5, [report.stdout for report in reports if report.code]
    assert reports[-1].json["explained"]["purged"] > 0
