"""`make demo`: the agent's main job in eight steps, on real servers, in about a minute.

Each step says what a person wants, runs the verb that does it, and shows the table's own answer beside it.
`KEEP=1` leaves everything running at the end, until Ctrl-C.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pymysql

from demo import servers
from demo.command_line import Broken, CommandLine, found
from demo.connection import connect, with_database
from demo.install import BUSY_CLIENT
from demo.missing import Missing
from demo.progress import aloud
from demo.rows import AuditRow, burst, insert, rows
from demo.table import TABLE, create_settings, create_table

ROWS = 20_000
DAYS = 120
ERRORS = 40
_LATE = "order 90210 arrived after all"


class Tour:
    """Hold what the steps share: the database, the agent's command line, the running daemon."""

    def __init__(self, pair: servers.Servers, folder: Path) -> None:
        # A name of its own: with servers that were given, the tour must not meet its last visit.
        self.name = f"demo_{datetime.now(UTC):%Y%m%d_%H%M%S}"
        self.pair = pair
        self.url = with_database(pair.mysql_url, self.name)
        self.instance = self.name.replace("_", "-")
        self.agent = CommandLine(mysql_url=self.url, opensearch_url=pair.opensearch_url, instance=self.instance)
        self.log = folder / "agent.log"
        self.daemon: subprocess.Popen[bytes] | None = None
        with connect(pair.mysql_url) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{self.name}`")
        self.connection = connect(self.url)

    def seed(self) -> None:
        began = time.monotonic()
        create_table(self.connection)
        create_settings(self.connection)
        insert(self.connection, rows(ROWS, now=datetime.now(UTC), days=DAYS))
        print(f"  MariaDB now holds {TABLE} with {ROWS:,} rows over {DAYS} days, written in")
        print(f"  {time.monotonic() - began:.1f} s: what the Impulse modules of a busy WHMCS leave there.")

    def ship(self) -> None:
        print("  `setup` prepares OpenSearch once; `sync` ships what is there and ends.")
        self.agent.show("setup")
        self.agent.show("sync")
        print("\n  And again: a row is one document, whatever is repeated.")
        self.agent.show("sync")

    def errors_arrive(self) -> None:
        self.daemon = self.agent.daemon(self.log)
        self.agent.wait_for("the daemon's first heartbeat", self._is_shipping, seconds=60)
        print(f"  `audit-agent run`, the daemon, tails the table. Now a cron task fails {ERRORS} times …")
        since = datetime.now(UTC).replace(microsecond=0)
        insert(self.connection, burst(ERRORS, at=since, seconds=0))
        search = ("search", "--severity", "error", "--text", "timed out", "--from", f"{since:%Y-%m-%dT%H:%M:%SZ}")
        seconds = self.agent.wait_for("finding the errors", lambda: found(self.agent.ask(*search)) >= ERRORS)
        print(f"  … and all {ERRORS} are found {seconds:.1f} s after their commit.")
        self.agent.show("search", "--severity", "error", "--text", "timed out", "--last", "24h", "--limit", "5")

    def two_questions(self) -> None:
        print(f"  1. «Everything client {BUSY_CLIENT} triggered in the last 7 days», newest first:")
        self.agent.show("search", "--client", str(BUSY_CLIENT), "--last", "7d", "--limit", "8")
        self._sql_says("rows", f"client_id = {BUSY_CLIENT} AND created_at > UTC_TIMESTAMP() - INTERVAL 7 DAY")
        print("\n  2. «Top error sources from cron in the last 24 hours»:")
        self.agent.show("top", "--by", "module_slug,action", "--source", "cron", "--severity", "error", "--last", "24h")
        self._sql_says(
            "errors", "source = 'cron' AND severity = 'error' AND created_at > UTC_TIMESTAMP() - INTERVAL 1 DAY"
        )

    def a_late_row(self) -> None:
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        late = AuditRow(
            now, "impulseminio", "system", "provisioning_held", "warn", 2001, None, BUSY_CLIENT, None, _LATE, "[]"
        )
        with connect(self.url) as slow:
            slow.autocommit(False)
            with slow.cursor() as cursor:
                cursor.execute(
                    f"INSERT INTO {TABLE} ({', '.join(AuditRow._fields)}) VALUES ({', '.join(['%s'] * len(late))})",
                    late,
                )
                number = cursor.lastrowid
            insert(self.connection, rows(50, now=datetime.now(UTC), days=0.001, seed=9))
            print(f"  A transaction reserved id {number} and is still open; 50 later rows are committed.")
            self.agent.wait_for("shipping past the gap", lambda: self._status()["open_gaps"] > 0)
            status = self._status()
            print(f"  The later rows are shipped (frontier {status['frontier']}), the watermark waits at")
            print(f"  {status['watermark']}: a shipper that remembers «the last id» would lose row {number} for ever.")
            slow.commit()
        seconds = self.agent.wait_for("finding the late row", self._late_row_is_there)
        print(f"  It commits, and is found {seconds:.1f} s later:")
        self.agent.show("search", "--text", _LATE, "--last", "24h")

    def retention(self) -> None:
        print("  config/retention.yml says how long rows and documents are kept. This is the plan;")
        print("  nothing is deleted without --execute.")
        self.agent.show("retain")

    def status(self) -> None:
        print("  One line for a person; --json, /metrics, /healthz and /readyz for machines.")
        self.agent.show("status")
        self.stop_daemon()
        documents = found(self.agent.ask("search", "--last", f"{DAYS + 10}d", "--limit", "1"))
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {TABLE}")
            print(f"\n  Rows in the table: {(cursor.fetchone() or [0])[0]:,}. Documents in the index: {documents:,}.")

    def next(self) -> None:
        print("  Point config/agent.yml at your own servers, then:")
        for verb, why in (
            ("check", "one line per dependency and grant, with the remedy"),
            ("setup", "install index templates; --dashboards and --alerts install those too"),
            ("sync", "ship what is there"),
            ("run", "stay and tail (deploy/ has a systemd unit, a Dockerfile and Kubernetes manifests)"),
        ):
            print(f"    audit-agent {verb:6}  {why}")
        if not _is_kept():
            print("  `make demo KEEP=1` leaves these servers and the daemon running, to try each verb yourself.")
        print("  README.md goes on from here; docs/operations.md answers what happens if …")

    def stop_daemon(self) -> None:
        if self.daemon is not None:
            self.daemon.terminate()
            try:
                self.daemon.wait(20)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
            self.daemon = None

    def close(self) -> None:
        """Stop the daemon; on servers that were given, remove what the tour made there."""
        self.stop_daemon()
        with self.connection as connection, connection.cursor() as cursor:
            if self.pair.mariadb is None:
                cursor.execute(f"DROP DATABASE `{self.name}`")
        if self.pair.opensearch is None:
            self._request("DELETE", f"impulse-audit-{self.instance}-*")
            # Only what a search finds is deleted, and the agent's last word may be a moment old.
            self._request("POST", "impulse-agent-*/_refresh", {})
            ours = [{"term": {"instance": self.instance}}, {"ids": {"values": [f"{self.instance}:retention"]}}]
            self._request(
                "POST",
                "impulse-agent-*/_delete_by_query?conflicts=proceed&refresh=true",
                {"query": {"bool": {"should": ours}}},
            )

    def keep(self) -> None:
        """Leave everything running, with a daemon, until Ctrl-C."""
        self.daemon = self.agent.daemon(self.log)
        print(f"\n  MySQL       {self.url}\n  OpenSearch  {self.pair.opensearch_url}\n  agent log   {self.log}")
        print("\n  In another shell, then `audit-agent search …`:")
        for name, value in self.agent.variables.items():
            print(f"    export {name}='{value}'")
        print("\n  Running until Ctrl-C.", flush=True)
        signal.pause()

    def _request(self, method: str, path: str, body: object = None) -> None:
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        request = Request(f"{self.pair.opensearch_url}/{path}", data=data, headers=headers, method=method)
        urlopen(request, timeout=60).close()

    def _status(self) -> dict[str, Any]:
        return self.agent.ask("status")

    def _is_shipping(self) -> bool:
        if self.daemon is not None and self.daemon.poll() is not None:
            raise Broken(f"audit-agent run ended: {self.log.read_text(errors='replace').strip()[-600:]}")
        return self._status()["state"] in {"shipping", "idle"}

    def _late_row_is_there(self) -> bool:
        return found(self.agent.ask("search", "--text", f'"{_LATE}"', "--last", "24h")) > 0

    def _sql_says(self, what: str, where: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {TABLE} WHERE {where}")
            print(f"  (SQL on the table counts {(cursor.fetchone() or [0])[0]} {what}.)")


def steps(tour: Tour) -> list[tuple[str, Callable[[], None]]]:
    """List the screens in order."""
    return [
        ("An audit table as ImpulseCore writes it", tour.seed),
        ("Ship it", tour.ship),
        ("Errors arrive live, and are found", tour.errors_arrive),
        ("The two questions that took SQL so far", tour.two_questions),
        ("A row that commits late", tour.a_late_row),
        ("What retention would delete", tour.retention),
        ("Where the agent stands", tour.status),
        ("What to do next", tour.next),
    ]


def main() -> int:
    servers.stop_on_sigterm()
    try:
        print("\n── Private servers ──", flush=True)
        with servers.start(short_lived=True, say=aloud()) as pair, tempfile.TemporaryDirectory() as folder:
            return _walk(Tour(pair, Path(folder)))
    except (Missing, Broken, OSError, pymysql.MySQLError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\n  Stopped; nothing is left running.", file=sys.stderr)
        return 130


def _is_kept() -> bool:
    return os.environ.get("KEEP") == "1"


def _walk(tour: Tour) -> int:
    began = time.monotonic()
    try:
        screens = steps(tour)
        for number, (title, step) in enumerate(screens, 1):
            print(f"\n── {number}/{len(screens)}  {title} ──\n", flush=True)
            step()
        print(f"\n  The tour took {time.monotonic() - began:.0f} s after the servers' start.", flush=True)
        if _is_kept():
            tour.keep()
    finally:
        tour.close()
    return 0
