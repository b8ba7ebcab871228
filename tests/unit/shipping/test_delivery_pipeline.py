"""Requests in flight: never more than allowed, acknowledged in the order of submission, capped by rows and bytes."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from agent.errors import TemporaryError
from agent.mapping.catalogue import Catalogue
from agent.mapping.document import DocumentBuilder
from agent.mapping.redaction import Redaction
from agent.opensearch.bulk import Outcome
from agent.row import Row
from agent.shipping.partitions import PreparedPartitions
from agent.shipping.pipeline import Pipeline
from agent.shipping.shipper import Shipper
from tests.fakes.opensearch import FakeBulk, FakeCluster, FakeDeadLetters, FakePartitions
from tests.unit.shipping.outage import SHAPE, Line

BYTES = 5_000_000


class HeldBulk:
    """Hold every request until it is let go, and remember which were held at once."""

    def __init__(self, bulk: FakeBulk) -> None:
        self._bulk = bulk
        self._lock = threading.Lock()
        self.arrived = threading.Semaphore(0)
        self.held: dict[int, threading.Event] = {}
        self.failing: set[int] = set()
        self.flying = 0
        self.most_flying = 0

    def send(self, body: bytes, keys: Sequence[str]) -> Mapping[int, Outcome]:
        first = int(body.split(b"shop:", 1)[1].split(b'"', 1)[0])
        with self._lock:
            gate = self.held.setdefault(first, threading.Event())
            self.flying += 1
            self.most_flying = max(self.most_flying, self.flying)
        self.arrived.release()
        assert gate.wait(10)
        with self._lock:
            self.flying -= 1
        if first in self.failing:
            raise TemporaryError("by the test")
        return self._bulk.send(body, keys)

    def let_go(self, first: int) -> None:
        with self._lock:
            self.held.setdefault(first, threading.Event()).set()


class Held:
    """A pipeline whose requests are of one row each and wait to be let go."""

    def __init__(self, concurrency: int) -> None:
        self.cluster = FakeCluster()
        self.bulk = HeldBulk(FakeBulk(self.cluster))
        catalogue = Catalogue()
        shipper = Shipper(
            shape=SHAPE,
            builder=DocumentBuilder(
                instance="shop",
                shape=SHAPE,
                period="month",
                zone="UTC",
                version="1",
                catalogue=catalogue,
                redaction=Redaction(),
            ),
            partitions=PreparedPartitions(catalogue, FakePartitions(self.cluster, "shop")),
            alias=lambda partition: f"impulse-audit-shop-{partition}",
            bulk=self.bulk,
            dead_letters=FakeDeadLetters(self.cluster, "shop"),
            refused=lambda _rows: (),
            now=lambda: "2026-11-23T22:00:00.000Z",
        )
        self.pipeline = Pipeline(shipper, concurrency=concurrency, clock=lambda: 0.0, took=lambda _seconds: None)

    def submit(self, *ids: int) -> threading.Thread:
        rows: list[Row] = [(row_id, "2026-11-23 21:04:05", "a detail", 7) for row_id in ids]
        thread = threading.Thread(target=self.pipeline.submit, args=(rows, 1))
        thread.start()
        return thread

    def acknowledged(self, *, drain: bool = False) -> list[int]:
        return [row_id for shipped in self.pipeline.acknowledged(drain=drain) for row_id in shipped.ids]

    def arrive(self, count: int) -> None:
        for _ in range(count):
            assert self.bulk.arrived.acquire(timeout=10)


@pytest.fixture
def held() -> Iterator[Callable[[int], Held]]:
    made: list[Held] = []

    def make(concurrency: int) -> Held:
        made.append(Held(concurrency))
        return made[-1]

    yield make
    for each in made:
        for row_id in range(20):
            each.bulk.let_go(row_id)
        each.pipeline.close()


@pytest.mark.parametrize("concurrency", [1, 2, 3])
def test_no_more_requests_fly_than_allowed(held: Callable[[int], Held], concurrency: int) -> None:
    line = held(concurrency)
    submitting = line.submit(*range(1, 9))
    line.arrive(concurrency)
    assert not line.bulk.arrived.acquire(timeout=0.1)
    for row_id in range(1, 9):
        line.bulk.let_go(row_id)
    submitting.join(10)
    assert line.acknowledged(drain=True) == list(range(1, 9))
    assert line.bulk.most_flying == concurrency


def test_a_request_done_early_waits_for_those_before_it(held: Callable[[int], Held]) -> None:
    line = held(3)
    line.submit(1, 2, 3).join(10)
    line.arrive(3)
    line.bulk.let_go(3)
    line.bulk.let_go(2)
    wait_until(lambda: len(line.cluster.documents()) == 2)
    assert line.acknowledged() == []
    line.bulk.let_go(1)
    assert line.acknowledged(drain=True) == [1, 2, 3]


def test_behind_a_failed_request_nothing_is_acknowledged(held: Callable[[int], Held]) -> None:
    line = held(3)
    line.bulk.failing.add(2)
    line.submit(1, 2, 3).join(10)
    for row_id in (3, 2, 1):
        line.bulk.let_go(row_id)
    with pytest.raises(TemporaryError):
        line.acknowledged(drain=True)
    line.pipeline.abandon()
    assert line.acknowledged(drain=True) == []
    line.bulk.failing.clear()
    line.submit(1, 2, 3).join(10)
    assert line.acknowledged(drain=True) == [1, 2, 3]
    assert line.cluster.documents().keys() == {"shop:1", "shop:2", "shop:3"}


def test_a_checkpoint_never_speaks_of_more_than_was_taken(make_line: Callable[..., Line]) -> None:
    line = make_line(batch_rows=7, concurrency=3)
    line.rows.add(200)
    seen = 0

    def fault(effect: str) -> None:
        nonlocal seen
        if effect == "state write":
            known = line.cluster.documents()
            stored = line.cluster.states["shop"][0].get("watermark", 0)
            assert all(f"shop:{row_id}" in known for row_id in range(1, int(stored) + 1))
        seen += effect == "bulk"
        if effect == "bulk" and seen % 5 == 0:
            raise TemporaryError("by the test")

    line.fault = fault
    line.run_for(600, until=line.is_complete)
    assert line.is_complete()


@pytest.mark.parametrize(("sizes", "most_bytes"), [([1000] * 50, 5000), ([1, 60_000, 1, 1, 60_000], 50_000)])
def test_requests_are_capped_by_bytes_but_hold_at_least_one_row(
    make_line: Callable[..., Line], sizes: list[int], most_bytes: int
) -> None:
    line = make_line()
    for size in sizes:
        line.rows.add(1, "x" * size)
    requests = line.shipper.prepare(line.rows.rows, most_bytes)
    assert [row_id for request in requests for row_id in request.ids] == list(range(1, len(sizes) + 1))
    assert all(len(request.body) <= most_bytes or len(request.rows) == 1 for request in requests)
    # As few as the cap allows: no request could take in the first row of the next one.
    for request, following in itertools.pairwise(requests):
        first = len(line.shipper.prepare(following.rows[:1], most_bytes)[0].body)
        assert len(request.body) + first > most_bytes


@pytest.mark.parametrize("rows", [1, 99, 100, 101])
def test_batches_are_capped_by_rows(make_line: Callable[..., Line], rows: int) -> None:
    line = make_line(batch_rows=100)
    line.rows.add(rows)
    line.run_for(5)
    assert line.cluster.requests == [min(rows, 100)] + [1] * (rows > 100)


def wait_until(true: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if true():
            return
        pause.wait(0.005)
    raise AssertionError("it never came")
