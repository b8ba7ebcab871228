"""Garbage collection, tuned for a process that ships: what lives for ever is left out, and young rows are left alone.

A batch is thousands of tuples without a cycle among them; the collector's defaults would look through all of them,
and through every module loaded, again and again for nothing: a tenth of the CPU a row costs. Reference counts free
the rows; cycles (of errors, mostly) are still found, just less often.
"""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 20_000


def spare_rows() -> None:
    """Keep the collector from what it will not find anything in."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)
