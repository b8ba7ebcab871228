"""A running agent to look at from outside: its state document, its documents, and patience with both."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.tailing.checkpoint import decoded
from agent.tailing.gaps import Progress
from demo.table import TABLE
from tests.world import Database, World

INSERT = f"INSERT INTO {TABLE} (module_slug, source, action, severity) VALUES ('m', 'cron', 'a', 'info')"
PATIENCE_SECONDS = 60


def until(
    condition: Callable[[], Any], what: str, *, seconds: float = PATIENCE_SECONDS, told: Callable[[], object] = str
) -> Any:
    """Wait until something is so, and return it; `told` says how things stand when it never is."""
    give_up = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < give_up, f"not within {seconds:g} s: {what}; {told()}"
        time.sleep(0.05)
    return found


def patiently(ask: Callable[[], Any]) -> Any:
    """Ask the cluster; a shard that is just being made, or a node that is away, is asked again."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except (AssertionError, OSError) as error:
            if time.monotonic() > give_up or (isinstance(error, AssertionError) and ": 503 " not in str(error)):
                raise
        time.sleep(0.1)


class Watched:
    """One world, and the daemons that run in it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.process: subprocess.Popen[str] | None = None
        self._log: Path = world.folder / f"agent-{uuid.uuid4().hex[:8]}.log"

    def start(self) -> subprocess.Popen[str]:
        with self._log.open("w") as log:
            self.process = self.world.start("run", log=log)
        return self.process

    def said(self) -> str:
        """Return what the daemon has logged since it was started."""
        return self._log.read_text()

    def says(self, event: str) -> None:
        until(lambda: event in self.said(), f"it logs {event}", told=self.said)

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.communicate()

    def stop(self) -> str:
        """Ask the daemon to end; return what it logged."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)
        assert self.process.returncode == 0, self.said()
        return self.said()

    def state(self) -> dict[str, Any]:
        path = f"/{self.world.agent_prefix}-state/_doc/{self.world.instance}"
        found = patiently(lambda: self.world.request("GET", path))
        return dict(found["_source"]) if found else {}

    def progress(self) -> Progress:
        state = self.state()
        return decoded(state, where="the index") if "watermark" in state else Progress()

    def ids(self) -> set[int]:
        """Return the ids that can be searched; each must be one document."""
        documents = patiently(self.world.documents)
        ids = [document["id"] for document in documents]
        assert len(ids) == len(set(ids)), "a row is two documents"
        return set(ids)

    def table_ids(self) -> set[int]:
        return {int(row[0]) for row in self.world.database.execute(f"SELECT id FROM {TABLE}")}

    def caught_up(self, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until every visible row is settled and nothing is open."""
        highest = max(self.table_ids(), default=0)

        def settled() -> bool:
            progress = self.progress()
            return not progress.gaps and progress.watermark >= highest

        until(settled, f"caught up to {highest}", seconds=seconds, told=self.state)

    def journaled(self, kind: str) -> list[dict[str, Any]]:
        self.world.refresh()
        entries = self.world.run("journal", "--json").json["entries"]
        return [entry for entry in entries if entry["kind"] == kind]

    def polls(self, count: int) -> None:
        """Let the daemon go round so many times, at least."""
        time.sleep(count * float(self.world.settings["tail"]["poll_seconds"]))


@contextmanager
def transaction(database: Database) -> Iterator[Callable[[str], int]]:
    """Open a transaction of its own; execute statements in it and return the first id they got. Rolled back if left."""
    connection = database.connect()
    connection.begin()

    def execute(sql: str) -> int:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return int(cursor.lastrowid or 0)

    try:
        yield execute
    finally:
        if connection.open:
            connection.close()


def insert(database: Database, count: int = 1) -> int:
    """Insert rows and commit; return the first id."""
    with database.connection.cursor() as cursor:
        cursor.execute(INSERT + ", ('m', 'cron', 'a', 'info')" * (count - 1))
        return int(cursor.lastrowid)


def rss_kilobytes(process: subprocess.Popen[str]) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def freeze(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGSTOP)


def thaw(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGCONT)
