"""A node that answers what the test says: status, headers, body, or a connection cut anywhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What one request gets. `promised` > len(body) cuts the answer in the middle; `status` 0 cuts it before."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json; charset=UTF-8"})
    promised: int | None = None


@dataclass
class Request:
    """What a request was."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class StubNode:
    """A running stub: `reply` decides, `requests` remembers."""

    url: str
    reply: Callable[[Request], Reply]
    requests: list[Request] = field(default_factory=list)


@contextmanager
def stub_node(reply: Callable[[Request], Reply]) -> Iterator[StubNode]:
    """Serve on loopback until the end of the block."""
    server = _Server(("127.0.0.1", 0), _Handler)
    node = StubNode(f"http://127.0.0.1:{server.server_address[1]}", reply)
    _Handler.nodes[server.server_address[1]] = node
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield node
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        del _Handler.nodes[server.server_address[1]]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up: many a test has them do so."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    nodes: dict[int, StubNode] = {}  # noqa: RUF012  by port: the handler is made by the server, a class at a time

    def _handle(self) -> None:
        node = self.nodes[self.server.server_address[1]]
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        request = Request(self.command, self.path, {key.lower(): value for key, value in self.headers.items()}, body)
        node.requests.append(request)
        reply = node.reply(request)
        if not reply.status:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(reply.body) if reply.promised is None else reply.promised))
        self.end_headers()
        self.wfile.write(reply.body)
        if reply.promised is not None:
            self.wfile.flush()
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815  the base class looks for these names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        del format, args
