"""The agent as its users meet it: `audit-agent` in a process of its own, configured by config/agent.yml."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from demo.process import leash

CONFIG = Path(__file__).parents[1] / "config" / "agent.yml"
_POLL_SECONDS = 0.2


class Broken(Exception):  # noqa: N818 - reads as what it is
    """Say which verb did not do what the tour shows."""


class CommandLine:
    """Run verbs of the agent on one pair of servers, through the sample configuration and its variables."""

    def __init__(self, *, mysql_url: str, opensearch_url: str, instance: str, config: Path = CONFIG) -> None:
        self.variables = {
            "AUDIT_AGENT_CONFIG": str(config),
            "AUDIT_INSTANCE": instance,
            "AUDIT_MYSQL_URL": mysql_url,
            "AUDIT_OPENSEARCH_URL": opensearch_url,
            "AUDIT_OPENSEARCH_REPLICAS": "0",
            "AUDIT_HTTP_LISTEN": "127.0.0.1:0",
        }
        self._command = [*leash(None), sys.executable, "-m", "agent"]
        self._env = {**os.environ, **self.variables}

    def show(self, *arguments: str) -> None:
        """Run a verb for the person watching: its words and its progress bar go to the terminal."""
        words = (f'"{word}"' if " " in word else word for word in arguments)
        print(f"\n  $ audit-agent {' '.join(words)}", flush=True)
        code = subprocess.run([*self._command, *arguments], env=self._env, check=False).returncode
        if code:
            raise Broken(f"audit-agent {' '.join(arguments)} ended with exit code {code}")

    def ask(self, *arguments: str) -> dict[str, Any]:
        """Run a verb with `--json` and return its answer."""
        done = subprocess.run(
            [*self._command, *arguments, "--json"], env=self._env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["(it said nothing)"])[-1]
            raise Broken(f"audit-agent {' '.join(arguments)} ended with exit code {done.returncode}: {last}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def daemon(self, log: Path) -> subprocess.Popen[bytes]:
        """Start `audit-agent run`; it ends with us."""
        with log.open("wb") as output:
            return subprocess.Popen(
                [*self._command, "run"],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, what: str, is_so: Callable[[], bool], *, seconds: float = 30) -> float:
        """Ask again until it is so, and return how many seconds that took."""
        began = time.monotonic()
        while not is_so():
            if time.monotonic() - began > seconds:
                raise Broken(f"{what} did not happen within {seconds:.0f} s")
            time.sleep(_POLL_SECONDS)
        return time.monotonic() - began


def found(answer: dict[str, Any]) -> int:
    """Return how many rows a search found."""
    total = answer.get("total")
    return total if isinstance(total, int) else len(next(value for value in answer.values() if isinstance(value, list)))
