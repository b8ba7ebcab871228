"""Evidence from performance_schema.metadata_locks: exact on MySQL, and on MariaDB where the instrument is on.

Every inserter holds a write metadata lock on the table until its commit is visible. An empty answer counts only if the
table would have shown a lock: the instrument is seen enabled, no lock was lost for lack of room, and a lock that this
probe takes for the purpose (a canary) is in the very same answer, as it is not when all collection is switched off.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agent.errors import ConfigError, PermanentError
from agent.mysql.engine import Connection, Database
from agent.mysql.probe import Availability, evidence_lost, lock_names, prepared_on_mariadb, vouched
from agent.mysql.schema import Table
from agent.mysql.succession import Succession

# LOW_PRIO is what INSERT LOW_PRIORITY and --low-priority-updates take, NO_READ_WRITE what LOCK TABLES … WRITE takes
_LOCKS = """
SELECT object_name, owner_thread_id, owner_event_id, object_instance_begin, source
FROM performance_schema.metadata_locks
WHERE (object_type = 'TABLE' AND object_schema IN (%s, %s) AND object_name IN (%s, %s) AND lock_status <> 'PENDING'
       AND lock_type IN ('SHARED_WRITE', 'SHARED_WRITE_LOW_PRIO', 'SHARED_NO_READ_WRITE'))
   OR (object_type = 'USER LEVEL LOCK' AND object_name = %s)
"""
_INSTRUMENT = "SELECT enabled FROM performance_schema.setup_instruments WHERE name = 'wait/lock/metadata/sql/mdl'"
_LOST = "SHOW GLOBAL STATUS LIKE 'Performance_schema_metadata_lock_lost'"


class MetadataLocks:
    """Name the holders of write metadata locks on the table."""

    name = "metadata_locks"

    def __init__(self, database: Database, table: Table) -> None:
        self._database = database
        schemas, names = lock_names(table)
        self._where = (*schemas, *names)
        self._succession = Succession()
        self._samples = 0

    def available(self) -> Availability:
        """See `Probe`."""
        try:
            with self._database.connection() as connection:
                # asked first: a grant on what is switched off would be no remedy
                is_on = str((connection.row("SELECT @@performance_schema") or [0])[0]).upper() in ("1", "ON")
                problem = self._sample(connection)[0] if is_on else "performance_schema is off"
        except (ConfigError, PermanentError) as error:
            return Availability(ok=False, reason=error.remedy or error.got)
        return Availability(ok=problem is None, reason=problem or "exact: performance_schema.metadata_locks")

    def holders(self) -> frozenset[str]:
        """See `Probe`."""
        with vouched(self.name), self._database.connection() as connection:
            problem, locks = self._sample(connection)
            # asked after the locks: a transaction that is prepared and detached meanwhile shows here
            detached = prepared_on_mariadb(connection)
        if problem is not None:
            raise evidence_lost(self.name, problem)
        return self._named(locks, detached)

    def _sample(self, connection: Connection) -> tuple[str | None, set[tuple[Any, ...]]]:
        self._samples += 1
        canary = f"audit-agent:evidence:{connection.driver_connection.thread_id()}:{self._samples}"
        connection.rows("SELECT GET_LOCK(%s, 0)", (canary,))
        # a lock that changes hands in the middle of one scan could be missed by it, not by two
        listed = {row for _ in range(2) for row in connection.rows(_LOCKS, (*self._where, canary))}
        connection.rows("SELECT RELEASE_LOCK(%s)", (canary,))
        locks = {row for row in listed if row[0] != canary}
        return _problem(connection, is_canary_listed=len(locks) < len(listed)), locks

    def _named(self, locks: Iterable[tuple[Any, ...]], detached: frozenset[str]) -> frozenset[str]:
        active, prepared, recovered = set[str](), set[str](detached), set[str]()
        for _object, thread, event, instance, source in locks:
            # the instance changes with every lock, also where event numbers stand still because nothing counts them
            name = f"{thread}:{event}:{instance}"
            # MySQL gives a prepared transaction's lock a copy made in mdl.cc, one found at its start is made in xa.cc
            is_recovered = thread is None or str(source).startswith("xa")
            is_prepared = is_recovered or str(source).startswith("mdl")
            (prepared if is_prepared else active).add(name)
            if is_recovered:
                recovered.add(name)
        return self._succession.sample(frozenset(active), frozenset(prepared), frozenset(recovered))


def _problem(connection: Connection, *, is_canary_listed: bool) -> str | None:
    instrument = connection.row(_INSTRUMENT)
    if instrument is None:
        return "performance_schema is off"
    if instrument[0] != "YES":
        return "the instrument wait/lock/metadata/sql/mdl is off"
    if not is_canary_listed:
        return "performance_schema collects nothing now: enable global_instrumentation in setup_consumers"
    lost = connection.row(_LOST)
    if lost is not None and lost[1] != "0":
        return "performance_schema had no room for some locks: raise performance_schema_max_metadata_locks"
    return None
