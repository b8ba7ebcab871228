"""A process that dies after each single effect of a step, on real servers: enumerated, and every one converges."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.fakes.struck import STRUCK
from tests.integration.tailing import INSERT, Watched, insert, transaction
from tests.integration.test_context_dead_letters import set_strict
from tests.world import Database, World

pytestmark = pytest.mark.integration
REPOSITORY = Path(__file__).parents[2]
BATCH_ROWS = 4


@pytest.fixture
def database_server(each_server: str) -> str:
    return each_server


def struck_sync(world: World, effect: int) -> int:
    """Run `sync` and let it die after so many effects; return how it ended."""
    command = [sys.executable, "-m", "tests.fakes.struck", str(effect), "-c", str(world.config), "sync"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in (0, STRUCK), done.stderr
    return done.returncode


def tell(world: World, strike: Callable[[], int]) -> int:
    """Rows in two partitions, a dead letter, a late commit, a rollback, several batches; return the way it ended."""
    world.write({"tail.batch_rows": BATCH_ROWS})
    insert(world.database, 2)
    assert world.run("sync").code == 0
    set_strict(world, is_strict=True)
    with transaction(world.database) as late, transaction(world.database) as lost:
        late(INSERT)
        insert(world.database, 3)
        lost(INSERT + ", ('m', 'cron', 'a', 'info')")
        insert(world.database, 5)
        poison = INSERT.replace("severity)", "severity, ip_address)").replace("'info')", "'info', 'no address')")
        world.database.execute(poison)
        world.database.execute(
            INSERT.replace("severity)", "severity, created_at)").replace("'info')", "'info', '2026-01-02 03:04:05')")
        )
        lost("ROLLBACK")
        ended = strike()
        late("COMMIT")
    return ended


def converged(world: World) -> None:
    assert world.run("sync").code == 0
    watched = Watched(world)
    letters = {letter["id"] for letter in world.run("dead-letters", "list", "--json").json["dead_letters"]}
    assert len(letters) == 1
    assert watched.ids() == watched.table_ids() - letters
    assert watched.progress().watermark == max(watched.table_ids())
    assert watched.progress().skipped_total == 2
    assert world.run("journal", "--verify", "--json").json["intact"]
    skipped = {tuple(each) for entry in watched.journaled("gap_skipped") for each in entry["what"]["ranges"]}
    missing = set(range(1, max(watched.table_ids()) + 1)) - watched.table_ids()
    assert {i for first, last in skipped for i in range(first, last + 1)} == missing


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_an_agent_struck_after_each_effect_converges(make_world: Callable[..., World], database_server: str) -> None:
    for effect in itertools.count(1):
        database = Database(database_server)
        database.create_table()
        world = make_world(database)
        ended = tell(world, partial(struck_sync, world, effect))
        converged(world)
        world.remove()
        database.drop()
        if ended == 0:
            break
    print(f"{effect - 1} effects")
    assert effect > 12
