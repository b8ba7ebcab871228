"""The daemon of `run` on two real servers, but on a clock of the test's own: five minutes of outage take a moment.

Everything is real but the time: configuration, drivers, HTTP, the table, the index; between the daemon and the node
stands a proxy, which notes by the same clock what is asked.
"""

from __future__ import annotations

import gc
import io
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from agent.cli.app import Application
from agent.cli.run import Shipping
from agent.daemon import Steps
from agent.observing.logging import set_up
from demo.table import TABLE
from tests.clock import Clock, Stop, live_by
from tests.proxy import HttpProxy, Seen
from tests.world import World

AT = "2026-11-20 21:04:05"


class Clocked:
    """One daemon that ships from a world's table through a proxy."""

    def __init__(self, world: World, proxy: HttpProxy, clock: Clock) -> None:
        self.world, self.proxy, self.clock = world, proxy, clock
        self.said = io.StringIO()
        self.app = Application(world.config)
        self.app.__dict__["log"] = set_up(stream=self.said)
        self.shipping = Shipping(self.app)
        self.stop = Stop(clock)
        self.daemon = self.shipping.daemon(self.stop)
        # What it does at its end is another matter than how it goes on.
        steps = self.shipping
        self.daemon._steps = Steps(
            lead=steps.lead, tail=steps.tail, beat=steps.beat, drain=lambda: None, release=lambda: None
        )

    @property
    def lines(self) -> list[str]:
        return self.said.getvalue().splitlines()

    @property
    def watermark(self) -> int:
        return self.shipping.line.checkpoint.progress.watermark

    def insert(self, count: int, detail: str = "delivered", context: str = '{"a": 1}') -> list[int]:
        """Insert rows in one transaction; return their ids."""
        values = ",".join(["(%s, 'impulsecore', 'cron', 'cron.task', 'info', %s, %s)"] * count)
        columns = "created_at, module_slug, source, action, severity, detail, context"
        database = self.world.database
        before = self._ids()
        database.execute(f"INSERT INTO `{TABLE}` ({columns}) VALUES {values}", (AT, detail, context) * count)
        return sorted(self._ids() - before)

    def run_for(self, seconds: float, until: Callable[[], bool] = lambda: False) -> float:
        """Let the daemon run; return how many seconds it did."""
        begun = self.clock.now
        self.stop.after(seconds, until)
        self.daemon.run()
        return self.clock.now - begun

    def settles(self, seconds: float = 61) -> None:
        """Let the daemon run until every row is settled and it says that all is well."""
        highest = max(self._ids())
        self.run_for(seconds, until=lambda: self.watermark >= highest)
        assert self.watermark >= highest, "\n".join(self.lines[-5:])
        assert self.shipping.reporting.health.ready(self.clock.now).ok

    def asked(self, since: float) -> list[Seen]:
        """Return what was asked of the cluster from a time on."""
        return [seen for seen in self.proxy.requests if seen.at >= since]

    def grows_by(self, seconds: float) -> int:
        """Let the daemon run; return how many bytes more are held after it."""
        gc.collect()
        tracemalloc.start()
        try:
            self.run_for(seconds)
            gc.collect()
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    def missing(self) -> set[int]:
        """Return which rows are no documents; no document may be without its row."""
        found = [document["id"] for document in self.world.documents()]
        assert len(found) == len(set(found))
        assert set(found) <= self._ids()
        return self._ids() - set(found)

    def dead(self) -> dict[int, str]:
        """Return the dead letters: of which kind each is."""
        return {kept.letter.id: kept.letter.kind for kept in self.app.dead_letters.listed(limit=1000)}

    def forget(self) -> None:
        """Begin anew with an empty table."""
        self.world.database.execute(f"DELETE FROM `{TABLE}`")

    def close(self) -> None:
        self.shipping.line.close()
        self.shipping.line.lease.release()
        self.app.database.close()
        self.app.cluster.close()

    def _ids(self) -> set[int]:
        return {int(row[0]) for row in self.world.database.execute(f"SELECT id FROM `{TABLE}`")}


@contextmanager
def clocked(world: World, monkeypatch: pytest.MonkeyPatch, **changes: object) -> Iterator[Clocked]:
    """Give a daemon on a clock of its own; `changes` are to its agent.yml."""
    clock = Clock()
    live_by(clock, monkeypatch)
    with HttpProxy(world.opensearch_url, clock=clock) as proxy:
        world.write({"opensearch.hosts": [proxy.url], "opensearch.timeout_seconds": 5, "http.listen": "", **changes})
        made = Clocked(world, proxy, clock)
        try:
            yield made
        finally:
            proxy.clear()
            made.close()
