"""What `checkpoint show` says to a person."""

from __future__ import annotations

from agent.cli.checkpoint import GAPS_SHOWN, told
from agent.tailing.gaps import Gap, Progress, Sighting, Watched

SEEN_AT = 1_795_000_000.4


def test_gaps_and_watched_ranges_are_shown_with_times_a_person_can_read() -> None:
    progress = Progress(12, (Gap(5, 6, Sighting(SEEN_AT)),), (Watched(2, 3, SEEN_AT + 3600),), skipped_total=4)
    assert list(told(progress)) == [
        "watermark 4 · frontier 12 · skipped 4",
        "gap 5-6 open since 2026-11-18T11:06:40Z",
        "watched 2-3 until 2026-11-18T12:06:40Z",
    ]


def test_a_long_list_is_cut_and_says_so() -> None:
    gaps = tuple(Gap(2 * n, 2 * n, Sighting(SEEN_AT)) for n in range(1, GAPS_SHOWN + 3))
    watch = tuple(Watched(gap.first, gap.last, SEEN_AT) for gap in gaps)
    lines = list(told(Progress(100, gaps, watch)))
    assert len(lines) == 1 + 2 * (GAPS_SHOWN + 1)
    assert lines[GAPS_SHOWN + 1] == "… and 2 more gaps"
    assert lines[-1] == "… and 2 more watched ranges"
