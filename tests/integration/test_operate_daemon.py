"""A real daemon seen from outside: probes, metrics, log and the word to systemd tell the truth in every state."""

from __future__ import annotations

import json
import math
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.observing.events import Event
from tests.integration.tailing import insert, until
from tests.proxy import TcpProxy
from tests.world import Database, World

pytestmark = pytest.mark.integration


class Daemon:
    """One `audit-agent run` with a service manager that listens, a free port and a log for machines."""

    def __init__(self, world: World, manager: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(manager))
        self._told: list[str] = []
        # Read at once, as a service manager does: the queue of such a socket holds ten messages.
        threading.Thread(target=self._listen, daemon=True).start()
        self._log = world.folder / f"{manager.name}.log"
        with self._log.open("w") as log:
            self.process = world.start("run", env={"NOTIFY_SOCKET": str(manager)}, log=log)

    def lines(self) -> list[dict[str, object]]:
        """Return the log; each line must be one JSON object that names a known event."""
        said = [json.loads(line) for line in self._log.read_text().splitlines()]
        for line in said:
            assert {"timestamp", "level", "event"} <= set(line)
            assert Event(str(line["event"])).level == line["level"]
        return said

    def says(self, event: Event) -> dict[str, object]:
        found: dict[str, object] = until(
            lambda: next((line for line in self.lines() if line["event"] == event), None),
            f"it says {event}",
            told=self._log.read_text,
        )
        return found

    def told(self) -> list[str]:
        """Return every message to the service manager so far, without the line that says how it does."""
        return [message for message in self._told if not message.startswith("STATUS=")]

    def _listen(self) -> None:
        while True:
            self._told.append(self._socket.recv(4096).decode())

    def get(self, path: str) -> tuple[int, str]:
        address = self.says(Event.HTTP_LISTENING)["address"]
        try:
            with urllib.request.urlopen(f"http://{address}/{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def becomes(self, readiness: int, words: str) -> None:
        """Wait until /readyz says so; meanwhile and afterwards the process is healthy."""

        def is_so() -> bool:
            status, reason = self.get("readyz")
            return status == readiness and words in reason

        until(is_so, f"readyz is {readiness}: {words}", told=lambda: (self.get("readyz"), self._log.read_text()))
        assert self.get("healthz")[0] == 200

    def metric(self, name: str) -> float:
        families = text_string_to_metric_families(self.get("metrics")[1])
        (value,) = [sample.value for family in families for sample in family.samples if sample.name == name]
        return float(value)

    def ends(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0
        until(lambda: self.told()[-1] == "STOPPING=1", "its end is told", told=self.told)
        events = [line["event"] for line in self.lines()]
        assert "agent.stopping" in events
        assert events[-1] == "agent.stopped"


@pytest.fixture
def managers() -> Iterator[Path]:
    """Give a folder for sockets; pytest's own is deeper than a socket's name may be long."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def watched_world(make_world: Callable[..., World], database: Database) -> Iterator[tuple[World, TcpProxy]]:
    """Give a world whose database can go away."""
    with TcpProxy.to(database.url) as source:
        world = make_world(database)
        world.write(
            {"source.url": source.url, "http.listen": "127.0.0.1:0", "log.format": "json", "tail.poll_seconds": 0.05}
        )
        yield world, source


def test_from_start_to_stop_the_probes_the_metrics_and_systemd_hear_the_truth(
    watched_world: tuple[World, TcpProxy], managers: Path
) -> None:
    world, source = watched_world
    insert(world.database, 20)
    source.refuse()
    first = Daemon(world, managers / "first")

    first.becomes(503, "degraded: ")
    assert "READY=1" in first.told()
    assert math.isnan(first.metric("audit_agent_lag_seconds"))
    assert first.metric("audit_agent_last_success_timestamp_seconds") == 0

    source.heal()
    first.becomes(200, "idle")
    assert first.metric("audit_agent_lag_seconds") == 0
    assert first.metric("audit_agent_watermark") == 20
    assert first.metric("audit_agent_documents_indexed_total") == 20

    second = Daemon(world, managers / "second")
    second.becomes(503, "standby: another agent ships")
    assert "READY=1" in second.told()
    assert second.metric("audit_agent_lease_held") == 0
    assert math.isnan(second.metric("audit_agent_lag_seconds"))

    assert world.run("pause", "tail", "--why", "maintenance").code == 0
    first.becomes(503, ": maintenance")
    insert(world.database, 3)
    until(lambda: first.metric("audit_agent_backlog_rows") == 3, "the backlog grows in a pause")
    assert world.run("resume", "tail").code == 0
    first.becomes(200, "")

    first.ends()
    assert world.run("status", "--json").json["state"] in {"stopped", "shipping", "idle"}
    second.becomes(200, "")
    until(lambda: second.metric("audit_agent_watermark") == 23, "the standby has taken over")
    second.ends()
    assert world.run("status", "--json").json["state"] == "stopped"


def test_while_a_silent_database_is_waited_for_at_the_start_probes_and_a_stop_are_answered(
    watched_world: tuple[World, TcpProxy], managers: Path
) -> None:
    world, source = watched_world
    world.write({"source.connect_timeout_seconds": 3, "source.read_timeout_seconds": 3})
    source.swallow()
    daemon = Daemon(world, managers / "systemd")
    daemon.becomes(503, "no step has finished yet")
    daemon.ends()


def test_an_idle_daemon_shows_life_and_writes_nothing(watched_world: tuple[World, TcpProxy], managers: Path) -> None:
    world, _ = watched_world
    insert(world.database, 5)
    daemon = Daemon(world, managers / "systemd")
    daemon.becomes(200, "idle")
    before = daemon.lines()
    signs = daemon.told().count("WATCHDOG=1")

    until(lambda: daemon.told().count("WATCHDOG=1") >= signs + 60, "sixty polls have gone by")

    assert daemon.lines() == before
    daemon.ends()


DESIGN = {
    "lag_seconds",
    "backlog_rows",
    "watermark",
    "frontier",
    "rows_read_total",
    "documents_indexed_total",
    "documents_overflowed_total",
    "dead_letters_total",
    "gaps_open",
    "gap_ids_skipped_total",
    "bulk_seconds",
    "bulk_retries_total",
    "retention_deleted_total",
    "verify_drift",
    "lease_held",
    "last_success_timestamp_seconds",
    "events_total",
    "build_info",
}


def test_what_is_scraped_is_what_the_design_names_and_pleases_promtool(
    watched_world: tuple[World, TcpProxy], managers: Path
) -> None:
    world, _ = watched_world
    world.database.fill(200)
    daemon = Daemon(world, managers / "systemd")
    until(lambda: daemon.metric("audit_agent_watermark") == 200, "everything is shipped")

    _, text = daemon.get("metrics")

    assert set(re.findall(r"^# TYPE audit_agent_(\w+)", text, re.MULTILINE)) == DESIGN | {"evidence"}
    assert re.search(r'^audit_agent_events_total\{module_slug="\w+",severity="\w+",source="\w+"\} ', text, re.MULTILINE)
    assert daemon.get("nothing")[0] == 404
    promtool = shutil.which("promtool")
    if promtool:
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
        )
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    daemon.ends()


def test_a_port_that_is_taken_is_one_line_with_the_remedy(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        world.write({"http.listen": address, "log.format": "json"})
        ended = world.run("run", timeout=60)
    assert ended.code == 2
    *_, last = [json.loads(line) for line in ended.stderr.splitlines()]
    assert last["event"] == "agent.refused"
    assert address in last["error"]
    assert '"" to switch it off' in last["error"]


def test_a_table_that_was_replaced_ends_the_log_with_one_event_and_the_remedy(world: World) -> None:
    world.database.fill(30)
    assert world.run("sync").code == 0
    world.database.execute("TRUNCATE mod_impulsecore_audit_log")
    world.write({"log.format": "json"})
    ended = world.run("run", timeout=60)
    assert ended.code == 1
    *_, last = [json.loads(line) for line in ended.stderr.splitlines()]
    assert (last["event"], "sync --restart" in last["error"]) == ("agent.refused", True)
