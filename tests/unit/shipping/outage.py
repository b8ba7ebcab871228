"""The whole line but its two servers, on a clock of its own: an hour of outage takes a moment.

Table and cluster are in memory; everything between (tail, pipeline, shipper, checkpoint, daemon, reporting) is real.
`Line.run_for` lets the daemon run so many seconds; only its waits let time pass.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from agent.backoff import BatchSize
from agent.cli import reporting as reporting_module
from agent.cli.reporting import Reporting
from agent.daemon import Daemon, Steps
from agent.mapping.catalogue import Catalogue
from agent.mapping.document import DocumentBuilder
from agent.mapping.redaction import Redaction
from agent.observing.logging import set_up
from agent.opensearch.bulk import Bulk
from agent.row import Row, RowShape
from agent.shipping.partitions import PreparedPartitions
from agent.shipping.pipeline import Pipeline
from agent.shipping.shipper import Shipper
from agent.state import StateDocument
from agent.tailing.checkpoint import Checkpoint
from agent.tailing.evidence import Evidence
from agent.tailing.gaps import Range
from agent.tailing.tail import Tail
from tests.clock import Clock
from tests.fakes.opensearch import FakeBulk, FakeCluster, FakeDeadLetters, FakePartitions, FakeState
from tests.fakes.table import FakeBatch, FakeProbe, FakeTable

SHAPE = RowShape(("id", "created_at", "detail"))
MOST_EFFECTS = 20_000
NOVEMBER = "2026-11-23 21:04:05"


class Rows:
    """Rows of ids 1 to n, each of which says how large it is."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, count: int, detail: str = "a detail", at: str = NOVEMBER) -> None:
        self.rows += [(len(self.rows) + n + 1, at, detail, 7) for n in range(count)]

    def after(self, row_id: int, limit: int, max_bytes: int) -> FakeBatch:
        found: list[Row] = []
        size = 0
        for row in self.rows[row_id:]:
            if len(found) == limit or size >= max_bytes:
                return FakeBatch(found, is_complete=False)
            found.append(row)
            size += len(str(row[2]))
        return FakeBatch(found, is_complete=True)

    def in_ranges(self, ranges: Sequence[Range], limit: int, max_bytes: int) -> FakeBatch:
        del ranges, limit, max_bytes
        return FakeBatch([], is_complete=True)


@dataclass
class Effect:
    """One request to the cluster, and when."""

    at: float
    name: str


@dataclass
class Line:
    """One agent; `fault(effect)` raises what the cluster does instead."""

    batch_rows: int = 100
    batch_bytes: int = 5_000_000
    concurrency: int = 2
    fault: Callable[[str], None] = lambda _effect: None
    bulk: Bulk | None = None
    cluster: FakeCluster = field(default_factory=FakeCluster)
    clock: Clock = field(default_factory=Clock)
    rows: Rows = field(default_factory=Rows)
    effects: list[Effect] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    said: io.StringIO = field(default_factory=io.StringIO)
    jobs: list[tuple[float, str, Callable[[], object]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster.fault = self._effect
        self.stop = threading.Event()
        state = StateDocument(FakeState(self.cluster, "shop"), "shop", "me")
        self.dead_letters = FakeDeadLetters(self.cluster, "shop")
        catalogue = Catalogue()
        partitions = FakePartitions(self.cluster, "shop")
        builder = DocumentBuilder(
            instance="shop", shape=SHAPE, period="month", zone="UTC", version="1", catalogue=catalogue,
            redaction=Redaction(),
        )  # fmt: skip
        self.shipper = Shipper(
            shape=SHAPE,
            builder=builder,
            partitions=PreparedPartitions(catalogue, partitions),
            alias=lambda partition: f"impulse-audit-shop-{partition}",
            bulk=self.bulk or FakeBulk(self.cluster),
            dead_letters=self.dead_letters,
            refused=lambda _rows: (),
            now=lambda: "2026-11-23T22:00:00.000Z",
        )
        self.pipeline = Pipeline(
            self.shipper, concurrency=self.concurrency, clock=self.clock, took=lambda _seconds: None
        )
        log = set_up(stream=self.said)
        self.published: dict[str, object] = {}
        self.reporting = Reporting("shop", log, self.published)
        self.checkpoint = Checkpoint(state, lambda: self.published, self.clock)
        self.tail = Tail(
            rows=self.rows,
            pipeline=self.pipeline,
            evidence=Evidence([FakeProbe(FakeTable())], "auto", self.clock),
            checkpoint=self.checkpoint,
            journal_skips=lambda _ranges, _why: None,
            size=BatchSize.full(self.batch_rows, self.batch_bytes),
            grace_seconds=60,
            watch_seconds=3600,
            max_ranges=100,
            clock=self.clock,
        )
        state.claim("now")
        self.daemon = self._daemon()

    @property
    def lines(self) -> list[str]:
        return self.said.getvalue().splitlines()

    def every(self, seconds: float, name: str, job: Callable[[], object]) -> None:
        """Run a periodic job by this line's own clock, behind the daemon's guard."""
        self.jobs.append((seconds, name, job))

    def run_for(self, seconds: float, until: Callable[[], bool] = lambda: False) -> float:
        """Let the daemon run; return how many seconds it did."""
        begun = self.clock.now
        self._end, self._until = begun + seconds, until
        self.stop.clear()
        self.daemon.run()
        return self.clock.now - begun

    def is_complete(self) -> bool:
        """Say whether every row is a document or a dead letter, and the checkpoint says so."""
        keys = {f"shop:{row[0]}" for row in self.rows.rows}
        dead = {f"shop:{kept.letter.id}" for kept in self.dead_letters.listed(limit=10**6)}
        documents = self.cluster.documents().keys()
        return documents | dead == keys and not documents & dead and self.checkpoint.progress.watermark == len(keys)

    def requests(self, since: float, names: Sequence[str] = ()) -> list[Effect]:
        """Return what was asked of the cluster from a time on."""
        return [effect for effect in self.effects if effect.at >= since and (not names or effect.name in names)]

    def _effect(self, name: str) -> None:
        if not name.endswith(("ed", "kept", "written")):
            self.effects.append(Effect(self.clock.now, name))
        if len(self.effects) > MOST_EFFECTS:
            # No outage is worth so many requests: without an end, a loop without pauses would never let time pass.
            self.stop.set()
        self.fault(name)

    def _daemon(self) -> Daemon:
        steps = Steps(lead=lambda: True, tail=self._step, beat=self._beat, drain=lambda: None, release=lambda: None)
        return Daemon(
            steps=steps,
            reporter=self.reporting,
            stop=self.stop,
            poll_seconds=1,
            clock=self.clock,
            draw=lambda: 0.0,
            wait=self._wait,
        )

    def _step(self) -> bool:
        step = self.tail.step()
        self.reporting.stepped(step, self.checkpoint.progress)
        return step.caught_up

    def _beat(self) -> None:
        # As the daemon's own beat: the next step meets the same failure.
        with suppress(Exception):
            self.checkpoint.beat()

    def _wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        before, self.clock.now = self.clock.now, self.clock.now + seconds
        for every, name, job in self.jobs:
            if self.clock.now // every > before // every:
                self.daemon._guarded(name, job)
        if self.clock.now >= self._end or self._until():
            self.stop.set()
        return True


@pytest.fixture
def make_line(monkeypatch: pytest.MonkeyPatch):
    """Make lines whose reporting lives by their own clock."""
    made: list[Line] = []

    def make(**options: object) -> Line:
        clock = Clock()
        monkeypatch.setattr(reporting_module, "time", SimpleNamespace(monotonic=clock, time=clock))
        made.append(Line(clock=clock, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for line in made:
        line.pipeline.close()
