"""A small installation in memory: rows of chosen ages, their documents, and a retention over both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.config.retention import RetentionSettings
from agent.retention.archive import Archive
from agent.retention.journal import Journal
from agent.retention.ledger import LedgerStore
from agent.retention.pace import Gait, ReplicaWatch
from agent.retention.rules import RuleSet, rule_set
from agent.retention.run import Report, Retention
from agent.retention.slices import Slice, drive
from tests.fakes.retention import FakeIndex, FakeJournal, FakeState, FakeTable

NOW = datetime(2026, 11, 23, 3, 20, 0, 700_000, tzinfo=UTC)


def rules(**settings: Any) -> RuleSet:
    """Return the rules of a retention file."""
    return rule_set(RetentionSettings.model_validate(settings))


def at(age: timedelta, now: datetime = NOW) -> str:
    """Return `created_at` of a row of that age, to the second, as the table has it."""
    return (now.replace(microsecond=0) - age).strftime("%Y-%m-%d %H:%M:%S")


@dataclass
class Installation:
    """Both sides and everything a run needs."""

    folder: Path
    table: FakeTable = field(default_factory=lambda: FakeTable(NOW))
    index: FakeIndex = field(default_factory=FakeIndex)
    state: FakeState = field(default_factory=FakeState)
    journal: FakeJournal = field(default_factory=FakeJournal)
    brakes: dict[str, Any] = field(default_factory=lambda: {"max_share": 1})
    archive_format: str | None = None
    mirror: bool = False
    chunk_rows: int = 2
    lease_held: Callable[[], bool] = lambda: True
    replicas: ReplicaWatch = field(default_factory=lambda: ReplicaWatch(replicas=(), max_lag_seconds=10))
    seconds: float = 0.0
    pieces: list[Slice] = field(default_factory=list)

    def fill(self, count: int = 12, *, first_age_days: int = 120, step_days: int = 10) -> None:
        """Insert rows, oldest first, one every few days, and ship them."""
        for number in range(count):
            age = timedelta(days=first_age_days - step_days * number)
            severity = "error" if number % 4 == 0 else "info"
            self.table.add(number + 1, created_at=at(age), severity=severity, client_id=number, action="a.b")
        self.index.ship(self.table)

    def retention(self) -> Retention:
        """Return what a fresh process would work with."""
        settings = RetentionSettings.model_validate({"brakes": self.brakes})
        archive = None
        if self.archive_format:
            archive = Archive(self.folder, instance="whmcs", format=self.archive_format)
        return Retention(
            rows=self.table,
            documents=self.index,
            ledger=LedgerStore(self.state),
            journal=Journal(self.journal, instance="whmcs"),
            lease_held=self.lease_held,
            gait=Gait(rows_per_second=100, clock=lambda: self.seconds),
            replicas=self.replicas,
            chunk_rows=self.chunk_rows,
            brakes=settings.brakes,
            archive=archive,
            mirror=self.mirror,
        )

    def execute(
        self, chosen: RuleSet, *, watermark: int = 10**6, by_person: bool = True, release: bool = False
    ) -> Report:
        """Run to the end, passing time where it is asked for."""
        work = self.retention().execute(
            chosen, watermark=watermark, who="test", config_digest="c", by_person=by_person, release_brake=release
        )
        return drive(work, self.wait, self.pieces.append)

    def wait(self, seconds: float) -> bool:
        """Let time pass."""
        self.seconds += seconds
        return False


def counted(original: Callable[..., Any], effect: Callable[[str], None], name: str) -> Callable[..., Any]:
    """Return a call whose effect is counted before and after, so that a crash may strike on either side of it."""

    def call(*arguments: Any, **options: Any) -> Any:
        effect(name)
        result = original(*arguments, **options)
        effect(f"{name} done")
        return result

    return call
