"""The checkpoint: progress made durable, written last, by compare-and-set (what it holds; the store keeps it).

Which transactions were alive at a gap's first sighting is not written: such names mean something to one process
only, and sampling anew after a restart is always sound. Many open gaps stay small: ranges are written as distances
and compressed, so ten thousand of them take a few dozen kilobytes. `decoded` refuses what it does not fully
understand: an unreadable checkpoint, or one of a newer agent, stops the agent and is never taken for «begin at 0».
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agent.errors import PermanentError
from agent.row import Row
from agent.state import StateDocument
from agent.tailing.gaps import Gap, Progress, Range, Sighting, Watched

FORMAT_VERSION = 1

# A document that has any of these once held a checkpoint; what a person records before the first run has none.
_SIGNS = ("format_version", "watermark", "frontier", "gaps")

# An idle agent writes this often, so that a reader can tell «nothing happened» from «nobody is there».
HEARTBEAT_SECONDS = 10.0

# While catching up, steps follow each other many times a second; each write waits for the cluster's disk.
HELD_SECONDS = 1.0


class Checkpoint:
    """Progress in the state document: read once, written after everything it speaks of.

    `published` returns the members to write beside it (state, reason, lag, heartbeat, …); `clock` is monotonic.
    """

    def __init__(
        self,
        document: StateDocument,
        published: Callable[[], Mapping[str, Any]],
        clock: Callable[[], float],
    ) -> None:
        self._document = document
        self._published = published
        self._clock = clock
        self._written_at = float("-inf")
        self._held_indexed = 0
        self._held_last: Row | None = None
        self._is_held = False
        self.progress = Progress()

    def open(self) -> None:
        """Take the stored progress for ours; an instance without one begins at id 0. Raises PermanentError."""
        stored = self._document.members
        is_there = any(name in stored for name in _SIGNS)
        self.progress = decoded(stored, where=self._document.where) if is_there else Progress()
        self._is_held, self._held_indexed, self._held_last = False, 0, None

    def refresh(self) -> bool:
        """Adopt what somebody else has written since; say whether anybody had."""
        if not self._document.refresh():
            return False
        self.open()
        return True

    def save(self, progress: Progress, indexed: int, last: Row | None, *, at_once: bool = True) -> None:
        """Write progress and totals when they changed, or when the heartbeat is due; hold them back if they may wait.

        What is held is written by the next `save` or `beat` after HELD_SECONDS, or with whatever is saved at once.
        """
        if not at_once and 0 <= self._clock() - self._written_at < HELD_SECONDS:
            self._is_held = self._is_held or bool(indexed) or progress != self.progress
            self.progress, self._held_indexed = progress, self._held_indexed + indexed
            self._held_last = last or self._held_last
            return
        indexed, last = indexed + self._held_indexed, last or self._held_last
        stored, published = self._document.members, self._published()
        told = all(stored.get(name) == published.get(name) for name in ("state", "reason"))
        due = self._clock() - self._written_at >= HEARTBEAT_SECONDS
        if progress == self.progress and not indexed and told and not due and not self._is_held:
            return
        changes = {**encoded(progress), "indexed_total": int(stored.get("indexed_total", 0)) + indexed}
        if last is not None:
            changes["last_row"] = {"id": last[0], "created_at": last[1]}
        self._document.write({**changes, **published})
        self.progress = progress
        self._is_held, self._held_indexed, self._held_last = False, 0, None
        self._written_at = self._clock()

    def beat(self) -> None:
        """Show life: write when the heartbeat is due or the state changed, without new progress."""
        self.save(self.progress, 0, None, at_once=not self._is_held)

    def restart(self) -> None:
        """Begin again at id 0 on purpose; every row will be shipped again onto its own document."""
        self.rewind(0)

    def rewind(self, row_id: int) -> None:
        """Set the watermark back (never forward), forgetting gaps above it. Raises PermanentError for a higher id.

        Watched ranges stay: those above are read again anyway, and nobody else would read those below.
        """
        if row_id > self.progress.watermark:
            raise PermanentError(
                "the checkpoint can only be set back",
                got=f"--to-id {row_id}, watermark {self.progress.watermark}",
                remedy="skipping rows is not offered; name an id at or below the watermark",
            )
        back = replace(self.progress, frontier=row_id, gaps=())
        self._document.update(lambda _: encoded(back))
        self.progress = back


def encoded(progress: Progress) -> dict[str, Any]:
    """Return the JSON members of the state document that hold this progress."""
    by_sighting: dict[float, list[Range]] = {}
    for gap in progress.gaps:
        by_sighting.setdefault(gap.sighting.seen_at, []).append((gap.first, gap.last))
    by_deadline: dict[float, list[Range]] = {}
    for watched in progress.watch:
        by_deadline.setdefault(watched.until, []).append((watched.first, watched.last))
    members = {
        "format_version": FORMAT_VERSION,
        "watermark": progress.watermark,
        "frontier": progress.frontier,
        "open_gaps": len(progress.gaps),
        "gap_ids": progress.gap_ids,
        "skipped_total": progress.skipped_total,
        "gaps": [{"seen_at": seen_at, "ranges": _packed(ranges)} for seen_at, ranges in by_sighting.items()],
        "watch": [{"until": until, "ranges": _packed(ranges)} for until, ranges in by_deadline.items()],
    }
    return {**members, "checksum": _checksum(members)}


def decoded(document: Mapping[str, Any], *, where: str) -> Progress:
    """Return the progress a state document holds.

    Raises PermanentError when the document is of a newer format, damaged, or contradicts itself.
    """
    version = document.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise PermanentError(
            "checkpoint was written by a newer agent",
            where=where,
            got=f"format {version}, this agent reads {FORMAT_VERSION}",
            remedy="run the newer agent, or begin again on purpose with `sync --restart`",
        )
    try:
        if document["checksum"] != _checksum(document):
            raise ValueError("it is not as it was written")  # noqa: TRY301  the refusal is worded in one place, below
        progress = _progress(document)
    except (KeyError, TypeError, ValueError, ArithmeticError, binascii.Error, zlib.error) as damage:
        raise PermanentError(
            "checkpoint is unreadable",
            where=where,
            got=f"{type(damage).__name__}: {damage}",
            remedy="restore it from a snapshot, or begin again on purpose with `sync --restart` (doubles nothing)",
        ) from damage
    return progress


def _progress(document: Mapping[str, Any]) -> Progress:
    gaps = [
        Gap(first, last, sighting)
        for group in document["gaps"]
        for sighting in [Sighting(float(group["seen_at"]))]
        for first, last in _unpacked(group["ranges"])
    ]
    watch = [
        Watched(first, last, float(group["until"]))
        for group in document["watch"]
        for first, last in _unpacked(group["ranges"])
    ]
    gaps.sort(key=lambda gap: gap.first)
    watch.sort(key=lambda watched: watched.first)
    return Progress(int(document["frontier"]), tuple(gaps), tuple(watch), int(document["skipped_total"]))


def _checksum(members: Mapping[str, Any]) -> int:
    """Sum up all that progress is read from: one damaged digit of the frontier would skip rows, unseen."""
    names = ("format_version", "watermark", "frontier", "skipped_total", "gaps", "watch")
    return zlib.crc32(json.dumps([members[name] for name in names], sort_keys=True).encode())


def _packed(ranges: Sequence[Range]) -> str:
    """Write ranges as `distance:length` pairs, compressed: regular patterns shrink to almost nothing."""
    parts = []
    end = 0
    for first, last in ranges:
        parts.append(f"{first - end}:{last - first}")
        end = last
    return base64.b64encode(zlib.compress(",".join(parts).encode(), 6)).decode()


def _unpacked(text: str) -> list[Range]:
    ranges = []
    end = 0
    for part in filter(None, zlib.decompress(base64.b64decode(text, validate=True)).decode().split(",")):
        distance, length = part.split(":")
        first = end + int(distance)
        end = first + int(length)
        if int(distance) <= 0 or int(length) < 0:
            raise ValueError(f"range {part!r}")
        ranges.append((first, end))
    return ranges
