"""The only door to the source: SQLAlchemy's pool, PyMySQL's protocol, and the SQL this project runs.

engine, schema, source_identity, rows   connect, look the table up, say who the server is, read rows
evidence, lease                         prove what is still being written; hold the right to ship
predicate, census, deletes, windows     what may be deleted, counted, deleted; checksums for `verify`
grants, facts, replica_lag              what the account may do and how the servers are, for `check` and `retain`

It knows no step: what to read, skip or delete is decided elsewhere. Driver errors leave this package translated.
"""

from agent.mysql.engine import Database, database_at, open_database
from agent.mysql.rows import Backlog, Batch, Bounds, RowReader
from agent.mysql.schema import Table, look_up
from agent.mysql.source_identity import SourceIdentity, identity

__all__ = [
    "Backlog",
    "Batch",
    "Bounds",
    "Database",
    "RowReader",
    "SourceIdentity",
    "Table",
    "database_at",
    "identity",
    "look_up",
    "open_database",
]
