"""Bulk answers in which items fare differently, at every position and in any mixture, on a real node and a fake clock."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping

import pytest

from tests.integration.clocked import Clocked, clocked
from tests.proxy import BULK, Asked, Fault, Forward, Reply, items
from tests.world import Database, World

pytestmark = pytest.mark.integration
ROWS = 5
MINUTE = 60.0
Failure = tuple[int, str, str]
FAILURES: dict[int, Failure] = {
    400: (400, "mapper_parsing_exception", "failed to parse field [context.a]"),
    403: (403, "cluster_block_exception", "index [x] blocked by: [FORBIDDEN/8/index write (api)];"),
    404: (404, "index_not_found_exception", "no such index [x]"),
    413: (413, "", "too large"),
    429: (429, "rejected_execution_exception", "rejected execution of coordinating operation"),
    500: (500, "null_pointer_exception", "inside"),
    503: (503, "unavailable_shards_exception", "primary shard is not active"),
}
DEAD = {400: "mapping", 500: "server_error"}
"""Refused for good while everything else is taken, these are the document's fault."""


@pytest.fixture(scope="module")
def line(mariadb: str, opensearch: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clocked]:
    database = Database(mariadb)
    database.create_table()
    world = World(folder=tmp_path_factory.mktemp("mixed"), database=database, opensearch_url=opensearch)
    with pytest.MonkeyPatch.context() as patch, clocked(world, patch) as made:
        made.insert(ROWS)
        made.settles()
        yield made
    world.remove()
    database.drop()


def refusing(failures: Mapping[str, Failure]) -> Fault:
    """Fail the items of some documents, wherever they stand and whatever is sent of them; the others are done."""

    def fault(asked: Asked, forward: Forward) -> Reply | None:
        keys = [json.loads(head)["index"]["_id"] for head in asked.body.split(b"\n")[:-1:2] if b'"index":{' in head]
        met = {place: failures[key] for place, key in enumerate(keys) if key in failures}
        return items(met)(asked, forward) if met else forward()

    return fault


def saying(status: int, position: int) -> Fault:
    """Do it all, and answer with another status for the item at one position."""

    def fault(asked: Asked, forward: Forward) -> Reply:
        reply = forward()
        told = json.loads(reply.body)
        item = told["items"][position]["index"]
        item["status"] = status
        if status == 409:
            item |= {"error": {"type": "version_conflict_engine_exception", "reason": "it is there"}}
            del item["result"]
            told["errors"] = True
        return Reply(reply.status, json.dumps(told).encode(), reply.headers)

    return fault


# Both ends in the normal run, every place in the long one.
POSITIONS = [pytest.param(n, marks=pytest.mark.slow) if n % (ROWS - 1) else n for n in range(ROWS)]


@pytest.mark.parametrize("status", [200, 201, 409])
@pytest.mark.parametrize("position", range(ROWS))
def test_an_item_that_was_taken_is_settled_at_once(line: Clocked, status: int, position: int) -> None:
    line.proxy.on(BULK, saying(status, position))
    line.insert(ROWS)
    line.settles(2)
    line.proxy.clear()
    assert line.missing() == set()
    assert line.dead() == {}


@pytest.mark.parametrize("status", FAILURES)
@pytest.mark.parametrize("position", POSITIONS)
def test_an_item_that_fails_gets_what_it_deserves(line: Clocked, status: int, position: int) -> None:
    ids = line.insert(ROWS)
    bad = ids[position]
    line.proxy.on(BULK, refusing({f"{line.world.instance}:{bad}": FAILURES[status]}))
    line.run_for(MINUTE)
    if status in DEAD:
        assert line.dead() == {bad: DEAD[status]}
        assert line.watermark >= max(ids)
        assert line.missing() == {bad}
        line.app.dead_letters.drop([bad])
        line.world.database.execute(f"DELETE FROM mod_impulsecore_audit_log WHERE id = {bad}")
    else:
        assert line.watermark < bad
        assert not line.shipping.reporting.health.ready(line.clock.now).ok
    line.proxy.clear()
    line.settles()
    assert line.missing() == set()
    assert line.dead() == {}


@pytest.mark.slow
def test_any_mixture_ends_with_every_row_in_its_place(line: Clocked) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)

    def fault(asked: Asked, forward: Forward) -> Reply | None:
        count = asked.body.count(b'{"index":{')
        places = [place for place in range(count) if chance.random() < 0.3]
        failures = {place: FAILURES[chance.choice(sorted(FAILURES.keys() - DEAD.keys()))] for place in places}
        return items(failures)(asked, forward) if count else forward()

    for _ in range(5):
        line.insert(chance.randrange(1, 40))
        line.proxy.on(BULK, fault, times=8)
        line.run_for(3 * MINUTE)
        line.proxy.clear()
        line.settles()
    assert line.missing() == set()
    assert line.dead() == {}
