"""Told to stop while it waits for something: it ends, at the first signal soon and at the second at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from tests.integration.delivery import RunningAgent
from tests.proxy import BULK, HttpProxy, TcpProxy, answer, anything, silence
from tests.world import Database, World

pytestmark = pytest.mark.integration
LONG = 600
SOON = 30.0
PATIENCE = 20
MakeWorld = Callable[..., World]


@pytest.fixture
def proxied(make_world: MakeWorld, database: Database) -> Iterator[tuple[World, HttpProxy]]:
    world = make_world(database)
    with HttpProxy(world.opensearch_url) as proxy:
        world.write({"opensearch.hosts": [proxy.url], "opensearch.timeout_seconds": LONG})
        yield world, proxy


def test_a_stop_ends_a_pause_between_two_tries(proxied: tuple[World, HttpProxy]) -> None:
    world, proxy = proxied
    with RunningAgent(world) as agent:
        agent.delivers(agent.insert(3))
        proxy.on(BULK, answer(429, headers={"Retry-After": str(LONG)}))
        ids = agent.insert(3)
        agent.wait(lambda: any(f"retry_seconds={LONG}" in line for line in agent.lines), 60, "it waits")
        code, seconds = agent.stops()
        assert code == 0
        assert seconds < SOON
        proxy.clear()
        assert agent.state()["state"] == "stopped"
    with RunningAgent(world) as agent:
        agent.delivers(ids)


def test_a_stop_ends_a_pause_between_two_polls(proxied: tuple[World, HttpProxy]) -> None:
    world, _ = proxied
    world.write({"tail.poll_seconds": LONG})
    with RunningAgent(world) as agent:
        agent.wait(lambda: agent.state().get("state") == "idle", 60, "it waits for rows")
        code, seconds = agent.stops()
        assert code == 0
        assert seconds < SOON


def test_a_stop_ends_standing_by(proxied: tuple[World, HttpProxy]) -> None:
    world, _ = proxied
    with RunningAgent(world) as leading:
        leading.delivers(leading.insert(3))
        with RunningAgent(world, log="standby.log") as agent:
            agent.wait(lambda: any("lease.standby" in line for line in agent.lines), 60, "it stands by")
            code, seconds = agent.stops()
            assert code == 0
            assert seconds < SOON
        leading.delivers(leading.insert(3))


def test_a_second_stop_does_not_wait_for_an_answer(proxied: tuple[World, HttpProxy]) -> None:
    world, proxy = proxied
    with RunningAgent(world) as agent:
        agent.delivers(agent.insert(3))
        fault = proxy.on(anything, silence())
        ids = agent.insert(3)
        agent.wait(lambda: fault.used > 0, 60, "it waits for an answer")
        code, seconds = agent.stops(signals=2)
        assert code == -signal.SIGTERM
        assert seconds < SOON
        proxy.clear()
    with RunningAgent(world) as agent:
        agent.delivers(ids)


@pytest.mark.slow
@pytest.mark.parametrize("away", ["the cluster", "the database", "both"])
def test_a_stop_waits_for_no_more_than_the_answer_under_way(
    make_world: MakeWorld, database: Database, away: str
) -> None:
    world = make_world(database)
    with TcpProxy.to(database.url) as source, TcpProxy.to(world.opensearch_url) as cluster:
        world.write({"source.url": source.url, "source.read_timeout_seconds": PATIENCE})
        world.write({"opensearch.hosts": [cluster.url], "opensearch.timeout_seconds": PATIENCE})
        with RunningAgent(world) as agent:
            agent.delivers(agent.insert(3))
            for each in {"the cluster": [cluster], "the database": [source], "both": [source, cluster]}[away]:
                each.swallow()
            ids = agent.insert(3)
            code, seconds = agent.stops()
            assert code == 0
            # The answer under way, and then what is said last, each given up soon.
            assert seconds < 3 * PATIENCE
            cluster.heal()
            source.heal()
        with RunningAgent(world) as agent:
            agent.delivers(ids)
