"""The daemon of `run` as it is wired, but for its two servers and the clock: an hour of outage takes a moment.

Database and cluster are in memory and can be away. The application, the line, the steps, the lease, the calendar, what
is told and the log itself are real. Only waiting lets time pass.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.cli import line as line_module
from agent.cli.app import Application
from agent.cli.run import Shipping
from agent.daemon import Steps
from agent.errors import TemporaryError
from agent.mysql.rows import Backlog, Bounds
from agent.mysql.source_identity import SourceIdentity
from agent.observing.logging import set_up
from agent.retention.journal import Journal
from agent.row import Row
from agent.state import StateDocument
from agent.tailing.evidence import Evidence
from tests.clock import BEGAN, Clock, Stop, live_by
from tests.fakes.opensearch import FakeBulk, FakeCluster, FakeDeadLetters, FakeJournal, FakePartitions, FakeState
from tests.fakes.table import FakeBatch, FakeProbe, FakeTable
from tests.unit.shipping.outage import SHAPE, Rows

SETTINGS = """
instance: shop
source: {url: "mysql+pymysql://audit@127.0.0.1:3306/whmcs"}
opensearch: {hosts: ["http://127.0.0.1:9200"]}
http: {listen: ""}
"""


class Source(Rows):
    """The database: rows, and sessions that end when the server goes away."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.where = "database"
        self.free = True
        self.away: Callable[[], TemporaryError] | None = None
        self.breaks_on_read: Callable[[], TemporaryError] | None = None
        self.restarts = 0
        self._clock = clock

    def ask(self) -> None:
        """Raise when the server does not answer."""
        if self.away:
            raise self.away()

    def go(self, why: Callable[[], TemporaryError]) -> None:
        self.away, self.breaks_on_read = why, None
        self.restarts += 1

    def after(self, row_id: int, limit: int, max_bytes: int) -> FakeBatch:
        if self.breaks_on_read:
            self.go(self.breaks_on_read)
        self.ask()
        return super().after(row_id, limit, max_bytes)

    def by_ids(self, ids: Sequence[int]) -> FakeBatch:
        self.ask()
        return FakeBatch([row for row in self.rows if row[0] in ids], is_complete=True)

    def bounds(self) -> Bounds:
        self.ask()
        return Bounds(min_id=1, max_id=len(self.rows), newest_created_at=None, now=self._now())

    def backlog(self, after_id: int) -> Backlog:
        self.ask()
        return Backlog(rows=len(self.rows) - after_id, is_exact=True, oldest_created_at=None, now=self._now())

    def with_read_timeout(self, _seconds: float) -> Source:
        return self

    def dedicated_connection(self) -> Session:
        self.ask()
        return Session(self)

    def identity(self) -> SourceIdentity:
        self.ask()
        return SourceIdentity(
            server="a", version="11.4", vendor="MariaDB", is_read_only=False, is_replica=False, is_galera=False,
            table_created=None,
        )  # fmt: skip

    def _now(self) -> str:
        return (BEGAN + dt.timedelta(seconds=self._clock.now)).strftime("%Y-%m-%d %H:%M:%S")


class Session:
    """A session that may hold the lease, and does not outlive its server."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._of = source.restarts

    def row(self, _sql: str, _arguments: object) -> tuple[int]:
        self._source.ask()
        if self._source.restarts != self._of:
            raise TemporaryError("the connection is lost", where="database", kind="lost")
        return (int(self._source.free),)

    def close(self) -> None:
        pass


class Templates:
    """Templates that are there while the cluster is."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    def ensure(self) -> list[str]:
        self._cluster.fault("templates")
        return []


class Daily:
    """Stands for retention: it asks both stores before anything else, and finds nothing to do."""

    export = True
    enforces = True

    def __init__(self, app: Application, source: Source) -> None:
        self._app, self._source = app, source

    def acquire(self) -> bool:
        self._app.make_ready()
        self._source.ask()
        return False


class Shop(Application):
    """An application on the two stores in memory."""

    def __init__(self, config: Path, source: Source, cluster: FakeCluster, said: io.StringIO) -> None:
        super().__init__(config)
        self._source = source
        journal = Journal(FakeJournal(cluster, "shop"), instance="shop")
        # In the place of what each of them makes when first asked for.
        self.__dict__.update(
            log=set_up(stream=said),
            database=source,
            rows=source,
            table=SimpleNamespace(shape=SHAPE, schema="whmcs", name="log"),
            templates=Templates(cluster),
            partitions=FakePartitions(cluster, "shop"),
            bulk=FakeBulk(cluster),
            state=StateDocument(FakeState(cluster, "shop"), "shop", self.holder),
            dead_letters=FakeDeadLetters(cluster, "shop"),
            journal=journal,
        )

    @property
    def source_identity(self) -> SourceIdentity:
        return self._source.identity()

    def make_ready(self) -> list[str]:
        return self.templates.ensure()

    def refused(self, rows: Sequence[Row]) -> Sequence[int]:
        del rows
        return ()


class Running:
    """One daemon; `run_for` lets it run so many seconds and then asks it to stop."""

    def __init__(self, config: Path, clock: Clock) -> None:
        self.clock = clock
        self.said = io.StringIO()
        self.source, self.cluster = Source(clock), FakeCluster()
        self.app = Shop(config, self.source, self.cluster, self.said)
        self.shipping = Shipping(self.app)
        probe = FakeProbe(FakeTable())
        self.shipping.line.__dict__["evidence"] = Evidence([probe], "auto", clock)
        self.shipping.jobs._retaining = lambda: Daily(self.app, self.source)  # type: ignore[assignment,return-value,method-assign]
        self._probe = probe
        self.stop = Stop(clock, self._passed)
        self.daemon = self.shipping.daemon(self.stop)
        # What it does at its end is another matter than how it goes on.
        self.daemon._steps = Steps(
            lead=self.shipping.lead, tail=self.shipping.tail, beat=self.shipping.beat, drain=_nothing, release=_nothing
        )

    @property
    def lines(self) -> list[str]:
        return self.said.getvalue().splitlines()

    @property
    def watermark(self) -> int:
        return int(self.cluster.states["shop"][0].get("watermark", 0))

    def run_for(self, seconds: float) -> list[str]:
        """Return the lines that were said meanwhile."""
        before = len(self.lines)
        self.stop.after(seconds)
        self.daemon.run()
        return self.lines[before:]

    def _passed(self) -> None:
        self._probe.lost = self.source.away() if self.source.away else None


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Running]:
    """Give a daemon that has not run yet; its calendar, too, goes by the test's clock."""
    clock = Clock()
    live_by(clock, monkeypatch)
    monkeypatch.setattr(line_module, "next_id", lambda database, _table: len(database.rows) + 1)
    monkeypatch.setattr(line_module, "look_again", _nothing)
    monkeypatch.setattr(line_module, "spare_rows", _nothing)
    (tmp_path / "agent.yml").write_text(SETTINGS)
    daemon = Running(tmp_path / "agent.yml", clock)
    yield daemon
    daemon.shipping.line.close()


def _nothing(*_: object) -> None:
    pass
