"""Whatever the tail, retention and Core's purge do between any two looks of a verification, nothing is drift.

Each look at either side first lets some of them act, so every order of their deeds and its reads is met.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from agent.mapping.partition import Calendar
from agent.verifying.deep import Deep
from agent.verifying.findings import Findings, Scope
from agent.verifying.judging import Judge
from agent.verifying.knowledge import Front, Knowledge, Removed
from agent.verifying.repair import Repair
from agent.verifying.verification import Verification
from tests.unit.verifying.rows import builder, row
from tests.unit.verifying.sides import Index, Table

SEEDS = int(os.environ.get("AUDIT_TEST_SEEDS", "40"))
PLACE = Calendar("month").place
_LOOKS = ("windows", "ids_and_crcs", "after", "in_range", "by_ids", "next_id", "created_before", "misplaced")


class NoLetters:
    def ids_between(self, lo: int, hi: int) -> set[int]:
        return set()


class Beside:
    """An install at work: rows come and go on both sides, as the tail, retention and Core have them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.table, self.index = Table(), Index()
        self.cutoff = ""
        self._shipped = 0
        for row_id in range(1, 61):
            self._insert(row_id)
        self.tail()
        self.watermark = 60
        self.looks = 0

    def act(self) -> None:
        self.looks += 1
        for deed in (self.tail, self.purge, self.expire_rows, self.expire_documents):
            if self.random.random() < 0.15:
                deed()

    def tail(self) -> None:
        new = [self.table.rows[row_id] for row_id in sorted(self.table.rows) if row_id > self._shipped]
        self.index.ship(new)
        self._shipped = max([self._shipped, *(int(each[0] or 0) for each in new)])
        self._insert(max(self.table.rows, default=self._shipped) + self.random.randint(1, 3))

    def purge(self) -> None:
        """Core deletes the oldest rows."""
        self._delete(sorted(self.table.rows, key=self._age)[: self.random.randint(1, 4)])

    def expire_rows(self) -> None:
        """Retention writes its cutoff down first, then deletes what is older."""
        oldest = sorted(self.table.rows, key=self._age)[: self.random.randint(1, 4)]
        self.cutoff = max([self.cutoff, *(str(PLACE(str(self.table.rows[each][1]))[1]) for each in oldest[-1:])])
        self._delete([each for each in oldest if str(PLACE(str(self.table.rows[each][1]))[1]) < self.cutoff])

    def expire_documents(self) -> None:
        old = [each for each in self.index.documents.values() if str((each.source or {})["created_at"]) < self.cutoff]
        self.index.delete([each for each in old if each.id not in self.table.rows])

    def front(self) -> Front:
        created_at, row_id = min((str(PLACE(str(each[1]))[1]), int(each[0] or 0)) for each in self.table.rows.values())
        return Front(row_id, created_at, "9999")

    def _insert(self, row_id: int) -> None:
        # Dates follow ids, nearly.
        minute = row_id * 2 + self.random.randint(-3, 3) + 10
        date = f"2026-10-31 {minute // 60 % 24:02}:{minute % 60:02}:00"
        self.table.put(row(row_id, f'{{"n": {row_id}}}', created_at=date))

    def _age(self, row_id: int) -> tuple[str, int]:
        return str(self.table.rows[row_id][1]), row_id

    def _delete(self, ids: list[int]) -> None:
        for row_id in ids[: max(0, len(self.table.rows) - 1)]:
            del self.table.rows[row_id]


class Watched:
    """A side that lets others act before each look at it."""

    def __init__(self, side: Table | Index, act: Callable[[], None]) -> None:
        self._side, self._act = side, act

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._side, name)
        if name not in _LOOKS:
            return found

        def look(*arguments: Any, **named: Any) -> Any:
            self._act()
            answer = found(*arguments, **named)
            return answer if not hasattr(answer, "__next__") else list(answer)

        return look


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_that_happens_beside_is_drift(seed: int) -> None:
    world = Beside(seed)
    table, index = Watched(world.table, world.act), Watched(world.index, world.act)
    parts: dict[str, Any] = {"rows": table, "documents": index}
    knowledge = Knowledge(
        dead_letters=NoLetters(),
        refused=lambda _rows: (),
        removed=lambda: Removed(world.cutoff or None, lambda facts: str(facts["created_at"]) < world.cutoff),
        front=world.front,
    )
    work = Verification(
        **parts,
        windows=table,  # type: ignore[arg-type]
        knowledge=knowledge,
        judge=Judge(**parts, knowledge=knowledge, place=lambda each: PLACE(str(each[1]))[0]),
        deep=Deep(**parts, builder=builder),
        repair=Repair(documents=index, ship=world.index.ship, record=lambda _ids: None),  # type: ignore[arg-type]
        window_rows=10,
        clock=lambda: 0.0,
    )
    findings = Findings(Scope(low=1, high=world.watermark, deep=seed % 2 == 0))

    for _ in work.slices(findings):
        world.act()

    assert {kind: ids for kind, ids in findings.samples.items() if ids} == {}, f"seed {seed}"
    assert world.looks > 10
