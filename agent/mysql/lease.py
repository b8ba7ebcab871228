"""The lease: MySQL's GET_LOCK on a connection of its own, so that it ends with the process, however that ends.

`held` really asks the server. The session is given a short wait_timeout: if the agent's machine vanishes without
closing the connection, the server lets a standby in after that time. A lease that is asked about less often than that
is lost, which is harmless: the next `acquire` takes it again unless another agent has it.
"""

from __future__ import annotations

import hashlib

from agent.errors import TemporaryError
from agent.mysql.engine import Database, DedicatedConnection

IDLE_SECONDS = 30  # three beats of the daemon: also how long a session that died in silence keeps everybody out
_ANSWER_SECONDS = 5  # a server that does not answer such a question that soon holds no lease for us
_MAX_NAME = 64  # characters MySQL accepts in a lock's name


class Lease:
    """The right to ship for one instance. Not for use by two threads at once."""

    def __init__(self, database: Database, instance: str, *, idle_seconds: int = IDLE_SECONDS) -> None:
        self._database = database.with_read_timeout(_ANSWER_SECONDS)
        self._name = lock_name(instance)
        self._idle_seconds = idle_seconds
        self._connection: DedicatedConnection | None = None

    def acquire(self) -> bool:
        """Take the lease if it is free and return whether it is ours. Raises TemporaryError when nobody can say."""
        if self.held():
            return True
        if self._connection is None:
            self._connection = self._database.dedicated_connection()
            self._ask("SET SESSION wait_timeout = %s", self._idle_seconds)
        return self._ask("SELECT GET_LOCK(%s, 0)", self._name) == 1

    def held(self) -> bool:
        """Ask the server whether the lease is ours now. A dead connection holds nothing."""
        if self._connection is None:
            return False
        try:
            return self._ask("SELECT IS_USED_LOCK(%s) = CONNECTION_ID()", self._name) == 1
        except TemporaryError:
            return False

    def holder(self) -> int | None:
        """Return the server's connection id of whoever holds the lease, None when nobody does."""
        with self._database.connection() as connection:
            row = connection.row("SELECT IS_USED_LOCK(%s)", (self._name,))
        return None if row is None or row[0] is None else int(row[0])

    def release(self) -> None:
        """Give the lease up by closing its connection. Does nothing without one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, sql: str, value: str | int) -> int | None:
        assert self._connection is not None  # noqa: S101 - the callers have just seen to it
        try:
            row = self._connection.row(sql, (value,))
        except TemporaryError:
            self.release()
            raise
        return None if row is None or row[0] is None else int(row[0])


def lock_name(instance: str) -> str:
    """Return the lock's name; a long instance name is shortened by its digest."""
    name = f"audit-agent:{instance}"
    if len(name) <= _MAX_NAME:
        return name
    return f"audit-agent:{hashlib.sha256(instance.encode()).hexdigest()[:40]}"
