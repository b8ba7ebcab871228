"""An agent that lives but has lost its database is a stalled agent: its alert fires, whatever lag it measured last."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from agent.cli.app import Application
from agent.config.alerts import AlertRule
from agent.content.evaluate import Evaluation, evaluate
from tests.integration.tailing import Watched, insert, until
from tests.proxy import TcpProxy
from tests.world import Database, World

pytestmark = pytest.mark.integration

STALLED = AlertRule.model_validate({"name": "agent-stalled", "description": "d", "stalled_for": "1m"})
# A healthy agent measures with every poll and writes every ten seconds.
TELLING_SECONDS = 8.0


@pytest.mark.slow
def test_an_agent_that_lost_its_database_is_told_though_it_lives(
    database: Database, make_world: Callable[..., World], opensearch: str
) -> None:
    with TcpProxy.to(database.url) as source:
        world = make_world(database)
        world.write({"source.url": source.url, "source.connect_timeout_seconds": 2, "source.read_timeout_seconds": 2})
        watched = Watched(world)
        watched.start()
        insert(database)
        watched.caught_up()
        until(lambda: "lag_measured_at" in watched.state(), "it measures", told=watched.state)
        source.refuse()
        until(lambda: _lives_blind(watched), "it lives on, its lag is history", told=watched.state)
        state = watched.state()
        at = _instant(state["lag_measured_at"]) + 60
        found = _evaluated(world, at)
        before = _evaluated(world, at - 1)
        source.heal()
        watched.stop()
    assert state["lag_seconds"] < 60
    assert _instant(state["heartbeat"]) > at - 60
    assert (before.would_fire, found.would_fire) == (False, True), (before, found, state)


def _lives_blind(watched: Watched) -> bool:
    state = watched.state()
    return _instant(state["heartbeat"]) - _instant(state["lag_measured_at"]) > TELLING_SECONDS


def _evaluated(world: World, at: float) -> Evaluation:
    world.request("POST", f"/{world.agent_prefix}-state/_refresh")
    app = Application(world.config)
    names = {"audit_index": app.names.read_all, "state_index": app.names.state}
    [told] = evaluate(app.cluster, [STALLED], **names, now_ms=int(at * 1000), shift_seconds=60)
    return told


def _instant(text: object) -> float:
    return datetime.fromisoformat(str(text)).timestamp()
