"""The ladder: what is tried, in order, for a document the server refused.

Each rung gives up a little more comfort and none of the content. The step climbs one rung per rejection of the
same row; below the last rung lies the dead letter, which no JSON is known to reach.
"""

from __future__ import annotations

from enum import IntEnum


class Rung(IntEnum):
    """Say how a context is laid out in the document."""

    NORMAL = 0
    """Known paths in `context`, the rest in the overflow."""

    REROUTED = 1
    """The same, after the partition's mapping was read again: another agent may have mapped a path otherwise."""

    ALL_OVERFLOW = 2
    """The whole context in `context_overflow`: no path of it can conflict."""

    RAW_TEXT = 3
    """The context (and the extra columns) as text only: nothing is left that a mapping could refuse."""


def next_rung(rung: Rung) -> Rung | None:
    """Return the next way to try a rejected document, or None when only the dead letter is left."""
    return Rung(rung + 1) if rung < Rung.RAW_TEXT else None
