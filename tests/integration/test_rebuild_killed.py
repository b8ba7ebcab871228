"""A rebuild that is killed again and again while a writer writes 500 rows a second: at last all is as if it never was.

python -m pytest tests/integration/test_rebuild_killed.py -m slow -s      SEED=<number> repeats a run
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from demo.table import TABLE
from tests.integration.test_rebuild import STATS, indices, typed, with_durations
from tests.world import World

pytestmark = pytest.mark.integration
ROWS = 30_000
KILLS = 8
ROWS_A_SECOND = 500


class Writer:
    """Write rows whose `spent_ms` is their number, as text in every second one, and a new key in each transaction."""

    def __init__(self, world: World, first: int) -> None:
        self._world = world
        self._first = first
        self.stop = threading.Event()
        self.written = 0
        self.seconds = 0.0

    def write(self) -> None:
        connection, begun = self._world.database.connect(), time.monotonic()
        while not self.stop.is_set():
            numbers = range(self._first + self.written, self._first + self.written + 50)
            key = f"late_{self.written // 50 % 100}"
            rows = [
                (json.dumps({"spent_ms": str(number) if number % 2 else number, key: number}),) for number in numbers
            ]
            with connection.cursor() as cursor:
                cursor.executemany(
                    f"INSERT INTO {TABLE} (created_at, module_slug, source, action, context) VALUES (UTC_TIMESTAMP(), 'm', 'cron', 'late', %s)",
                    rows,
                )
            connection.commit()
            self.written += len(rows)
            self.seconds = time.monotonic() - begun
            self.stop.wait(max(0.0, self.written / ROWS_A_SECOND - self.seconds))
        connection.close()


@contextmanager
def writing(world: World, first: int) -> Iterator[Writer]:
    writer = Writer(world, first)
    thread = threading.Thread(target=writer.write)
    thread.start()
    try:
        yield writer
    finally:
        writer.stop.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_again_and_again_beside_a_writer_nothing_is_lost(world: World) -> None:
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    print(f"SEED={seed}")
    rng = random.Random(seed)
    partition = with_durations(world, ROWS)
    typed(world)
    daemon = world.start("run")
    begun_at = set()
    with writing(world, ROWS + 1) as writer:
        for _ in range(KILLS):
            process = world.start("rebuild", "--partition", partition)
            writer.stop.wait(rng.uniform(0.8, 6))
            process.kill()
            process.communicate()
            begun_at.add((process.returncode, *(index[-6:] for index in indices(world))))
        last = world.run("rebuild", "--partition", partition, "--json", timeout=300)
        assert last.code == 0, last.stderr
        again = world.run("rebuild", "--partition", partition, "--json", timeout=300)
        assert again.code == 0, again.stderr
    print(f"{writer.written} rows at {writer.written / writer.seconds:.0f}/s; seen after kills: {sorted(begun_at)}")
    daemon.terminate()
    _, stderr = daemon.communicate(timeout=60)
    assert world.run("sync").code == 0, stderr

    total = ROWS + writer.written
    assert world.count() == world.database.count() == total
    assert len(indices(world)) == 1
    spent = world.request("POST", f"/{world.index}/_search", STATS)["aggregations"]["spent"]
    assert (spent["count"], spent["sum"], spent["max"]) == (total, total * (total + 1) / 2, total)
    assert world.count({"range": {"context.spent_ms": {"gt": ROWS}}}) == writer.written
    for number in range(min(100, writer.written // 50)):
        expected = len(range(number, writer.written // 50, 100)) * 50
        assert world.count({"exists": {"field": f"context.late_{number}"}}) == expected, number
    report = world.run("verify", "--deep", "--json", timeout=300)
    assert report.code == 0, report.stdout
