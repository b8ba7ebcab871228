"""Judge what retention needs beside grants: Core's own figure, and replicas whose lag can be known."""

from __future__ import annotations

from agent.checking.finding import Finding, ok, warn
from agent.config.retention import RetentionSettings
from agent.mysql.core_settings import CoreRetention
from agent.mysql.replica_lag import ReplicaLag

_CORE = "retention of Core"


def core(found: CoreRetention) -> Finding:
    """Judge the retention Core itself uses; asked only when it is to be followed."""
    if found.days is None:
        remedy = "correct follow_core_setting.table and key, grant SELECT on it, or set it to false and rows.days"
        return warn(_CORE, f"cannot be read, so rows are kept: {found.reason}", remedy)
    return ok(_CORE, f"{found.days} days ({found.reason})" if found.days else f"for ever ({found.reason})")


def replica(name: str, lag: ReplicaLag, *, most_seconds: float) -> Finding:
    """Judge a replica that retention waits for."""
    name = f"replica {name}"
    if lag.seconds is None:
        remedy = "grant REPLICATION CLIENT (MariaDB: REPLICA MONITOR) there, or correct pace.replicas"
        return warn(name, f"its lag is unknown, so retention would wait: {lag.reason}", remedy)
    if lag.seconds > most_seconds:
        return warn(name, f"{lag.seconds:.0f} s behind: retention would wait", "let it catch up")
    return ok(name, f"{lag.seconds:.0f} s behind")


def summary(retention: RetentionSettings) -> Finding:
    """Say in one line what the policy does."""
    rows, documents = (f"{days} days" if days else "for ever" for days in retention.days_of(None))
    what = f"mode {retention.mode}, rows {rows}, documents {documents}, {len(retention.rules)} rules"
    holds = f", {len(retention.holds)} holds" if retention.holds else ""
    return ok("retention", what + holds)
