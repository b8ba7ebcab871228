"""Random histories: rows come and are shipped, rules are edited, clocks jump, documents are lost, and runs die anywhere.

Every single deletion is judged by an oracle that is too simple to be wrong, at the moment it happens: the row's document
is in the index, its archive is sealed, the rules in force expire it at this run's clock, it lies below the watermark,
nothing holds it. At the end nothing that could go is left, and everything was counted once.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from agent.retention.condition import Condition, holds
from agent.retention.expired import Expiry
from agent.retention.journal import verify
from agent.retention.ledger import decoded
from agent.retention.policy import Side, fixed
from agent.retention.rules import RuleSet
from tests.fakes.retention import Crash, CrashAt
from tests.unit.retention.test_policy import oracle_expired
from tests.unit.retention.test_run import archived_ids, entries
from tests.unit.retention.world import NOW, Installation, at, rules

DAYS = [0, 1, 29, 30, 31, 60]
AGES = [0, 1, 28, 29, 30, 31, 36, 60, 90, -3]


def random_rules(draw: random.Random) -> RuleSet:
    def sides() -> dict[str, dict[str, int]]:
        rows = draw.choice(DAYS)
        return {"rows": {"days": rows}, "documents": {"days": 0 if rows == 0 else rows + draw.choice([0, 5, 30])}}

    holds = [
        {"name": "client", "match": {"client_id": 1}, "reason": "r"},
        {"name": "past", "match": {}, "until": date(2026, 11, 20), "reason": "r"},
        {"name": "soon-over", "match": {"severity": "error"}, "until": date(2026, 11, 25), "reason": "r"},
    ]
    return rules(
        **sides(),
        rules=[
            {"name": "errors", "match": {"severity": "error"}, **sides()},
            {"name": "licences", "match": {"action": "license.*"}, **sides()},
        ][: draw.randint(0, 2)],
        holds=draw.sample(holds, draw.randint(0, 2)),
    )


@dataclass
class History:
    """One installation and everything that happens to it."""

    place: Installation
    draw: random.Random
    crash: CrashAt = field(default_factory=CrashAt)
    chosen: RuleSet = field(default_factory=rules)
    watermark: int = 0
    others_deleted: int = 0

    def __post_init__(self) -> None:
        place = self.place
        for part in (place.table, place.index, place.state, place.journal):
            part.effect = self.crash
        self._delete_rows, place.table.delete = place.table.delete, self.judged  # type: ignore[method-assign]

    @property
    def now(self) -> datetime:
        return self.place.table.clock

    def rows_come(self) -> None:
        table, draw = self.place.table, self.draw
        last = max([self.watermark, *table.content], default=0)
        for row_id in range(last + 1, last + draw.randint(2, 12)):
            age = timedelta(days=draw.choice(AGES), seconds=draw.choice([-1, 0, 1]))
            created_at = draw.choice([None, "0000-00-00 00:00:00"]) if draw.random() < 0.1 else at(age, self.now)
            table.add(
                row_id,
                created_at=created_at,
                severity=draw.choice(["info", "error"]),
                client_id=draw.choice([None, 1, 2]),
                action=draw.choice(["a.b", "license.check"]),
            )

    def tail_ships(self) -> None:
        """Index what is above the watermark, as the tail does: nothing that a run has expired already."""
        table = self.place.table
        self.watermark = self.draw.randint(self.watermark, max([self.watermark, *table.content], default=0))
        executed = decoded(self.place.state.document).executed if self.place.state.document else None
        expiry = Expiry(current=fixed(self.chosen, self.now), executed=executed)
        for row_id, row in table.content.items():
            # Some rows above the watermark are in the index already: a gap holds the watermark back.
            if row_id <= self.watermark + 2 and row_id not in self.place.index.all_ids and not expiry.refuses(row):
                self.place.index.add(row, table.crcs[row_id])

    def somebody_interferes(self) -> None:
        table, index, draw = self.place.table, self.place.index, self.draw
        for row_id in draw.sample(sorted(table.content), min(2, len(table.content))):
            match draw.choice(["lost", "changed", "purged"]):
                case "lost":
                    for documents in index.content.values():
                        documents.pop(row_id, None)
                case "changed":
                    table.crcs[row_id] += 1
                case "purged":
                    del table.content[row_id]
                    self.others_deleted += 1

    def repair(self) -> None:
        """Index again what is not in the index as it is in the table, as `verify --repair` does."""
        table, index = self.place.table, self.place.index
        expiry = Expiry(
            current=fixed(self.chosen, self.now), executed=decoded(self.place.state.document or {}).executed
        )
        for row_id, row in table.content.items():
            if row_id <= self.watermark and not expiry.refuses(row):
                index.add(row, table.crcs[row_id])

    def rules_change(self) -> None:
        self.chosen = random_rules(self.draw)

    def run(self, *, may_die: bool) -> None:
        self.crash.number = len(self.crash.names) + self.draw.randint(1, 60) if may_die else None
        try:
            self.place.execute(self.chosen, watermark=self.watermark, by_person=False)
        except Crash:
            return
        finally:
            self.crash.number = None

    def judged(self, crcs: Mapping[int, int], condition: Condition) -> list[int]:
        """Delete as the fake does, and judge each row that went."""
        place = self.place
        content, documents = dict(place.table.content), {**place.index.content}
        stored = {row_id: kept[row_id][0] for kept in documents.values() for row_id in kept}
        table_crcs = dict(place.table.crcs)
        archived = set(archived_ids(place.folder)) if place.archive_format else set()
        policy = fixed(self.chosen, self.now)
        try:
            return self._delete_rows(crcs, condition)
        finally:
            for row_id in set(content) - set(place.table.content):
                row = content[row_id]
                assert oracle_expired(self.chosen, Side.ROWS, row, self.now), (row, self.chosen)
                assert row_id <= self.watermark
                assert not any(holds(matches, policy.facts(row)) for _, matches in policy.holds_in_force)
                assert stored.get(row_id) == table_crcs[row_id], f"{row_id} is not in the index as it is in the table"
                assert not place.archive_format or row_id in archived


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the dead leave their files open
@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.slow] if seed >= 25 else []) for seed in range(1_000)]
)
def test_only_what_may_go_goes_and_all_of_it(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    place = Installation(tmp_path, chunk_rows=draw.randint(1, 4), archive_format=draw.choice([None, "ndjson"]))
    if draw.random() < 0.5:
        place.brakes = {"max_share": 1, "shorten_wait": "none"}
    history = History(place, draw)
    for _ in range(draw.randint(4, 10)):
        history.rows_come()
        history.tail_ships()
        for happens, likely in ((history.somebody_interferes, 0.3), (history.rules_change, 0.4)):
            if draw.random() < likely:
                happens()
        history.run(may_die=True)
        # The clock goes on a day, or is set a day back or forth by somebody.
        place.table.clock += timedelta(days=draw.choice([-1, 0, 1, 1, 2]), seconds=draw.randint(-5, 5))

    history.watermark = max([history.watermark, *place.table.content], default=0)
    history.run(may_die=False)
    history.repair()
    for _ in range(3):
        place.table.clock += timedelta(days=1)
        history.run(may_die=False)

    assert not [
        row for row in place.table.content.values() if oracle_expired(history.chosen, Side.ROWS, row, history.now)
    ]
    documents = [facts for kept in place.index.content.values() for _, facts in kept.values()]
    expired = fixed(history.chosen, history.now).expired(Side.DOCUMENTS)
    assert not [facts for facts in documents if holds(expired, facts)]
    gone = place.table.deleted
    tallies = [entry["what"]["rows"].values() for entry in entries(place) if entry["kind"] == "retention"]
    counted = sum(each["deleted"] for tally in tallies for each in tally)
    assert len(gone) == len(set(gone))
    # A row that somebody purged while it was in flight of a run that died counts as ours.
    assert len(gone) <= counted <= len(gone) + history.others_deleted
    assert verify(entries(place)).intact
    if place.archive_format:
        assert set(gone) <= set(archived_ids(tmp_path))


def test_the_clock_of_the_history_moves() -> None:
    """The oracle judges by the clock it is given, not by the one the module was imported with."""
    row = {"created_at": at(timedelta(days=29)), "severity": "info", "client_id": None, "action": "a"}
    chosen = rules(rows={"days": 30}, documents={"days": 30})

    assert [oracle_expired(chosen, Side.ROWS, row, NOW + timedelta(days=days)) for days in (0, 2)] == [False, True]
