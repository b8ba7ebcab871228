"""The vocabulary of the log: every event the agent can say, with its level and what it means.

A line of the log is one of these names and its fields, nothing else. The names are part of the outside contract
(people grep and alert on them): `docs/operations.md` lists them all, and a test holds the two together.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Level(StrEnum):
    """Rank an event: debug is off by default, warning means look soon, error means look now."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """Return the number the logging world gives this level."""
        return {"debug": 10, "info": 20, "warning": 30, "error": 40}[self.value]


class Event(StrEnum):
    """Name what happened; `level` and `meaning` belong to the name, so one event is always said at one level."""

    level: Level
    meaning: str

    def __new__(cls, name: str, level: Level, meaning: str) -> Self:
        member = str.__new__(cls, name)
        member._value_ = name
        member.level = level
        member.meaning = meaning
        return member

    AGENT_STARTED = "agent.started", Level.INFO, "the daemon is up: version, instance, where it continues"
    AGENT_STOPPING = "agent.stopping", Level.INFO, "a signal came; the batch in flight is finished first"
    AGENT_STOPPED = "agent.stopped", Level.INFO, "the daemon ended; `reason` says by whose will"
    AGENT_REFUSED = (
        "agent.refused",
        Level.ERROR,
        "going on is impossible or would be a guess, so the agent stopped; the remedy is named",
    )
    JOB_FAILED = "job.failed", Level.ERROR, "a scheduled job met an error nobody expected; it runs again at its time"
    LIBRARY_WARNING = "library.warning", Level.WARNING, "a library or the interpreter warned"

    TAIL_BATCH = "tail.batch", Level.INFO, "rows were shipped and the checkpoint was written"
    TAIL_GAP_OPENED = "tail.gap_opened", Level.INFO, "ids are missing below the frontier; they are watched"
    TAIL_GAP_CLOSED = "tail.gap_closed", Level.INFO, "late rows came and were shipped"
    TAIL_GAP_SKIPPED = "tail.gap_skipped", Level.INFO, "missing ids are proven dead and no longer waited for"
    TAIL_EVIDENCE_CHANGED = "tail.evidence_changed", Level.WARNING, "gaps are proven dead in another way now, and why"
    SOURCE_TABLE_ALTERED = "source.table_altered", Level.INFO, "the table was altered; its rows are read as it is now"
    TAIL_ROWS_LOST = "tail.rows_lost", Level.ERROR, "rows were purged from the table before they could be shipped"
    TAIL_DEFERRED = "tail.deferred", Level.WARNING, "the step could not finish and is tried again; nothing is lost"
    TAIL_RECOVERED = "tail.recovered", Level.INFO, "the outage is over: its length and the failed tries"
    TAIL_FENCED = "tail.fenced", Level.ERROR, "another agent wrote the checkpoint; this one gave way"
    DEAD_LETTER_KEPT = "dead_letter.kept", Level.WARNING, "a row was refused for its own fault and kept with the reason"

    LEASE_ACQUIRED = "lease.acquired", Level.INFO, "this agent ships for the instance now"
    LEASE_LOST = "lease.lost", Level.WARNING, "the database session that held the lease is gone; shipping stopped"
    LEASE_STANDBY = "lease.standby", Level.INFO, "another agent holds the lease; this one waits"

    TEMPLATE_INSTALLED = "template.installed", Level.INFO, "an index template was missing or old and was written"

    RETENTION_PLANNED = "retention.planned", Level.INFO, "what would be deleted by which rule; nothing was deleted yet"
    RETENTION_DELETED = "retention.deleted", Level.INFO, "rows or documents were deleted by a rule and journaled"
    RETENTION_FINISHED = "retention.finished", Level.INFO, "a run ended; nothing expired is left within its bounds"
    RETENTION_REFUSED = (
        "retention.refused",
        Level.ERROR,
        "a brake or a missing proof stopped the run; nothing more went",
    )
    RETENTION_WAITING = (
        "retention.waiting",
        Level.WARNING,
        "a run waits for a replica, or for rows that others hold: why",
    )
    RETENTION_DEFERRED = "retention.deferred", Level.WARNING, "the run could not go on and is tried again at its time"
    RETENTION_RELOADED = (
        "retention.reloaded",
        Level.INFO,
        "the changed retention file is in force; what it newly expires",
    )
    RETENTION_INVALID = "retention.invalid", Level.ERROR, "the changed retention file is wrong; the old policy stays"

    VERIFY_FINISHED = "verify.finished", Level.INFO, "table and index agree"
    VERIFY_DRIFT = "verify.drift", Level.ERROR, "table and index differ: missing, orphan, different"
    VERIFY_DEFERRED = "verify.deferred", Level.WARNING, "the comparison could not finish and is tried again at its time"
    EXPORT_FINISHED = "export.finished", Level.INFO, "a scheduled export was written"

    PAUSED = "paused", Level.WARNING, "a person paused shipping or retention: who and why"
    RESUMED = "resumed", Level.INFO, "a person ended the pause"

    CONFIG_INSECURE = "config.insecure", Level.WARNING, "a setting weakens security, e.g. certificates are not verified"
    HTTP_LISTENING = "http.listening", Level.INFO, "metrics and health are served at this address"
    HTTP_FAILED = "http.failed", Level.ERROR, "a request to the metrics endpoint met an error"
