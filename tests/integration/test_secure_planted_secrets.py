"""Secrets planted wherever configuration takes one; every failure provoked; then everything that was written is searched.

The worst servers quote the request in what they answer, so the stub here does: header, user and password, in error
bodies, in answers that are none, as text and as HTML.
"""

from __future__ import annotations

import base64
import itertools
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from demo.table import TABLE
from tests.fakes.node import Reply, Request, StubNode, stub_node
from tests.integration.retention_world import aged, insert_raw
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.own_accounts("plants its own passwords")]

SOURCE, REPLICA, CLUSTER, DASHBOARDS = "planted-Mysql:9/@x", "planted-Replica-7%", "planted-Cluster-8", "planted-Dash-6"
SECRETS = (SOURCE, REPLICA, CLUSTER, DASHBOARDS)
FORMS = {
    form
    for secret in SECRETS
    for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], base64.b64encode(secret.encode()).decode())
} | {
    base64.b64encode(f"agent:{CLUSTER}".encode()).decode(),
    "planted-",
    base64.b64encode(b"agent:planted").decode()[:16],
}
STATUSES = (401, 403, 400, 404, 409, 429, 500, 503, 200, 302)
VERBS = [
    ["status"],
    ["check"],
    ["setup"],
    ["sync"],
    ["search"],
    ["top", "--by", "action"],
    ["verify"],
    ["retain"],
    ["retain", "--execute"],
    ["explain", "1"],
    ["journal"],
    ["dead-letters", "list"],
    ["fields"],
    ["alerts", "test"],
    ["checkpoint", "show"],
]


def quoting(request: Request, number: int) -> Reply:
    """Answer with what came in, in ever another form."""
    header = request.headers.get("authorization", "")
    told = base64.b64decode(header.removeprefix("Basic ") or b"").decode("utf-8", "replace")
    # Messages cut what is long: wherever the cut falls, no part of a secret may be left before it.
    told, header = f"{'·' * (number * 7 % 650)}{told}", f"{'·' * (number * 3 % 70)}{header}"
    status = STATUSES[number % len(STATUSES)]
    cause = {"type": f"{told}_exception", "reason": f"no permissions for [{told}] and User [name={header}]"}
    error = {**cause, "root_cause": [cause], "index": told}
    bodies = (
        {"error": error, "status": status, "hits": told, "items": [told], "_shards": {"failures": [error]}},
        {"errors": True, "items": [{"index": {"status": status, "error": error}}], told: told},
        [told],
    )
    if number % 4 == 3:
        page = f"<html>{header} {told}</html>".encode()
        return Reply(status, page, {"content-type": "text/html"})
    return Reply(status, json.dumps(bodies[number % 4]).encode())


@pytest.fixture
def hostile() -> Iterator[StubNode]:
    numbers = itertools.count()
    with stub_node(lambda request: quoting(request, next(numbers))) as node:
        yield node


@pytest.fixture
def planted(world: World) -> World:
    """Give the world secrets in every place, the database's account its password."""
    user = world.database.create_user(f"SELECT, DELETE ON {{database}}.`{TABLE}`", password=SOURCE)
    user = user.split("//")[1].split(":")[0]
    address = world.database.server_url.rsplit("@", 1)[1].rstrip("/")
    for name, secret in (("mysql", SOURCE), ("cluster", CLUSTER), ("dashboards", DASHBOARDS)):
        file = world.folder / f"{name}.password"
        file.write_text(secret + "\n")
        file.chmod(0o600)
    world.retention |= {
        "mode": "enforce",
        "rows": {"days": 30},
        "documents": {"days": 30},
        "brakes": {"max_share": 1},
        "archive": {"enabled": True, "directory": "archive"},
        "pace": {"replicas": [f"mysql://nobody:{quote(REPLICA, safe='')}@127.0.0.1:1/{world.database.name}"]},
    }
    world.write(
        {
            "source.url": f"mysql+pymysql://{user}@{address}/{world.database.name}",
            "source.password_file": "mysql.password",
            "opensearch.username": "agent",
            "opensearch.password_file": "cluster.password",
            "opensearch.timeout_seconds": 2,
            "log.level": "debug",
            "http.listen": "127.0.0.1:0",
        }
    )
    insert_raw(world.database, [aged(days, detail="d") for days in (40, 1, 2)])
    return world


def clean(text: str, where: object) -> None:
    found = [form for form in FORMS if form in text]
    assert found == [], (
        where,
        found,
        [line[:2000] for line in text.splitlines() if any(form in line for form in found)],
    )


def tried(world: World, *arguments: str) -> None:
    """Run a verb, as text and as JSON; whatever becomes of it, it shows nothing."""
    for more in ([], ["--json"]):
        outcome = world.run(*arguments, *more)
        clean(outcome.stdout + outcome.stderr, (*arguments, *more))


def lived(world: World, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> str:
    """Let the daemon live for a while, ask all it answers, look at its process; return its log."""
    daemon = world.start("run")
    deadline = time.monotonic() + seconds
    time.sleep(seconds / 2)
    meanwhile()
    clean(Path(f"/proc/{daemon.pid}/cmdline").read_text(), "the command line, as ps shows it")
    time.sleep(max(0.0, deadline - time.monotonic()))
    daemon.terminate()
    out, log = daemon.communicate(timeout=60)
    clean(out + log, "the log")
    return log


def listened(world: World) -> None:
    """Ask the listener of a daemon everything."""
    port = world.settings["http"]["listen"].rpartition(":")[2]
    for path in ("metrics", "healthz", "readyz", "nothing"):
        try:
            with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
                text = answer.read().decode() + str(answer.headers)
        except HTTPError as error:
            with error:
                text = error.read().decode() + str(error.headers)
        clean(text, path)


@pytest.mark.slow
def test_a_cluster_that_quotes_the_password_back_makes_nothing_show_it(planted: World, hostile: StubNode) -> None:
    planted.write({"opensearch.hosts": [hostile.url]})
    for verb in VERBS:
        tried(planted, *verb)
    access = [
        "--dashboards-username",
        "agent",
        "--dashboards-password-file",
        str(planted.folder / "dashboards.password"),
    ]
    for verb in (["setup", "--dashboards", hostile.url, *access], ["check", "--dashboards", hostile.url, *access]):
        tried(planted, *verb)
    for form in ("text", "json"):
        planted.write({"log.format": form})
        log = lived(planted, 4)
        assert "tail.deferred" in log or "job.failed" in log
    assert any("authorization" in request.headers for request in hostile.requests), "there was something to quote"


def test_a_dashboards_that_quotes_the_password_back_makes_nothing_show_it(planted: World, hostile: StubNode) -> None:
    access = ["--dashboards-username", "agent", "--dashboards-password-file", "dashboards.password"]
    for verb in ("setup", "setup", "check", "check"):
        tried(planted, verb, "--dashboards", hostile.url, *access)
    assert any("authorization" in request.headers for request in hostile.requests), "there was something to quote"


@pytest.mark.slow
def test_failures_of_the_database_show_no_password(planted: World, tmp_path: Path) -> None:
    url = planted.settings["source"]["url"]
    user, address = url.split("//")[1].split("@")
    database = address.rpartition("/")[2]
    inside = f"{user}:{quote(SOURCE, safe='')}"
    for changes in (
        {"source.url": f"mysql://{inside}@127.0.0.1:1/{database}"},
        {"source.url": f"mysql://{inside}@{address}x"},
        {"source.url": f"mysql://{inside}x@{address}"},
        {"source.url": f"mysql://{inside}@{address}", "source.table": "no_such_table"},
        {"source.table": TABLE, "source.tls": {"ca_file": str(tmp_path / "nowhere.pem")}},
        {"source.tls": {"enabled": True}},
    ):
        planted.settings["source"].pop("password_file", None)
        planted.write(changes)
        tried(planted, "check")
        tried(planted, "sync")
    (planted.folder / "mysql.password").write_text(f"{SOURCE} and more\n")
    planted.settings["source"] = {"url": url, "password_file": "mysql.password"}
    planted.write()
    tried(planted, "sync")
    lived(planted, 2)
    (planted.folder / "mysql.password").write_bytes(b"planted-\xff\xfe")
    tried(planted, "check")


def test_nothing_the_agent_keeps_holds_a_secret(planted: World) -> None:
    # Several agents would share one port, so each gets a free one: the log says which.
    with socket.create_server(("127.0.0.1", 0)) as probe:
        planted.write({"http.listen": f"127.0.0.1:{probe.getsockname()[1]}"})
    assert planted.run("setup").code == 0
    lived(planted, 6, lambda: listened(planted))
    planted.retention["pace"] = {}
    planted.write()
    assert planted.run("retain", "--execute").code == 0
    assert planted.run("pause", "tail", "--why", "a test").code == 0
    for verb in [*VERBS, ["explain", "2", "--document"], ["export", "--output", "export.csv"], ["redact", "--scan"]]:
        tried(planted, *verb)

    answer = planted.request("POST", f"/{planted.agent_prefix}-*,{planted.index_prefix}*/_search?size=1000", {})
    kept = answer["hits"]["hits"]
    assert {hit["_index"].rsplit("-", 1)[0] for hit in kept} >= {planted.agent_prefix}
    clean(json.dumps(kept, ensure_ascii=False), "indices")
    for path in (f"/_index_template/{planted.index_prefix}*", f"/{planted.index_prefix}*"):
        clean(json.dumps(planted.request("GET", path), ensure_ascii=False), path)
    given = {"agent.yml", "retention.yml", "mysql.password", "cluster.password", "dashboards.password"}
    files = [path for path in planted.folder.rglob("*") if path.is_file() and path.name not in given]
    assert [path for path in files if path.suffix == ".gz"], "the archive was written"
    for path in files:
        clean(path.read_bytes().decode("utf-8", "replace"), path)
