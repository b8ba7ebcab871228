"""Evidence from information_schema.innodb_trx: every open InnoDB transaction of the server, for want of better.

The view is cached for 100 ms after whoever read it last, so a sample is taken twice: without a transaction of ours, and
then with one. Only an answer that shows ours after one that did not is known to be fresh.

A transaction is named by its thread and start, because its trx_id changes with its first write; one without a thread
(prepared, its session gone) by its trx_id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.errors import ConfigError, PermanentError
from agent.mysql.engine import Connection, Database
from agent.mysql.probe import Availability, evidence_lost, vouched
from agent.mysql.succession import Succession

_TRANSACTIONS = "SELECT trx_id, trx_mysql_thread_id, trx_started FROM information_schema.innodb_trx"
_CACHE_SECONDS = 0.12  # the cache's 100 ms and some
_TRIES = 25  # another reader of the view can keep it stale; after three seconds of that there is no evidence


class InnodbTrx:
    """Name all transactions of the server but ours."""

    name = "innodb_trx"

    def __init__(self, database: Database, *, sleep: Callable[[float], object]) -> None:
        self._database = database
        self._sleep = sleep
        self._succession = Succession()

    def available(self) -> Availability:
        """See `Probe`."""
        try:
            with self._database.connection() as connection:
                connection.rows(_TRANSACTIONS)
        except (ConfigError, PermanentError):
            return Availability(ok=False, reason="the PROCESS privilege is not granted")
        return Availability(
            ok=True, reason="sound, but holds for writers of other tables: information_schema.innodb_trx"
        )

    def holders(self) -> frozenset[str]:
        """See `Probe`."""
        with vouched(self.name), self._database.connection() as connection:
            listed = self._fresh(connection)
        active, prepared = set[str](), set[str]()
        for trx_id, thread, started in listed:
            if int(thread):
                active.add(f"{thread}@{started}")
            else:
                prepared.add(f"trx:{trx_id}")
        return self._succession.sample(frozenset(active), frozenset(prepared))

    def _fresh(self, connection: Connection) -> list[tuple[Any, ...]]:
        own = int(connection.driver_connection.thread_id())
        self._wait_for(connection, own, is_listed=False)
        connection.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        listed = self._wait_for(connection, own, is_listed=True)
        connection.execute("COMMIT")
        return [row for row in listed if int(row[1]) != own]

    def _wait_for(self, connection: Connection, own: int, *, is_listed: bool) -> list[tuple[Any, ...]]:
        for _ in range(_TRIES):
            self._sleep(_CACHE_SECONDS)
            rows = connection.rows(_TRANSACTIONS)
            if any(int(row[1]) == own for row in rows) == is_listed:
                return rows
        raise evidence_lost(self.name, "innodb_trx stayed stale: another client reads it all the time")
