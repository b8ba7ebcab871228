"""What the cluster says of itself, for `check`: facts only; judging them is the doctor's business.

Each fact is asked for on its own, and None means «cannot be known here» (no plugin, no permission), not «no».
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agent.errors import TemporaryError
from agent.opensearch.answers import Refused
from agent.opensearch.client import Cluster, url_path
from agent.opensearch.names import Names


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """The server's name and version, as the banner says."""

    cluster_name: str
    distribution: str
    number: str

    @property
    def parts(self) -> tuple[int, ...]:
        """Return the version as numbers, to compare."""
        return tuple(int(part) for part in self.number.split("-")[0].split(".") if part.isdigit())


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The cluster's colour and size."""

    status: str
    nodes: int
    data_nodes: int
    shards: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """One data node's disk."""

    node: str
    total_bytes: int
    free_bytes: int


class Facts:
    """Ask the cluster about itself."""

    def __init__(self, cluster: Cluster, names: Names) -> None:
        self._cluster = cluster
        self._names = names

    def version(self) -> Version:
        """Return the version; the first call of every diagnosis: raises what is wrong with the connection."""
        answer = self._cluster.call("GET", "/")
        version = answer.get("version", {}) if isinstance(answer, dict) else {}
        return Version(
            cluster_name=str(answer.get("cluster_name", "")),
            distribution=str(version.get("distribution", "elasticsearch")),
            number=str(version.get("number", "0")),
        )

    def health(self) -> Health:
        """Return colour and size; does not wait for a better colour."""
        answer = self._cluster.call("GET", "/_cluster/health")
        return Health(
            status=answer["status"],
            nodes=answer["number_of_nodes"],
            data_nodes=answer["number_of_data_nodes"],
            shards=answer["active_shards"],
        )

    def free_shards(self) -> int | None:
        """Return how many more shards the cluster's own limit allows; None when the limit cannot be read."""
        settings = self._optional("/_cluster/settings", {"include_defaults": "true", "flat_settings": "true"})
        if settings is None:
            return None
        name = "cluster.max_shards_per_node"
        limits = [settings.get(level, {}).get(name) for level in ("transient", "persistent", "defaults")]
        limit = next((int(value) for value in limits if value is not None), None)
        health = self.health()
        return None if limit is None else limit * max(1, health.data_nodes) - health.shards

    def disks(self) -> list[Disk] | None:
        """Return each data node's disk; None without the permission."""
        answer = self._optional("/_nodes/stats/fs", {"filter_path": "nodes.*.name,nodes.*.fs.total"})
        if answer is None:
            return None
        found = []
        for node in answer.get("nodes", {}).values():
            total = node.get("fs", {}).get("total")
            if total:
                free = total["available_in_bytes"]
                found.append(Disk(node=node["name"], total_bytes=total["total_in_bytes"], free_bytes=free))
        return found

    def clock(self) -> datetime | None:
        """Return the time by a node's clock; None without the permission."""
        answer = self._optional("/_nodes/stats/fs", {"filter_path": "nodes.*.timestamp"})
        stamps = [node["timestamp"] for node in (answer or {}).get("nodes", {}).values() if "timestamp" in node]
        return datetime.fromtimestamp(max(stamps) / 1000, UTC) if stamps else None

    def cluster_blocks(self) -> list[str]:
        """Return the settings that make the whole cluster read-only; empty also when they cannot be read."""
        settings = self._optional("/_cluster/settings", {"flat_settings": "true"}) or {}
        levels = [settings.get(level, {}) for level in ("persistent", "transient")]
        names = ("cluster.blocks.read_only", "cluster.blocks.read_only_allow_delete", "cluster.blocks.create_index")
        return [name for name in names if any(str(level.get(name)) == "true" for level in levels)]

    def blocks(self) -> dict[str, list[str]]:
        """Return the write blocks set on the agent's indices, by index; empty when there are none."""
        found: dict[str, list[str]] = {}
        for pattern in (self._names.pattern(), f"{self._names.agent_prefix}-*"):
            params = {"flat_settings": "true", "expand_wildcards": "open,closed"}
            answer = self._cluster.call("GET", url_path(pattern, "_settings"), params=params)
            for index, entry in answer.items():
                if not index.startswith(self._names.agent_prefix) and self._names.parse(index) is None:
                    continue
                settings = entry.get("settings", {})
                blocks = [
                    name for name, value in settings.items() if name.startswith("index.blocks.") and value == "true"
                ]
                if "index.verified_before_close" in settings:
                    blocks.append("closed")
                if blocks:
                    found[index] = sorted(blocks)
        return found

    def lifecycle_policies(self) -> dict[str, str] | None:
        """Return which of our indices an ISM policy manages; None when the plugin is not there or not readable."""
        ours = f"{self._names.pattern()},{self._names.agent_prefix}-*"
        answer = self._optional(url_path("_plugins", "_ism", "explain", ours), {})
        if answer is None:
            return None
        found = {}
        for index, entry in answer.items():
            policy = entry.get("index.plugins.index_state_management.policy_id") if isinstance(entry, dict) else None
            if policy:
                found[index] = str(policy)
        return found

    def user(self) -> dict[str, Any] | None:
        """Return name and roles of the account in use; None without the security plugin."""
        answer = self._optional("/_plugins/_security/authinfo", {})
        if answer is None:
            return None
        return {"name": answer.get("user_name"), "roles": answer.get("roles", [])}

    def _optional(self, path: str, params: dict[str, str]) -> dict[str, Any] | None:
        """Return an answer, None when the endpoint does not exist here or may not be asked."""
        try:
            answer = self._cluster.answer("GET", path, params=params, accept=(400, 404, 405))
        except (Refused, TemporaryError) as refusal:
            if isinstance(refusal, TemporaryError) and refusal.kind not in ("forbidden", "not_json"):
                raise
            return None
        return answer.body if answer.status == 200 and isinstance(answer.body, dict) else None
