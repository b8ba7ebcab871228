"""A progress bar on stderr when that is a terminal, and nothing otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Bar(Protocol):
    """Told how far work has come."""

    def reach(self, done: int) -> None:
        """Show that so much of the total is done."""
        ...


@contextmanager
def bar(label: str, total: int) -> Iterator[Bar]:
    """Draw while the work lasts."""
    if total <= 0 or not sys.stderr.isatty():
        yield _Nothing()
        return
    from rich.console import Console  # noqa: PLC0415  drawing is for terminals only
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total)

        class _Drawn:
            def reach(self, done: int) -> None:
                progress.update(task, completed=done)

        yield _Drawn()


class _Nothing:
    def reach(self, done: int) -> None:
        del done
