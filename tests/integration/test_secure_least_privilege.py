"""With the accounts of deploy/ alone every verb works; each grant and permission taken away is named by `check`, it alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from agent.cli import audit_agent
from agent.errors import AgentError
from demo.mariadb_server import MariaDB
from demo.table import TABLE
from tests.integration.certificates import Authority
from tests.integration.retention_world import aged, insert_raw
from tests.integration.secured import (
    PASSWORD,
    URL,
    Account,
    DatabaseAccount,
    SecureWorld,
    account_of,
    asked,
    call,
    permissions_of,
    role,
    secured,
    without,
)
from tests.world import Database

pytestmark = pytest.mark.integration

WRITER, READER = role("writer"), role("reader")
PERMISSIONS = permissions_of(WRITER)
# One of each kind for the fast run: of the cluster, of an index, of a shard, of a template, of a task.
SAMPLED = {
    ("indices:data/write/bulk", "cluster"),
    ("cluster:admin/component_template/put", "cluster"),
    ("indices:admin/mapping/put", "index"),
    ("indices:data/write/bulk[s]", "index"),
    ("indices:data/read/point_in_time/create", "index"),
}
DELETER, SETTINGS, PROCESS = "deleter", "settings", "evidence: innodb_trx"
NEEDS_A_CODE = {"retain": 0, "verify": 0}


@pytest.fixture(scope="module", autouse=True)
def _node() -> None:
    secured()


@pytest.fixture(scope="module")
def tls_mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MariaDB, Authority]]:
    """A MariaDB that proves who it is and knows metadata locks."""
    folder = tmp_path_factory.mktemp("authority")
    for parent in (folder, *folder.parents):
        if parent != parent.parent and parent.stat().st_uid == folder.stat().st_uid:
            parent.chmod(parent.stat().st_mode | 0o755)
    authority = Authority(folder)
    certificate, key = authority.issue("server")
    files = [f"--ssl-ca={authority.file}", f"--ssl-cert={certificate}", f"--ssl-key={key}"]
    server = MariaDB(performance_schema=True, extra=files).start()
    yield server, authority
    server.remove()


class Install:
    """One install: an account on both sides, a world, old rows and new ones, a dead letter, a drifted index."""

    def __init__(self, world: SecureWorld, account: Account, database_account: DatabaseAccount) -> None:
        self.world = world
        self.account = account
        self.database_account = database_account

    def run(self, *arguments: str, code: int = 0) -> Any:
        outcome = self.world.run(*arguments, "--json")
        assert outcome.code == code, (arguments, outcome.stdout, outcome.stderr)
        assert "Traceback" not in outcome.stderr
        return outcome.json

    def in_process(self, *arguments: str) -> tuple[int, str, str]:
        """Run a verb without a process of its own: many are run here. Return its exit code, output and error."""
        runner = CliRunner()
        folder = Path.cwd()
        os.chdir(self.world.folder)
        try:
            done = runner.invoke(audit_agent, ["-c", str(self.world.config), *arguments], standalone_mode=False)
        finally:
            os.chdir(folder)
        error = done.exception
        if error is None or isinstance(error, SystemExit):
            return int(done.return_value or 0), done.stdout, ""
        assert isinstance(error, AgentError | click.ClickException), (arguments, error)
        return 1, done.stdout, str(error)

    def lines(self, *, process: bool = False) -> dict[str, str]:
        """Return what `check` complains of: names of lines with their remedies."""
        text = self.world.run("check", "--json").stdout if process else self.in_process("check", "--json")[1]
        return {line["name"]: line["remedy"] for line in json.loads(text)["lines"] if line["level"] != "OK"}


Made = Callable[..., Install]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    undo: list[Callable[[], None]] = []

    def make(database_url: str, *optional: str, permissions: dict[str, Any] = WRITER, **settings: Any) -> Install:
        database = Database(database_url)
        undo.append(database.drop)
        database.create_table()
        database.create_settings({"audit_retention_days": "90"})
        database_account = account_of(database, *optional)
        undo.append(database_account.drop)
        account = Account("agent-under-test", permissions)
        undo.append(account.remove)
        world = SecureWorld(folder=tmp_path, database=database)
        undo.append(world.remove)
        world.retention = {
            "mode": "enforce",
            "rows": {"days": 90},
            "documents": {"days": 90},
            "follow_core_setting": True,
            "brakes": {"max_share": 1},
            "archive": {"enabled": True, "directory": "archive"},
        }
        world.use(account, database_account)
        world.write(settings)
        return Install(world, account, database_account)

    yield make
    for step in reversed(undo):
        step()


def fill(database: Database) -> None:
    """Insert rows of this month and the one before, expired ones, and more than a page of those."""
    insert_raw(database, [aged(120 + n / 100, action="old") for n in range(60)])
    insert_raw(database, [aged(n, action="new", context='{"n": %d, "who": "w%d"}' % (n, n)) for n in range(1, 40)])


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
    run("check", code=None)
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


@pytest.mark.parametrize("server", ["mariadb", "mysql9"])
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

    def run(*arguments: str, code: int | None = 0) -> Any:
        return install.run(*arguments) if code == 0 else install.world.run(*arguments)

    everything(run, install)

    assert install.world.database.count() == install.world.count() + 1, "one letter was dropped"
    assert {name for name in install.lines(process=True) if name.startswith(("grant", "permission", "needless"))} == set()
