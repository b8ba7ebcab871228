"""A running agent behind a proxy that answers anything but what it should: rows arrive, and none is blamed."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.certificates import Authority
from tests.integration.delivery import RunningAgent
from tests.proxy import (
    BULK,
    Asked,
    Fault,
    Forward,
    HttpProxy,
    Match,
    Reply,
    TcpProxy,
    answer,
    anything,
    cut_answer,
    html,
    items,
    reset,
    silence,
    swallow_answer,
    writes_to,
)
from tests.world import Database, World

pytestmark = pytest.mark.integration
ROWS = 9
LIMIT = 300_000
MAPPING = (400, "mapper_parsing_exception", "failed to parse field [context.a]")
THROTTLED = (429, "rejected_execution_exception", "rejected execution of coordinating operation")
AWAY = (503, "unavailable_shards_exception", "primary shard is not active")
BROKEN = (500, "null_pointer_exception", "inside")


class Delivery:
    """One agent, its proxy and its rows, for every test of this file."""

    def __init__(self, agent: RunningAgent, proxy: HttpProxy) -> None:
        self.agent = agent
        self.proxy = proxy

    def survives(self, match: Match, fault: Fault, tries: int = 1, rows: int = ROWS) -> list[int]:
        """Insert rows while the fault is in force, end it after some tries, and wait until they are delivered."""
        installed = self.proxy.on(match, fault)
        try:
            ids = self.agent.insert(rows)
            self.agent.wait(lambda: installed.used >= tries, 60, "the fault is met")
            # One request may be between the two.
            assert self.agent.watermark() < max(ids)
        finally:
            self.proxy.clear()
        self.agent.delivers(ids)
        return ids


@pytest.fixture(scope="module")
def delivery(mariadb: str, opensearch: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivery]:
    database = Database(mariadb)
    database.create_table()
    with HttpProxy(opensearch) as proxy:
        world = World(folder=tmp_path_factory.mktemp("delivery"), database=database, opensearch_url=opensearch)
        world.write({"opensearch.hosts": [proxy.url], "opensearch.timeout_seconds": 5, "tail.bulk_bytes": 2_000_000})
        with RunningAgent(world) as agent:
            agent.delivers(agent.insert(ROWS))
            yield Delivery(agent, proxy)
        world.remove()
    database.drop()


# One of each kind for the process itself; every other answer, for five minutes each: test_delivery_outages.py.
REQUEST_FAULTS: dict[str, Fault] = {
    "429 and Retry-After": answer(429, headers={"Retry-After": "1"}),
    "503": answer(503),
    "401": answer(401),
    "a web page": html(),
    "reset": reset(),
    "reset in mid-response": cut_answer(20),
    "answer lost": swallow_answer(),
    "silence": silence(),
}


@pytest.mark.parametrize("name", REQUEST_FAULTS)
def test_a_failing_bulk_request_is_repeated_and_nothing_is_blamed(delivery: Delivery, name: str) -> None:
    delivery.survives(BULK, REQUEST_FAULTS[name])
    assert delivery.agent.dead_letters() == []


@pytest.mark.parametrize("name", ["503", "401", "a web page", "reset", "429 and Retry-After"])
def test_a_cluster_that_fails_as_a_whole_is_waited_for(delivery: Delivery, name: str) -> None:
    ids = delivery.agent.insert(ROWS)
    installed = delivery.proxy.on(anything, REQUEST_FAULTS[name])
    ids += delivery.agent.insert(ROWS)
    delivery.agent.wait(lambda: installed.used >= 3, 60, "the fault is met")
    delivery.proxy.clear()
    delivery.agent.delivers(ids)
    assert delivery.agent.dead_letters() == []


@pytest.mark.parametrize("effect", ["-state", "_mapping"])
def test_a_failure_beside_the_bulk_request_is_waited_for_too(delivery: Delivery, effect: str) -> None:
    installed = delivery.proxy.on(writes_to(effect), answer(503))
    ids = delivery.agent.insert(ROWS, context=f'{{"new{time.time_ns()}": 1}}')
    delivery.agent.wait(lambda: installed.used >= 2, 60, "the fault is met")
    delivery.proxy.clear()
    delivery.agent.delivers(ids)
    assert delivery.agent.dead_letters() == []


def test_items_that_fail_at_any_position_are_repeated(delivery: Delivery) -> None:
    ids: list[int] = []
    for failure in (THROTTLED, AWAY, BROKEN, (403, "cluster_block_exception", "blocked")):
        mixed = dict.fromkeys(range(0, ROWS, 2), failure)
        ids += delivery.survives(BULK, items(mixed), tries=2)
    assert delivery.agent.missing(ids) == set()
    assert delivery.agent.dead_letters() == []


def test_items_already_there_count_as_delivered(delivery: Delivery) -> None:
    def conflict(asked: Asked, forward: Forward) -> Reply:
        told = json.loads(forward().body)
        failed = {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "is there"}}
        told = {"errors": True, "items": [{"index": failed} for _ in told["items"]]}
        return Reply(200, json.dumps(told).encode(), {"content-type": "application/json"})

    delivery.proxy.on(BULK, conflict)
    ids = delivery.agent.insert(ROWS)
    delivery.agent.delivers(ids)
    delivery.proxy.clear()
    assert delivery.agent.dead_letters() == []


def refusing(key: str, failure: tuple[int, str, str]) -> Fault:
    """Fail one row's item whatever is sent of it; everything else is done."""

    def fault(asked: Asked, forward: Forward) -> Reply | None:
        actions = [json.loads(line)["index"]["_id"] for line in asked.body.split(b"\n")[:-1:2] if b'"index":{' in line]
        positions = {place: failure for place, found in enumerate(actions) if found == key}
        return items(positions)(asked, forward) if positions else forward()

    return fault


@pytest.mark.parametrize(("failure", "kind"), [(MAPPING, "mapping"), (BROKEN, "server_error")])
def test_a_row_that_no_server_takes_becomes_a_dead_letter_and_the_others_go_on(
    delivery: Delivery, failure: tuple[int, str, str], kind: str
) -> None:
    agent = delivery.agent
    kept = len(agent.dead_letters())
    bad = agent.insert(1)[0]
    agent.delivers([bad])
    delivery.proxy.on(BULK, refusing(f"{agent.world.instance}:{bad + 3}", failure))
    ids = agent.insert(ROWS)
    agent.wait(lambda: agent.watermark() >= max(ids), 60, "the row is passed")
    delivery.proxy.clear()
    assert agent.missing(ids) == {bad + 3}
    assert [(letter["id"], letter["kind"]) for letter in agent.dead_letters()[kept:]] == [(bad + 3, kind)]
    assert agent.world.run("dead-letters", "replay", str(bad + 3)).code == 0
    assert agent.missing(ids) == set()
    assert len(agent.dead_letters()) == kept


def limit(most_bytes: int) -> Match:
    return lambda asked: len(asked.body) > most_bytes


def test_large_requests_are_halved_and_a_document_over_the_limit_becomes_a_dead_letter(delivery: Delivery) -> None:
    agent = delivery.agent
    kept = len(agent.dead_letters())
    delivery.proxy.on(limit(LIMIT), answer(413, b"<html>too large</html>"))
    deferred = sum("deferred" in line for line in agent.lines)
    ids = agent.insert(1200, detail="x" * 500, context=json.dumps({"text": "y" * 500}))
    large = agent.insert(1, context=json.dumps({"text": "z" * 600_000}))
    ids += agent.insert(20)
    agent.wait(lambda: agent.watermark() >= max(ids), 60, "the large row is passed")
    delivery.proxy.clear()
    assert agent.missing(ids) == set()
    letters = agent.dead_letters()[kept:]
    assert [(letter["id"], letter["kind"]) for letter in letters] == [(large[0], "too_large")]
    # Halving is no outage: nobody waited, nothing was reported.
    assert sum("deferred" in line for line in agent.lines) == deferred
    assert agent.world.run("dead-letters", "replay", str(large[0])).code == 0
    assert agent.missing(large) == set()


def test_a_refused_connection_is_waited_for(make_world: Callable[..., World], database: Database) -> None:
    world = make_world(database)
    with TcpProxy.to(world.opensearch_url) as network:
        world.write({"opensearch.hosts": [network.url]})
        with RunningAgent(world) as agent:
            agent.delivers(agent.insert(ROWS))
            network.refuse()
            ids = agent.insert(ROWS)
            agent.wait(lambda: any("unreachable" in line for line in agent.lines), 30, "the log names it")
            network.heal()
            agent.delivers(ids)
            assert agent.dead_letters() == []
            agent.wait(lambda: any("tail.recovered" in line for line in agent.lines), 30, "the log says it is over")
            over = [line for line in agent.lines if "tail.recovered" in line]
            assert sum("job=tail" in line for line in over) == 1, over


def test_a_certificate_that_is_not_trusted_is_waited_for(
    make_world: Callable[..., World], database: Database, tmp_path: Path
) -> None:
    world = make_world(database)
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "somebody else")
    good, bad = ours.issue("good"), theirs.issue("bad")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*bad)
    with HttpProxy(world.opensearch_url, tls=context) as proxy:
        world.write({"opensearch.hosts": [proxy.url], "opensearch.ca_file": str(ours.file)})
        with RunningAgent(world) as agent:
            ids = agent.insert(ROWS)
            agent.wait(lambda: any("TLS to OpenSearch failed" in line for line in agent.lines), 30, "the log names it")
            context.load_cert_chain(*good)
            agent.delivers(ids)
            assert agent.dead_letters() == []
            agent.wait(lambda: any("tail.recovered" in line for line in agent.lines), 30, "the log says it is over")
