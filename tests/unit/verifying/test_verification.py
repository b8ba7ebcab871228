"""Whatever is planted in whatever table, a verification names exactly that, and what it repairs stays repaired."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.mapping.partition import Calendar
from agent.verifying.deep import Deep
from agent.verifying.findings import Drift, Findings, Scope
from agent.verifying.judging import Judge
from agent.verifying.knowledge import Front, Knowledge, Removed
from agent.verifying.repair import Repair
from agent.verifying.verification import Verification, part_width
from tests.unit.verifying.rows import builder, row
from tests.unit.verifying.sides import Index, Table

WIDTH = 10
DATES = ("2026-10-31 23:59:59", "2026-11-01 00:00:00", "2026-11-03 04:05:06")


class NoLetters:
    def ids_between(self, lo: int, hi: int) -> set[int]:
        return set()


@dataclass
class Sides:
    """A table whose rows are all indexed, to plant drift in; `watermark` is the highest settled id."""

    table: Table = field(default_factory=Table)
    index: Index = field(default_factory=Index)
    watermark: int = 0
    window_rows: int = WIDTH
    journal: list[int] = field(default_factory=list)

    def fill(self, ids: list[int]) -> None:
        for number, row_id in enumerate(sorted(ids)):
            self.table.put(row(row_id, f'{{"n": {row_id}}}', created_at=DATES[number % 3]))
        self.index.ship(list(self.table.rows.values()))
        self.watermark = max(ids)

    def verify(self, **asked: Any) -> Findings:
        findings = Findings(Scope(**{"low": 1, "high": self.watermark, **asked}))
        for _ in self.slices(findings):
            pass
        return findings

    def slices(self, findings: Findings) -> Iterator[float]:
        knowledge = Knowledge(
            dead_letters=NoLetters(),
            refused=lambda _rows: (),
            removed=lambda: Removed(None, lambda _facts: False),
            front=lambda: Front(None, None, ""),
        )
        place = Calendar("month").place
        parts: dict[str, Any] = {"rows": self.table, "documents": self.index}
        work = Verification(
            **parts,
            windows=self.table,
            knowledge=knowledge,
            judge=Judge(**parts, knowledge=knowledge, place=lambda row: place(str(row[1]))[0]),
            deep=Deep(**parts, builder=builder),
            repair=Repair(documents=self.index, ship=self.index.ship, record=self.journal.extend),
            window_rows=self.window_rows,
            clock=lambda: 0.0,
        )
        return work.slices(findings)


def named(findings: Findings) -> dict[Drift, list[int]]:
    return {kind: sorted(ids) for kind, ids in findings.samples.items() if ids}


def lose(sides: Sides, row_id: int) -> None:
    sides.index.delete(sides.index.of(row_id))


def edit(sides: Sides, row_id: int) -> None:
    sides.table.put(row(row_id, "{}", created_at=str(sides.table.rows[row_id][1]), note="edited"))


def delete(sides: Sides, row_id: int) -> None:
    del sides.table.rows[row_id]


def move(sides: Sides, row_id: int) -> None:
    double(sides, row_id)
    sides.index.delete([sides.index.of(row_id)[0]])


def double(sides: Sides, row_id: int) -> None:
    (stored,) = sides.index.of(row_id)
    sides.index.put(replace(stored, index="2026.10" if stored.index == "2026.11" else "2026.11"))


def copy(sides: Sides, row_id: int) -> None:
    (stored,) = sides.index.of(row_id)
    sides.index.put(replace(stored, key=f"by-hand-{row_id}"))


def unsum(sides: Sides, row_id: int) -> None:
    (stored,) = sides.index.of(row_id)
    sides.index.put(replace(stored, crc=None))


def forge(sides: Sides, row_id: int, **fields: Any) -> None:
    (stored,) = sides.index.of(row_id)
    sides.index.put(replace(stored, source={**(stored.source or {}), **(fields or {"detail": "forged"})}))


def redate(sides: Sides, row_id: int) -> None:
    """Give a document, where it lies, a date of another partition."""
    (stored,) = sides.index.of(row_id)
    day = "2026-10-05" if stored.index == "2026.11" else "2026-11-05"
    forge(sides, row_id, created_at=f"{day}T00:00:00.000Z")


PLAIN: dict[Callable[[Sides, int], None], Drift] = {
    lose: Drift.MISSING,
    delete: Drift.ORPHAN,
    edit: Drift.DIFFERENT,
    move: Drift.DIFFERENT,
    double: Drift.DIFFERENT,
    copy: Drift.DIFFERENT,
    unsum: Drift.DIFFERENT,
}
IN_PLACE = (forge, redate)

IDS = st.lists(st.integers(1, 60) | st.integers(10**9, 10**9 + 30), min_size=4, max_size=30, unique=True)


@settings(max_examples=60, deadline=None)
@given(ids=IDS, window_rows=st.sampled_from([1, 7, 10, 130, 600, 10_000]), data=st.data())
def test_every_planted_id_is_named_with_its_kind_and_nothing_else(
    ids: list[int], window_rows: int, data: st.DataObject
) -> None:
    sides = Sides(window_rows=window_rows)
    sides.fill(ids)
    plantings = data.draw(
        st.dictionaries(st.sampled_from(ids), st.sampled_from([*PLAIN, *IN_PLACE]), max_size=len(ids))
    )
    expected: dict[Drift, list[int]] = {}
    for row_id, plant in plantings.items():
        plant(sides, row_id)
        if plant in PLAIN:
            expected.setdefault(PLAIN[plant], []).append(row_id)
    deeply = {kind: list(found) for kind, found in expected.items()}
    for row_id, plant in plantings.items():
        if plant in IN_PLACE:
            deeply.setdefault(Drift.DIFFERENT, []).append(row_id)

    assert named(sides.verify()) == {kind: sorted(found) for kind, found in expected.items()}
    repaired = sides.verify(deep=True, repair=True, delete_orphans=True)
    assert named(repaired) == {kind: sorted(found) for kind, found in deeply.items()}
    assert repaired.left == 0
    assert sorted(sides.journal) == sorted(expected.get(Drift.ORPHAN, []))

    clean = sides.verify(deep=True)
    assert (named(clean), clean.left) == ({}, 0)
    assert clean.rows == clean.documents == len(sides.table.rows) == len(sides.index.documents)


def test_documents_that_changed_places_are_found_by_a_deep_look() -> None:
    """The sum of that part of their window is what it was."""
    sides = Sides(window_rows=1000)
    sides.fill([1, 2, 3, 4, 5, 6, 7])
    (first,), (other,) = sides.index.of(2), sides.index.of(5)
    sides.index.put(replace(first, id=5, key="i:5"))
    sides.index.put(replace(other, id=2, key="i:2"))

    assert named(sides.verify()) == {}
    assert named(sides.verify(deep=True, repair=True)) == {Drift.DIFFERENT: [2, 5]}
    assert named(sides.verify(deep=True)) == {}


def test_differences_that_cancel_each_other_out_in_a_window_are_found_in_its_parts() -> None:
    sides = Sides(window_rows=10_000)
    sides.fill(list(range(1, 1001)))
    for row_id, change in ((7, 1), (777, -1)):
        (stored,) = sides.index.of(row_id)
        sides.index.put(replace(stored, crc=(stored.crc or 0) + change))

    assert named(sides.verify()) == {Drift.DIFFERENT: [7, 777]}


@pytest.mark.parametrize(
    ("window_rows", "ids"),
    [(1, 1), (99, 1), (100, 1), (101, 101), (300, 3), (10_000, 100), (9_973, 9_973), (1_000_000, 10_000)],
)
def test_a_window_is_a_whole_number_of_parts_and_of_a_hundred_at_most(window_rows: int, ids: int) -> None:
    assert part_width(window_rows) == ids


@pytest.mark.parametrize("row_id", [8, 9, WIDTH, 19, 25, 10**9, 2**63 - 1])
def test_a_document_above_the_watermark_is_drift_only_without_a_row(row_id: int) -> None:
    sides = Sides()
    sides.fill([1, 2, 3, 7, row_id])
    sides.watermark = 7  # the tail has shipped `row_id`, and waits for a gap
    assert named(sides.verify()) == {}

    delete(sides, row_id)

    assert named(sides.verify(last=row_id - 1)) == {}
    found = sides.verify(delete_orphans=True)
    assert named(found) == {Drift.ORPHAN: [row_id]}
    assert (found.rows, found.documents, found.left) == (4, 5, 0)
    assert named(sides.verify()) == {}


def test_rows_above_the_watermark_are_on_their_way() -> None:
    sides = Sides()
    sides.fill([1, 2, 3, 7, 8, 9])
    sides.watermark = 3
    lose(sides, 7)
    edit(sides, 8)
    double(sides, 9)

    assert named(sides.verify()) == {}


def test_windows_whose_sums_agree_are_not_taken_apart() -> None:
    sides = Sides()
    sides.fill(list(range(1, 500)))
    lose(sides, 250)

    sides.verify()

    assert sides.table.listed == 1


def test_a_slice_repairs_a_bounded_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon tails between two slices, also while a whole index is shipped again."""
    monkeypatch.setattr("agent.verifying.judging.IDS_AT_ONCE", 7)
    sides = Sides()
    sides.fill(list(range(1, 200)))
    sides.index.documents.clear()
    findings = Findings(Scope(low=1, high=199, repair=True))

    done = [0, *(findings.repaired for _ in sides.slices(findings))]

    assert max(after - before for before, after in pairwise(done)) <= 7
    assert done[-1] == 199


def test_a_row_that_the_index_refuses_is_settled_as_a_dead_letter() -> None:
    sides = Sides()
    sides.fill([1, 2, 3])
    lose(sides, 2)
    sides.index.ship = lambda rows: {"dead_letters": len(rows)}  # type: ignore[method-assign]

    found = sides.verify(repair=True)

    assert (found.drift[Drift.MISSING], found.repaired, found.dead_letters, found.left) == (1, 0, 1, 0)


def test_the_last_slice_names_the_scopes_end() -> None:
    sides = Sides()
    sides.fill([5])

    assert sides.verify(high=3).at == 3
    assert sides.verify(low=4, high=3).rows == 0
