"""Which evidence there is on this server, for this account, in the order of preference.

    metadata_locks       performance_schema: exact; MySQL, and MariaDB with the instrument on
    metadata_lock_info   MariaDB's plugin: exact, needs no grant
    innodb_trx           every InnoDB transaction: holds needlessly for writers of other tables, needs PROCESS

None of them holds on a replica, which does not know its primary's transactions, nor on Galera, where those of other
nodes are invisible: there only time is left, and the caller's `grace`.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.mysql.engine import Database
from agent.mysql.innodb_trx import InnodbTrx
from agent.mysql.metadata_lock_info import MetadataLockInfo
from agent.mysql.metadata_locks import MetadataLocks
from agent.mysql.probe import Probe
from agent.mysql.schema import Table
from agent.mysql.source_identity import SourceIdentity

READ_ONLY = "a read-only server may be a replica, which does not know its primary's transactions"


def probes(
    database: Database, table: Table, *, monotonic: Callable[[], float], sleep: Callable[[float], object]
) -> tuple[Probe, ...]:
    """Return all probes, best first; each says by `available()` whether it works here."""
    return (
        MetadataLocks(database, table),
        MetadataLockInfo(database, table, monotonic=monotonic),
        InnodbTrx(database, sleep=sleep),
    )


def objection(source: SourceIdentity) -> str | None:
    """Return why no probe can be trusted on this server, None when they can."""
    if source.is_galera:
        return "Galera: transactions of other nodes are invisible here"
    if source.is_replica:
        return "a replica does not know its primary's transactions: name the writer in source.url"
    if source.is_read_only:
        return READ_ONLY
    return None
