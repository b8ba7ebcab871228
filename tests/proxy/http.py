"""Requests passed to a node, or answered as the installed faults say."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit

from tests.least_privilege import visitor
from tests.proxy.tcp import reset_on_close

RESET = -1
"""The status of a reply that is no answer but a reset connection."""
_HOP = frozenset(("connection", "content-length", "host", "transfer-encoding"))


@dataclass(frozen=True)
class Asked:
    """One request of the client."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """One answer; `promised` above the body's length makes it end in the middle, or, with `drip`, never."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    promised: int | None = None
    drip_seconds: float | None = None


@dataclass(frozen=True)
class Seen:
    """A request that came by: `at` by the proxy's clock, `status` what the client was answered (0: nothing)."""

    at: float
    method: str
    path: str
    size: int
    status: int


Forward = Callable[..., Reply]
Fault = Callable[[Asked, Forward], Reply | None]
Match = Callable[[Asked], bool]


@dataclass
class Installed:
    """A fault in force."""

    match: Match
    fault: Fault
    times: int | None
    used: int = 0

    def stop(self) -> None:
        self.times = self.used


class HttpProxy:
    """Pass requests to one node, or answer them as the installed faults say."""

    def __init__(
        self,
        node_url: str,
        tls: ssl.SSLContext | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._node = urlsplit(node_url)
        self._faults: list[Installed] = []
        self._lock = threading.Lock()
        self.closed = threading.Event()
        self.requests: list[Seen] = []
        self._server = _Server(("127.0.0.1", 0), type("_Bound", (_Handler,), {"proxy": self}))
        if tls is not None:
            # Without a handshake at once: a client that says nothing must not keep the others waiting.
            listening = self._server.socket
            self._server.socket = tls.wrap_socket(listening, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def on(self, match: Match, fault: Fault, *, times: int | None = None) -> Installed:
        installed = Installed(match, fault, times)
        with self._lock:
            self._faults.append(installed)
        return installed

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def close(self) -> None:
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answered(self, asked: Asked) -> Reply | None:
        fault = self._matching(asked)
        begun = self._clock()
        reply = fault(asked, self._forward(asked)) if fault else self._forward(asked)()
        self.requests.append(Seen(begun, asked.method, asked.path, len(asked.body), reply.status if reply else 0))
        return reply

    def _connection(self) -> http.client.HTTPConnection:
        host, port, context = self._node.hostname or "", self._node.port or 9200, visitor(self._node.geturl())
        if context is None:
            return http.client.HTTPConnection(host, port, timeout=60)
        return http.client.HTTPSConnection(host, port, timeout=60, context=context)

    def _matching(self, asked: Asked) -> Fault | None:
        with self._lock:
            for installed in self._faults:
                if (installed.times is None or installed.used < installed.times) and installed.match(asked):
                    installed.used += 1
                    return installed.fault
        return None

    def _forward(self, asked: Asked) -> Forward:
        def forward(body: bytes | None = None) -> Reply:
            node = self._connection()
            try:
                passed = {k: v for k, v in asked.headers.items() if k.lower() not in _HOP}
                node.request(asked.method, asked.path, body if body is not None else asked.body or None, passed)
                answer = node.getresponse()
                kept = {k: v for k, v in answer.getheaders() if k.lower() not in _HOP}
                return Reply(answer.status, answer.read(), kept)
            except OSError:
                return Reply(502, b'{"error":"the node is away"}', {"content-type": "application/json"})
            finally:
                node.close()

        return forward


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        # Without the orderly end first, so that a connection marked for it is really reset.
        self.close_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent: clients that are killed in mid-request are what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: HttpProxy

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        reply = self.proxy.answered(Asked(self.command, self.path, dict(self.headers.items()), body))
        if reply is None:
            self.close_connection = True
            return
        try:
            self._send(reply)
        except OSError:
            self.close_connection = True

    def _send(self, reply: Reply) -> None:
        if reply.status == RESET:
            reset_on_close(self.connection)
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(reply.body) if reply.promised is None else reply.promised))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)
        while reply.drip_seconds is not None and not self.proxy.closed.wait(reply.drip_seconds):
            self.wfile.write(b" ")
        if reply.promised is not None:
            self.wfile.flush()
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815  the base class looks for these names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        del format, args
