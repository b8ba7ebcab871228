"""Random interleavings of writers, polls and crashes: no committed row is missed, whatever the order."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.backoff import BatchSize
from agent.errors import PermanentError, TemporaryError
from agent.tailing.evidence import CLIMB_AGAIN_SECONDS, Evidence
from agent.tailing.tail import Tail
from tests.fakes.shipping import Crash, FakeCheckpoint, FakePipeline, Index
from tests.fakes.table import FakeProbe, FakeTable

LOST, AWAY = PermanentError("evidence is lost"), TemporaryError("the server is away")
ACTS = st.tuples(st.sampled_from(["insert", "begin", "extend", "commit", "roll back"]), st.integers(0, 9))


class TailAgainstWriters(RuleBasedStateMachine):
    """Writers open, insert into, commit and roll back transactions while the agent polls, dies and returns."""

    def __init__(self) -> None:
        super().__init__()
        self.table = FakeTable()
        self.index = Index()
        self.read_while_alive: set[int] = set()
        self.deleted_unread: set[int] = set()
        self.crash_in: int | None = None
        self.watermark = 0
        self.now = 0.0
        self.probes = [FakeProbe(self.table, "first"), FakeProbe(self.table, "second")]

    @initialize(increment=st.sampled_from([1, 2, 3]), batch=st.integers(1, 7), max_ranges=st.sampled_from([1, 2, 50]))
    def start(self, increment: int, batch: int, max_ranges: int) -> None:
        self.table.increment = increment
        self.batch = batch
        self.max_ranges = max_ranges
        self.restart()

    def effect(self, name: str) -> None:
        del name
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in < 0:
                raise Crash

    def restart(self) -> None:
        self.crash_in = None
        self.checkpoint = FakeCheckpoint(self.index, self.effect)
        self.tail = Tail(
            rows=self.table,
            pipeline=FakePipeline(self.index, self.effect),
            evidence=Evidence(self.probes, "auto", lambda: self.now),
            checkpoint=self.checkpoint,
            journal_skips=lambda ranges, _why: self.index.skipped.extend(ranges),
            size=BatchSize.full(self.batch, 10**6),
            grace_seconds=60,
            watch_seconds=3600,
            max_ranges=self.max_ranges,
            clock=lambda: 0.0,
        )

    @rule(rows=st.integers(1, 4))
    def insert_and_commit(self, rows: int) -> None:
        self.table.insert(rows)

    @rule()
    def begin(self) -> None:
        self.table.begin()

    @rule(rows=st.integers(1, 3))
    def overtake_and_be_read(self, rows: int) -> None:
        """The heart of the matter: ids are reserved, a later one commits first, and the agent sees it."""
        self.table.reserve(self.table.begin(), rows)
        self.table.insert()
        self.step()

    @precondition(lambda self: self.table.open)
    @rule(data=st.data(), rows=st.integers(1, 3))
    def insert_in_open_transaction(self, data: st.DataObject, rows: int) -> None:
        self.table.reserve(data.draw(st.sampled_from(sorted(self.table.open))), rows)

    @precondition(lambda self: self.table.open)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        self.table.commit(data.draw(st.sampled_from(sorted(self.table.open))))

    @precondition(lambda self: self.table.open)
    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        self.table.roll_back(data.draw(st.sampled_from(sorted(self.table.open))))

    @precondition(lambda self: self.table.committed)
    @rule(data=st.data())
    def core_deletes(self, data: st.DataObject) -> None:
        row_id = data.draw(st.sampled_from(sorted(self.table.committed)))
        self.table.delete(row_id)
        if row_id not in self.index.documents:
            self.deleted_unread.add(row_id)

    @rule()
    def poll(self) -> None:
        self.step()

    def step(self) -> None:
        with suppress(TemporaryError):
            self.tail.step()

    @rule(groups=st.lists(st.lists(ACTS, max_size=3), max_size=4))
    def poll_while_writers_act(self, groups: list[list[tuple[str, int]]]) -> None:
        """Writers act between the statements of one step: before the read, the sample, the re-read."""
        self.table.meanwhile = [[partial(self.act, what, which) for what, which in group] for group in groups]
        self.step()
        while self.table.meanwhile:
            self.table.pass_time()

    def act(self, what: str, which: int) -> None:
        names = sorted(self.table.open)
        if what == "insert":
            self.table.insert(which % 3 + 1)
        elif what == "begin":
            self.table.reserve(self.table.begin(), which % 2 + 1)
        elif names and what == "extend":
            self.table.reserve(names[which % len(names)])
        elif names and what == "commit":
            self.table.commit(names[which % len(names)])
        elif names:
            self.table.roll_back(names[which % len(names)])

    @rule(which=st.integers(0, 1), how=st.sampled_from([None, LOST, AWAY]), climb=st.booleans())
    def evidence_changes(self, which: int, how: Exception | None, *, climb: bool) -> None:
        """A plugin is unloaded, a privilege revoked, the server away; and time passes until the ladder is climbed."""
        self.probes[which].lost = how
        self.now += CLIMB_AGAIN_SECONDS * climb

    @rule(after=st.integers(0, 8))
    def crash_in_a_step(self, after: int) -> None:
        self.crash_in = after
        try:
            self.step()
        except Crash:
            self.restart()
        self.crash_in = None

    @rule()
    def kill_between_steps(self) -> None:
        self.restart()

    @invariant()
    def watermark_is_settled_and_never_falls(self) -> None:
        if self.index.saved is None:
            return
        watermark = int(str(self.index.saved["watermark"]))
        assert watermark >= self.watermark
        self.watermark = watermark
        unsettled = {i for i in self.table.committed if i <= watermark} - self.index.documents.keys()
        assert not unsettled, f"watermark {watermark} stands above unindexed rows {sorted(unsettled)}"
        pending = {i for t in self.table.open.values() for i in t.reserved if i <= watermark}
        assert not pending, f"watermark {watermark} stands above ids that may still commit {sorted(pending)}"

    @invariant()
    def ranges_stay_within_their_bound(self) -> None:
        assert len(self.checkpoint.progress.gaps) <= self.max_ranges

    def teardown(self) -> None:
        for name in sorted(self.table.open):
            self.table.commit(name)
        self.crash_in = None
        for probe in self.probes:
            probe.lost = None
        self.now += CLIMB_AGAIN_SECONDS
        for _ in range(3 + len(self.table.ever_committed)):
            self.tail.step()
        missed = self.table.ever_committed - self.deleted_unread - self.index.documents.keys()
        assert not missed, f"rows never shipped: {sorted(missed)}"
        assert not self.checkpoint.progress.gaps
        assert self.checkpoint.progress.frontier >= max(self.table.committed, default=0)


TestTailAgainstWriters = TailAgainstWriters.TestCase
TestTailAgainstWriters.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
