"""Evidence from MariaDB's plugin metadata_lock_info: exact, and open to every account.

The plugin shows threads, not transactions, and how long each lock has been held. A lock that is younger than the time
since the previous sample belongs to a later transaction of the same connection; an older one is the same lock. The time
between samples is taken by the agent's monotonic clock and lock ages by the server's, so no wall clock is involved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent.errors import ConfigError, PermanentError
from agent.mysql.engine import Database
from agent.mysql.probe import Availability, lock_names, prepared_on_mariadb, vouched
from agent.mysql.schema import Table
from agent.mysql.succession import Succession

_LOCKS = """
SELECT thread_id, MAX(lock_time_ms)
FROM information_schema.metadata_lock_info
WHERE table_schema IN (%s, %s) AND table_name IN (%s, %s)
  AND lock_mode IN ('MDL_SHARED_WRITE', 'MDL_SHARED_WRITE_LOW_PRIO', 'MDL_SHARED_NO_READ_WRITE')
GROUP BY thread_id
"""
_TOLERANCE_SECONDS = 0.005  # ages come in whole milliseconds
_CLOCK_DRIFT = 0.001  # far more than two clocks on sane machines differ in rate


@dataclass(frozen=True, slots=True)
class _Held:
    """One lock: its name, and between which moments of the agent's monotonic clock it was taken."""

    name: str
    earliest: float
    latest: float
    seen: float


class MetadataLockInfo:
    """Name the threads that hold a write lock on the table, anew for each of their transactions."""

    name = "metadata_lock_info"

    def __init__(self, database: Database, table: Table, *, monotonic: Callable[[], float]) -> None:
        self._database = database
        schemas, names = lock_names(table)
        self._where = (*schemas, *names)
        self._monotonic = monotonic
        self._held: dict[int, _Held] = {}
        self._locks_named = 0
        self._succession = Succession()

    def available(self) -> Availability:
        """See `Probe`."""
        try:
            with self._database.connection() as connection:
                connection.rows(_LOCKS, self._where)
        except (ConfigError, PermanentError):
            reason = "the plugin metadata_lock_info is not installed: INSTALL SONAME 'metadata_lock_info'"
            return Availability(ok=False, reason=reason)
        return Availability(ok=True, reason="exact: information_schema.metadata_lock_info")

    def holders(self) -> frozenset[str]:
        """See `Probe`."""
        with vouched(self.name), self._database.connection() as connection:
            before = self._monotonic()
            locks = connection.rows(_LOCKS, self._where)
            after = self._monotonic()
            # asked after the locks: a transaction that is prepared and detached meanwhile shows here
            prepared = prepared_on_mariadb(connection)
        self._held = {held_by: self._same_or_new(held_by, age, before, after) for held_by, age in _ages(locks)}
        return self._succession.sample(frozenset(held.name for held in self._held.values()), prepared)

    def _same_or_new(self, thread: int, age_seconds: float, before: float, after: float) -> _Held:
        earliest, latest = before - age_seconds, after - age_seconds
        known = self._held.get(thread)
        if known is not None:
            slack = _TOLERANCE_SECONDS + _CLOCK_DRIFT * (after - known.seen)
            if earliest <= known.latest + slack:
                return _Held(known.name, earliest, latest, after)
        self._locks_named += 1
        return _Held(f"{thread}#{self._locks_named}", earliest, latest, after)


def _ages(locks: list[tuple[Any, ...]]) -> list[tuple[int, float]]:
    return [(int(thread), int(milliseconds or 0) / 1000) for thread, milliseconds in locks]
