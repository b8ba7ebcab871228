"""Bytes passed on, held, cut or refused: what a network does."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_PIECE = 65536
_TICK_SECONDS = 0.02


class TcpProxy:
    """Pass bytes to `host:port`, or do to them what was asked last."""

    def __init__(self, host: str, port: int, url: str = "") -> None:
        self._target = (host, port)
        self._mode = "pass"
        self._delay_seconds = 0.0
        self._generation = 0
        self._allowance: int | None = None
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = self._listen(0)
        self.port: int = self._listener.getsockname()[1]
        self.url = _with_port(url, self.port) if url else f"127.0.0.1:{self.port}"
        self.accepted = 0
        self._start(self._accept)

    @classmethod
    def to(cls, url: str) -> TcpProxy:
        """Stand in front of the server of a URL; `url` of the proxy is the same URL by way of the proxy."""
        parts = urlsplit(url)
        return cls(parts.hostname or "127.0.0.1", parts.port or 3306, url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def heal(self) -> None:
        self._set("pass")
        self._delay_seconds, self._allowance = 0.0, None
        if self._listener is None:
            self._listener = self._listen(self.port)

    def swallow(self) -> None:
        self._set("swallow")

    def reset(self) -> None:
        self._set("reset")

    def refuse(self) -> None:
        self._set("reset")
        listener, self._listener = self._listener, None
        if listener is not None:
            # The accepting thread may be waiting on it: closed under it, it would still take one more.
            time.sleep(2 * _TICK_SECONDS)
            listener.close()

    def delay(self, seconds: float) -> None:
        self._delay_seconds = seconds

    def cut_after(self, answer_bytes: int) -> None:
        self._allowance = answer_bytes

    def close(self) -> None:
        self._closed.set()
        if self._listener is not None:
            self._listener.close()
        for thread in self._threads:
            thread.join()

    def _set(self, mode: str) -> None:
        # Connections remember the generation they were disturbed in: those that went silent never speak again.
        if mode != "pass":
            self._generation += 1
        self._mode = mode

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
        listener.settimeout(_TICK_SECONDS)
        return listener

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closed.is_set():
            listener = self._listener
            if listener is None:
                time.sleep(_TICK_SECONDS)
                continue
            try:
                client, _ = listener.accept()
            except OSError:
                continue
            self.accepted += 1
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        generation, server, left = self._generation, None, self._allowance
        with client:
            while not self._closed.is_set():
                if self._mode == "reset":
                    reset_on_close(client)
                    break
                if self._mode == "swallow" or generation != self._generation:
                    generation = -1
                    time.sleep(_TICK_SECONDS)
                    continue
                try:
                    server = server or socket.create_connection(self._target, timeout=10)
                    left = self._pump(client, server, left)
                except OSError:
                    reset_on_close(client)
                    break
                if left is not None and left < 0:
                    break
        if server is not None:
            server.close()

    def _pump(self, client: socket.socket, server: socket.socket, left: int | None) -> int | None:
        """Pass what there is; return how many bytes of answers are left, -1 when the connection is over."""
        if self._allowance is not None and left is None:
            left = self._allowance
        for ready in select.select([client, server], [], [], _TICK_SECONDS)[0]:
            data = ready.recv(_PIECE)
            if not data:
                return -1
            if ready is client:
                server.sendall(data)
                continue
            time.sleep(self._delay_seconds)
            client.sendall(data if left is None else data[:left])
            if left is not None:
                left -= len(data)
                if left <= 0:
                    return -1
        return left


def reset_on_close(connection: socket.socket) -> None:
    """Make the next close of a connection a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _with_port(url: str, port: int) -> str:
    parts = urlsplit(url)
    user = f"{parts.netloc.rsplit('@', 1)[0]}@" if "@" in parts.netloc else ""
    return urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{port}"))
