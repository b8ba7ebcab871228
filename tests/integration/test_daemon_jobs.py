"""What the daemon does beside tailing, in process and on real servers: retention, export, weekly comparison, reload."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from agent.cli.app import Application
from agent.cli.jobs import Jobs
from agent.cli.line import Line
from agent.cli.reporting import Reporting
from agent.daemon import Daemon, Steps
from agent.errors import TemporaryError
from tests.world import World

pytestmark = pytest.mark.integration


class Bench:
    """A daemon's jobs on a world whose rows are all shipped, without the loop around them."""

    def __init__(self, world: World) -> None:
        self.world = world
        assert world.run("sync").code == 0
        self.app = Application(world.config)
        self.line = Line(self.app)
        assert self.line.lease.acquire()
        self.line.take_over()
        self.reporting = Reporting(self.app.instance, self.app.log, self.line.published)
        self.jobs = Jobs(self.app, self.line, self.reporting)

    def run(self, slices: Iterator[float]) -> int:
        """Drive a slow job to its end without waiting; return how many slices it took."""
        return sum(1 for _ in slices)

    def metrics(self) -> str:
        return self.reporting.metrics.render().decode()

    def close(self) -> None:
        self.line.lease.release()
        self.line.close()


@pytest.fixture
def bench(world: World) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(rows: int = 600, **retention: object) -> Bench:
        world.database.fill(rows)
        world.retention.update(retention)
        world.write()
        made.append(Bench(world))
        return made[-1]

    yield make
    for each in made:
        each.close()


ENFORCED = {"mode": "enforce", "brakes": {"max_share": 1.0, "shorten_wait": "none"}}


def expired(world: World) -> int:
    sql = "SELECT COUNT(*) FROM mod_impulsecore_audit_log WHERE created_at < UTC_TIMESTAMP() - INTERVAL 91 DAY"
    return int(world.database.execute(sql)[0][0])


def test_the_daily_run_deletes_expired_rows_and_documents_when_it_enforces(bench: Callable[..., Bench]) -> None:
    """Both sides lose exactly what is older than the rule, in more than one slice, and the metrics say so."""
    jobs = bench(**ENFORCED)
    assert expired(jobs.world) > 0

    slices = jobs.run(jobs.jobs.retain())

    assert slices > 1
    assert expired(jobs.world) == 0
    assert jobs.world.count() == jobs.world.database.count()
    assert 'audit_agent_retention_deleted_total{rule="default",side="rows"}' in jobs.metrics()


def test_the_daily_run_deletes_nothing_in_preview(bench: Callable[..., Bench]) -> None:
    jobs = bench()
    before = jobs.world.database.count()

    jobs.run(jobs.jobs.retain())

    assert jobs.world.database.count() == before
    assert jobs.world.count() == before


def test_a_brake_refuses_the_daily_run_and_it_ends_quietly(bench: Callable[..., Bench]) -> None:
    jobs = bench(mode="enforce", brakes={"max_share": 0.01, "shorten_wait": "none"})
    before = jobs.world.database.count()

    jobs.run(jobs.jobs.retain())

    assert jobs.world.database.count() == before


def test_a_paused_retention_does_not_begin(bench: Callable[..., Bench]) -> None:
    jobs = bench(**ENFORCED)
    before = jobs.world.database.count()
    assert jobs.world.run("pause", "retention", "--why", "audit").code == 0
    jobs.app.state.refresh()

    jobs.run(jobs.jobs.retain())

    assert jobs.world.database.count() == before


def test_a_run_under_way_is_given_up_when_its_rules_change(bench: Callable[..., Bench]) -> None:
    """After the change nothing more goes by the old rules: the job raises, and begins anew under the new ones."""
    jobs = bench(**ENFORCED, pace={"chunk_rows": 10, "rows_per_second": 1_000_000})
    work = jobs.jobs.retain()
    next(work)
    jobs.world.retention["rows"] = {"days": 0}
    jobs.world.retention["documents"] = {"days": 0}
    jobs.world.write()
    daemon = idle_daemon()
    jobs.jobs.reload()
    jobs.jobs.schedule(daemon)
    daemon.scheduler.run_all(delay_seconds=0)

    with pytest.raises(TemporaryError, match="rules changed"):
        jobs.run(work)

    left = jobs.world.database.count()
    jobs.run(jobs.jobs.retain())
    assert jobs.world.database.count() == left


def test_the_weekly_comparison_counts_drift_by_kind(bench: Callable[..., Bench]) -> None:
    jobs = bench()
    jobs.world.refresh()
    jobs.world.request("POST", f"/{jobs.world.index}/_delete_by_query?refresh=true", {"query": {"term": {"id": 7}}})

    jobs.run(jobs.jobs.verify())

    assert 'audit_agent_verify_drift{kind="missing"} 1.0' in jobs.metrics()
    assert 'audit_agent_verify_drift{kind="orphan"} 0.0' in jobs.metrics()


def test_the_scheduled_export_holds_every_row_once(bench: Callable[..., Bench]) -> None:
    jobs = bench(export={"enabled": True, "directory": "export", "format": "ndjson"})

    jobs.run(jobs.jobs.export())
    jobs.run(jobs.jobs.export())

    files = sorted((jobs.world.folder / "export").rglob("*.ndjson.gz"))
    assert len(files) == 1
    checked = jobs.world.run("archive", "verify", str(files[0]))
    assert checked.code == 0, checked.stderr


@pytest.mark.slow
def test_a_running_daemon_follows_the_retention_file_and_keeps_the_old_rules_when_it_is_wrong(world: World) -> None:
    world.database.fill(50)
    old = world.database.execute(
        "SELECT COUNT(*) FROM mod_impulsecore_audit_log WHERE created_at < UTC_TIMESTAMP() - INTERVAL 100 DAY"
    )[0][0]
    assert world.run("sync").code == 0
    world.write({"log.format": "json"})
    daemon = world.start("run")
    said = Lines(daemon)
    said.until("lease.acquired")

    (world.folder / "retention.yml").write_text("rows: {days: -3}\n")
    os.kill(daemon.pid, signal.SIGHUP)
    assert "-3" in said.until("retention.invalid")

    world.retention["rows"] = {"days": 120}
    world.retention["documents"] = {"days": 200}
    world.write()
    said.until("retention.reloaded")  # by the file's own change, without a signal

    world.retention["rows"] = world.retention["documents"] = {"days": 100}
    world.write()
    os.kill(daemon.pid, signal.SIGHUP)
    said.until("retention.reloaded")
    planned = json.loads(said.until("retention.planned"))
    assert (planned["newly_rows"], planned["waits"]) == (old, "until the next run")

    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(timeout=30) == 0


class Lines:
    """Read a daemon's log until an event is said."""

    def __init__(self, process: object) -> None:
        self._process = process

    def until(self, event: str, seconds: float = 60) -> str:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            line = str(self._process.stderr.readline())
            if event in line:
                return line
        raise AssertionError(f"{event} was not said")


def idle_daemon() -> Daemon:
    steps = Steps(lead=lambda: True, tail=lambda: True, beat=lambda: None, drain=lambda: None, release=lambda: None)
    return Daemon(
        steps=steps,
        reporter=None,  # type: ignore[arg-type]
        stop=None,  # type: ignore[arg-type]
        poll_seconds=1,
        clock=time.monotonic,
        draw=lambda: 0.0,
        wait=lambda _seconds: False,
    )
