"""A live writer: what a busy WHMCS does to the table, at a rate one chooses.

`python -m demo.writer mysql://root@127.0.0.1:3306/whmcs --rate 1000 --seconds 60` writes from a process of its own.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from demo.connection import connect
from demo.rows import Deck, burst, insert
from demo.table import TABLE

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

# Twenty small transactions a second look like traffic; one big one a second would look like an import.
_TICK_SECONDS = 0.05


def utc_now() -> datetime:
    """Return the clock rows are stamped by."""
    return datetime.now(UTC)


class Writer:
    """Write `rate` rows a second from a thread until `stop`; `written` counts what is committed.

    A context manager. An error of the database ends the thread and is raised by `stop`.
    """

    def __init__(
        self,
        open_connection: Callable[[], Connection[Cursor]],
        *,
        rate: float,
        seed: int = 1,
        table: str = TABLE,
        json_only: bool = False,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._open = open_connection
        self._rate = rate
        self._table = table
        self._now = now
        self._deck = Deck(seed=seed, json_only=json_only)
        self._halt = threading.Event()
        self._bursts: list[int] = []
        self._thread = threading.Thread(target=self._guarded, name="demo-writer", daemon=True)
        self._error: Exception | None = None
        self.written = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        return self.__enter__()

    def burst(self, count: int) -> None:
        """Let a cron task fail `count` times, in the next transaction."""
        self._bursts.append(count)

    def stop(self) -> int:
        """Stop after the running transaction and return how many rows were committed."""
        self._halt.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self.written

    def _guarded(self) -> None:
        try:
            with self._open() as connection:
                self._write(connection)
        except Exception as error:  # noqa: BLE001 - a thread cannot raise to its owner: stop() does it
            self._error = error

    def _write(self, connection: Connection[Cursor]) -> None:
        began = time.monotonic()
        steady = 0
        while not self._halt.wait(_TICK_SECONDS):
            due = int((time.monotonic() - began) * self._rate) - steady
            at = str(self._now().replace(microsecond=0, tzinfo=None))
            some = [self._deck.row(at) for _ in range(due)]
            steady += due
            while self._bursts:
                some.extend(burst(self._bursts.pop(), at=self._now()))
            if some:
                self.written += insert(connection, some, table=self._table)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m demo.writer", description="Write audit rows at a steady rate.")
    parser.add_argument("url", help="mysql://user:password@host:port/database")
    parser.add_argument("--rate", type=float, default=10, help="rows a second (default 10)")
    parser.add_argument("--seconds", type=float, default=60, help="how long (default 60)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--burst", type=int, default=0, help="cron errors to write at once after half the time")
    parser.add_argument("--table", default=TABLE)
    chosen = parser.parse_args(arguments)
    with Writer(lambda: connect(chosen.url), rate=chosen.rate, seed=chosen.seed, table=chosen.table) as writer:
        try:
            time.sleep(chosen.seconds / 2)
            if chosen.burst:
                writer.burst(chosen.burst)
            time.sleep(chosen.seconds / 2)
        except KeyboardInterrupt:
            return 130
    print(writer.written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
