"""The numbers for Prometheus, under names that are part of the outside contract (`docs/operations.md` lists them).

What was never measured is not shown as 0: lag and backlog are NaN until the first measurement, so that no panel
says «up to date» for an agent that never asked. Labels come from rows, so every family has a bounded number of
label sets; what is beyond is counted under `other`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTENT_TYPE = CONTENT_TYPE_LATEST
PREFIX = "audit_agent"
OTHER = "other"
# Modules × severities × sources of a large install is some hundreds; a scrape stays below a megabyte.
MOST_EVENT_SERIES = 1_000
MOST_REASON_SERIES = 50
_LONGEST_LABEL_CHARACTERS = 100
_SEVERITIES = frozenset({"info", "warn", "error"})
_SOURCES = frozenset({"admin", "cron", "customer", "system"})
# Bulk requests of some megabytes take tenths of a second; the last bucket is the client's usual timeout.
_BULK_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Count what steps report and render it. Thread-safe; each instance has its own registry."""

    def __init__(self, *, instance: str, version: str, most_event_series: int = MOST_EVENT_SERIES) -> None:
        # One more series for each counter, which promtool and every dashboard would trip over.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left this one unannotated
        self._registry = CollectorRegistry()
        self._position_metrics()
        self._work_metrics()
        self._retention_metrics()
        self._events = _BoundedCounter(
            self._counter("events", "Rows shipped, by what they tell.", "module_slug", "severity", "source"),
            most=most_event_series,
        )
        # The label is not called `instance`: Prometheus sets one of that name to the scraped address.
        build = self._gauge("build_info", "The running version; the value is always 1.", "version", "audit_instance")
        build.labels(version, instance).set(1)

    def observe_step(
        self,
        *,
        rows_read: int,
        indexed: int,
        finished_at: float,
        overflowed: Mapping[str, int] | None = None,
        dead_letters: Mapping[str, int] | None = None,
        ids_skipped: int = 0,
    ) -> None:
        """Count a step that succeeded; `finished_at` is the time of day in seconds since 1970."""
        self._rows_read.inc(rows_read)
        self._indexed.inc(indexed)
        self._ids_skipped.inc(ids_skipped)
        for reason, documents in (overflowed or {}).items():
            self._overflowed.add((reason,), documents)
        for reason, rows in (dead_letters or {}).items():
            self._dead_letters.add((reason,), rows)
        self._last_success.set(finished_at)

    def observe_position(self, *, watermark: int, frontier: int, gaps_open: int) -> None:
        """Show where the checkpoint stands."""
        self._watermark.set(watermark)
        self._frontier.set(frontier)
        self._gaps_open.set(gaps_open)

    def observe_lag(self, *, lag_seconds: float | None, backlog_rows: int | None) -> None:
        """Show how far the index is behind, by the database's clock; None says that it could not be measured."""
        self._lag.set(math.nan if lag_seconds is None else lag_seconds)
        self._backlog.set(math.nan if backlog_rows is None else backlog_rows)

    def observe_bulk(self, seconds: float) -> None:
        """Count one bulk request and how long it took."""
        self._bulk.observe(seconds)

    def bulk_retried(self, reason: str) -> None:
        """Count a bulk request that has to be sent again, by a short stable word."""
        self._bulk_retries.add((reason,), 1)

    def event(self, module_slug: str | None, severity: str | None, source: str | None, n: int = 1) -> None:
        """Count `n` rows of these labels; beyond the bound they count as module `other`."""
        labels = (module_slug or "", severity or "", source or "")
        self._events.add(labels, n, instead=(OTHER, _known(labels[1], _SEVERITIES), _known(labels[2], _SOURCES)))

    def retention_deleted(self, *, side: str, rule: str, n: int) -> None:
        """Count what retention deleted on one side (`rows` or `documents`) by one rule."""
        self._deleted.add((side, rule), n, instead=(side, OTHER))

    def observe_drift(self, *, missing: int, orphan: int, different: int) -> None:
        """Show what the last finished comparison found."""
        for kind, rows in (("missing", missing), ("orphan", orphan), ("different", different)):
            self._drift.labels(kind).set(rows)

    def observe_lease(self, *, held: bool) -> None:
        """Show whether this agent may ship."""
        self._lease.set(1 if held else 0)

    def observe_evidence(self, name: str, reason: str) -> None:
        """Show how gaps are proven dead now, and why in this way."""
        self._evidence.clear()
        self._evidence.labels(name, _label(reason)).set(1)

    def render(self) -> bytes:
        """Return the exposition, of type CONTENT_TYPE."""
        return generate_latest(self._registry)

    def _position_metrics(self) -> None:
        self._lag = self._gauge("lag_seconds", "Age of the oldest unsettled row, by the database's clock.")
        self._backlog = self._gauge("backlog_rows", "Rows that are not settled yet.")
        self.observe_lag(lag_seconds=None, backlog_rows=None)
        self._watermark = self._gauge("watermark", "Every id up to this one is settled.")
        self._frontier = self._gauge("frontier", "Highest id read so far.")
        self._gaps_open = self._gauge("gaps_open", "Ranges of missing ids that are still watched.")
        self._ids_skipped = self._counter("gap_ids_skipped", "Missing ids that were proven dead.")
        self._evidence = self._gauge(
            "evidence", "How missing ids are proven dead, and why so; the value is always 1.", "evidence", "reason"
        )
        self._lease = self._gauge("lease_held", "1 when this agent may ship, 0 when it stands by.")
        self._last_success = self._gauge(
            "last_success_timestamp_seconds", "When a step last succeeded, since 1970; 0 is never."
        )

    def _work_metrics(self) -> None:
        self._rows_read = self._counter("rows_read", "Rows read from the table.")
        self._indexed = self._counter("documents_indexed", "Documents the cluster took.")
        self._overflowed = _BoundedCounter(
            self._counter("documents_overflowed", "Documents with context in the overflow.", "reason")
        )
        self._dead_letters = _BoundedCounter(self._counter("dead_letters", "Rows kept as dead letters.", "reason"))
        self._bulk = Histogram(
            f"{PREFIX}_bulk_seconds",
            "Duration of a bulk request.",
            buckets=_BULK_BUCKETS,
            registry=self._registry,
        )
        self._bulk_retries = _BoundedCounter(
            self._counter("bulk_retries", "Bulk requests that had to be sent again.", "reason")
        )

    def _retention_metrics(self) -> None:
        self._deleted = _BoundedCounter(
            self._counter("retention_deleted", "Rows and documents deleted by retention.", "side", "rule")
        )
        self._drift = self._gauge("verify_drift", "Drift the last comparison found.", "kind")

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", meaning, labels, registry=self._registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", meaning, labels, registry=self._registry)


class _BoundedCounter:
    """Count by labels, up to a number of label sets; remembers each set's counter, as rows repeat their labels."""

    def __init__(self, counter: Counter, *, most: int = MOST_REASON_SERIES) -> None:
        self._counter = counter
        self._most = most
        self._children: dict[tuple[str, ...], Counter] = {}

    def add(self, labels: tuple[str, ...], n: int, *, instead: tuple[str, ...] = (OTHER,)) -> None:
        child = self._children.get(labels)
        if child is None:
            if len(self._children) >= self._most:
                self._counter.labels(*instead).inc(n)
                return
            child = self._children[labels] = self._counter.labels(*(_label(value) for value in labels))
        child.inc(n)


def _known(value: str, words: frozenset[str]) -> str:
    return value if value in words else OTHER


def _label(value: str) -> str:
    # A lone surrogate could not be encoded, and would fail the whole exposition at every scrape.
    return value[:_LONGEST_LABEL_CHARACTERS].encode("utf-8", "replace").decode("utf-8")
