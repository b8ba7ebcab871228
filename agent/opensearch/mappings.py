"""A partition's mapping: read it, and widen it by addition only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.errors import PermanentError, TemporaryError
from agent.opensearch.answers import Refused
from agent.opensearch.client import Cluster, url_path


class MappingRefused(PermanentError):  # noqa: N818  it says what happened
    """Say that the partition already maps a path otherwise, or has no room for more fields; nothing was changed.

    `kind` is `conflict` or `field_limit`. The remedy is the caller's: read the mapping again, which wins.
    """

    def __init__(self, what: str, *, where: str, got: str, kind: str) -> None:
        super().__init__(what, where=where, got=got)
        self.kind = kind


def read_properties(cluster: Cluster, index: str) -> dict[str, Any] | None:
    """Return the root `properties` of an index or of the one index behind an alias; None when there is none."""
    answer = cluster.answer("GET", url_path(index, "_mapping"), accept=(404,))
    if answer.status == 404:
        return None
    found: dict[str, Any] = {}
    for entry in answer.body.values():
        found = entry.get("mappings", {}).get("properties", {})
    return found


def widen(cluster: Cluster, index: str, properties: Mapping[str, Any]) -> None:
    """Add properties to a mapping; all of them or none. Idempotent. Raises MappingRefused, TemporaryError."""
    if not properties:
        return
    try:
        cluster.call("PUT", url_path(index, "_mapping"), body={"properties": properties})
    except TemporaryError as failure:
        if failure.kind != "field_limit":
            raise
        raise MappingRefused(failure.what, where=failure.where, got=failure.got, kind="field_limit") from failure
    except Refused as refusal:
        if refusal.status != 400:
            raise
        raise MappingRefused(
            "the mapping cannot be widened", where=refusal.where, got=refusal.got, kind="conflict"
        ) from refusal
