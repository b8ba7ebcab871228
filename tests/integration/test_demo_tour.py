"""`make demo`: eight screens that say the truth, one line when something is missing, and nothing left behind."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from demo.connection import connect

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("AUDIT_TEST_SEED") or random.randrange(10_000))


def tour(environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start the tour as `make demo` does."""
    return subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def ended(running: subprocess.Popen[str], *, seconds: float = 240) -> tuple[int, str]:
    """Wait for the end; return exit code and all that was printed."""
    printed, _ = running.communicate(timeout=seconds)
    return running.returncode, printed


@pytest.fixture
def given(mariadb: str, opensearch: str) -> dict[str, str]:
    """Give the variables that let the tour use servers which run already."""
    return {"DEMO_MYSQL_URL": mariadb, "DEMO_OPENSEARCH_URL": opensearch}


def left(given: Mapping[str, str], name: str) -> list[str]:
    """Return what a tour of that name left on the servers: databases, indices, documents about its instance."""
    with connect(given["DEMO_MYSQL_URL"]) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW DATABASES LIKE %s", (name,))
        databases = [str(row[0]) for row in cursor.fetchall()]
    instance, node = name.replace("_", "-"), given["DEMO_OPENSEARCH_URL"]
    with urlopen(f"{node}/_cat/indices/impulse-audit-{instance}-*?format=json&h=index") as answer:
        indices = [index["index"] for index in json.load(answer)]
    ours = f"instance:%22{instance}%22%20OR%20_id:%22{instance}:retention%22"
    with urlopen(f"{node}/impulse-agent-*/_search?q={ours}") as answer:
        documents = [hit["_index"] for hit in json.load(answer)["hits"]["hits"]]
    return databases + indices + documents


@pytest.mark.own_accounts("runs the demo's own agent")
def test_eight_screens_tell_the_main_job_and_what_they_made_is_gone(given: dict[str, str]) -> None:
    code, printed = ended(tour(given))

    assert code == 0, printed
    assert re.findall(r"^── (\d)/8  ", printed, re.MULTILINE) == list("12345678")
    screens = re.split(r"^── \d/8 .*$", printed, flags=re.MULTILINE)
    assert all(len(screen.strip().splitlines()) <= 28 for screen in screens), "one screen a step"
    assert re.findall(r"^indexed (\d+) rows .* (\d+) dead letters", printed, re.MULTILINE) == [
        ("20000", "0"),
        ("0", "0"),
    ]
    assert "all 40 are found" in printed
    counted = [int(number) for number in re.findall(r"SQL on the table counts (\d+)", printed)]
    shown = [int(number) for number in re.findall(r"(?:of|groups,) (\d+) rows ·", screens[4])]
    assert len(counted) == 2
    assert counted == shown
    assert "1 of 1 rows" in screens[5]
    assert re.search(r"default +kept 90 days +[1-9]\d* expired", screens[6])
    rows, documents = re.findall(r"([\d,]+)\.", re.findall(r"Rows in the table: .*", screens[7])[0])
    assert rows == documents == "20,091"
    (name,) = set(re.findall(r"demo-\d{8}-\d{6}", printed))
    assert left(given, name.replace("-", "_")) == []


def children(running: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(running.pid).children(recursive=True)


def read_until(running: subprocess.Popen[str], words: str) -> str:
    """Return what is printed up to the line with these words."""
    assert running.stdout is not None
    printed = ""
    for line in running.stdout:
        printed += line
        if words in line:
            return printed
    raise AssertionError(f"«{words}» was never said: {printed}")


@pytest.mark.slow
def test_kept_it_prints_its_urls_and_variables_and_ctrl_c_ends_it(given: dict[str, str]) -> None:
    running = tour({**given, "KEEP": "1"})
    printed = read_until(running, "Running until Ctrl-C")
    (daemon,) = [child for child in children(running) if "agent" in child.cmdline()]
    variables = dict(re.findall(r"export (\w+)='(.*)'", printed))
    status = subprocess.run(
        [sys.executable, "-m", "agent", "status", "--json"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    running.send_signal(signal.SIGINT)
    code, end = ended(running)

    assert given["DEMO_OPENSEARCH_URL"] in printed
    assert json.loads(status.stdout)["instance"] == variables["AUDIT_INSTANCE"]
    assert (code, "nothing is left running" in end) == (130, True)
    assert not daemon.is_running()
    assert left(given, variables["AUDIT_INSTANCE"].replace("-", "_")) == []


@pytest.mark.parametrize("which", ["DEMO_MYSQL_URL", "DEMO_OPENSEARCH_URL"])
def test_a_given_server_that_does_not_answer_is_one_line(given: dict[str, str], which: str) -> None:
    nowhere = {"DEMO_MYSQL_URL": "mysql+pymysql://root@127.0.0.1:1/", "DEMO_OPENSEARCH_URL": "http://127.0.0.1:1"}
    code, printed = ended(tour({**given, which: nowhere[which]}))
    assert code == 1
    (line,) = [line for line in printed.splitlines() if line and not line.startswith("──")]
    assert line.startswith(f"{which} does not answer")
    assert "remedy: " in line


def servers_of(running: subprocess.Popen[str]) -> Iterator[psutil.Process]:
    for child in children(running):
        with suppress(psutil.NoSuchProcess):
            if child.name() in {"java", "mariadbd", "python", "python3"}:
                yield child


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("attempt", range(4))
def test_ended_at_any_moment_it_leaves_no_process(number: signal.Signals, attempt: int) -> None:
    chance = random.Random(f"{SEED}-{number}-{attempt}")
    alone = {"DEMO_MYSQL_URL": "", "DEMO_OPENSEARCH_URL": ""}
    running = tour(alone)
    time.sleep(chance.uniform(0.5, 45))
    before = list(servers_of(running))
    print(f"seed {SEED}: signal {number} with {len(before)} servers")
    running.send_signal(number)
    code, printed = ended(running, seconds=60)
    assert "Traceback" not in printed
    assert code in {-number, 130, 128 + number, 0}
    assert psutil.wait_procs(before, timeout=20)[1] == []
