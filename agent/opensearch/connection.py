"""One HTTP exchange with one node: the driver's urllib3 connection, without its logging and with its headers kept.

The driver's own version logs every failed request with a traceback, and at debug level whole bodies; it also drops
the response headers of an error, among them Retry-After. Everything else (pool of nodes, choosing the next node when
one is gone) stays the driver's.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
import ssl
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlencode

import orjson
import urllib3

from agent.opensearch.answers import retry_after_seconds
from agent.opensearch.driver import (
    HTTP_EXCEPTIONS,
    ConnectionTimeout,
    JSONSerializer,
    NodeError,
    SerializationError,
    SSLError,
    TransportError,
    Urllib3HttpConnection,
)

# A node that does not even accept in this time is as good as gone: the next one is tried.
CONNECT_TIMEOUT_SECONDS = 10.0
LONGEST_ANSWER_BYTES = 1 << 30

_most_bytes: ContextVar[int] = ContextVar("most_bytes", default=LONGEST_ANSWER_BYTES)


@contextmanager
def answers_up_to(size_bytes: int) -> Iterator[None]:
    """Refuse longer answers to this thread's requests, before they are read."""
    token = _most_bytes.set(size_bytes)
    try:
        yield
    finally:
        _most_bytes.reset(token)


class NodeConnection(Urllib3HttpConnection):
    """Exchange one request; the error of an answer carries (status, error type, parsed body, retry-after seconds)."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        made = self.pool.ConnectionCls
        self.pool.ConnectionCls = type(made.__name__, (made,), {"response_class": _TimelyResponse})

    def perform_request(  # noqa: PLR0917  the signature is the driver's
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        timeout: float | None = None,
        ignore: Collection[int] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        path = self.url_prefix + url + (f"?{urlencode(params)}" if params else "")
        sent = {**self.headers, **(headers or {})}
        if callable(self.http_auth):
            sent.update(self.http_auth(method, self.host + path, body))
        seconds = timeout or self.timeout
        limit = urllib3.Timeout(connect=min(CONNECT_TIMEOUT_SECONDS, seconds), read=seconds)
        try:
            answer = self.pool.urlopen(method, path, body, retries=False, redirect=False, headers=sent, timeout=limit)
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as failure:
            _cut_loose(failure)
            raise _node_error(failure) from failure
        if 200 <= answer.status < 300 or answer.status in ignore:
            return answer.status, answer.headers, answer.data
        # A redirect is not followed, least of all with credentials; where to is what a person has to know.
        parsed = answer.headers.get("location") or _parsed(answer.data)
        wait = retry_after_seconds(answer.headers.get("retry-after"), answer.headers.get("date"))
        raise HTTP_EXCEPTIONS.get(answer.status, TransportError)(answer.status, "", parsed, wait)


class TooLongAnswer(http.client.HTTPException):
    """An answer that was not read: it would not fit."""


class _TimelyResponse(http.client.HTTPResponse):
    """An answer whose end, too, must come within the time-out: the driver's own starts anew with every piece."""

    def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        seconds = sock.gettimeout()
        if seconds is not None:
            self.fp = io.BufferedReader(_Timely(self.fp.detach(), sock, seconds))

    def begin(self) -> None:
        """Read the headers; for an answer longer than any that is wanted no room is made."""
        super().begin()
        if (self.length or 0) > _most_bytes.get():
            raise TooLongAnswer(f"an answer of {self.length} bytes")


class _Timely(io.RawIOBase):
    """The bytes of one answer; waits no longer than what is left of its time."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, seconds: float) -> None:
        self._raw = raw
        self._socket = sock
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer does not end")
        self._socket.settimeout(left)
        try:
            return self._raw.readinto(buffer)
        finally:
            self._socket.settimeout(self._seconds)

    def close(self) -> None:
        self._raw.close()
        super().close()


class Json(JSONSerializer):
    """Read and write JSON fast; bodies that are bytes already pass untouched."""

    def loads(self, s: bytes | str) -> Any:
        try:
            return orjson.loads(s)
        except orjson.JSONDecodeError as damage:
            raise SerializationError(s, damage) from damage

    def dumps(self, data: Any) -> Any:
        return data if isinstance(data, bytes | str) else dumped(data)


def dumped(data: Any) -> bytes:
    """Return JSON, also of what a context may hold: integers beyond 64 bits, lone surrogates."""
    try:
        return orjson.dumps(data)
    except TypeError:
        return json.dumps(data, separators=(",", ":")).encode("ascii")


def _parsed(data: bytes) -> object:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return data[:2000].decode("utf-8", "replace")


def _node_error(failure: Exception) -> TransportError:
    if isinstance(failure, urllib3.exceptions.ReadTimeoutError):
        return ConnectionTimeout("TIMEOUT", "", failure)
    if any(isinstance(cause, ssl.SSLError) for cause in causes(failure)):
        return SSLError("N/A", "", failure)
    return NodeError("N/A", "", failure)


def _cut_loose(failure: BaseException) -> None:
    """Forget where errors of the driver came from: its frames hold its errors, and the request's megabytes with them.

    Such a ring would stay until the collector comes by, one for every try of an outage.
    """
    for cause in causes(failure):
        cause.__traceback__ = None


def causes(failure: BaseException) -> list[BaseException]:
    """Return an error and what lies beneath it, outermost first."""
    found: list[BaseException] = []
    queue: list[object] = [failure]
    while queue and len(found) < 20:
        error = queue.pop(0)
        if isinstance(error, BaseException) and error not in found:
            found.append(error)
            queue += [error.__cause__, error.__context__, getattr(error, "reason", None), *error.args]
    return found
