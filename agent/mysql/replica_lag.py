"""How far a replica is behind its source, by its own word; what cannot be known is None, and None means wait."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from agent.errors import AgentError
from agent.mysql.engine import Connection, Database


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaLag:
    """Seconds behind, None when unknown, and why."""

    seconds: float | None
    reason: str


def replica_lag(replica: Database) -> ReplicaLag:
    """Ask a replica for its lag: the worst of its channels. Never raises for what the server says."""
    try:
        with replica.connection() as connection:
            channels = replica_status(connection)
    except AgentError as error:
        return ReplicaLag(seconds=None, reason=str(error))
    if not channels:
        return ReplicaLag(seconds=None, reason=f"{replica.where} is not a replica")
    lags = [channel.get("seconds_behind_source", channel.get("seconds_behind_master")) for channel in channels]
    if any(lag is None for lag in lags):
        return ReplicaLag(seconds=None, reason=f"{replica.where} does not replicate now")
    return ReplicaLag(seconds=max(float(lag) for lag in lags if lag is not None), reason=f"by {replica.where}")


def replica_status(connection: Connection) -> list[dict[str, Any]]:
    """Return one record per replication channel, none on a server that replicates from nobody. Needs a privilege."""
    return connection.records(_statement(connection.server_version))


def _statement(server_version: str) -> str:
    if "mariadb" in server_version.lower():
        return "SHOW ALL SLAVES STATUS"
    numbers = tuple(int(number) for number in re.findall(r"\d+", server_version)[:3])
    return "SHOW REPLICA STATUS" if numbers >= (8, 0, 22) else "SHOW SLAVE STATUS"
