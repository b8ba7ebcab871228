"""Does this table continue the one the checkpoint speaks of? (pure)

A watermark is a promise about ids of one table. After a restore, a replacement or a switch to another server the
same ids may name other rows, and going on would silently skip them; beginning at 0 by itself would hide the loss.
So a table that cannot be the one of the checkpoint stops the agent, and the remedy is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.errors import PermanentError
from agent.tailing.gaps import Progress

REMEDY = "if this table is the right one, begin again on purpose with `sync --restart` (doubles nothing)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What the checkpoint knows of its source; `last_id` is 0 when nothing has been read yet."""

    server: str | None
    table_created: str | None
    frontier: int
    watermark: int
    last_id: int
    last_created_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """What the table looks like now.

    `next_id` is the id the server will hand out next, None when it does not say; `last_created_at` is the
    created_at of the row the checkpoint remembers, and `last_is_there` says whether that row still exists.
    """

    server: str
    table_created: str | None
    min_id: int | None
    max_id: int | None
    next_id: int | None
    last_is_there: bool
    last_created_at: str | None


def remembered(document: Mapping[str, Any], progress: Progress) -> Remembered:
    """Return what a state document, and the progress in it, say of the source."""
    source, last = document.get("source") or {}, document.get("last_row") or {}
    return Remembered(
        server=source.get("server"),
        table_created=source.get("table_created"),
        frontier=progress.frontier,
        watermark=progress.watermark,
        last_id=int(last.get("id") or 0),
        last_created_at=last.get("created_at"),
    )


def lost_range(remembered: Remembered, met: Met, where: str) -> tuple[int, int] | None:
    """Return the ids that were purged before they could be read, None when there are none.

    Raises PermanentError when the table is not the one the checkpoint speaks of.
    """
    if remembered.frontier == 0:
        return None
    if _went_back(remembered, met):
        raise PermanentError(
            "the table has issued fewer ids than the checkpoint has read: it was restored, emptied or replaced",
            where=where,
            got=f"highest id {met.max_id}, next id {met.next_id}, frontier {remembered.frontier}",
            remedy=REMEDY,
        )
    if met.last_is_there and not _is_same_time(met.last_created_at, remembered.last_created_at):
        raise PermanentError(
            "the table holds another row under an id that was read before: it was restored or replaced",
            where=where,
            got=f"id {remembered.last_id} is of {met.last_created_at}, was of {remembered.last_created_at}",
            remedy=REMEDY,
        )
    if not met.last_is_there and _is_elsewhere(remembered, met) and met.max_id is not None:
        raise PermanentError(
            "the source is another server or a new table, and the last row that was read is not in it",
            where=where,
            got=f"server {met.server}, table of {met.table_created}; id {remembered.last_id} is missing",
            remedy=REMEDY,
        )
    if met.min_id is not None and met.min_id > remembered.frontier + 1:
        return remembered.frontier + 1, met.min_id - 1
    return None


def _went_back(remembered: Remembered, met: Met) -> bool:
    # A table whose ids are used up names its last one as the next.
    issued = max(met.max_id or 0, (met.next_id or 1) - 1)
    return issued < remembered.frontier


def _is_elsewhere(remembered: Remembered, met: Met) -> bool:
    return remembered.server != met.server or remembered.table_created != met.table_created


def _is_same_time(now: str | None, then: str | None) -> bool:
    """Compare as far as both are exact: an ALTER may have given the column a fraction of a second, or taken it."""
    if now is None or then is None:
        return now is then
    return now.startswith(then) or then.startswith(now)
