"""One poll, measured within a process that ships: its time and its CPU, the median of many."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

from agent.cli.app import Application
from agent.cli.line import Line
from tests.world import World

POLLS = 15


@contextmanager
def shipping(world: World) -> Iterator[Line]:
    """Lend a line that holds the lease and has caught up."""
    line = Line(Application(world.config))
    if not line.lease.acquire():
        raise SystemExit("another agent ships")
    try:
        line.take_over()
        while not line.tail.step().caught_up:
            pass
        yield line
    finally:
        line.lease.release()
        line.close()


def poll(line: Line, polls: int = POLLS) -> dict[str, float]:
    """Return what one poll with nothing new costs: milliseconds of time and of CPU."""
    line.tail.step()
    times, cpus = [], []
    for _ in range(polls):
        begun, used = time.perf_counter(), time.process_time()
        line.tail.step()
        times.append((time.perf_counter() - begun) * 1000)
        cpus.append((time.process_time() - used) * 1000)
    return {"poll ms": round(statistics.median(times), 2), "cpu ms": round(statistics.median(cpus), 2)}
