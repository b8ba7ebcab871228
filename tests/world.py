"""What an integration test stands on: a database of its own, a corner of the cluster of its own, a configuration.

Nothing is shared between tests but the running servers: every test has its own database, instance name and index
prefixes, so tests neither see each other's documents nor need to wait for each other's deletes.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import yaml
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from demo.connection import connect, with_database
from demo.rows import AuditRow, insert, rows
from demo.table import TABLE, Kind, create_settings, create_table
from tests import least_privilege
from tests.least_privilege import SuiteAccount, administrator
from tests.verbs import forks


class Database:
    """Hold one fresh database; `connection` is root's, autocommit, and `url` what an agent is given."""

    def __init__(self, server_url: str) -> None:
        self.name = f"audit_{uuid.uuid4().hex[:10]}"
        self.server_url = server_url
        self.root_url = self.url = with_database(server_url, self.name)
        with connect(server_url) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{self.name}` CHARACTER SET utf8mb4")
        self.connection = connect(self.root_url)
        self._users: list[str] = []
        self._account: SuiteAccount | None = None
        if least_privilege.SERVER:
            self._account = SuiteAccount(self.connection, self.name, server_url)
            self._users.append(self._account.name)
            self.url = self._account.url

    def connect(self) -> Connection[Cursor]:
        """Open another connection, for a transaction of its own."""
        return connect(self.root_url)

    def execute(self, sql: str, arguments: Sequence[object] | None = None) -> tuple[tuple[Any, ...], ...]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, arguments)
            return cursor.fetchall()

    def create_table(self, kind: Kind | str = Kind.TIMESTAMP, *, table: str = TABLE) -> None:
        create_table(self.connection, kind, table=table)
        if self._account:
            self._account.grant("reader", "deleter", table=table)

    def create_settings(self, values: Mapping[str, str | None] | None = None) -> None:
        create_settings(self.connection, values)
        if self._account:
            self._account.grant("settings")

    def insert(self, content: Iterable[AuditRow], *, table: str = TABLE) -> int:
        return insert(self.connection, content, table=table)

    def fill(
        self, count: int, *, seed: int = 1, days: float = 120, now: datetime | None = None, json_only: bool = False
    ) -> int:
        """Insert `count` realistic rows of the last `days`."""
        return self.insert(rows(count, now=now or datetime.now(UTC), seed=seed, days=days, json_only=json_only))

    def count(self, table: str = TABLE) -> int:
        return int(self.execute(f"SELECT COUNT(*) FROM `{table}`")[0][0])

    def create_user(self, *grants: str, password: str = "a-Password-1") -> str:
        """Make a user with `grants` (`SELECT ON {database}.*`) and return the URL it connects by."""
        user = f"u_{uuid.uuid4().hex[:10]}"
        self.execute(f"CREATE USER `{user}`@`%%` IDENTIFIED BY %s", (password,))
        self._users.append(user)
        for grant in grants:
            self.execute(f"GRANT {grant.format(database=f'`{self.name}`')} TO `{user}`@`%`")
        host = self.server_url.rsplit("@", 1)[1].rstrip("/")
        return f"mysql+pymysql://{user}:{password}@{host}/{self.name}"

    def drop(self) -> None:
        if self.connection.open:
            self.connection.close()
        with connect(self.server_url) as connection, connection.cursor() as cursor:
            # A test that failed may have left a transaction open: its lock must not hang the whole run.
            cursor.execute("SET SESSION lock_wait_timeout = 5")
            cursor.execute(f"DROP DATABASE IF EXISTS `{self.name}`")
            for user in self._users:
                cursor.execute(f"DROP USER `{user}`@`%`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Hold what one run of the command line did."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


@dataclass(slots=True, kw_only=True)
class World:
    """Hold one instance's configuration on disk and its corner of the cluster."""

    folder: Path
    database: Database
    opensearch_url: str
    instance: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}")
    settings: dict[str, Any] = field(default_factory=dict)
    retention: dict[str, Any] = field(default_factory=dict)
    context_fields: dict[str, Any] = field(default_factory=dict)
    alerts: dict[str, Any] = field(default_factory=dict)
    _processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = self._defaults()
        self.retention = {"mode": "preview", "rows": {"days": 90}, "documents": {"days": 90}}
        self.context_fields = {"types": {"duration_ms": "long"}}
        self.alerts = {"alerts": []}
        self.write()

    @property
    def config(self) -> Path:
        return self.folder / "agent.yml"

    @property
    def index_prefix(self) -> str:
        return f"audit-{self.instance}"

    @property
    def agent_prefix(self) -> str:
        return f"agent-{self.instance}"

    @property
    def index(self) -> str:
        """Name the read alias of this instance."""
        return f"{self.index_prefix}-{self.instance}"

    def write(self, changes: Mapping[str, object] | None = None) -> Path:
        """Write all four files again, with `changes` to agent.yml (`{"tail.gaps.evidence": "grace"}`)."""
        for path, value in (changes or {}).items():
            *parents, last = path.split(".")
            place = self.settings
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = value
        files = {
            "agent.yml": self.settings,
            "retention.yml": self.retention,
            "context_fields.yml": self.context_fields,
            "alerts.yml": self.alerts,
        }
        for name, content in files.items():
            (self.folder / name).write_text(yaml.safe_dump(content, sort_keys=False))
        return self.config

    def run(self, *arguments: str, timeout: float = 120, env: Mapping[str, str] | None = None) -> Outcome:
        """Run one verb to its end; with variables of its own in a Python of its own."""
        if env is None:
            command = ["-c", str(self.config), *arguments]
            environment = _clean_environment({})
            code, stdout, stderr = forks().run(command, folder=self.folder, environment=environment, timeout=timeout)
            return Outcome(code=code, stdout=stdout, stderr=stderr)
        process = self.start(*arguments, env=env)
        stdout, stderr = process.communicate(timeout=timeout)
        return Outcome(code=process.returncode, stdout=stdout, stderr=stderr)

    def start(
        self, *arguments: str, env: Mapping[str, str] | None = None, log: IO[str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a verb that stays (`run`); it is killed at the end of the test if it still lives."""
        process = subprocess.Popen(
            [sys.executable, "-m", "agent", "-c", str(self.config), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log or subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=_clean_environment(env or {}),
        )
        self._processes.append(process)
        return process

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Ask the cluster something, past the agent; None when what is asked for does not exist."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        kind = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
        request = Request(f"{self.opensearch_url}{path}", data=data, method=method, headers={"Content-Type": kind})
        give_up = time.monotonic() + 30
        while True:
            try:
                with urlopen(request, timeout=60, context=administrator(self.opensearch_url)) as response:
                    text = response.read()
                return json.loads(text) if text.strip() else {}
            except HTTPError as error:
                with error:
                    said = error.read().decode()
                if error.code == 404:
                    return None
                # A shard that is just being made cannot be searched yet.
                if "all shards failed" not in said or time.monotonic() > give_up:
                    raise AssertionError(f"{method} {path}: {error.code} {said}") from None
            time.sleep(0.1)

    def refresh(self) -> None:
        self.request("POST", f"/{self.index_prefix}*,{self.agent_prefix}*/_refresh?allow_no_indices=true")

    def count(self, query: Mapping[str, object] | None = None) -> int:
        """Count this instance's documents, refreshed first."""
        self.refresh()
        body = {"query": query or {"match_all": {}}}
        answer = self.request("POST", f"/{self.index}*/_count?allow_no_indices=true", body)
        return 0 if answer is None else int(answer["count"])

    def documents(self, query: Mapping[str, object] | None = None, *, size: int = 10_000) -> list[dict[str, Any]]:
        """Return this instance's documents in order of id, refreshed first, at most `size`."""
        self.refresh()
        # Without an exact count OpenSearch 3.8 may leave hits of a bare query out after many deletes.
        body = {"query": query or {"match_all": {}}, "size": size, "sort": [{"id": "asc"}], "track_total_hits": True}
        answer = self.request("POST", f"/{self.index}*/_search?allow_no_indices=true", body)
        return [hit["_source"] for hit in answer["hits"]["hits"]] if answer else []

    def remove(self) -> None:
        """Kill what still runs and delete everything of this instance from the cluster."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            with contextlib.suppress(ValueError):  # its pipes were read to the end and closed
                process.communicate()
        for prefix in (self.index_prefix, self.agent_prefix):
            self.request("DELETE", f"/{prefix}*?allow_no_indices=true&expand_wildcards=all")
            self.request("DELETE", f"/_index_template/{prefix}*")
            self.request("DELETE", f"/_component_template/{prefix}*")

    def _defaults(self) -> dict[str, Any]:
        """Return a complete agent.yml: one node, no listener, everything else at its default."""
        return {
            "instance": self.instance,
            "source": {"url": self.database.url, **least_privilege.tls_of(self.database.server_url)},
            "opensearch": {
                "hosts": [self.opensearch_url],
                **least_privilege.agents_account(self.opensearch_url),
                "index_prefix": self.index_prefix,
                "agent_prefix": self.agent_prefix,
                "replicas": 0,
            },
            "tail": {"poll_seconds": 0.2},
            "context": {"fields_file": "context_fields.yml"},
            "retention": {"file": "retention.yml"},
            "alerts": {"file": "alerts.yml"},
            "http": {"listen": ""},
        }


def _clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return our environment without what would configure the agent behind the test's back."""
    return {key: value for key, value in os.environ.items() if not key.startswith("AUDIT_")} | dict(extra)
