"""The least a purge can cost: rows deleted by ranges of ids, a hundred a transaction, at a pace, and nothing else.

    python -m benchmarks.bare_deletes URL HIGHEST_ID SECONDS ROWS_A_SECOND

Goes down from the highest id. What writers notice of this no agent can spare them.
"""

from __future__ import annotations

import sys
import time

from demo.connection import connect
from demo.table import TABLE

TRANSACTION_ROWS = 100


def main(url: str, highest_id: int, seconds: float, rows_per_second: int) -> None:
    """Delete for so long."""
    with connect(url) as connection, connection.cursor() as cursor:
        connection.autocommit(True)
        due = time.monotonic()
        end = due + seconds
        while due < end:
            lowest = highest_id - TRANSACTION_ROWS + 1
            cursor.execute(f"DELETE FROM `{TABLE}` WHERE id BETWEEN {lowest} AND {highest_id}")
            highest_id = lowest - 1
            due += TRANSACTION_ROWS / rows_per_second
            time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
