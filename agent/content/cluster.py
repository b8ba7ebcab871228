"""What this room needs of the cluster."""

from __future__ import annotations

from typing import Any, Protocol


class Cluster(Protocol):
    """Send one request to OpenSearch and return its decoded JSON.

    Raises an AgentError for every answer that is no success, with the server's own reason in its text.
    """

    def call(self, method: str, path: str, *, params: dict[str, str] | None = None, body: Any = None) -> Any: ...
