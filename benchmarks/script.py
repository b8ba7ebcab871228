"""The script a user would write: pages of the table by SQLAlchemy, sent by the client's helpers. For comparison only.

    python -m benchmarks.script MYSQL_URL OPENSEARCH_URL INDEX bulk|parallel|nothing

It loses rows that commit late, stops for good at the first context a mapping refuses, and keeps no checkpoint.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from opensearchpy import OpenSearch, helpers
from sqlalchemy import create_engine, text

PAGE_ROWS = 1000


def actions(url: str, index: str) -> Iterator[dict[str, Any]]:
    """Yield one action for each row, by id."""
    last = 0
    page = text(f"SELECT * FROM mod_impulsecore_audit_log WHERE id > :last ORDER BY id LIMIT {PAGE_ROWS}")
    with create_engine(url).connect() as connection:
        while rows := connection.execute(page, {"last": last}).mappings().all():
            for row in rows:
                document = dict(row)
                document["created_at"] = document["created_at"].isoformat()
                document["context"] = context(document["context"])
                yield {"_index": index, "_id": document["id"], "_source": document}
            last = rows[-1]["id"]


def context(value: str | None) -> Any:
    """Return the context as an object; what is none is left out, or the default mapping would refuse the rest."""
    try:
        found = json.loads(value) if value else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def main() -> None:
    """Ship the table and say how long it took and how many rows were refused."""
    mysql_url, opensearch_url, index, way = sys.argv[1:]
    client = OpenSearch(opensearch_url, timeout=60)
    begun = time.monotonic()
    refused = 0
    if way == "bulk":
        _, refused = helpers.bulk(client, actions(mysql_url, index), stats_only=True, raise_on_error=False)
    elif way == "parallel":
        answers = helpers.parallel_bulk(client, actions(mysql_url, index), raise_on_error=False)
        refused = sum(not taken for taken, _ in answers)
    print(json.dumps({"seconds": time.monotonic() - begun, "refused": refused}))


if __name__ == "__main__":
    main()
