"""With the accounts of deploy/ alone every verb works, and the writer's role holds nothing that none needs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.mariadb_server import MariaDB
from demo.table import TABLE
from tests.integration.certificates import Authority
from tests.integration.retention_world import aged, insert_raw
from tests.integration.secure_install import DELETER, PERMISSIONS, SETTINGS, WRITER, Install, Made, fill
from tests.integration.secured import SecureWorld, asked, call, secured, without
from tests.world import Database

pytestmark = [pytest.mark.integration, pytest.mark.secured]

# What no verb here fails without: a search context or a task left behind is nobody's error, and only `check` and
# Dashboards ask for the rest.
UNSEEN = {
    "indices:data/read/scroll/clear",
    "indices:data/read/point_in_time/delete",
    "cluster:admin/tasks/cancel",
    "cluster:monitor/main",
    "cluster:monitor/health",
    "cluster:monitor/nodes/stats",
    "cluster:monitor/state",
    "indices:monitor/settings/get",
    "indices:data/read/field_caps",
}


@pytest.fixture(scope="module", autouse=True)
def _node() -> None:
    secured()


def strict(world: SecureWorld, *, yes: bool) -> None:
    """Make the newest partitions refuse words where they take numbers, from the next one on."""
    name = "impulse-audit-mappings"
    template = call("GET", f"/_component_template/{name}")["component_templates"][0]["component_template"]
    properties = template["template"]["mappings"]["properties"]
    properties["action"] = {"type": "long"} if yes else {"type": "keyword", "ignore_above": 1024}
    assert asked("PUT", f"/_component_template/{name}", template)[0] == 200


def boundary(database: Database) -> None:
    """Insert rows on both sides of the cutoff in one month, so that documents go by query and not with their index."""
    now = datetime.now(UTC)
    cutoff = now - timedelta(days=90)
    insert_raw(
        database,
        [{**aged(0), "created_at": f"{cutoff + timedelta(hours=hours):%Y-%m-%d %H:%M:%S}"} for hours in (-3, -2, 2, 3)],
    )


def everything(run: Callable[..., Any], install: Install) -> None:
    """Do all that an agent does; `run` judges each step."""
    world, database = install.world, install.world.database
    run("setup")
    fill(database)
    boundary(database)
    run("sync")
    run("search", "--text", "d", "--last", "30d")
    run("top", "--by", "action", "--last", "30d")
    run("actions", "--last", "30d")
    run("fields")
    run("status")
    run("export", "--output", str(world.folder / "export.csv"), "--last", "60d")
    run("explain", "70")
    run("explain", "70", "--document")
    run("verify", "--deep")
    call("POST", "/impulse-audit-*/_delete_by_query?refresh=true", {"query": {"term": {"id": 70}}})
    orphan = {"id": 65, "instance": world.instance, "action": "orphan"}
    alias = f"impulse-audit-{world.instance}-{datetime.now(UTC):%Y.%m}"
    call("PUT", f"/{alias}/_doc/{world.instance}:65?refresh=true", orphan)
    database.execute(f"DELETE FROM {TABLE} WHERE id = 65")
    run("verify", "--repair", "--delete-orphans")
    run("backfill", "--from-id", "61", "--to-id", "70")
    run("rebuild", "--all")
    run("redact", "--scan")
    run("pause", "tail", "--why", "a test")
    run("resume", "tail")
    run("retain")
    run("retain", "--execute")
    run("journal")
    letters(run, install)
    run("checkpoint", "rewind", "--to-id", "60", "--yes")
    run("sync")
    run("verify")


def letters(run: Callable[..., Any], install: Install) -> None:
    """Leave two rows as dead letters; replay one and drop the other."""
    world = install.world
    strict(world, yes=True)
    insert_raw(world.database, [aged(-40, action="word"), aged(-40, action="words")])
    run("sync")
    run("dead-letters", "list")
    strict(world, yes=False)
    month = datetime.now(UTC) + timedelta(days=40)
    call("DELETE", f"/impulse-audit-{world.instance}-{month:%Y.%m}-*")
    first = int(world.database.execute(f"SELECT MAX(id) - 1 FROM {TABLE}")[0][0])
    run("dead-letters", "show", str(first))
    run("dead-letters", "replay", str(first))
    run("dead-letters", "drop", str(first + 1), "--reason", "a test")


def the_rest(run: Callable[..., Any], install: Install) -> None:
    """Do what needs no permission that `everything` does without."""
    world = install.world
    world.alerts = yaml.safe_load((Path(__file__).parents[2] / "config" / "alerts.yml").read_text())
    world.write()
    run("alerts", "show")
    run("alerts", "test", "--json")
    run("backfill", "--slice", "1/2")
    run("checkpoint", "show")
    run("dead-letters", "replay")
    run("search", "--context", "who=w3", "--last", "30d")
    run("search", "--show", "70")
    run("verify", "--last", "7d")
    (archive,) = (world.folder / "archive" / world.instance).glob("*.ndjson.gz")
    run("archive", "verify", str(archive))
    run("pause", "retention", "--why", "a test")
    run("resume", "retention")
    run("setup")


def a_daemon_lives(install: Install) -> None:
    """Run the daemon until a new row is a document; nothing is denied to it, and it ends as it is told."""
    world = install.world
    with (world.folder / "daemon.log").open("w+") as log:
        daemon = world.start("run", log=log)
        insert_raw(world.database, [aged(1, action="seen by the daemon")])
        deadline = time.monotonic() + 60
        while world.count({"term": {"action": "seen by the daemon"}}) == 0:
            assert daemon.poll() is None and time.monotonic() < deadline, (world.folder / "daemon.log").read_text()
            time.sleep(0.2)
        daemon.terminate()
        assert daemon.wait(60) == 0
    said = (world.folder / "daemon.log").read_text().splitlines()
    insecure = [line for line in said if "config.insecure" in line]
    assert len(insecure) == (not world.settings["source"]["tls"].get("verify", True)), "unverified TLS is told at start"
    assert [line for line in said if re.search(r"denie|degraded|deferred|failed", line)] == []


@pytest.mark.parametrize("server", ["mariadb", pytest.param("mysql9", marks=pytest.mark.slow)])
def test_every_verb_works_with_the_accounts_of_deploy_alone(
    request: pytest.FixtureRequest, made: Made, server: str
) -> None:
    settings: dict[str, Any] = {"tail.gaps.evidence": "metadata_locks"}
    if server == "mariadb":
        database, authority = request.getfixturevalue("tls_mariadb")
        settings |= {"source.tls": {"ca_file": str(authority.file)}}
    else:
        database = request.getfixturevalue("mysql9")
        settings |= {"source.tls": {"verify": False}}
    install = made(database.url, DELETER, SETTINGS, **settings)
    account = install.database_account
    account.run(f"ALTER USER '{account.user}'@'%' REQUIRE SSL")

    def run(*arguments: str) -> None:
        code, output, error = install.in_process(*arguments)
        assert code == 0, (arguments, output, error)

    everything(run, install)
    the_rest(run, install)
    a_daemon_lives(install)

    assert install.world.database.count() == install.world.count()
    accounts = ("grant", "permission", "needless", "mysql TLS")
    assert [name for name in install.complaints(process=True) if name.startswith(accounts)] == []


@pytest.mark.slow
@pytest.mark.parametrize(("action", "kind"), PERMISSIONS)
def test_the_writers_role_holds_nothing_that_is_not_needed(
    made: Made, tls_mariadb: tuple[MariaDB, Authority], action: str, kind: str
) -> None:
    server, authority = tls_mariadb
    install = made(
        server.url,
        DELETER,
        SETTINGS,
        permissions=without(WRITER, action, kind),
        **{"source.tls.ca_file": str(authority.file)},
    )

    def run(*arguments: str) -> None:
        code, output, error = install.in_process(*arguments)
        if code != 0:
            raise MissedError(arguments, code, output, error)

    try:
        everything(run, install)
    except MissedError as missed:
        print(action, kind, missed)
        return
    assert action in UNSEEN, "every verb worked without it"


class MissedError(Exception):
    """A verb did not work."""
