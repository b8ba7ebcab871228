"""The cluster as one function: a request goes out, a JSON answer comes back, or one of the project's errors is raised.

Nothing is retried here but what changes nothing about the meaning: the next node when one is gone, and a renewed
password after a refusal; `search` asks again where its caller has patience. A timeout means «unknown», and the callers
write so that a repeat does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import urllib3

from agent import __version__
from agent.errors import ConfigError, TemporaryError
from agent.opensearch.answers import fault_of, printable, translated
from agent.opensearch.connection import Json, NodeConnection
from agent.opensearch.credentials import Credentials, credentials_for
from agent.opensearch.driver import NodeError, SerializationError, Transport, TransportError
from agent.opensearch.outages import outage
from agent.opensearch.tls import tls_context

if TYPE_CHECKING:
    from agent.config.connections import OpenSearchSettings

Patience = Callable[[TemporaryError, int], bool]
"""Asked after the nth failure in a row of one question, which changed nothing: wait, and say whether to ask again."""

# More than requests can be in flight at once, so that no connection is opened and thrown away for each.
CONNECTIONS_PER_NODE = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """The status and parsed body of one exchange."""

    status: int
    body: Any

    @property
    def fault_type(self) -> str:
        """Return the server's error type, "" when the body tells of none."""
        return fault_of(self.body).type


def open_cluster(opensearch: OpenSearchSettings) -> Cluster:
    """Prepare connections without making one. Raises ConfigError for unusable files, hosts or credentials."""
    if not opensearch.verify:
        # The warning belongs to the agent's own start, once, not to each connection.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    credentials = credentials_for(opensearch)
    nodes = [_node(url) for url in opensearch.hosts]
    secure = any(node["use_ssl"] for node in nodes)
    transport = Transport(
        nodes,
        connection_class=NodeConnection,
        serializer=Json(),
        max_retries=len(nodes) - 1,
        retry_on_status=(),
        retry_on_timeout=False,
        pool_maxsize=CONNECTIONS_PER_NODE,
        timeout=opensearch.timeout_seconds,
        http_compress=False,
        http_auth=credentials,
        headers={"user-agent": f"impulse-audit-agent/{__version__}"},
        ssl_context=tls_context(opensearch) if secure else None,
    )
    shown = ", ".join(f"{node['scheme']}://{node['host']}:{node['port']}" for node in nodes)
    return Cluster(transport, credentials=credentials, hosts=shown, timeout_seconds=opensearch.timeout_seconds)


class Cluster:
    """Send requests; safe for use by several threads."""

    def __init__(
        self, transport: Transport, *, credentials: Credentials | None, hosts: str, timeout_seconds: float
    ) -> None:
        self._transport = transport
        self._credentials = credentials
        self.hosts = hosts
        self.timeout_seconds = timeout_seconds
        self.patience: Patience = lambda _failure, _failures: False

    def call(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: Any = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        """Return the parsed JSON of a 2xx answer.

        Raises TemporaryError for everything the world outside may heal, Refused for what the server called wrong.
        """
        return self.answer(method, path, params=params, body=body, timeout_seconds=timeout_seconds).body

    def answer(
        self,
        method: str,
        path: str,
        *,
        accept: Collection[int] = (),
        params: dict[str, str] | None = None,
        body: Any = None,
        timeout_seconds: float | None = None,
    ) -> Answer:
        """Return status and body of a 2xx answer, or of one in `accept` that OpenSearch itself wrote."""
        request = _Request(method, path, params or {}, body, timeout_seconds or self.timeout_seconds)
        seen = self._generation()
        try:
            return self._exchange(request, accept)
        except _Unauthorized:
            if self._credentials is not None:
                self._credentials.renew()
            if self._generation() == seen:
                raise
        return self._exchange(request, accept)

    def hurry(self, seconds: float) -> None:
        """Wait no longer than so many seconds for an answer from now on."""
        self.timeout_seconds = min(self.timeout_seconds, seconds)

    def sit_out(self, patience: Patience) -> None:
        """Let searches, counts and refreshes be asked again for as long as patience lasts."""
        self.patience = patience

    def secrets(self) -> tuple[str, ...]:
        """Return what servers were sent that no message may show."""
        return self._credentials.sent() if self._credentials is not None else ()

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()

    def _generation(self) -> int:
        return self._credentials.generation if self._credentials is not None else 0

    def _exchange(self, request: _Request, accept: Collection[int]) -> Answer:
        try:
            found = self._transport.perform_request(
                request.method,
                request.path,
                # A copy and an explicit timeout: the driver takes `timeout` out of the parameters otherwise.
                params=dict(request.params),
                body=request.body,
                timeout=request.timeout_seconds,
            )
        except SerializationError as damage:
            raise _not_json(request.where, "") from damage
        except NodeError as failure:
            raise outage(failure, where=request.where, hosts=self.hosts) from failure
        except TransportError as failure:
            return _judged(request.where, failure, accept)
        if not isinstance(found, dict | list):
            raise _not_json(request.where, printable(found or "an empty body", 80))
        return Answer(200, found)


def url_path(*parts: str) -> str:
    """Return a path of quoted parts; `,` and `*` keep their meaning, nothing else has one."""
    return "/" + "/".join(quote(part, safe=",*") for part in parts)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    params: dict[str, str]
    body: Any
    timeout_seconds: float

    @property
    def where(self) -> str:
        return f"{self.method} {self.path}"


class _Unauthorized(TemporaryError):  # noqa: N818  it says what happened
    """Mark the one refusal worth a second try, with renewed credentials."""


def _judged(where: str, failure: TransportError, accept: Collection[int]) -> Answer:
    """Return an accepted answer, raise everything else as the project's error."""
    status, body = failure.args[0], failure.args[2]
    if status in accept and isinstance(body, dict):
        return Answer(status, body)
    if status in accept:
        # A proxy's own 404 must not pass for «there is no such document».
        raise _not_json(where, f"{status} {printable(body, 80)}")
    if status == 401:
        told = translated(status, body, where=where)
        raise _Unauthorized(told.what, where=told.where, got=told.got, remedy=told.remedy, kind="forbidden")
    # Without a name for it: that would tie it to this frame, and both to a request's megabytes, until the collector
    # comes by.
    raise translated(status, body, where=where, retry_after_seconds=failure.args[3])


def _not_json(where: str, got: str) -> TemporaryError:
    remedy = "check that opensearch.hosts names OpenSearch itself, not a page of a proxy"
    return TemporaryError("the answer is no JSON of OpenSearch", where=where, got=got, remedy=remedy, kind="not_json")


def _node(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            "opensearch.hosts holds no URL", got=printable(parts.hostname or ""), remedy="https://host:9200"
        )
    port = parts.port or (443 if parts.scheme == "https" else 9200)
    secure = parts.scheme == "https"
    return {
        "host": parts.hostname,
        "port": port,
        "scheme": parts.scheme,
        "use_ssl": secure,
        "url_prefix": parts.path.strip("/"),
    }
