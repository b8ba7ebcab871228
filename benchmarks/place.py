"""The place: the demo's servers, and worlds on them: a table, a corner of the cluster, a configuration."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from benchmarks.cost import cpu_seconds
from demo.connection import connect
from demo.servers import Servers
from tests.world import Database, World

_CALM_CORES = 0.1
_CALM_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Two servers, and how much is to be measured."""

    servers: Servers
    quick: bool = False
    full: bool = False
    say: Callable[[str], None] = print

    @property
    def opensearch_pid(self) -> int | None:
        """Return the process of the cluster's node, None when it is not ours."""
        return self.servers.opensearch.nodes[0].pid if self.servers.opensearch else None

    def versions(self) -> list[str]:
        """Name both servers."""
        with connect(self.servers.mysql_url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            row = cursor.fetchone()
        with urlopen(self.servers.opensearch_url, timeout=10) as answer:
            number = json.load(answer)["version"]["number"]
        return [f"MySQL protocol {row[0] if row else '?'}", f"OpenSearch {number}, one node, 1 GiB heap"]

    @contextmanager
    def table(self, rows: int, **how: Any) -> Iterator[Database]:
        """Lend a database whose audit table has so many rows."""
        database = Database(self.servers.mysql_url)
        try:
            database.create_table()
            if rows:
                database.fill(rows, **how)
            yield database
        finally:
            database.drop()

    @contextmanager
    def world(
        self, database: Database, settings: Mapping[str, object] | None = None, retention: dict[str, Any] | None = None
    ) -> Iterator[World]:
        """Lend an instance of its own on a database."""
        with tempfile.TemporaryDirectory() as folder:
            world = World(folder=Path(folder), database=database, opensearch_url=self.servers.opensearch_url)
            if retention is not None:
                world.retention = retention
            world.write({"tail.poll_seconds": 1, **(settings or {})})
            try:
                yield world
            finally:
                world.remove()

    def calm(self) -> None:
        """Wait until the cluster has put away what the last measurement left it with."""
        give_up = time.monotonic() + _CALM_SECONDS
        while time.monotonic() < give_up:
            used = cpu_seconds(self.opensearch_pid)
            time.sleep(0.5)
            if cpu_seconds(self.opensearch_pid) - used < _CALM_CORES * 0.5:
                return
