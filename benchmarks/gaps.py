"""Gaps: what a poll costs while ids are missing below the frontier, and what it costs to prove them dead."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from agent.cli.line import Line
from agent.tailing.checkpoint import encoded
from benchmarks.cost import load, memory_mb
from benchmarks.place import Place
from benchmarks.polling import poll, shipping
from demo.table import TABLE as AUDIT_TABLE
from tests.world import Database

TABLE = ("what", "open ranges", "missing ids", "poll ms", "cpu ms", "checkpoint bytes", "RSS MB", "evidence", "load")
MANY_RANGES = 10_000
MANY_IDS = 1_000_000
_INSERT = f"INSERT INTO `{AUDIT_TABLE}` (id, created_at, module_slug, source, action, severity) VALUES "
_ROW = "({}, UTC_TIMESTAMP(), 'impulsecore', 'cron', 'gap.made', 'info')"


def measure(place: Place) -> list[dict[str, Any]]:
    """Return one entry for each number of open ranges."""
    found = []
    with place.table(1000) as database, place.world(database) as world, shipping(world) as line:
        found.append(_entry("no gap", line))
        # Whoever wrote the missing ids is still at it, so nothing is proven dead yet.
        with database.connect() as writer:
            writer.begin()
            first = _insert(writer, [_next(database)])
            _insert(database.connection, [first + 1])
            line.tail.step()
            found.append(_entry("one range open", line))
            some = MANY_RANGES // 100 if place.quick else MANY_RANGES
            _insert(database.connection, range(first + 3, first + 3 + 2 * some, 2))
            while not line.tail.step().caught_up:
                pass
            found.append(_entry("many ranges open", line))
            writer.rollback()
        found.append(_proving("many ranges proven dead", line))
        _insert(database.connection, [_next(database) + MANY_IDS])
        found.append(_proving("a range of a million ids proven dead", line))
        found.append(_entry("after a million skipped ids", line))
    return found


def _next(database: Database) -> int:
    return int(database.execute(f"SELECT MAX(id) + 1 FROM `{AUDIT_TABLE}`")[0][0])


def _insert(connection: Any, ids: Sequence[int]) -> int:
    with connection.cursor() as cursor:
        for start in range(0, len(ids), 1000):
            cursor.execute(_INSERT + ",".join(_ROW.format(number) for number in ids[start : start + 1000]))
    return ids[0]


def _proving(what: str, line: Line) -> dict[str, Any]:
    """Step until no gap is open; say what these steps took together."""
    begun, used = time.perf_counter(), time.process_time()
    ids = 0
    for _ in range(20):
        step = line.tail.step()
        ids += sum(last - first + 1 for first, last in step.skipped)
        if ids and not line.checkpoint.progress.gaps:
            break
    spent = {
        "poll ms": round((time.perf_counter() - begun) * 1000, 2),
        "cpu ms": round((time.process_time() - used) * 1000, 2),
    }
    return {**_entry(what, line), "missing ids": ids, **spent}


def _entry(what: str, line: Line) -> dict[str, Any]:
    progress = line.checkpoint.progress
    return {
        "what": what,
        "open ranges": len(progress.gaps),
        "missing ids": sum(gap.last - gap.first + 1 for gap in progress.gaps),
        **poll(line),
        "checkpoint bytes": len(json.dumps(encoded(progress))),
        "RSS MB": round(memory_mb(None, "VmRSS"), 1),
        "evidence": line.evidence.rung.name,
        "load": load(),
    }
