"""Count rows by the first of several predicates they match: the numbers of a retention plan.

One call walks one range of ids by primary key; the caller goes from range to range, so that no statement is long and
the numbers can be shown while they grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.mysql.checksum import is_structured
from agent.mysql.engine import Database
from agent.mysql.predicate import Predicate
from agent.mysql.schema import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Rows of one class: how many, their oldest and newest created_at, and the bytes of their values."""

    rows: int
    oldest: str | None
    newest: str | None
    bytes_estimate: int


def count_by_first_match(
    database: Database, table: Table, predicates: Sequence[Predicate], *, low: int, high: int
) -> dict[int | None, Count]:
    """Return counts of the rows with low ≤ id ≤ high by the position of the first match; None for those without."""
    cases = " ".join(f"WHEN {predicate.sql} THEN {position}" for position, predicate in enumerate(predicates))
    first = f"CASE {cases} END" if predicates else "NULL"
    created, row_id = table.created_at.quoted, table.id.quoted
    sizes = " + ".join(f"IFNULL(LENGTH({column.quoted}), 0)" for column in table.columns if not is_structured(column))
    sql = (
        f"SELECT {first} AS first_match, COUNT(*), CONCAT(MIN({created})), CONCAT(MAX({created})), SUM({sizes})"  # noqa: S608 - quoted, bound
        f" FROM {table.quoted_name} WHERE {row_id} BETWEEN %s AND %s GROUP BY first_match"
    )
    params = [value for predicate in predicates for value in predicate.params]
    with database.connection() as connection:
        rows = connection.rows(sql, (*params, low, high))
    return {
        None if match is None else int(match): Count(
            rows=int(counted), oldest=oldest, newest=newest, bytes_estimate=int(float(size or 0))
        )
        for match, counted, oldest, newest, size in rows
    }
