"""A very small HTTP server for `/metrics`, `/healthz` and `/readyz`.

It promises to harm nobody: it answers GET and HEAD only, writes no request log, holds a bounded number of
connections (a newcomer displaces the oldest, so slow clients cannot keep Prometheus out) and ends with the daemon.
What is true it asks the callables it is given; it knows no step.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from agent.errors import ConfigError
from agent.observing.health import Verdict
from agent.observing.line import neutralise

TEXT = "text/plain; charset=utf-8"
_MOST_CONNECTIONS = 16
_SLOWEST_CLIENT_SECONDS = 5.0

Answer = tuple[int, str, bytes]


class HttpServer:
    """Serve the endpoint from threads of its own until `close`."""

    def __init__(
        self,
        listen: str,
        *,
        metrics: Callable[[], bytes],
        metrics_type: str,
        healthy: Callable[[], Verdict],
        ready: Callable[[], Verdict],
        failed: Callable[[BaseException], None] = lambda _error: None,
    ) -> None:
        """Bind to `listen` (host:port; port 0 takes a free one). Raises ConfigError when that is not possible.

        `failed` is told when a callable raised while answering; that connection is closed and the server goes on.
        """
        pages: dict[str, Callable[[], Answer]] = {
            "/metrics": lambda: (200, metrics_type, metrics()),
            "/healthz": lambda: _probe(healthy()),
            "/readyz": lambda: _probe(ready()),
        }
        self._server = _bind(listen, pages, failed)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="http", daemon=True)

    @property
    def address(self) -> str:
        """Return host:port as it was bound."""
        host, port = self._server.server_address[:2]
        return f"[{host!s}]:{port}" if ":" in str(host) else f"{host!s}:{port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering and free the port. Open connections are cut."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


def _probe(verdict: Verdict) -> Answer:
    return 200 if verdict.ok else 503, TEXT, f"{neutralise(verdict.reason)}\n".encode("utf-8", "replace")


def _bind(listen: str, pages: dict[str, Callable[[], Answer]], failed: Callable[[BaseException], None]) -> _Server:
    host, _, port = listen.rpartition(":")
    try:
        return _Server((host.strip("[]"), int(port)), pages, failed)
    except (OSError, ValueError, OverflowError) as problem:
        raise ConfigError(
            "metrics can't be served",
            where="http.listen",
            got=f"{listen!r}: {problem}",
            remedy='give host:port of this machine, port 0 for a free one, or "" to switch it off',
        ) from problem


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        pages: dict[str, Callable[[], Answer]],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.pages = pages
        self._failed = failed
        self._lock = threading.Lock()
        self._open: dict[socket.socket, None] = {}
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # The base class also asks the resolver for a full host name, which can hang for seconds and is not used.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open[request] = None
            oldest = next(iter(self._open)) if len(self._open) > _MOST_CONNECTIONS else None
        if oldest is not None:
            _cut(oldest)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        with self._lock:
            still_open = list(self._open)
        for request in still_open:
            _cut(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  the base class calls it so
        """Tell what went wrong while answering, unless it is only the client that went away."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            self._failed(error)


def _cut(request: socket.socket) -> None:
    # Its own thread wakes up from reading or writing and closes it.
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SLOWEST_CLIENT_SECONDS
    server_version = "audit-agent"
    sys_version = ""
    error_content_type = TEXT
    error_message_format = "%(code)d\n"

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is None:
            self._send(404, TEXT, b"try /metrics, /healthz or /readyz\n")
            return
        self._send(*page())

    do_HEAD = do_GET  # noqa: N815  the base class looks handlers up by these names

    def do_POST(self) -> None:
        self._send(405, TEXT, b"GET or HEAD only\n")

    do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_POST  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it so
        """Write nothing: requests are not events."""

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        if status == 405:  # the standard wants the allowed methods named
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
