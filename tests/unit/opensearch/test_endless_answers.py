"""Answers that come a byte at a time and never end: noticed within the time-out, wherever the dripping begins."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from agent.config.connections import OpenSearchSettings
from agent.errors import TemporaryError
from agent.opensearch.client import open_cluster
from tests.fakes.node import Reply, stub_node

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
BEGINNINGS = {
    "status line": (b"HTTP/1.1 ", b"2"),
    "header": (HEAD, b"x"),
    "body": (HEAD + b"content-length: 1000000\r\n\r\n{", b" "),
    "chunked body": (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
}
TIMEOUT_SECONDS = 0.5
PIECE_SECONDS = 0.05
GIVEN_UP = 40
"""Pieces, in which the time-out has passed four times."""


class Dripping:
    """A server that begins an answer and goes on with it for ever; it counts the pieces one client took."""

    def __init__(self, beginning: bytes, piece: bytes) -> None:
        self._answer = (beginning, piece)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.pieces = 0
        self.closed = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.closed.set()
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        beginning, piece = self._answer
        with client:
            client.recv(65536)
            try:
                client.sendall(beginning)
                while self.pieces < 2 * GIVEN_UP and not self.closed.wait(PIECE_SECONDS):
                    client.sendall(piece)
                    self.pieces += 1
            except OSError:
                return


@pytest.fixture
def dripping() -> Iterator[Callable[[str], Dripping]]:
    made: list[Dripping] = []

    def make(where: str) -> Dripping:
        made.append(Dripping(*BEGINNINGS[where]))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("where", BEGINNINGS)
def test_an_answer_that_never_ends_is_a_timeout(dripping: Callable[[str], Dripping], where: str) -> None:
    server = dripping(where)
    cluster = open_cluster(OpenSearchSettings(hosts=(server.url,), timeout_seconds=TIMEOUT_SECONDS))
    with pytest.raises(TemporaryError) as failure:
        cluster.call("GET", "/")
    assert failure.value.kind == "timeout"
    assert server.pieces < GIVEN_UP
    cluster.close()


def test_no_room_is_made_for_an_answer_that_promises_a_terabyte() -> None:
    with stub_node(lambda _request: Reply(body=b'{"a": 1}', promised=1 << 40)) as node:
        cluster = open_cluster(OpenSearchSettings(hosts=(node.url,), timeout_seconds=5))
        with pytest.raises(TemporaryError) as failure:
            cluster.call("GET", "/")
        cluster.close()
    assert str(1 << 40) in failure.value.got
