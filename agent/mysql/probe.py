"""The seam of evidence: what every probe promises.

A probe names the transactions that hold a write on the table at this moment. Whoever reserved an id below one that was
already seen committed is among those named right after that read, or has ended. When all names of that first sample
have left a later sample, a fresh read is final. Names mean something only to the probe object that gave them: after a
restart of the agent the first sample is taken again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from agent.errors import ConfigError, PermanentError
from agent.mysql.engine import Connection
from agent.mysql.schema import Table


class Availability(NamedTuple):
    """Say whether a probe works with this account on this server, and why not."""

    ok: bool
    reason: str


class Probe(Protocol):
    """Name the transactions that may still commit rows with ids handed out earlier."""

    @property
    def name(self) -> str:
        """Return the word configuration and status use for this kind of evidence."""
        ...

    def available(self) -> Availability:
        """Try the probe with the account's own grants. Raises TemporaryError when the server cannot be asked."""
        ...

    def holders(self) -> frozenset[str]:
        """Return the names of those transactions now, stable for as long as each of them lives.

        Raises PermanentError when the answer could not be vouched for: take another probe.
        """
        ...


@contextmanager
def vouched(probe: str) -> Iterator[None]:
    """Turn a refusal in mid-flight (privilege revoked, plugin gone) into lost evidence."""
    try:
        yield
    except (ConfigError, PermanentError) as error:
        raise evidence_lost(probe, error.got or error.what) from error


def evidence_lost(probe: str, got: str) -> PermanentError:
    """Return the error that makes the caller step down to other evidence."""
    return PermanentError("evidence is lost", where=probe, got=got)


def lock_names(table: Table) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return (schemas, names) under which the server may list locks on the table.

    A server that ignores case lists them in lower case, whatever case the table was created with.
    """
    if table.is_case_sensitive:
        return (table.schema, table.schema), (table.name, table.name)
    return (table.schema, table.schema.lower()), (table.name, table.name.lower())


def prepared_on_mariadb(connection: Connection) -> frozenset[str]:
    """Return the names of MariaDB's XA-prepared transactions, of any table.

    Once their session is gone they hold no metadata lock that anybody can see, and commit all the same. MySQL keeps
    showing the lock, and asks for a privilege to list them.
    """
    if "mariadb" not in connection.server_version.lower():
        return frozenset()
    return frozenset(f"xa:{row[0]}:{row[1]}:{row[3]!r}" for row in connection.rows("XA RECOVER"))
