"""A crash, and an error, after each single effect of a whole story: enumerated, not sampled. Every one converges.

The table's writers do not care for the agent's death: the story goes on where it was, with a new process.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from agent.backoff import BatchSize
from agent.errors import TemporaryError
from agent.mapping.catalogue import Catalogue
from agent.mapping.document import DocumentBuilder
from agent.mapping.redaction import Redaction
from agent.opensearch.bulk import Outcome, Verdict
from agent.retention.journal import Journal, Kind, verify
from agent.row import RowShape
from agent.shipping.partitions import PreparedPartitions
from agent.shipping.pipeline import Pipeline
from agent.shipping.shipper import Shipper
from agent.state import StateDocument
from agent.tailing.checkpoint import Checkpoint, decoded
from agent.tailing.evidence import Evidence
from agent.tailing.gaps import Progress
from agent.tailing.tail import Tail
from tests.fakes.opensearch import (
    FakeBulk,
    FakeCluster,
    FakeDeadLetters,
    FakeJournal,
    FakePartitions,
    FakeState,
)
from tests.fakes.shipping import Crash
from tests.fakes.table import FakeProbe, FakeTable

SHAPE = RowShape(("id", "created_at"))
BATCH_ROWS = 4
POISON = "shop:8"
AT = "2026-11-23T22:00:00.000Z"


@dataclass
class World:
    """A table and a cluster that outlive every agent, and the one effect at which the present agent is struck."""

    strike_at: int | None = None
    blow: Callable[[], BaseException] = Crash
    table: FakeTable = field(default_factory=FakeTable)
    cluster: FakeCluster = field(default_factory=FakeCluster)
    effects: int = 0
    dead: bool = False
    struck: bool = False
    watermark: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.cluster.fault = self._effect
        self.cluster.judge = lambda key, _document: (
            Outcome(Verdict.REJECTED, "mapping", "mapper_parsing_exception: no") if key == POISON else None
        )
        self.start()
        self.effects = 0

    def start(self) -> None:
        """Start a new agent on what there is."""
        self.dead = False
        cluster, catalogue = self.cluster, Catalogue()
        state = StateDocument(FakeState(cluster, "shop"), "shop", "me")
        shipper = Shipper(
            shape=SHAPE,
            builder=DocumentBuilder(
                instance="shop", shape=SHAPE, period="month", zone="UTC", version="1", catalogue=catalogue,
                redaction=Redaction(),
            ),
            partitions=PreparedPartitions(catalogue, FakePartitions(cluster, "shop")),
            alias=lambda partition: f"impulse-audit-shop-{partition}",
            bulk=FakeBulk(cluster),
            dead_letters=FakeDeadLetters(cluster, "shop"),
            refused=lambda _rows: (),
            now=lambda: AT,
        )  # fmt: skip
        journal = Journal(FakeJournal(cluster, "shop"), instance="shop")
        self.pipeline = Pipeline(shipper, concurrency=1, clock=lambda: 0.0, took=lambda _seconds: None)
        halves = itertools.count()
        self.checkpoint = Checkpoint(state, dict, lambda: next(halves) / 2)  # so every other batch's save is held
        self.tail = Tail(
            rows=self.table,
            pipeline=self.pipeline,
            evidence=Evidence([FakeProbe(self.table)], "auto", lambda: 0.0),
            checkpoint=self.checkpoint,
            journal_skips=lambda ranges, _why: journal.append(
                Kind.GAP_SKIPPED, {"ranges": [list(each) for each in ranges]}, at=AT, who="me"
            ),
            size=BatchSize.full(BATCH_ROWS, 10**6),
            grace_seconds=60,
            watch_seconds=3600,
            max_ranges=50,
            clock=lambda: 0.0,
        )
        state.claim(AT)
        self.checkpoint.open()

    def step(self) -> None:
        """Do a step; when the agent dies of it, another takes its place."""
        try:
            self.tail.step()
        except TemporaryError:
            pass
        except Crash:
            self.pipeline.close()
            try:
                self.start()
            except Crash:  # struck while it took the lease
                self.start()
        self.check()

    def stored(self) -> Progress:
        found = self.cluster.states.get("shop")
        return decoded(found[0], where="here") if found and "watermark" in found[0] else Progress()

    def letters(self) -> set[int]:
        return set(self.cluster.letters.get("shop", {}))

    def check(self) -> None:
        """The stored watermark is settled and never falls; no row is two documents."""
        watermark = self.stored().watermark
        assert watermark >= self.watermark
        self.watermark = watermark
        settled = {int(key.split(":")[1]) for key in self.cluster.documents()} | self.letters()
        unsettled = {i for i in self.table.committed if i <= watermark} - settled
        assert not unsettled
        assert not {i for t in self.table.open.values() for i in t.reserved if i <= watermark}

    def _effect(self, _name: str) -> None:
        with self.lock:
            if self.dead:
                raise Crash
            self.effects += 1
            if self.effects - 1 == self.strike_at:
                self.struck = True
                blow = self.blow()
                self.dead = isinstance(blow, Crash)
                raise blow


def story(world: World) -> None:
    """Late commits in both orders, a rollback, a multi-row insert, a dead letter, several batches at once."""
    table = world.table
    table.insert(3)
    world.step()
    late, lost = table.begin(), table.begin()
    table.reserve(late)
    table.reserve(lost, 2)
    table.insert(2)
    world.step()
    table.insert(1)
    world.step()
    table.commit(late)
    world.step()
    table.roll_back(lost)
    world.step()
    slow = table.begin()
    table.reserve(slow, 3)
    table.insert(11)
    world.step()
    world.step()
    table.insert(1)
    table.commit(slow)
    for _ in range(8):
        world.step()


def converged(world: World) -> None:
    documents = {int(key.split(":")[1]) for key in world.cluster.documents()}
    assert documents | world.letters() == world.table.ever_committed
    assert not documents & world.letters()
    assert world.letters() == {int(POISON.split(":")[1])} & world.table.ever_committed
    progress = world.stored()
    assert not progress.gaps
    assert progress.watermark == progress.frontier == max(world.table.ever_committed)
    entries = [entry.content for entry in world.cluster.journals["shop"].values()]
    assert verify(entries).intact
    skipped = {i for entry in entries for first, last in entry["what"]["ranges"] for i in range(first, last + 1)}
    assert skipped == set(range(1, progress.frontier + 1)) - world.table.ever_committed


def undisturbed() -> World:
    world = World()
    story(world)
    converged(world)
    world.pipeline.close()
    return world


EFFECTS = undisturbed().effects


def test_the_story_has_every_kind_of_end() -> None:
    world = undisturbed()
    assert EFFECTS > 40
    assert world.letters() == {8}
    assert world.stored().skipped_total == 2


@pytest.mark.parametrize("blow", [Crash, lambda: TemporaryError("away"), lambda: TemporaryError("x", kind="throttled")])
def test_a_blow_at_each_effect_converges_with_little_read_again(blow: Callable[[], BaseException]) -> None:
    calm = undisturbed()
    for strike_at in range(EFFECTS):
        world = World()
        world.strike_at, world.blow = strike_at, blow
        story(world)
        world.pipeline.close()
        assert world.struck, f"effect {strike_at} did not happen"
        converged(world)
        # What one blow makes be written again is what was in flight (a batch being sent, one just read, one of a gap)
        # and one batch whose checkpoint was held.
        again = sum(world.cluster.writes.values()) - sum(calm.cluster.writes.values())
        assert again <= 4 * BATCH_ROWS, f"effect {strike_at}: {again} documents written again"


def test_two_crashes_in_a_row_at_each_effect_converge() -> None:
    for strike_at in range(EFFECTS):
        world = World()
        world.strike_at = strike_at

        def second(world: World = world, strike_at: int = strike_at) -> BaseException:
            world.strike_at = strike_at + 4
            return Crash()

        world.blow = second
        story(world)
        world.pipeline.close()
        converged(world)
