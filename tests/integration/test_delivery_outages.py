"""Five minutes of every answer a cluster or a proxy can give instead of the right one, on real servers and a fake clock.

After each: table and index are the same, dead letters exist only where the document is at fault; meanwhile the cause
is named, the cluster is asked ever more seldom, and nothing piles up in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.integration.clocked import Clocked, clocked
from tests.proxy import (
    BULK,
    Asked,
    Fault,
    Forward,
    Match,
    Reply,
    answer,
    anything,
    cut_answer,
    drip,
    html,
    lengthened,
    other_ids,
    reordered,
    reset,
    silence,
    swallow_answer,
    too_few_items,
    unflagged,
    writes_to,
    zipped,
)
from tests.world import Database, World

pytestmark = pytest.mark.integration
ROWS = 9
LARGE = "x" * 80_000  # above what any row may need: such a one could be blamed for a 413
THROTTLED = (429, "rejected_execution_exception", "rejected execution of coordinating operation")
ELSEWHERE = {"location": "http://127.0.0.1:1/elsewhere"}


def too_many_items(asked: Asked, forward: Forward) -> Reply:
    reply = forward()
    return Reply(reply.status, reply.body.replace(b'"items":[', b'"items":[{"index":{"status":201}},'), reply.headers)


def retry_at(seconds: float) -> Fault:
    """Answer 429 with Retry-After as a date, so many seconds from then."""

    def fault(asked: Asked, forward: Forward) -> Reply | None:
        then = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
        return answer(429, headers={"Retry-After": then})(asked, forward)

    return fault


ANSWERS: dict[str, Fault] = {
    "413 to everything": answer(413, b"<html>413 Request Entity Too Large</html>"),
    "429": answer(429),
    "429 and Retry-After": answer(429, headers={"Retry-After": "45"}),
    "429 and Retry-After as a date": retry_at(45),
    "500": answer(500),
    "500 of a proxy": answer(500, b"<html>oops</html>"),
    "502": answer(502, b"<html>bad gateway</html>"),
    "503": answer(503),
    "504": answer(504, b"<html>gateway timeout</html>"),
    "400": answer(400),
    "401": answer(401),
    "403": answer(403),
    "404 of a proxy": answer(404, b"<html>not found</html>"),
    "407": answer(407, b"<html>proxy authentication required</html>"),
    "301": answer(301, b"", headers=ELSEWHERE),
    "302": answer(302, b"<html>moved</html>", headers=ELSEWHERE),
    "204": answer(204, b""),
    "a web page": html(),
    "truncated JSON": answer(200, b'{"errors":false,"items":[{"index":{"sta'),
    "an empty body": answer(200, b""),
    "another JSON": answer(200, {"took": 3}),
    "a list": answer(200, [1, 2]),
    "reset": reset(),
    "reset when it was done": reset(done=True),
    "reset in mid-response": cut_answer(20),
    "answer lost": swallow_answer(),
    "a body shorter than it says": lengthened(7),
    "a body longer than it says": lengthened(-7),
    "a body of a terabyte, it says": lengthened(1 << 40),
    "too few items": too_few_items(1),
    "too many items": too_many_items,
    "items in another order": reordered(),
    "items about others": other_ids(),
    "errors under the flag of none": unflagged(dict.fromkeys(range(ROWS), THROTTLED)),
    "damaged gzip": zipped(damaged=True),
}


@pytest.fixture(scope="module")
def outages(mariadb: str, opensearch: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clocked]:
    database = Database(mariadb)
    database.create_table()
    world = World(folder=tmp_path_factory.mktemp("outages"), database=database, opensearch_url=opensearch)
    with pytest.MonkeyPatch.context() as patch, clocked(world, patch, **{"opensearch.timeout_seconds": 1}) as line:
        line.insert(ROWS)
        line.settles()
        yield line
    world.remove()
    database.drop()


@pytest.mark.parametrize("reach", ["bulk", pytest.param("everything", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ANSWERS)
def test_five_minutes_of_a_wrong_answer_cost_patience_and_nothing_else(outages: Clocked, name: str, reach: str) -> None:
    survives(outages, BULK if reach == "bulk" else anything, ANSWERS[name])


def test_an_answer_in_gzip_that_nobody_asked_for_is_understood(outages: Clocked) -> None:
    outages.proxy.on(BULK, zipped())
    outages.insert(ROWS)
    outages.settles(2)
    outages.proxy.clear()
    assert outages.missing() == set()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["silence", "drip"])
@pytest.mark.parametrize("reach", ["bulk", "everything"])
def test_five_minutes_without_an_end_of_an_answer_cost_patience_and_nothing_else(
    outages: Clocked, name: str, reach: str
) -> None:
    fault = silence() if name == "silence" else drip(0.2)
    # The silent proxy itself keeps what it was sent.
    survives(outages, BULK if reach == "bulk" else anything, fault, text="small")


@pytest.mark.parametrize("effect", ["-state", "_mapping"])
def test_five_minutes_of_a_refusal_beside_the_bulk_request_too(outages: Clocked, effect: str) -> None:
    survives(outages, writes_to(effect), answer(403), key=f"new_{effect.strip('-_')}")


def survives(line: Clocked, match: Match, fault: Fault, *, key: str = "a", text: str = LARGE) -> None:
    installed = line.proxy.on(match, fault)
    began = line.clock.now
    said = len(line.lines)
    try:
        ids = line.insert(ROWS, context=json.dumps({key: 1, "text": text}))
        line.run_for(60)
        assert installed.used
        assert line.watermark < max(ids)
        health = line.shipping.reporting.health
        assert not health.ready(line.clock.now).ok
        assert line.shipping.line.published["state"] == "degraded"
        assert line.shipping.line.published["reason"]
        assert line.grows_by(240) < len(LARGE) * ROWS
        later = line.asked(began + 60)
        assert len(later) <= (line.clock.now - began - 60) / 5, [(each.at, each.method, each.path) for each in later]
        assert 1 <= len(line.lines) - said <= 12, "\n".join(line.lines[said:])
    finally:
        line.proxy.clear()
    line.settles()
    assert line.missing() == set()
    assert line.dead() == {}
    assert sum("tail.recovered" in each for each in line.lines[said:]) == 1
