"""A daemon under test: started on a world, watched through its log, its documents and its memory."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil

from demo.table import TABLE
from tests.world import World

AT = "2026-11-20 21:04:05"


class RunningAgent:
    """Run `run` on a world until the end of the block; the log goes to a file, so that no pipe can fill up."""

    def __init__(self, world: World, log: str = "agent.log") -> None:
        self.world = world
        world.write({"http.listen": "127.0.0.1:0"})
        self.log: Path = world.folder / log
        with self.log.open("w") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "agent", "-c", str(world.config), "run"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                cwd=world.folder,
            )
        self.peak_bytes = 0
        self._watching = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._watching.set()
        self._watcher.join()
        self._process.kill()
        self._process.wait()

    @property
    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()

    def insert(self, count: int, at: str = AT, detail: str = "delivered", context: str = '{"a": 1}') -> list[int]:
        """Insert rows in one transaction; return their ids."""
        database = self.world.database
        before = self._highest_id()
        values = ",".join(["(%s, 'impulsecore', 'cron', 'cron.task', 'info', %s, %s)"] * count)
        columns = "created_at, module_slug, source, action, severity, detail, context"
        database.execute(f"INSERT INTO `{TABLE}` ({columns}) VALUES {values}", (at, detail, context) * count)
        return list(range(before + 1, self._highest_id() + 1))

    def missing(self, ids: list[int]) -> set[int]:
        """Return which of the rows are no documents."""
        query = {"ids": {"values": [f"{self.world.instance}:{row_id}" for row_id in ids]}}
        return set(ids) - {document["id"] for document in self.world.documents(query)}

    def delivers(self, ids: list[int], seconds: float = 60) -> None:
        """Wait until rows are documents, and the checkpoint says so."""
        self.wait(lambda: self.watermark() >= max(ids), seconds, "the watermark passes the rows")
        assert self.missing(ids) == set()

    def is_degraded_for(self, word: str, seconds: float = 60) -> None:
        """Wait until the state names a reason, as `status` shows it."""
        self.wait(lambda: word in str(self.state().get("reason")), seconds, f"state says {word}")
        assert self.state()["state"] == "degraded"
        self.is_not_ready_for(word)

    def is_not_ready_for(self, word: str, seconds: float = 60) -> None:
        """Wait until `/readyz` says no and names a reason; `/healthz` says that a restart would not help."""
        self.wait(lambda: word in self.probed("readyz")[1], seconds, f"/readyz says {word}")
        assert self.probed("readyz")[0] == 503
        assert self.probed("healthz")[0] == 200

    def is_well(self, seconds: float = 30) -> None:
        """Wait until the state says so, and `/readyz` too."""
        self.wait(lambda: self.state().get("state") in ("shipping", "idle"), seconds, "the state says so")
        assert self.state()["reason"] == ""
        self.wait(lambda: self.probed("readyz")[0] == 200, seconds, "/readyz says so")

    def probed(self, path: str) -> tuple[int, str]:
        """Ask the agent itself, as an orchestrator does: status and text."""
        self.wait(lambda: any("http.listening" in line for line in self.lines), 30, "it listens")
        line = next(line for line in self.lines if "http.listening" in line)
        address = line.partition("address=")[2].split()[0].removeprefix("http://").strip("\"'")
        try:
            with urlopen(f"http://{address}/{path}", timeout=10) as response:
                return response.status, response.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def state(self) -> dict[str, Any]:
        """Return the state document, {} while there is none."""
        try:
            found = self.world.request("GET", f"/{self.world.agent_prefix}-state/_doc/{self.world.instance}")
        except AssertionError:
            # The index is being made, or its shard is moving to another node.
            return {}
        return dict(found["_source"]) if found else {}

    def watermark(self) -> int:
        return int(self.state().get("watermark", 0))

    def dead_letters(self) -> list[dict[str, Any]]:
        """Return what is kept, by id."""
        self.world.refresh()
        body = {"size": 1000, "sort": [{"id": "asc"}]}
        found = self.world.request("POST", f"/{self.world.agent_prefix}-dead-letters/_search", body)
        return [hit["_source"] for hit in found["hits"]["hits"]] if found else []

    def stops(self, *, signals: int = 1) -> tuple[int, float]:
        """Tell it to stop, so many times; return its exit code and after how many seconds it ended."""
        begun = time.monotonic()
        for number in range(1, signals + 1):
            self._process.send_signal(signal.SIGTERM)
            self.wait(lambda: self._process.poll() is not None or self._heard_stop(), 60, f"signal {number} is heard")
        code = self._process.wait(300)
        return code, time.monotonic() - begun

    def _heard_stop(self) -> bool:
        return any("agent.stopping" in line for line in self.lines)

    def wait(self, true: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert self._process.poll() is None, "\n".join(["the agent ended", *self.lines[-20:]])
            assert time.monotonic() < deadline, "\n".join([f"never: {what}", *self.lines[-20:]])
            time.sleep(0.1)

    def _watch(self) -> None:
        process = psutil.Process(self._process.pid)
        while not self._watching.wait(0.05):
            try:
                self.peak_bytes = max(self.peak_bytes, process.memory_info().rss)
            except psutil.NoSuchProcess:
                return

    def _highest_id(self) -> int:
        return int(self.world.database.execute(f"SELECT COALESCE(MAX(id), 0) FROM `{TABLE}`")[0][0])
