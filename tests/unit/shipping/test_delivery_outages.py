"""A cluster that fails in any way for an hour: waited out, named, quiet, and made up for when it is back."""

from __future__ import annotations

import gc
import itertools
import ssl
import tracemalloc
from collections.abc import Callable

import pytest

from agent.opensearch.answers import translated
from agent.opensearch.bulk import outcomes
from agent.opensearch.client import _not_json
from agent.opensearch.driver import ConnectionTimeout, NodeError, SSLError
from agent.opensearch.outages import outage
from tests.unit.shipping.outage import Line

HOUR = 3600.0
MakeLine = Callable[..., Line]


def status(number: int, error_type: str = "", wait: float | None = None) -> Exception:
    body = {"error": {"type": error_type, "reason": "by the test"}} if error_type else "<html>a page</html>"
    return translated(number, body, where="POST /_bulk", retry_after_seconds=wait)


def unanswered(failure: NodeError) -> Exception:
    return outage(failure, where="POST /_bulk", hosts="http://127.0.0.1:9200")


def short_answer() -> Exception:
    with pytest.raises(Exception, match="not whole") as failure:
        outcomes({"errors": False, "items": [{"index": {"status": 201}}]}, ["a", "b"])
    return failure.value


FAILURES: dict[str, Callable[[], Exception]] = {
    "413": lambda: status(413),
    "429": lambda: status(429, "rejected_execution_exception"),
    "500": lambda: status(500, "null_pointer_exception"),
    "502": lambda: status(502),
    "503": lambda: status(503, "cluster_manager_not_discovered_exception"),
    "504": lambda: status(504),
    "401": lambda: status(401, "security_exception"),
    "403": lambda: status(403, "security_exception"),
    "flood stage": lambda: status(429, "cluster_block_exception"),
    "refused": lambda: unanswered(NodeError("N/A", "", ConnectionRefusedError(111, "Connection refused"))),
    "reset": lambda: unanswered(NodeError("N/A", "", ConnectionResetError(104, "Connection reset by peer"))),
    "timeout": lambda: unanswered(ConnectionTimeout("TIMEOUT", "", TimeoutError())),
    "TLS": lambda: unanswered(SSLError("N/A", "", ssl.SSLError(1, "[SSL: CERTIFICATE_VERIFY_FAILED]"))),
    "an error nobody expected": lambda: KeyError("by the test"),
    "a web page": lambda: _not_json("POST /_bulk", "text/html"),
    "too few items": short_answer,
}


def raising(line: Line, make: Callable[[], Exception], effects: Callable[[str], bool]) -> Callable[[str], None]:
    def fault(effect: str) -> None:
        if effects(effect):
            raise make()

    del line
    return fault


@pytest.mark.parametrize("reach", ["bulk", "bulk answered", "everything"])
@pytest.mark.parametrize("name", FAILURES)
def test_an_hour_of_outage_is_slow_quiet_and_made_up_for(make_line: MakeLine, name: str, reach: str) -> None:
    line = make_line()
    line.rows.add(1000)
    line.run_for(5)
    assert line.is_complete()
    settled = line.checkpoint.progress.watermark
    for each in ("templates", "dead letters"):
        line.every(300 if each == "templates" else 60, each, lambda: line.dead_letters.put([], "now"))

    line.rows.add(1000)
    line.fault = raising(line, FAILURES[name], lambda effect: reach in (effect, "everything"))
    began, said = line.clock.now, len(line.lines)
    line.run_for(HOUR)

    assert line.checkpoint.progress.watermark == settled
    assert line.reporting.health.condition.state == "degraded"
    assert line.published["state"] == "degraded"
    assert line.dead_letters.count() == 0
    after_a_minute = line.clock.now - began - 60
    assert len(line.requests(began + 60, ["bulk"])) <= after_a_minute / 5
    assert len(line.requests(began + 60)) <= after_a_minute / 5
    assert 1 <= len(line.lines) - said <= 30, line.lines[said:]

    line.fault = lambda _effect: None
    assert line.run_for(120, until=line.is_complete) <= 60
    assert line.is_complete()
    assert line.dead_letters.count() == 0
    assert sum("tail.recovered" in said for said in line.lines) == 1
    assert line.reporting.health.condition.state == "shipping"


@pytest.mark.parametrize("name", ["503", "too few items"])
def test_memory_does_not_grow_with_the_length_of_an_outage(make_line: MakeLine, name: str) -> None:
    line = make_line(batch_rows=50)
    line.rows.add(1000)
    line.fault = raising(line, FAILURES[name], lambda effect: effect == "bulk answered")
    line.run_for(1200)
    tracemalloc.start()
    try:
        line.run_for(HOUR / 2)
        before = held(line)
        line.run_for(4 * HOUR)
        assert held(line) - before < 50_000
    finally:
        tracemalloc.stop()


def held(line: Line) -> int:
    """Return the bytes held, without the notes this test itself takes."""
    for notes in (line.effects, line.pauses, line.cluster.requests):
        notes.clear()
    line.said.seek(0)
    line.said.truncate()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.parametrize("wait", [None, 40.0, 200.0])
def test_five_minutes_of_429_shrink_the_batch_and_are_waited_out(make_line: MakeLine, wait: float | None) -> None:
    line = make_line(batch_rows=512)
    line.rows.add(2000)
    line.fault = raising(line, lambda: status(429, "rejected_execution_exception", wait), lambda each: each == "bulk")
    began = line.clock.now
    line.run_for(300)

    tries = [effect.at for effect in line.requests(began, ["bulk"])]
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries) if later > earlier]
    assert min(pauses) >= (wait or 0.0)
    assert pauses[-1] >= 30
    assert line.dead_letters.count() == 0

    line.fault = lambda _effect: None
    taken = len(line.cluster.requests)
    line.run_for(300, until=line.is_complete)
    assert line.is_complete()
    sizes = line.cluster.requests[taken:]
    assert sizes[0] <= 512 / 2 ** min(4, len(tries))
    line.rows.add(5000)
    line.run_for(60, until=line.is_complete)
    assert max(line.cluster.requests) == 512


def test_an_outage_with_a_long_backlog_is_no_chain_of_recoveries(make_line: MakeLine) -> None:
    line = make_line(batch_rows=10)
    line.rows.add(10_000)
    line.fault = raising(line, FAILURES["503"], lambda effect: effect == "bulk")
    line.run_for(600)
    assert not any("tail.recovered" in said for said in line.lines)
    assert len(line.requests(0, ["bulk"])) < 40


def test_recovery_is_found_within_the_longest_pause(make_line: MakeLine) -> None:
    line = make_line()
    line.rows.add(10)
    line.fault = raising(line, FAILURES["refused"], lambda _effect: True)
    line.run_for(24 * HOUR)
    line.fault = lambda _effect: None
    assert line.run_for(1000, until=line.is_complete) <= 60
