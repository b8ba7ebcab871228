"""Backfill: any number of slices side by side are one backfill; checkpoint and lease are left alone."""

from __future__ import annotations

import signal
import time
from random import Random

import pytest

from tests.integration.drift import contents, lose
from tests.world import World

pytestmark = pytest.mark.integration
TABLE = "mod_impulsecore_audit_log"


def test_four_slices_in_four_processes_are_one_backfill(world: World) -> None:
    world.database.fill(6500)
    whole = world.run("backfill", "--json")
    assert whole.code == 0, whole.stderr
    assert whole.json["indexed"] == 6500
    wanted = contents(world)
    world.request("DELETE", f"/{world.index}-*")

    processes = [world.start("backfill", "--slice", f"{part}/4", "--json") for part in range(4)]
    outputs = [process.communicate(timeout=120) for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0, 0], outputs
    assert contents(world) == wanted
    assert world.run("checkpoint", "show", "--json").json["watermark"] == 0


def test_rows_of_other_slices_are_not_touched(world: World) -> None:
    world.database.fill(3000)

    assert world.run("backfill", "--slice", "1/2", "--json").json["indexed"] == 1001

    assert {document["id"] // 1000 for document in world.documents()} == {1, 3}


@pytest.mark.slow
def test_a_slice_killed_and_repeated_ends_the_same(world: World) -> None:
    world.write({"tail.batch_rows": 200})
    world.database.fill(5000)
    killed = world.start("backfill")
    deadline = time.monotonic() + 60
    while not world.count() and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.kill()
    killed.communicate()

    repeated = world.run("backfill", "--json")

    assert repeated.code == 0, repeated.stderr
    assert world.count() == 5000
    assert world.run("sync").code == 0
    assert world.run("verify").code == 0


@pytest.mark.parametrize("seed", [pytest.param(seed, marks=pytest.mark.slow) for seed in range(10)])
def test_slices_killed_again_and_again_are_one_backfill_in_the_end(world: World, seed: int) -> None:
    random = Random(seed)
    world.write({"tail.batch_rows": 100, "tail.bulk_concurrency": 1})
    world.database.fill(4000, seed=seed)
    left = set(range(4))
    for _ in range(3):
        processes = {part: world.start("backfill", "--slice", f"{part}/4") for part in left}
        goal = world.count() + random.randrange(1, 700)
        while world.count() < goal and any(process.poll() is None for process in processes.values()):
            pass
        for part, process in processes.items():
            if random.random() < 0.75:
                process.kill()
            process.communicate()
            left -= {part} if process.returncode == 0 else set()

    assert [world.run("backfill", "--slice", f"{part}/4").code for part in sorted(left)] == [0] * len(left)

    assert world.count() == 4000
    assert world.run("sync").code == 0
    assert world.run("verify", "--deep").code == 0


def test_a_signal_stops_it_between_batches(world: World) -> None:
    world.write({"tail.batch_rows": 50, "tail.bulk_concurrency": 1})
    world.database.fill(8000)
    process = world.start("backfill", "--json")
    deadline = time.monotonic() + 60
    while not world.count() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=60)

    assert process.returncode == 130, stderr
    assert '"complete":false' in stdout


def test_a_range_is_shipped_beside_a_sync_that_holds_the_lease(world: World) -> None:
    world.database.fill(800)
    assert world.run("sync").code == 0
    lose(world, 100, 101, 300, 301)
    before = world.run("checkpoint", "show", "--json").json

    outcome = world.run("backfill", "--from-id", "101", "--to-id", "300", "--json")

    assert (outcome.code, outcome.json["indexed"]) == (0, 200)
    assert world.run("verify", "--json").json["samples"]["missing"] == [100, 301]
    assert world.run("checkpoint", "show", "--json").json == before


def test_ids_may_jump_by_any_distance(world: World) -> None:
    world.database.fill(30)
    world.database.execute(f"ALTER TABLE {TABLE} AUTO_INCREMENT = 4000000000")
    world.database.fill(30)

    counts = [world.run("backfill", "--slice", f"{part}/3", "--json").json["indexed"] for part in range(3)]

    assert sum(counts) == world.count() == 60


def test_an_empty_table_has_nothing_to_ship(world: World) -> None:
    outcome = world.run("backfill", "--slice", "0/2", "--json")

    assert (outcome.code, outcome.json["indexed"]) == (0, 0)


def test_a_range_above_the_last_row_has_nothing_to_ship(world: World) -> None:
    world.database.fill(5)

    assert world.run("backfill", "--from-id", "6").stdout == "nothing to ship: the table has no id from 6 on\n"
    assert world.run("backfill", "--from-id", "5", "--to-id", "9", "--json").json["indexed"] == 1
    assert world.run("backfill", "--from-id", "5", "--to-id", "4").code == 2


@pytest.mark.parametrize("part", ["4/4", "0/0", "-1/4", "1", "a/b"])
def test_a_slice_that_does_not_exist_is_a_usage_error(world: World, part: str) -> None:
    outcome = world.run("backfill", f"--slice={part}")

    assert outcome.code == 2
    assert "0/n" in outcome.stderr
