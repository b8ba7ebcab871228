"""What a failed request carried is let go at once, not when the collector next looks: its body is megabytes."""

from __future__ import annotations

import gc
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from agent.config.connections import OpenSearchSettings
from agent.opensearch.bulk import ClusterBulk
from agent.opensearch.client import open_cluster
from tests.fakes.node import Reply, StubNode, stub_node
from tests.unit.shipping.outage import Line

MakeLine = Callable[..., Line]
TRIES = 8
BODY = 500_000
DEFERRED = b'{"errors":true,"items":[{"index":{"status":429,"error":{"type":"rejected_execution_exception"}}}]}'


@pytest.fixture
def node() -> Iterator[StubNode]:
    with stub_node(lambda _request: Reply()) as stub:
        yield stub


@pytest.fixture
def nobody() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_nothing_of_a_refused_connection_is_left(make_line: MakeLine, nobody: str) -> None:
    assert left_after(make_line, nobody) < BODY


def test_nothing_of_a_failed_handshake_is_left(make_line: MakeLine, node: StubNode) -> None:
    assert left_after(make_line, node.url.replace("http:", "https:")) < BODY


@pytest.mark.parametrize(
    "reply",
    [
        Reply(503, b'{"error":{"type":"a","reason":"b"}}'),
        Reply(401, b"{}"),
        Reply(413, b"<html>"),
        Reply(200, b"<html>"),
        Reply(200, b'{"errors":false,"items":[]}'),
        Reply(200, DEFERRED),
        Reply(200, b'{"errors":fal', promised=100),
        Reply(0),
    ],
    ids=lambda reply: f"{reply.status} {reply.body[:14].decode()}",
)
def test_nothing_of_a_failed_request_is_left(make_line: MakeLine, node: StubNode, reply: Reply) -> None:
    def answer(request: object) -> Reply:
        del request
        node.requests.clear()
        return reply

    node.reply = answer
    assert left_after(make_line, node.url) < BODY


def left_after(make_line: MakeLine, url: str) -> int:
    """Return how many bytes more are held after many failed tries than after a few, without the collector."""
    cluster = open_cluster(OpenSearchSettings(hosts=(url,)))
    line = make_line(bulk=ClusterBulk(cluster))
    line.rows.add(1, "x" * BODY)
    line.run_for(30)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        begun = len(line.effects)
        line.run_for(TRIES * 60)
        assert len(line.effects) > begun + TRIES
        # The stub, in this very process, may still hold the body it was sent last.
        patience = 100
        while (held := tracemalloc.get_traced_memory()[0]) >= BODY and (patience := patience - 1):
            threading.Event().wait(0.05)
    finally:
        tracemalloc.stop()
        gc.enable()
        cluster.close()
    assert not line.cluster.documents()
    return held
