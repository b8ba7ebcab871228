"""Merging: neighbouring ranges joined, so that neither memory nor the checkpoint grows with their number (pure)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import replace

from agent.tailing.gaps import Gap, Progress, Range, Sighting, Watched


def merged(progress: Progress, max_ranges: int) -> Progress:
    """Join neighbouring ranges until at most `max_ranges` are left, on the gap list and on the watch list.

    The rows between joined ranges are read again, which is harmless: a document's id depends on its row alone.
    """
    gaps, watch = progress.gaps, progress.watch
    if len(gaps) > max_ranges:
        spans = _joined([(gap.first, gap.last) for gap in gaps], max_ranges)
        gaps = tuple(_covering(gaps, first, last) for first, last in spans)
    if len(watch) > max_ranges:
        spans = _joined([(watched.first, watched.last) for watched in watch], max_ranges)
        watch = tuple(
            Watched(first, last, max(w.until for w in watch if first <= w.first <= last)) for first, last in spans
        )
    return replace(progress, gaps=gaps, watch=watch)


def _joined(spans: list[Range], max_ranges: int) -> list[Range]:
    """Join the spans with the smallest distances between them until `max_ranges` are left."""
    distances = [(spans[n + 1][0] - spans[n][1], n) for n in range(len(spans) - 1)]
    bridged = {n for _, n in sorted(distances)[: len(spans) - max_ranges]}
    result = [spans[0]]
    for n, span in enumerate(spans[1:]):
        if n in bridged:
            result[-1] = (result[-1][0], span[1])
        else:
            result.append(span)
    return result


def _covering(gaps: tuple[Gap, ...], first: int, last: int) -> Gap:
    """Return one gap for all between `first` and `last`: as old as the oldest, alive while any of them is."""
    low = bisect_left(gaps, first, key=lambda gap: gap.first)
    high = bisect_right(gaps, last, key=lambda gap: gap.first)
    sightings = {gap.sighting for gap in gaps[low:high]}
    if len(sightings) == 1:
        return Gap(first, last, sightings.pop())
    seen_at = min(sighting.seen_at for sighting in sightings)
    samples = [sighting.alive for sighting in sightings]
    alive = None if any(sample is None for sample in samples) else frozenset().union(*(s for s in samples if s))
    return Gap(first, last, Sighting(seen_at, alive))
