"""kill -9 at random moments: whatever was in flight, table and index end up the same, and little is read twice."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable

import pytest
from pymysql.err import MySQLError, OperationalError

from demo.table import TABLE
from tests.integration.tailing import INSERT, Watched, rss_kilobytes, transaction, until
from tests.world import Database, World

pytestmark = pytest.mark.integration
WRITERS = 8
DEADLOCK = 1213


@pytest.fixture
def database_server(each_server: str) -> str:
    return each_server


def first_seed() -> int:
    """Return where to begin: at random, or at the seed of a run that failed, to play it again."""
    return int(os.environ.get("AUDIT_TEST_SEED") or random.SystemRandom().randrange(10**6))


def some_rows(rng: random.Random) -> list[str]:
    """Return statements that burn or insert a few ids, each in another way."""
    rows = rng.randint(0, 3)
    several = INSERT + ", ('m', 'cron', 'a', 'info')" * rows
    selected = (
        INSERT.partition(" VALUES")[0] + " SELECT 'm', 'cron', 'a', 'info'" + " UNION ALL SELECT 1, 2, 3, 4" * rows
    )
    return rng.choice(([several], [several], [selected], ["SAVEPOINT s", several, "ROLLBACK TO s"], [INSERT, several]))


def endings(rng: random.Random) -> tuple[str, list[str]]:
    """Return how a transaction begins and how it ends; without an end its session breaks off."""
    end = "ROLLBACK" if rng.random() < 0.25 else "COMMIT"
    if rng.random() < 0.15:
        name = f"'{rng.getrandbits(64):x}'"
        return f"XA START {name}", [f"XA END {name}", f"XA PREPARE {name}", f"XA {end} {name}"]
    return "BEGIN", [] if rng.random() < 0.05 else [end]


def write(database: Database, rng: random.Random, transactions: int) -> None:
    """Write as a busy shop does: some rows at once, some late, some never."""
    connection = database.connect()
    for _ in range(transactions):
        begin, end = endings(rng)
        statements = [statement for _ in range(rng.randint(1, 3)) for statement in some_rows(rng)]
        try:
            with connection.cursor() as cursor:
                for statement in (begin, *statements):
                    cursor.execute(statement)
                    time.sleep(rng.choice((0, 0, 0.01, 0.05)))
                time.sleep(rng.choice((0, 0, 0, 0.02, 0.3)))
                for statement in end:
                    cursor.execute(statement)
        except OperationalError as error:
            if error.args[0] != DEADLOCK:
                raise
            end = []  # the server has rolled it back
        if not end:
            connection.close()
            connection = database.connect()
        if rng.random() < 0.1:
            time.sleep(0.2)
    connection.close()


def interleave(watched: Watched, seed: int) -> None:
    """Run eight writers while the agent is killed and started again."""
    rng = random.Random(seed)
    database = watched.world.database
    errors: list[MySQLError] = []

    def work(own: random.Random) -> None:
        try:
            write(database, own, transactions=12)
        except MySQLError as error:
            errors.append(error)

    writers = [threading.Thread(target=work, args=(random.Random(rng.random()),)) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    for _ in range(rng.randint(1, 2)):
        time.sleep(rng.uniform(0, 2.5))
        watched.kill()
        watched.start()
    for writer in writers:
        writer.join()
    assert not errors
    watched.caught_up()
    assert watched.ids() == watched.table_ids(), f"seed {seed}"


def interleavings(world: World, seeds: list[int]) -> None:
    watched = Watched(world)
    watched.start()
    for seed in seeds:
        print(f"seed {seed}; AUDIT_TEST_SEED={seed} plays it again", flush=True)
        world.database.execute(f"DELETE FROM {TABLE} WHERE id < (SELECT * FROM (SELECT MAX(id) FROM {TABLE}) AS t)")
        world.request("POST", f"/{world.index}*/_delete_by_query?refresh=true&conflicts=proceed&allow_no_indices=true",
                      {"query": {"bool": {"must_not": {"terms": {"id": sorted(watched.table_ids())}}}}})  # fmt: skip
        interleave(watched, seed)


def test_writers_that_interleave_at_random_and_an_agent_that_is_killed_lose_and_double_nothing(world: World) -> None:
    first = first_seed()
    interleavings(world, [first + n for n in range(3)])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_three_hundred_interleavings_lose_and_double_nothing(world: World) -> None:
    first = first_seed()
    interleavings(world, [first + n for n in range(300)])


def catch_up_under_fire(world: World, *, rows: int, kills: int, batch_rows: int) -> None:
    """Kill the agent again and again in the midst of its work; what each new one reads again was in flight."""
    seed = first_seed()
    print(f"seed {seed}; AUDIT_TEST_SEED={seed} plays it again")
    rng = random.Random(seed)
    watched = Watched(world)
    world.write({"tail.batch_rows": batch_rows, "tail.bulk_concurrency": 2})
    world.database.fill(rows, seed=seed)
    again, midway = [], 0
    for _ in range(kills):
        leads(watched)
        time.sleep(rng.uniform(0, 0.4))
        watched.kill()
        time.sleep(0.2)  # what the node was sent last is taken by then
        frontier = watched.progress().frontier
        again.append(world.count({"range": {"id": {"gt": frontier}}}))
        midway += 0 < frontier < rows
    leads(watched)
    watched.caught_up()
    assert world.count() == world.database.count() == rows
    assert watched.state()["open_gaps"] == 0
    watched.stop()
    print(f"{midway} of {kills} kills midway; indexed and not checkpointed at each: {again}")
    assert midway > kills // 4, "the kills missed the work"
    # Two requests travel, a third was answered and is not checkpointed yet.
    assert max(again) <= 3 * batch_rows


def leads(watched: Watched) -> None:
    """Start an agent and wait until it ships."""
    process = watched.start()
    until(lambda: f":{process.pid}:" in str(watched.state().get("lease")), "it leads", told=watched.state)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_agent_killed_again_and_again_during_a_catch_up_converges(world: World) -> None:
    catch_up_under_fire(world, rows=20_000, kills=20, batch_rows=100)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_an_agent_killed_a_hundred_times_during_a_long_catch_up_converges(world: World) -> None:
    catch_up_under_fire(world, rows=200_000, kills=100, batch_rows=250)


def grown_by(watched: Watched, work: Callable[[], None]) -> int:
    assert watched.process
    watched.caught_up()
    before = rss_kilobytes(watched.process)
    work()
    watched.caught_up()
    return rss_kilobytes(watched.process) - before


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_million_dead_ids_in_steps_of_three_cost_neither_memory_nor_room(world: World) -> None:
    database, watched = world.database, Watched(world)
    watched.start()
    database.fill(5000)

    def leap() -> None:
        highest = max(watched.table_ids())
        database.execute(f"ALTER TABLE {TABLE} AUTO_INCREMENT = {highest + 1_000_001}")
        database.execute("SET SESSION auto_increment_increment = 3")
        database.fill(20_000)
        database.execute("SET SESSION auto_increment_increment = 1")

    grown = grown_by(watched, leap)
    print(f"grown by {grown} kB")
    assert grown < 20_000
    assert watched.progress().skipped_total >= 1_000_000 + 39_000
    watched.stop()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_million_ids_that_are_really_rolled_back_are_held_and_then_passed_at_no_cost(world: World) -> None:
    database, watched = world.database, Watched(world)
    watched.start()
    database.fill(5000)
    database.execute("CREATE TABLE digit (n INT)")
    database.execute("INSERT INTO digit VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)")
    million = f"INSERT INTO {TABLE} (module_slug, source, action) SELECT 'm', 'cron', 'a' FROM " + ", ".join(
        f"digit AS d{n}" for n in range(6)
    )
    sizes: list[int] = []

    def roll_back_a_million() -> None:
        with transaction(database) as doomed:
            first = doomed(million)
            database.execute("SET SESSION auto_increment_increment = 3")
            database.fill(15_000)
            highest = max(watched.table_ids())
            until(lambda: watched.progress().frontier == highest, "all is read", seconds=300, told=watched.state)
            assert watched.progress().watermark < first
            assert watched.progress().gap_ids >= 1_000_000
            assert watched.state()["open_gaps"] > 5_000
            sizes.append(len(json.dumps(watched.state())))
            doomed("ROLLBACK")

    grown = grown_by(watched, roll_back_a_million)
    print(f"grown by {grown} kB, checkpoint of {sizes[0]} bytes")
    assert grown < 20_000
    assert sizes[0] < 64 * 1024
    assert watched.progress().skipped_total >= 1_000_000 + 29_000
    assert world.count() == database.count()
    watched.stop()


@pytest.mark.slow
def test_many_open_gaps_cost_neither_memory_nor_room(world: World) -> None:
    database, watched = world.database, Watched(world)
    watched.start()
    database.fill(3000)
    watched.caught_up()
    assert watched.process
    before = rss_kilobytes(watched.process)
    connection = database.connect()
    connection.begin()
    with connection.cursor() as cursor:
        cursor.execute(INSERT)
    database.execute("SET SESSION auto_increment_increment = 3")
    highest = max(watched.table_ids())
    database.fill(15_000)
    until(lambda: watched.progress().frontier >= highest + 40_000, "all is read", told=watched.state)
    state = world.request("GET", f"/{world.agent_prefix}-state/_doc/{world.instance}")["_source"]
    assert state["open_gaps"] > 9_000
    assert len(str(state)) < 64 * 1024
    grown = rss_kilobytes(watched.process) - before
    print(f"grown by {grown} kB")
    assert grown < 20_000
    connection.close()
    watched.caught_up()
    assert world.count() == database.count()
    watched.stop()
