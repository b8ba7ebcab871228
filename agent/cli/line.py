"""The line: table → documents → index for one process, wired from an application's parts.

`run` and `sync` drive the whole line, with lease and checkpoint; `backfill`, repair and replay use its shipper alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from agent import __version__
from agent.backoff import BatchSize
from agent.cli.app import Application, now_text
from agent.cli.columns import look_again
from agent.cli.garbage import spare_rows
from agent.errors import AgentError
from agent.mysql.evidence import READ_ONLY, objection, probes
from agent.mysql.lag import lag_seconds
from agent.mysql.lease import Lease
from agent.mysql.next_id import next_id
from agent.mysql.source_identity import is_read_only
from agent.observing.events import Event
from agent.retention.journal import Kind
from agent.shipping.partitions import PreparedPartitions
from agent.shipping.pipeline import Pipeline
from agent.shipping.shipper import Shipper
from agent.tailing.checkpoint import Checkpoint, encoded
from agent.tailing.continuity import Met, lost_range, remembered
from agent.tailing.evidence import Evidence
from agent.tailing.gaps import Progress, Range
from agent.tailing.tail import Tail

RANGES_JOURNALED = 100
SOURCE_CHECK_SECONDS = 30.0


class Line:
    """Everything between one table and one index."""

    def __init__(self, app: Application, took: Callable[[float], None] = lambda _seconds: None) -> None:
        self._app = app
        self._took = took
        self._settings = app.configuration.settings
        self._zone = ZoneInfo(self._settings.source.time_zone)
        self._database_clock = datetime.now(UTC) - timedelta(seconds=time.monotonic())
        self._source_checked_at = float("-inf")
        self._objection: str | None = None
        self._lost: Range | None = None
        self.published: dict[str, Any] = {}
        self.stopping: Callable[[], bool] = lambda: False

    @cached_property
    def shipper(self) -> Shipper:
        """Ship rows onto their documents."""
        partitions = PreparedPartitions(self._app.catalogue, self._app.partitions)
        partitions.learn()
        return Shipper(
            shape=self._app.table.shape,
            builder=self._app.builder,
            partitions=partitions,
            alias=self._app.names.alias,
            bulk=self._app.bulk,
            dead_letters=self._app.dead_letters,
            refused=self._app.refused,
            now=now_text,
        )

    @cached_property
    def pipeline(self) -> Pipeline:
        """Keep several bulk requests in flight."""
        spare_rows()
        concurrency = self._settings.tail.bulk_concurrency
        return Pipeline(self.shipper, concurrency=concurrency, clock=time.monotonic, took=self._took)

    @cached_property
    def evidence(self) -> Evidence:
        """Prove gaps dead on the best rung of this server."""
        rungs = probes(self._app.database, self._app.table, monotonic=time.monotonic, sleep=time.sleep)
        return Evidence(rungs, self._settings.tail.gaps.evidence, time.monotonic, self._objects)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """Keep progress in the state document."""
        return Checkpoint(self._app.state, self._members, time.monotonic)

    @cached_property
    def lease(self) -> Lease:
        """Hold the right to ship, in the database."""
        return Lease(self._app.database, self._app.instance)

    @cached_property
    def tail(self) -> Tail:
        """Do steps."""
        tail, gaps = self._settings.tail, self._settings.tail.gaps
        return Tail(
            rows=self._app.rows,
            pipeline=self.pipeline,
            evidence=self.evidence,
            checkpoint=self.checkpoint,
            journal_skips=self._journal_skips,
            size=BatchSize.full(tail.batch_rows, tail.bulk_bytes),
            grace_seconds=gaps.grace_seconds,
            watch_seconds=gaps.watch_hours * 3600,
            max_ranges=gaps.max_ranges,
            clock=lambda: self._now().timestamp(),
            stopping=lambda: self.stopping(),  # noqa: PLW0108  who drives the line says so later
        )

    @property
    def instance(self) -> str:
        """Return the instance's name."""
        return self._app.instance

    def begin_again(self) -> None:
        """Set the checkpoint to id 0 on purpose, whatever is stored, for this table as it is now."""
        self._app.make_ready()
        self._app.state.update(lambda _: {**encoded(Progress()), "last_row": None, "source": None})

    def finish(self, reason: str) -> None:
        """Say in the state document that nobody ships any more, and why."""
        with suppress(AgentError):
            # Without the database the last known figures stand; the end is told all the same, and at once.
            if self.lease.held():
                lag, backlog = self.measure()
                self.published |= {"lag_seconds": lag, "lag_measured_at": now_text(), "backlog_rows": backlog}
        self.published |= {"state": "stopped", "reason": reason, "lease": None, "lease_since": None}
        self._app.state.write({**encoded(self.checkpoint.progress), **self._members()})

    def take_over(self) -> tuple[int, int] | None:
        """Begin to ship as the holder of the lease; return the range of ids that was purged unread, if any.

        Raises PermanentError when the stored checkpoint is damaged or speaks of another table.
        """
        self._app.make_ready()
        self._app.state.refresh_unclaimed()
        self.checkpoint.open()
        self.suspect_source()
        lost = self.follow_source()
        self.evidence.choose()
        self._app.state.claim(now_text())
        # What was written between the look and the claim counts.
        self.checkpoint.open()
        self.tail.forget()
        return lost

    def suspect_source(self) -> None:
        """Look at the source's identity again before the next step."""
        self._source_checked_at = float("-inf")

    def follow_source(self) -> tuple[int, int] | None:
        """Check the source; a range that was purged unread is journaled once, and returned once."""
        lost = self.check_source()
        if lost is None or lost == self._lost:
            return None
        what = {"first": lost[0], "last": lost[1], "ids": lost[1] - lost[0] + 1}
        self._app.journal.append(Kind.ROWS_LOST, what, at=now_text(), who=self._app.holder)
        self._lost = lost
        return lost

    def check_source(self) -> tuple[int, int] | None:
        """Compare the table with the one the checkpoint speaks of, at most every half minute unless suspected."""
        begun = time.monotonic()
        if begun - self._source_checked_at < SOURCE_CHECK_SECONDS:
            return None
        self._follow_columns()
        source = self._app.source_identity
        self._objection = objection(source)
        bounds = self._app.rows.bounds()
        self._set_clock(bounds.now)
        known = remembered(self._app.state.members, self.checkpoint.progress)
        last = self._app.rows.by_ids([known.last_id]).rows if known.last_id else []
        met = Met(
            server=source.server,
            table_created=source.table_created,
            min_id=bounds.min_id,
            max_id=bounds.max_id,
            next_id=next_id(self._app.database, self._app.table),
            last_is_there=bool(last),
            last_created_at=str(last[0][1]) if last else None,
        )
        lost = lost_range(known, met, self._app.database.where)
        self.published["source"] = {"server": source.server, "table_created": source.table_created}
        self._source_checked_at = begun
        return lost

    def measure(self) -> tuple[float, int]:
        """Return lag in seconds and backlog in rows above the frontier, both by the database's clock."""
        backlog = self._app.rows.backlog(self.checkpoint.progress.frontier)
        self._set_clock(backlog.now)
        lag = lag_seconds(backlog.oldest_created_at, backlog.now, self._zone)
        return lag or 0.0, backlog.rows

    def close(self) -> None:
        """End workers and connections."""
        if "pipeline" in self.__dict__:
            self.pipeline.close()

    def _follow_columns(self) -> None:
        """Read by the columns that the table has now."""
        if not look_again(self._app):
            return
        self._app.log.say(Event.SOURCE_TABLE_ALTERED, table=self._app.table.name)
        if "tail" in self.__dict__:
            # What is in flight was read by the old columns: it is waited out, and read again unless acknowledged.
            self.tail.forget()
        self.close()
        for part in ("tail", "pipeline", "shipper"):
            self.__dict__.pop(part, None)

    def _objects(self) -> str | None:
        """Say why no evidence holds now; a writer can be demoted between two looks, and keeps its connections."""
        return self._objection or (READ_ONLY if is_read_only(self._app.database) else None)

    def _members(self) -> Mapping[str, Any]:
        """Return what is published in the state document beside the checkpoint."""
        return {
            **self.published,
            "instance": self._app.instance,
            "evidence": self.evidence.rung.name,
            "evidence_reason": self.evidence.rung.reason,
            "heartbeat": self._now().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
            "agent_version": __version__,
        }

    def _set_clock(self, now: str) -> None:
        self._database_clock = datetime.fromisoformat(now).replace(tzinfo=UTC) - timedelta(seconds=time.monotonic())

    def _now(self) -> datetime:
        """Return the database's time: heard last, and counted on without this machine's clock, which may jump."""
        return self._database_clock + timedelta(seconds=time.monotonic())

    def _journal_skips(self, ranges: Sequence[Range], evidence: str) -> None:
        self._app.journal.append(
            Kind.GAP_SKIPPED,
            {
                "evidence": evidence,
                "ids": sum(last - first + 1 for first, last in ranges),
                "first": ranges[0][0],
                "last": ranges[-1][1],
                "ranges": [list(each) for each in ranges[:RANGES_JOURNALED]],
                "ranges_total": len(ranges),
            },
            at=now_text(),
            who=self._app.holder,
        )
