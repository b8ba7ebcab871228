"""Evidence from MariaDB's plugin metadata_lock_info: exact, and open to every account.

The plugin shows threads, not transactions, and how long each lock is held. So that a later transaction of the same
connection is not taken for an earlier one, a lock is known by its start, and starts are told by the server's own clock:
a lock of ours, held for as long as others are, is the origin. The agent's clock would not do: the server's stands still
while its machine is copied or moved, and every lock would look younger than it is.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from agent.errors import ConfigError, PermanentError, TemporaryError
from agent.mysql.engine import Database, DedicatedConnection
from agent.mysql.probe import Availability, evidence_lost, lock_names, prepared_on_mariadb, vouched
from agent.mysql.schema import Table
from agent.mysql.succession import Succession

_LOCKS = """
SELECT thread_id, lock_type = 'User lock' AS is_origin, MAX(lock_time_ms)
FROM information_schema.metadata_lock_info
WHERE (table_schema IN (%s, %s) AND table_name IN (%s, %s)
       AND lock_mode IN ('MDL_SHARED_WRITE', 'MDL_SHARED_WRITE_LOW_PRIO', 'MDL_SHARED_NO_READ_WRITE'))
   OR (lock_type = 'User lock' AND table_schema = CONCAT('audit-agent:origin:', CONNECTION_ID()))
GROUP BY thread_id, is_origin
"""
_TAKE_ORIGIN = "SELECT GET_LOCK(CONCAT('audit-agent:origin:', CONNECTION_ID()), 0)"
_TOLERANCE_SECONDS = 0.005  # ages come in whole milliseconds


@dataclass(frozen=True, slots=True)
class _Held:
    """One lock: its name, and when it was taken at the latest, in seconds since the origin."""

    name: str
    latest: float


class MetadataLockInfo:
    """Name the threads that hold a write lock on the table, anew for each of their transactions."""

    name = "metadata_lock_info"

    def __init__(self, database: Database, table: Table, *, monotonic: Callable[[], float]) -> None:
        self._database = database
        schemas, names = lock_names(table)
        self._where = (*schemas, *names)
        self._monotonic = monotonic
        self._origin: DedicatedConnection | None = None
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
        try:
            with vouched(self.name):
                self._held = self._sample()
                # asked after the locks: a transaction that is prepared and detached meanwhile shows here
                with self._database.connection() as connection:
                    prepared = prepared_on_mariadb(connection)
        except PermanentError:
            self._end_origin()
            raise
        return self._succession.sample(frozenset(held.name for held in self._held.values()), prepared)

    def _sample(self) -> dict[int, _Held]:
        held = None
        if self._origin is not None:
            with suppress(TemporaryError):  # the server may only have ended a session that was idle
                held = self._held_since(self._origin, is_new=False)
        if held is None:
            self._end_origin()
            self._origin = self._database.dedicated_connection()
            self._origin.row(_TAKE_ORIGIN)
            held = self._held_since(self._origin, is_new=True)
        if not held:
            self._end_origin()
        return held

    def _held_since(self, origin: DedicatedConnection, *, is_new: bool) -> dict[int, _Held]:
        before = self._monotonic()
        listed = origin.rows(_LOCKS, self._where)
        # locks are looked at one after the other: their ages are of moments as far apart as the answer took
        slack = _TOLERANCE_SECONDS + self._monotonic() - before
        ages = {int(thread): _seconds(age) for thread, is_origin, age in listed if is_origin}
        if not ages:
            raise evidence_lost(self.name, "the plugin does not show a lock of ours")
        now = max(ages.values())
        starts = [(int(thread), now - _seconds(age)) for thread, is_origin, age in listed if not is_origin]
        return {thread: self._same_or_new(thread, start, slack, is_new=is_new) for thread, start in starts}

    def _same_or_new(self, thread: int, start: float, slack: float, *, is_new: bool) -> _Held:
        known = self._held.get(thread)
        if known is not None and is_new:
            # told by another origin nothing can be compared: rather the same lock, which only holds for longer
            return _Held(known.name, start + slack)
        if known is not None and start - slack <= known.latest:
            return known
        self._locks_named += 1
        return _Held(f"{thread}#{self._locks_named}", start + slack)

    def _end_origin(self) -> None:
        if self._origin is not None:
            self._origin.close()
            self._origin = None


def _seconds(milliseconds: object) -> float:
    return int(str(milliseconds or 0)) / 1000
