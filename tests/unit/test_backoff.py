"""Waiting longer, asking for less: the bounds, and one to either side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.backoff import LEAST_BYTES, LONGEST_DELAY_SECONDS, BatchSize, delay_seconds


@pytest.mark.parametrize(("failures", "longest"), [(1, 0.5), (2, 1), (3, 2), (7, 32), (8, 60), (9, 60), (10**6, 60)])
def test_the_wait_doubles_to_its_ceiling_with_jitter_in_the_upper_half(failures: int, longest: float) -> None:
    assert delay_seconds(failures, lambda: 0.0) == longest / 2
    assert delay_seconds(failures, lambda: 0.999999) == pytest.approx(longest, rel=1e-5)


@pytest.mark.parametrize(("told", "waited"), [(None, 0.25), (0.0, 0.25), (0.24, 0.25), (7.0, 7.0), (600.0, 600.0)])
def test_the_servers_own_word_is_never_undercut(told: float | None, waited: float) -> None:
    assert delay_seconds(1, lambda: 0.0, told) == waited


def test_a_minute_into_an_outage_requests_are_more_than_five_seconds_apart() -> None:
    elapsed, failures = 0.0, 0
    while elapsed < 60:
        failures += 1
        elapsed += delay_seconds(failures, lambda: 0.0)
    assert all(delay_seconds(failures + n, lambda: 0.0) > 5 for n in range(1000))
    assert delay_seconds(failures + 1000, lambda: 1.0) <= LONGEST_DELAY_SECONDS


def test_a_batch_halves_to_one_row_and_to_what_one_row_needs() -> None:
    size = BatchSize.full(2000, 5_000_000)
    for _ in range(20):
        size = size.halved()
    assert (size.rows, size.bytes) == (1, LEAST_BYTES)


def test_a_batch_grows_back_in_steps_and_no_further() -> None:
    size = BatchSize.full(2000, 5_000_000).halved().halved().halved()
    steps = 0
    while size != size.grown():
        assert size.grown().rows > size.rows
        size, steps = size.grown(), steps + 1
    assert (size.rows, size.bytes) == (2000, 5_000_000)
    assert 2 <= steps <= 4


@given(st.integers(1, 10**6), st.integers(LEAST_BYTES, 10**8), st.lists(st.booleans(), max_size=60))
def test_a_batch_stays_within_its_bounds(rows: int, size_bytes: int, moves: list[bool]) -> None:
    size = BatchSize.full(rows, size_bytes)
    for grow in moves:
        size = size.grown() if grow else size.halved()
        assert 1 <= size.rows <= rows
        assert LEAST_BYTES <= size.bytes <= size_bytes
