"""Since when: the id at which rows younger than an instant begin, found by halving, because no date need be indexed."""

from __future__ import annotations

from collections.abc import Callable

from agent.row import Row
from agent.verifying.sides import Rows

# Rows come nearly in the order of their dates: so many ids before the one found are looked at too.
MARGIN_IDS = 1000
_DATED_AMONG = 20


def first_id_since(rows: Rows, created_at: Callable[[Row], str | None], instant: str, *, low: int, high: int) -> int:
    """Return an id such that rows created at or after `instant` lie from it on; `high` + 1 when there are none."""
    bottom, top = low, high + 1
    while bottom < top:
        middle = (bottom + top) // 2
        found = rows.after(middle - 1, _DATED_AMONG).rows
        dated = [(int(row[0] or 0), date) for row in found if (date := created_at(row)) is not None]
        if not found or int(found[0][0] or 0) > high or (dated and dated[0][1] >= instant):
            top = middle
        else:
            bottom = (dated[0][0] if dated else int(found[-1][0] or 0)) + 1
    return bottom if bottom > high else max(low, bottom - MARGIN_IDS)
