"""What the daemon does, told: log lines, metrics, health, and the members published in the state document."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from agent import __version__
from agent.cli.app import now_text
from agent.errors import AgentError, TemporaryError
from agent.observing.events import Event
from agent.observing.health import Health
from agent.observing.logging import EventLog
from agent.observing.metrics import Metrics
from agent.observing.systemd import Systemd
from agent.state import LeaseLost
from agent.tailing.evidence import Rung
from agent.tailing.gaps import Progress, Range
from agent.tailing.step import Step

# A single step may wait out one client timeout and one statement; only beyond several of them is the process stuck.
STALL_SECONDS = 300.0
BATCH_LINE_SECONDS = 10.0
RANGES_SAID = 5

# Without either of them nothing is shipped: to whoever reads the log they are one outage.
_SHIPPING = ("lease", "tail")

_DEFERRED = {
    "tail": Event.TAIL_DEFERRED,
    "lease": Event.TAIL_DEFERRED,
    "drain": Event.TAIL_DEFERRED,
    "retention": Event.RETENTION_DEFERRED,
    "retention plan": Event.RETENTION_DEFERRED,
    "verify": Event.VERIFY_DEFERRED,
}


class Reporting:
    """Tell the world; never raises for what the world makes of it."""

    def __init__(self, instance: str, log: EventLog, published: dict[str, Any]) -> None:
        self.log = log
        self.metrics = Metrics(instance=instance, version=__version__)
        self.health = Health(stall_limit_seconds=STALL_SECONDS, started_at=time.monotonic())
        self.systemd = Systemd(os.environ)
        self._published = published
        self._batch: Counter[str] = Counter()
        self._batch_said_at = float("-inf")
        self._outage = ""
        self._leads_again = False
        self._shown = ""
        self._publish("idle", "no step has finished yet")

    def stepped(self, step: Step, progress: Progress) -> None:
        """Tell a step that succeeded."""
        now = time.monotonic()
        counts = step.taken.counts
        shipped = counts["indexed"]
        self.health.step_succeeded(now, shipped_rows=shipped)
        self.metrics.observe_step(
            rows_read=step.rows_read,
            indexed=shipped,
            finished_at=time.time(),
            overflowed=_under(counts, "overflowed:"),
            dead_letters=_under(counts, "dead:"),
            ids_skipped=_ids(step.skipped) + _ids(step.unproven),
        )
        for labels, rows in step.taken.events.items():
            module_slug, severity, source = labels
            self.metrics.event(module_slug, severity, source, rows)
        self.positioned(progress)
        self._publish("shipping" if shipped else "idle", "")
        self._say_leading_again(now)
        self._say_gaps(step)
        self._say_batch(step, progress, now)

    def positioned(self, progress: Progress) -> None:
        """Show where the checkpoint stands."""
        self.metrics.observe_position(
            watermark=progress.watermark, frontier=progress.frontier, gaps_open=len(progress.gaps)
        )

    def lagging(self, lag_seconds: float | None, backlog_rows: int | None) -> None:
        """Show how far the index is behind, by the database's clock; None says that nobody could measure it."""
        self.metrics.observe_lag(lag_seconds=lag_seconds, backlog_rows=backlog_rows)
        rounded = None if lag_seconds is None else round(lag_seconds, 3)
        self._published |= {"lag_seconds": rounded, "backlog_rows": backlog_rows}
        if lag_seconds is not None:
            self._published["lag_measured_at"] = now_text()

    def leading(self, lost: Range | None, progress: Progress, rung: Rung) -> None:
        """Tell that this process ships from now on, and what was lost before it could."""
        self.metrics.observe_lease(held=True)
        self.metrics.observe_evidence(rung.name, rung.reason)
        self.log.say(
            Event.LEASE_ACQUIRED,
            watermark=progress.watermark,
            frontier=progress.frontier,
            evidence=rung.name,
            why=rung.reason,
        )
        self.lost(lost)

    def lost(self, ids: Range | None) -> None:
        """Tell a range that was purged before it could be read, if there is one."""
        if ids:
            self.log.say(Event.TAIL_ROWS_LOST, first=ids[0], last=ids[1], ids=ids[1] - ids[0] + 1)

    def evidence_changed(self, rung: Rung) -> None:
        """Tell how gaps are proven dead from now on."""
        self.metrics.observe_evidence(rung.name, rung.reason)
        self.log.say(Event.TAIL_EVIDENCE_CHANGED, evidence=rung.name, why=rung.reason)

    def standing_by(self, *, was_leading: bool) -> None:
        """Tell that another agent ships."""
        now = time.monotonic()
        if was_leading:
            self.log.say(Event.LEASE_LOST)
        self._say_leading_again(now)
        if self.health.condition.state != "standby":
            self.log.say(Event.LEASE_STANDBY)
        self.metrics.observe_lease(held=False)
        self.health.stood_by(now, "another agent ships for this instance")

    def paused(self, pause: Mapping[str, Any]) -> None:
        """Tell that a person paused the tail."""
        reason = f"tail paused by {pause.get('who')}: {pause.get('why') or 'no reason given'}"
        if not self.health.condition.paused:
            self.log.say(Event.PAUSED, what="tail", who=pause.get("who"), why=pause.get("why"))
        now = time.monotonic()
        self._say_leading_again(now)
        self.health.paused(now, reason)
        self._publish("idle", reason)

    def resumed(self) -> None:
        """Tell the end of a pause, once."""
        if self.health.condition.paused:
            self.log.say(Event.RESUMED, what="tail")

    def failed(self, job: str, error: BaseException, delay: float) -> None:
        """Tell that a job failed and is tried again after `delay` seconds."""
        now = time.monotonic()
        reason = self.log.mask(str(error))
        kind = error.kind if isinstance(error, TemporaryError) else type(error).__name__
        if job in _SHIPPING:
            self.health.step_failed(now, reason)
            self._publish("degraded", reason)
            self._outage, self._leads_again = kind, False
        elif self._outage and (kind == self._outage or isinstance(error, TemporaryError)):
            # The store that is away for the tail is away for every other job too: told once is enough.
            return
        if isinstance(error, LeaseLost):
            self.log.say(Event.TAIL_FENCED, error=reason)
            return
        if job == "tail":
            self.metrics.bulk_retried(kind)
        # What a person must correct in mid-run (a revoked grant, a password changed before its file) is waited for too.
        expected = isinstance(error, AgentError)
        event = _DEFERRED.get(job, Event.JOB_FAILED) if expected else Event.JOB_FAILED
        self.log.failed(
            event,
            key="shipping" if job in _SHIPPING else job,
            now=now,
            reason=kind,
            job=job,
            error=reason,
            retry_seconds=round(delay, 1),
            **({} if expected else {"exc_info": error}),
        )

    def recovered(self, job: str) -> None:
        """Tell that a job works again."""
        if job == "lease":
            # Whether that ends the outage is for the next step to say: the other store may be away still.
            self._leads_again = True
        elif job == "tail":
            self._ships_again(time.monotonic())
        else:
            self.log.recovered(Event.TAIL_RECOVERED, key=job, now=time.monotonic(), job=job)

    def alive(self) -> None:
        """Show life to the service manager while healthy."""
        now = time.monotonic()
        self.health.progressed(now)
        if self.health.healthy(now).ok:
            self.systemd.alive()
        condition = self.health.condition
        shown = f"{condition.state}: {condition.reason}" if condition.reason else str(condition.state)
        if shown != self._shown:
            self._shown = shown
            self.systemd.status(shown)

    def _say_leading_again(self, now: float) -> None:
        if self._leads_again:
            self._ships_again(now)

    def _ships_again(self, now: float) -> None:
        self._outage, self._leads_again = "", False
        self.log.recovered(Event.TAIL_RECOVERED, key="shipping", now=now, job="tail")

    def _publish(self, state: str, reason: str) -> None:
        self._published |= {"state": state, "reason": reason}

    def _say_gaps(self, step: Step) -> None:
        if step.opened and not step.skipped:
            self.log.say(Event.TAIL_GAP_OPENED, gaps=step.opened)
        if step.closed:
            self.log.say(Event.TAIL_GAP_CLOSED, rows=step.closed)
        for ranges, proven in ((step.skipped, True), (step.unproven, False)):
            if ranges:
                said = ", ".join(f"{first}-{last}" for first, last in ranges[:RANGES_SAID])
                self.log.say(Event.TAIL_GAP_SKIPPED, ids=_ids(ranges), ranges=said, proven=proven)

    def _say_batch(self, step: Step, progress: Progress, now: float) -> None:
        self._batch += step.taken.counts
        if not self._batch["indexed"] and not self._batch["dead_letters"]:
            return
        if step.taken.counts["dead_letters"]:
            self.log.say(Event.DEAD_LETTER_KEPT, rows=step.taken.counts["dead_letters"])
        # In a catch-up a line a step would be ten a second: one in a while says as much.
        if step.caught_up or now - self._batch_said_at >= BATCH_LINE_SECONDS:
            self.log.say(Event.TAIL_BATCH, indexed=self._batch["indexed"], watermark=progress.watermark)
            self._batch_said_at = now
            self._batch.clear()


def _under(counts: Counter[str], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)}


def _ids(ranges: tuple[Range, ...]) -> int:
    return sum(last - first + 1 for first, last in ranges)
