"""Gaps at their edges: what opens, closes, merges, waits and is skipped, one id to either side."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.tailing.gaps import (
    Gap,
    Progress,
    Sighting,
    Watched,
    advanced,
    filled,
    graced,
    sampled,
    skipped,
    unsampled,
    unwatched,
)
from agent.tailing.merging import merged

T1, T2 = "t1", "t2"
ALL = 2**62


def ranges(progress: Progress) -> list[tuple[int, int]]:
    return [(gap.first, gap.last) for gap in progress.gaps]


def read(*ids: int, frontier: int = 0) -> Progress:
    return advanced(Progress(frontier), ids, 100.0)


def alive(progress: Progress, *names: str) -> tuple[Progress, tuple[Gap, ...]]:
    return sampled(progress, frozenset(names))


@pytest.mark.parametrize(
    ("frontier", "ids", "gaps", "watermark"),
    [
        (0, (), [], 0),
        (0, (1,), [], 1),
        (0, (2,), [(1, 1)], 0),
        (5, (6, 7, 8), [], 8),
        (5, (7,), [(6, 6)], 5),
        (5, (6, 8), [(7, 7)], 6),
        (5, (8, 9, 12), [(6, 7), (10, 11)], 5),
    ],
)
def test_a_missing_id_opens_a_gap_and_holds_the_watermark_just_below_it(
    frontier: int, ids: tuple[int, ...], gaps: list[tuple[int, int]], watermark: int
) -> None:
    progress = read(*ids, frontier=frontier)
    assert ranges(progress) == gaps
    assert progress.watermark == watermark
    assert progress.frontier == (ids[-1] if ids else frontier)


def test_ids_below_the_first_row_ever_seen_are_a_gap_too() -> None:
    assert ranges(read(1_000_001, 1_000_002)) == [(1, 1_000_000)]


@pytest.mark.parametrize(
    ("arrived", "left"),
    [
        ([9], [(10, 12)]),
        ([10], [(11, 12)]),
        ([11], [(10, 10), (12, 12)]),
        ([12], [(10, 11)]),
        ([13], [(10, 12)]),
        ([10, 12], [(11, 11)]),
        ([12, 11, 10, 11], []),
        ([], [(10, 12)]),
    ],
)
def test_a_row_that_comes_shortens_or_splits_its_gap(arrived: list[int], left: list[tuple[int, int]]) -> None:
    progress = read(*range(1, 10), 13)
    assert ranges(progress) == [(10, 12)]
    assert ranges(filled(progress, arrived)) == left


@pytest.mark.parametrize(("row_id", "inside"), [(9, False), (10, True), (12, True), (13, False)])
def test_an_id_is_in_a_gap_from_its_first_to_its_last(row_id: int, *, inside: bool) -> None:
    assert read(*range(1, 10), 13).in_gap(row_id) is inside


def test_a_gap_nobody_may_fill_is_read_once_more_and_then_skipped() -> None:
    progress, to_read = alive(read(2))
    assert [(gap.first, gap.last) for gap in to_read] == [(1, 1)]
    progress, dead = skipped(progress, to_read, ALL)
    assert dead == ((1, 1),)
    assert (progress.watermark, progress.skipped_total) == (2, 1)


def test_a_row_found_by_that_last_read_is_not_skipped() -> None:
    progress, to_read = alive(read(3))
    progress, dead = skipped(filled(progress, [2]), to_read, ALL)
    assert dead == ((1, 1),)
    assert progress.skipped_total == 1


def test_a_gap_waits_for_every_transaction_of_its_first_sample_and_for_no_later_one() -> None:
    progress, to_read = alive(read(2), T1, T2)
    assert not to_read
    progress, to_read = alive(progress, T1, T2, "later")
    assert not to_read
    progress, to_read = alive(progress, T2, "later")
    assert to_read, "the one that ended may have committed into the gap"
    assert skipped(progress, to_read, ALL)[1] == ()
    progress, to_read = alive(progress, "later")
    assert skipped(progress, to_read, ALL)[1] == ((1, 1),)


def test_a_name_that_comes_back_is_not_waited_for_again() -> None:
    progress, _ = alive(read(2), T1, T2)
    progress, _ = alive(progress, T2)
    progress, to_read = alive(progress, T1)
    assert skipped(progress, to_read, ALL)[1] == ((1, 1),)


def test_a_gap_found_later_has_a_first_sample_of_its_own() -> None:
    progress, _ = alive(read(2), T1)
    progress = advanced(progress, [4], 101.0)
    progress, to_read = alive(progress, T1, T2)
    assert not to_read
    progress, to_read = alive(progress, T2)
    assert [gap.first for gap in to_read] == [1, 3]
    progress, dead = skipped(progress, to_read, ALL)
    assert dead == ((1, 1),), "T2 may still fill the second gap"
    assert ranges(progress) == [(3, 3)]


def test_nothing_is_skipped_that_was_not_read_again() -> None:
    progress, _ = alive(read(2))
    assert skipped(progress, (), ALL)[1] == ()


def test_forgotten_samples_are_taken_anew() -> None:
    progress, _ = alive(read(2), T1)
    progress, to_read = alive(unsampled(progress), T2)
    assert not to_read, "a name of the old evidence that is not listed by the new one proves nothing"
    assert progress.gaps[0].sighting == Sighting(100.0, frozenset({T2}))


def test_where_evidence_gives_way_to_grace_the_grace_begins() -> None:
    progress, _ = alive(read(2), T1)
    progress = unsampled(progress, 5000.0)
    assert graced(progress, 5059.9, 60, 3600)[1] == []
    assert graced(progress, 5060.0, 60, 3600)[1] == [(1, 1)]


@pytest.mark.parametrize(("now", "moved"), [(159.9, []), (160.0, [(1, 1)]), (160.1, [(1, 1)])])
def test_grace_ends_at_its_second_and_the_ids_stay_watched(now: float, moved: list[tuple[int, int]]) -> None:
    progress, left = graced(read(2), now, 60, 3600)
    assert left == moved
    assert [(watched.first, watched.last, watched.until) for watched in progress.watch] == [
        (first, last, now + 3600) for first, last in moved
    ]
    assert progress.watermark == (2 if moved else 0)
    assert progress.skipped_total == len(moved)


def test_a_late_row_leaves_the_watch_list() -> None:
    progress, _ = graced(read(4), 200.0, 60, 3600)
    progress = filled(progress, [2])
    assert [(watched.first, watched.last) for watched in progress.watch] == [(1, 1), (3, 3)]


@pytest.mark.parametrize(("now", "left"), [(9.9, 2), (10.0, 1), (20.0, 0)])
def test_a_watched_range_is_dropped_when_its_time_is_over(now: float, left: int) -> None:
    progress = Progress(9, (), (Watched(1, 1, 10.0), Watched(3, 4, 20.0)))
    assert len(unwatched(progress, now).watch) == left


def test_the_nearest_ranges_are_merged_first_and_no_more_than_needed() -> None:
    progress = read(2, 4, 100, 102)
    assert ranges(progress) == [(1, 1), (3, 3), (5, 99), (101, 101)]
    assert ranges(merged(progress, 4)) == ranges(progress)
    assert len(merged(progress, 3).gaps) == 3
    assert ranges(merged(progress, 1)) == [(1, 101)]


def test_a_merged_gap_is_as_old_as_its_oldest_and_alive_while_any_part_is() -> None:
    progress, _ = alive(read(2), T1)
    progress, _ = alive(advanced(progress, [4], 50.0), T1, T2)
    (gap,) = merged(progress, 1).gaps
    assert gap.sighting == Sighting(50.0, frozenset({T1, T2}))


def test_a_merged_gap_with_an_unsampled_part_is_unsampled() -> None:
    progress, _ = alive(read(2), T1)
    (gap,) = merged(advanced(progress, [4], 101.0), 1).gaps
    assert gap.sighting.alive is None


def test_a_merged_gap_counts_only_the_dead_when_it_is_skipped() -> None:
    progress, to_read = alive(merged(read(2, 4, 6), 1))
    progress, dead = skipped(filled(progress, [2, 4]), to_read, ALL)
    assert dead == ((1, 1), (3, 3), (5, 5))
    assert progress.skipped_total == 3


def test_merging_bounds_the_watch_list_by_the_latest_deadline() -> None:
    progress = Progress(9, (), (Watched(1, 1, 10.0), Watched(3, 4, 20.0), Watched(9, 9, 5.0)))
    assert merged(progress, 2).watch == (Watched(1, 4, 20.0), Watched(9, 9, 5.0))


@given(
    ids=st.sets(st.integers(1, 60), min_size=1),
    arrived=st.sets(st.integers(1, 60)),
    max_ranges=st.integers(1, 8),
)
def test_every_id_below_the_frontier_is_read_or_in_exactly_one_gap(
    ids: set[int], arrived: set[int], max_ranges: int
) -> None:
    progress = filled(read(*sorted(ids)), arrived)
    for row_id in range(1, progress.frontier + 1):
        assert progress.in_gap(row_id) == (row_id not in ids | arrived)
    bounded = merged(progress, max_ranges)
    assert len(bounded.gaps) <= max_ranges
    assert bounded.watermark == progress.watermark
    for row_id in range(1, progress.frontier + 1):
        assert bounded.in_gap(row_id) or not progress.in_gap(row_id), "merging may widen, never forget"


def test_ids_in_steps_of_three_cost_memory_by_the_bound_only() -> None:
    tracemalloc.start()
    try:
        progress = Progress()
        for start in range(1, 100_000, 6000):
            progress = advanced(progress, range(start, start + 6000, 3), 100.0)
            progress, to_read = alive(progress, T1)
            progress = merged(progress, 1000)
            assert not to_read
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(progress.gaps) == 1000
    assert held < 500_000


def test_a_million_rolled_back_ids_are_one_range() -> None:
    progress = read(1_000_001)
    assert len(progress.gaps) == 1
    progress, to_read = alive(progress)
    assert skipped(progress, to_read, ALL)[0].skipped_total == 1_000_000
