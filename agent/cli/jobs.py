"""The daemon's jobs beside the tail: retention, export, the weekly comparison, reloading the retention file.

Each slow job is an iterator of seconds to wait before its next slice, so that the tail runs between any two slices.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TypeVar

from agent.cli.app import Application
from agent.cli.line import Line
from agent.cli.reporting import Reporting
from agent.cli.retaining import Retaining
from agent.cli.verification import verification, whole
from agent.config.problems import InvalidFile
from agent.daemon import Daemon
from agent.errors import TemporaryError
from agent.observing.events import Event
from agent.retention.report import Report
from agent.retention.run import BrakeRefused
from agent.retention.slices import Slices
from agent.verifying.findings import Drift, Findings

RELOAD_SECONDS = 5
Outcome = TypeVar("Outcome")


class Jobs:
    """What a daemon does now and then."""

    def __init__(self, app: Application, line: Line, reporting: Reporting) -> None:
        self._app = app
        self._line = line
        self._reporting = reporting
        self._log = reporting.log
        self._must_reload = False

    def schedule(self, daemon: Daemon) -> None:
        """Enter every job into the daemon's calendar."""
        daemon.every(RELOAD_SECONDS, "reload", lambda: self._reload(daemon))
        verify = self._app.configuration.settings.verify
        if verify.at:
            daemon.weekly(verify.weekday, verify.time, "verify", self.verify)
        self._schedule_retention(daemon)
        daemon.begin("retention plan", self.announce)

    def reload(self) -> None:
        """Have the retention file read again at the next opportunity (SIGHUP)."""
        self._must_reload = True

    def announce(self) -> Iterator[float]:
        """Take note of the rules in force; say what a shortened policy newly expires, and from when."""
        retaining = self._retaining()
        if not retaining.acquire():
            return
        try:
            work = retaining.retention.announce(
                retaining.rules(), watermark=self._line.checkpoint.progress.watermark, who=self._app.holder
            )
            planned = yield from self._paced(work)
        finally:
            retaining.release()
        if planned is not None:
            self._log.say(
                Event.RETENTION_PLANNED,
                newly_rows=planned.newly_rows,
                newly_documents=planned.newly_documents,
                waits="until the next run",
            )

    def retain(self) -> Iterator[float]:
        """Do the daily run: delete in mode `enforce`, else say what would go."""
        retaining = self._retaining()
        if self._app.state.paused("retention") or not retaining.acquire():
            self._log.say(Event.RETENTION_DEFERRED, why="paused by a person or done by another process")
            return
        watermark = self._line.checkpoint.progress.watermark
        try:
            if retaining.enforces:
                yield from self._enforce(retaining, watermark)
                return
            planned = yield from self._paced(retaining.retention.preview(retaining.rules(), watermark=watermark))
            self._log.say(
                Event.RETENTION_PLANNED, rows=planned.rows.expired, documents=planned.documents.expired, mode="preview"
            )
        finally:
            retaining.release()
            self._app.forget_expiry()

    def export(self) -> Iterator[float]:
        """Write what came since the last scheduled export."""
        retaining = self._retaining()
        if retaining.export is None or not retaining.acquire():
            return
        try:
            work = retaining.export.slices(watermark=self._line.checkpoint.progress.watermark, who=self._app.holder)
            exported = yield from self._paced(work)
        finally:
            retaining.release()
        if exported.rows:
            self._log.say(Event.EXPORT_FINISHED, rows=exported.rows, files=len(exported.files))

    def verify(self) -> Iterator[float]:
        """Compare everything that is settled; repair only if the configuration says so."""
        settings = self._app.configuration.settings
        progress = self._line.checkpoint.progress
        max_bytes = settings.tail.bulk_bytes
        work = verification(
            self._app,
            progress,
            ship=lambda rows: self._line.shipper.ship(rows, max_bytes).counts,
            who=self._app.holder,
        )
        findings = Findings(whole(progress, repair=settings.verify.repair))
        yield from work.slices(findings)
        drift = {str(kind): findings.drift[kind] for kind in Drift}
        self._reporting.metrics.observe_drift(
            missing=drift["missing"], orphan=drift["orphan"], different=drift["different"]
        )
        event = Event.VERIFY_DRIFT if findings.left else Event.VERIFY_FINISHED
        self._log.say(event, rows=findings.rows, documents=findings.documents, repaired=findings.repaired, **drift)

    def _enforce(self, retaining: Retaining, watermark: int) -> Generator[float, None, None]:
        work = retaining.retention.execute(
            retaining.rules(),
            watermark=watermark,
            who=self._app.holder,
            config_digest=retaining.config_digest,
            by_person=False,
        )
        try:
            report = yield from self._paced(work)
        except BrakeRefused as refusal:
            self._log.say(Event.RETENTION_REFUSED, error=str(refusal))
            return
        self._tell(report)

    def _tell(self, report: Report) -> None:
        for side, tallies in (("rows", report.tally.rows), ("documents", report.tally.documents)):
            for rule, tally in tallies.items():
                if tally.deleted:
                    self._reporting.metrics.retention_deleted(side=side, rule=rule, n=tally.deleted)
                    self._log.say(Event.RETENTION_DELETED, side=side, rule=rule, count=tally.deleted)
        self._log.say(
            Event.RETENTION_FINISHED,
            rows=report.tally.rows_deleted,
            documents=report.tally.documents_deleted,
            left_rows=report.left.rows,
            left_documents=report.left.documents,
        )

    def _paced(self, work: Slices[Outcome]) -> Generator[float, None, Outcome]:
        """Pass a run's own pauses on to the daemon; a person's pause holds the run where it is.

        Raises TemporaryError when the rules changed under a run: nothing more may go by the old ones.
        """
        begun_under = self._app.retention_digest
        is_waiting = False
        while True:
            if self._app.retention_digest != begun_under:
                work.close()
                raise TemporaryError("the retention rules changed during a run", kind="rules_changed")
            while self._app.state.paused("retention"):
                yield 1.0
            try:
                piece = next(work)
            except StopIteration as end:
                outcome: Outcome = end.value
                return outcome
            if piece.reason and not is_waiting:
                self._log.say(Event.RETENTION_WAITING, why=piece.reason)
            is_waiting = bool(piece.reason)
            yield piece.pause_seconds

    def _reload(self, daemon: Daemon) -> None:
        force, self._must_reload = self._must_reload, False
        file = self._app.retention_file
        found = file.load_if_changed(force=force) if file else None
        if isinstance(found, InvalidFile):
            self._log.say(Event.RETENTION_INVALID, error=str(found))
        elif found is not None:
            self._log.say(Event.RETENTION_RELOADED, file=str(file.path) if file else "")
            self._app.forget_expiry()
            self._schedule_retention(daemon)
            daemon.begin("retention plan", self.announce)

    def _schedule_retention(self, daemon: Daemon) -> None:
        settings = self._app.retention_settings
        daemon.daily(settings.at, "retention", self.retain)
        daemon.daily(settings.export.at, "export", self.export)

    def _retaining(self) -> Retaining:
        # Made anew for each run: the file, and Core's own setting, may have changed since the last.
        return Retaining(self._app, self._app.retention_settings, self._app.retention_digest)
