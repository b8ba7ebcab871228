"""Two agents for one instance: exactly one ships, the other takes over, and who slept cannot undo what was done."""

from __future__ import annotations

import time

import pytest

from demo.table import TABLE
from tests.integration.tailing import Watched, freeze, insert, thaw, until
from tests.world import World

pytestmark = pytest.mark.integration


@pytest.fixture
def database_server(each_server: str) -> str:
    return each_server


def versions(world: World) -> dict[int, int]:
    """Return how often each row was written."""
    world.refresh()
    found = world.request("POST", f"/{world.index}*/_search", {"version": True, "size": 10_000, "_source": ["id"]})
    return {hit["_source"]["id"]: hit["_version"] for hit in found["hits"]["hits"]}


def holder(watched: Watched) -> str:
    return str(watched.state().get("lease"))


def end_lease(world: World) -> None:
    """Do what the server does when the leader's machine has vanished: end the session that holds the lease."""
    lock = f"audit-agent:{world.instance}"
    (owner,) = world.database.execute("SELECT IS_USED_LOCK(%s)", (lock,))[0]
    world.database.execute(f"KILL {owner}")


def test_exactly_one_ships_and_the_other_takes_over_when_it_is_killed(world: World) -> None:
    leader, standby = Watched(world), Watched(world)
    leader.start()
    insert(world.database, 5)
    leader.caught_up()
    first = holder(leader)
    standby.start()
    standby.says("lease.standby")
    for _ in range(10):
        insert(world.database, 3)
        leader.polls(1)
    leader.caught_up()
    assert holder(leader) == first
    assert set(versions(world).values()) == {1}, "a row that both had shipped would have been written twice"
    assert standby.process
    assert standby.process.poll() is None
    leader.kill()
    insert(world.database, 5)
    until(lambda: holder(standby) not in (first, "None"), "the standby ships", seconds=10, told=standby.state)
    standby.caught_up()
    assert standby.ids() == standby.table_ids()
    said = standby.stop()
    assert said.count("lease.standby") == 1
    assert said.count("lease.acquired") == 1


def test_a_leader_that_ends_in_order_hands_over_at_once(world: World) -> None:
    leader, standby = Watched(world), Watched(world)
    leader.start()
    insert(world.database)
    leader.caught_up()
    first = holder(leader)
    standby.start()
    leader.stop()
    until(lambda: holder(standby) not in (first, "None"), "the standby ships", seconds=10, told=standby.state)
    insert(world.database)
    standby.caught_up()
    standby.stop()


def test_a_leader_that_slept_through_the_loss_of_its_lease_moves_nothing_back(world: World) -> None:
    sleeper, other = Watched(world), Watched(world)
    sleeper.start()
    insert(world.database, 5)
    sleeper.caught_up()
    first = holder(sleeper)
    assert sleeper.process
    freeze(sleeper.process)
    end_lease(world)
    other.start()
    until(lambda: holder(other) != first, "the other ships", told=other.state)
    insert(world.database, 20)
    other.caught_up()
    seen = [other.progress().watermark]
    # What the sleeper may not touch once awake: everything below would be read again if its checkpoint won.
    world.database.execute(f"DELETE FROM {TABLE} WHERE id < 10")
    thaw(sleeper.process)
    for _ in range(20):
        insert(world.database)
        other.polls(1)
        seen.append(other.progress().watermark)
    assert seen == sorted(seen)
    other.caught_up()
    assert holder(other) != first
    assert set(versions(world).values()) == {1}
    assert "lease.lost" in sleeper.stop() or sleeper.process.returncode == 0
    other.stop()


@pytest.mark.slow
@pytest.mark.parametrize("sleeps", ["thirty seconds", "until the other ships"])
def test_a_leader_that_is_stopped_for_half_a_minute_moves_nothing_back(world: World, sleeps: str) -> None:
    sleeper, other = Watched(world), Watched(world)
    sleeper.start()
    insert(world.database, 5)
    sleeper.caught_up()
    first = holder(sleeper)
    other.start()
    other.says("lease.standby")
    assert sleeper.process
    freeze(sleeper.process)
    seen = [other.progress().watermark]

    def go_on() -> None:
        insert(world.database)
        other.polls(1)
        seen.append(other.progress().watermark)

    give_up = time.monotonic() + (30 if sleeps == "thirty seconds" else 90)
    while time.monotonic() < give_up and (sleeps == "thirty seconds" or holder(other) == first):
        go_on()
    assert sleeps == "thirty seconds" or holder(other) != first, "the server did not end a silent session"
    thaw(sleeper.process)
    for _ in range(20):
        go_on()
    other.caught_up()
    assert seen == sorted(seen)
    assert other.ids() == other.table_ids()
    assert other.process
    assert {sleeper.process.poll(), other.process.poll()} == {None}


def test_a_sleeper_whose_successor_has_ended_takes_the_newer_checkpoint_as_its_own(world: World) -> None:
    sleeper, other = Watched(world), Watched(world)
    sleeper.start()
    insert(world.database, 5)
    sleeper.caught_up()
    first = holder(sleeper)
    assert sleeper.process
    freeze(sleeper.process)
    end_lease(world)
    other.start()
    until(lambda: holder(other) != first, "the other ships", told=other.state)
    insert(world.database, 20)
    other.caught_up()
    other.stop()
    thaw(sleeper.process)
    insert(world.database)
    sleeper.caught_up()
    assert holder(sleeper) == first
    assert set(versions(world).values()) == {1}
    sleeper.stop()
