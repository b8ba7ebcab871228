"""The stores go away in every manner: the agent says why, comes back by itself, and nothing is lost."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from agent.backoff import LONGEST_DELAY_SECONDS
from demo.mariadb_server import MariaDB
from demo.opensearch_server import Cluster
from tests.integration.conftest import OwnServer
from tests.integration.tailing import PATIENCE_SECONDS, Watched, insert, until
from tests.proxy import TcpProxy
from tests.world import Database, World

pytestmark = pytest.mark.integration
MakeWorld = Callable[..., World]
CONNECT_TIMEOUT_SECONDS = 10  # the default of source.connect_timeout_seconds


@pytest.fixture
def away(database: Database, make_world: MakeWorld, opensearch: str) -> Iterator[tuple[Watched, TcpProxy, TcpProxy]]:
    """Give a running agent that reaches both stores through proxies only, with little patience for silence."""
    with TcpProxy.to(database.url) as source, TcpProxy.to(opensearch) as cluster:
        world = make_world(database)
        world.write(
            {
                "source.url": source.url,
                "source.read_timeout_seconds": 2,
                "source.connect_timeout_seconds": 2,
                "opensearch.hosts": [cluster.url],
                "opensearch.timeout_seconds": 2,
            }
        )
        watched = Watched(world)
        watched.start()
        insert(database)
        watched.caught_up()
        yield watched, source, cluster
        world.remove()


def degraded(watched: Watched) -> str:
    """Wait until the state document says that shipping is held up; return why."""
    state = until(lambda: _if(watched.state(), "degraded"), "it says why", told=watched.state)
    return str(state["reason"])


def _if(state: dict[str, object], expected: str) -> dict[str, object] | None:
    return state if state.get("state") == expected else None


def recovered(watched: Watched, *, seconds: float = PATIENCE_SECONDS) -> None:
    watched.caught_up(seconds=seconds)
    until(lambda: watched.state()["state"] in ("idle", "shipping"), "it is well again", told=watched.state)
    assert watched.ids() == watched.table_ids()
    said = watched.stop()
    assert said.count("tail.recovered") >= 1
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "manner", ["refuse", pytest.param("swallow", marks=pytest.mark.slow), pytest.param("reset", marks=pytest.mark.slow)]
)
def test_a_database_that_goes_away_is_named_and_comes_back(
    away: tuple[Watched, TcpProxy, TcpProxy], manner: str
) -> None:
    watched, source, _ = away
    getattr(source, manner)()
    insert(watched.world.database, 5)
    reason = degraded(watched)
    assert "MySQL" in reason or "database" in reason or "mysql" in reason
    status = watched.world.run("status", "--json").json
    assert status["state"] == "degraded"
    assert status["reason"]
    source.heal()
    recovered(watched)


@pytest.mark.parametrize(
    "manner", ["refuse", pytest.param("swallow", marks=pytest.mark.slow), pytest.param("reset", marks=pytest.mark.slow)]
)
def test_a_cluster_that_goes_away_loses_nothing(away: tuple[Watched, TcpProxy, TcpProxy], manner: str) -> None:
    watched, _, cluster = away
    getattr(cluster, manner)()
    insert(watched.world.database, 5)
    watched.says("tail.deferred")
    cluster.heal()
    recovered(watched)


@pytest.mark.parametrize("first", ["database", "cluster"])
def test_both_that_go_away_come_back_in_either_order(away: tuple[Watched, TcpProxy, TcpProxy], first: str) -> None:
    watched, source, cluster = away
    for store in (source, cluster):
        store.refuse()
    insert(watched.world.database, 5)
    watched.says("tail.deferred")
    back, then = (source, cluster) if first == "database" else (cluster, source)
    back.heal()
    watched.polls(5)
    insert(watched.world.database, 5)
    then.heal()
    recovered(watched)


@pytest.mark.parametrize("first", ["database", pytest.param("cluster", marks=pytest.mark.slow)])
def test_both_away_at_the_start_are_waited_for(
    database: Database, make_world: MakeWorld, opensearch: str, first: str
) -> None:
    with TcpProxy.to(database.url) as source, TcpProxy.to(opensearch) as cluster:
        world = make_world(database)
        world.write({"source.url": source.url, "opensearch.hosts": [cluster.url]})
        source.refuse()
        cluster.refuse()
        insert(database, 3)
        watched = Watched(world)
        process = watched.start()
        time.sleep(3)
        assert process.poll() is None
        back, then = (source, cluster) if first == "database" else (cluster, source)
        back.heal()
        time.sleep(1)
        assert process.poll() is None
        then.heal()
        watched.caught_up()
        assert watched.ids() == watched.table_ids()
        watched.stop()


def test_a_stop_during_an_outage_is_obeyed(away: tuple[Watched, TcpProxy, TcpProxy]) -> None:
    watched, source, _ = away
    source.refuse()
    degraded(watched)
    watched.stop()
    assert watched.state()["state"] == "stopped"
    assert watched.state()["lease"] is None


def test_a_server_restarted_under_an_open_gap_proves_it_dead_and_loses_nothing(
    own_server: Callable[..., OwnServer], make_world: MakeWorld
) -> None:
    server = own_server()
    database = Database(server.url)
    database.create_table()
    world = make_world(database)
    watched = Watched(world)
    watched.start()
    insert(database)
    watched.caught_up()
    open_one = database.connect()
    open_one.begin()
    with open_one.cursor() as cursor:
        cursor.execute("INSERT INTO mod_impulsecore_audit_log (module_slug, source, action) VALUES ('m', 'c', 'a')")
    insert(database, 2)
    until(lambda: watched.progress().gaps, "the gap is seen", told=watched.state)
    server.kill()
    time.sleep(1)
    server.restart()
    database.connection = database.connect()
    insert(database, 2)
    watched.caught_up()
    assert watched.ids() == watched.table_ids()
    assert watched.progress().skipped_total == 1
    watched.stop()
    world.remove()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_port_that_swallows_everything_for_two_minutes_is_named_and_outlived(
    each_server: str, make_world: MakeWorld
) -> None:
    database = Database(each_server)
    database.create_table()
    with TcpProxy.to(database.url) as source:
        world = make_world(database)
        world.write({"source.url": source.url, "http.listen": "127.0.0.1:0"})
        watched = Watched(world)
        watched.start()
        insert(database)
        watched.caught_up()
        until(lambda: ready(watched)[0], "it is ready", told=watched.said)
        source.swallow()
        ends = time.monotonic() + 120
        until(lambda: not ready(watched)[0], "it is not ready", told=watched.said)
        while time.monotonic() < ends:
            insert(database)
            is_ready, why = ready(watched)
            assert not is_ready
            assert "mysql" in why.lower()
            watched.polls(10)
        assert degraded(watched)
        source.heal()
        # A try that began just before is answered by nobody until it times out, and then the longest pause begins.
        recovered(watched, seconds=CONNECT_TIMEOUT_SECONDS + LONGEST_DELAY_SECONDS + PATIENCE_SECONDS)
    database.drop()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_cluster_that_is_stopped_for_a_minute_loses_nothing(
    private_opensearch: Callable[..., Cluster], each_server: str, make_world: MakeWorld
) -> None:
    cluster = private_opensearch()
    database = Database(each_server)
    database.create_table()
    world = make_world(database, opensearch_url=cluster.url)
    world.write({"http.listen": "127.0.0.1:0"})
    watched = Watched(world)
    watched.start()
    insert(database)
    watched.caught_up()
    until(lambda: ready(watched)[0], "it is ready", told=watched.said)
    cluster.nodes[0].stop()
    until(lambda: not ready(watched)[0], "it is not ready", told=watched.said)
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        insert(database)
        is_ready, why = ready(watched)
        assert not is_ready
        assert "opensearch" in why.lower() or cluster.url.split("//")[1] in why
        watched.polls(10)
    cluster.nodes[0].restart()
    recovered(watched, seconds=LONGEST_DELAY_SECONDS + PATIENCE_SECONDS)
    database.drop()


def ready(watched: Watched) -> tuple[bool, str]:
    """Ask `/readyz`; return the answer and the reason."""
    address = re.search(r"http.listening.*address=\S*?([\d.]+:\d+)", watched.said())
    assert address, watched.said()
    try:
        with urlopen(f"http://{address[1]}/readyz", timeout=10) as response:
            return True, response.read().decode()
    except HTTPError as refusal:
        with refusal:
            return False, refusal.read().decode()


def test_evidence_lost_while_running_is_said_and_the_next_one_holds_the_gap(
    private_mariadb: Callable[..., MariaDB], make_world: MakeWorld
) -> None:
    server = private_mariadb(metadata_lock_info=True)
    database = Database(server.url)
    database.create_table()
    watched = Watched(make_world(database))
    watched.start()
    insert(database)
    watched.caught_up()
    late = database.connect()
    late.begin()
    with late.cursor() as cursor:
        cursor.execute("INSERT INTO mod_impulsecore_audit_log (module_slug, source, action) VALUES ('m', 'c', 'a')")
    insert(database)
    until(lambda: watched.progress().gaps, "the gap is seen", told=watched.state)
    assert watched.state()["evidence"] == "metadata_lock_info"
    database.execute("UNINSTALL SONAME 'metadata_lock_info'")
    until(lambda: watched.state()["evidence"] == "innodb_trx", "the next rung is taken", told=watched.state)
    watched.polls(10)
    assert watched.progress().gaps, "who held the gap by the old evidence holds it by the new one"
    late.commit()
    watched.caught_up()
    assert watched.ids() == watched.table_ids()
    assert watched.progress().skipped_total == 0
    assert "tail.evidence_changed" in watched.stop()
