"""With the accounts of deploy/ alone every verb works; each grant and permission taken away is named by `check`, it alone."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from agent.cli import audit_agent
from agent.errors import AgentError
from demo.mariadb_server import MariaDB
from demo.mysql_server import MySQL
from demo.table import TABLE
from tests.integration.certificates import Authority
from tests.integration.retention_world import aged, insert_raw
from tests.integration.secured import (
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

pytestmark = [pytest.mark.integration, pytest.mark.secured]

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
DELETER, SETTINGS, PROCESS = "deleter", "settings", "evidence: innodb_trx"


@pytest.fixture(scope="module", autouse=True)
def _node() -> None:
    secured()


@pytest.fixture(scope="module")
def tls_mariadb() -> Iterator[tuple[MariaDB, Authority]]:
    """A MariaDB that proves who it is and knows metadata locks."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server may be another user
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

    def complaints(self, *, process: bool = False) -> dict[str, str]:
        """Return what `check` complains of: names of lines with their remedies."""
        text = self.world.run("check", "--json").stdout if process else self.in_process("check", "--json")[1]
        return {line["name"]: line["remedy"] for line in json.loads(text)["lines"] if line["level"] != "OK"}


Made = Callable[..., Install]


@contextmanager
def making(folder: Path) -> Iterator[Made]:
    """Give what makes an install in a folder; undo it at the end."""
    with ExitStack() as undo:

        def make(database_url: str, *optional: str, permissions: dict[str, Any] = WRITER, **settings: Any) -> Install:
            database = Database(database_url)
            undo.callback(database.drop)
            database.create_table()
            database.create_settings({"audit_retention_days": "90"})
            database_account = account_of(database, *optional)
            undo.callback(database_account.drop)
            account = Account("agent-under-test", permissions)
            undo.callback(account.remove)
            world = SecureWorld(folder=folder, database=database)
            undo.callback(world.remove)
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


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    with making(tmp_path) as make:
        yield make


def fill(database: Database) -> None:
    """Insert rows of this month and the one before, expired ones, and more than a page of those."""
    insert_raw(database, [aged(120 + n / 100, action="old") for n in range(60)])
    insert_raw(database, [aged(n, action="new", context=json.dumps({"n": n, "who": f"w{n}"})) for n in range(1, 40)])


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


@contextmanager
def standing_on(url: str, folder: Path, tls: dict[str, Any]) -> Iterator[Install]:
    """Give an install that has shipped, on accounts that may do all that is configured."""
    with making(folder) as make:
        settings = {"source.tls": tls, "tail.gaps.evidence": "metadata_locks"}
        install = make(url, DELETER, SETTINGS, **settings)
        fill(install.world.database)
        for verb in ("setup", "sync"):
            assert install.in_process(verb)[0] == 0
        yield install


@pytest.fixture(scope="module")
def standing(tls_mariadb: tuple[MariaDB, Authority], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    server, authority = tls_mariadb
    with standing_on(server.url, tmp_path_factory.mktemp("standing"), {"ca_file": str(authority.file)}) as install:
        yield install


@pytest.fixture(scope="module")
def standing_on_mysql9(mysql9: MySQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    with standing_on(mysql9.url, tmp_path_factory.mktemp("standing"), {"verify": False}) as install:
        yield install


def is_about_accounts(name: str) -> bool:
    return name.startswith(("grant", "permission", "needless", "mysql", "table"))


@pytest.mark.parametrize("server", ["standing", "standing_on_mysql9"])
@pytest.mark.parametrize("number", range(5))
def test_a_grant_taken_away_is_named_alone(request: pytest.FixtureRequest, server: str, number: int) -> None:
    install: Install = request.getfixturevalue(server)
    grants = install.database_account.grants
    assert len(grants) == 5
    install.database_account.revoke(grants[number])
    try:
        found = install.complaints()
    finally:
        install.database_account.run(grants[number])
    remedies = {remedy for name, remedy in found.items() if is_about_accounts(name)}
    assert {tuple(part.split()) for part in named(remedies)} == {tuple(without_backticks(grants[number]).split())}
    assert not [name for name in install.complaints() if is_about_accounts(name)]


def without_backticks(statement: str) -> str:
    return statement.replace("`", "")


def named(remedies: set[str]) -> set[str]:
    """Return the grants that remedies tell to give."""
    return {without_backticks(remedy) for remedy in remedies}


def test_process_for_innodb_trx_is_named_alone(standing: Install) -> None:
    standing.world.write({"tail.gaps.evidence": "innodb_trx"})
    try:
        found = standing.complaints()
    finally:
        standing.world.write({"tail.gaps.evidence": "metadata_locks"})
    assert [name for name in found if is_about_accounts(name)] == ["grant PROCESS ON *.*"]
    assert f"GRANT PROCESS ON *.* TO '{standing.database_account.user}'" in found["grant PROCESS ON *.*"]


@pytest.mark.parametrize(
    ("action", "kind"),
    [pytest.param(*each, marks=[] if each in SAMPLED else [pytest.mark.slow]) for each in PERMISSIONS],
)
def test_a_permission_taken_away_is_named_alone(standing: Install, action: str, kind: str) -> None:
    standing.account.permit(without(WRITER, action, kind))
    try:
        found = standing.complaints()
    finally:
        standing.account.permit(WRITER)
    assert [name for name in found if name.startswith("permission ")] == [f"permission {action}"]


def test_the_reader_searches_and_nothing_else(standing: Install) -> None:
    """Its account asks the cluster directly: what a person could try with curl."""
    index = f"impulse-audit-{standing.world.instance}"
    standing.world.refresh()
    reader = Account("reader-under-test", READER)
    try:
        assert asked("POST", f"/{index}/_search", {"query": {"match_all": {}}}, user=reader.name)[0] == 200
        assert call("POST", f"/{index}/_count", user=reader.name)["count"] > 0
        searched_as(standing, reader)
        refusals = {
            f"{method} {path}": asked(method, path, body, user=reader.name)[0]
            for method, path, body in forbidden_to_readers(index, standing.world.instance)
        }
    finally:
        reader.remove()
    assert set(refusals.values()) == {403}, refusals
    assert standing.in_process("verify")[0] == 0


# Each verb that changes something, somewhere, for whoever may.
CHANGING = [
    ["setup"],
    ["sync"],
    ["sync", "--restart"],
    ["retain", "--execute", "--release-brake"],
    ["verify", "--repair", "--delete-orphans"],
    ["backfill"],
    ["rebuild", "--all"],
    ["pause", "tail", "--why", "a test"],
    ["resume", "tail"],
    ["dead-letters", "replay"],
    ["dead-letters", "drop", "70", "--reason", "a test"],
    ["checkpoint", "rewind", "--to-id", "1", "--yes"],
]


@pytest.mark.slow
def test_with_the_readers_account_no_verb_changes_anything_on_either_side(
    standing: Install,
) -> None:
    world = standing.world
    reader = Account("reader-of-verbs", READER)
    before = kept(standing)
    told = {}
    try:
        world.write({"opensearch.username": reader.name})
        for verb in CHANGING:
            outcome = world.run(*verb)
            told[" ".join(verb)] = (outcome.code, outcome.stderr.strip().splitlines()[-1:])
        daemon = world.start("run")
        time.sleep(5)
        daemon.terminate()
        daemon.communicate(timeout=60)
    finally:
        world.write({"opensearch.username": standing.account.name})
        reader.remove()
    assert kept(standing) == before
    wrong = {verb: said for verb, said in told.items() if said[0] == 0 or "OpenSearch denies" not in "".join(said[1])}
    assert wrong == {}


def kept(install: Install) -> dict[str, Any]:
    """Return all that an agent could change: the rows, the documents, the state, the journal, the templates."""
    world = install.world
    world.refresh()
    found = call("POST", "/impulse-*/_search?size=1000&version=true", {"query": {"match_all": {}}})["hits"]["hits"]
    return {
        "rows": world.database.count(),
        "documents": sorted((hit["_index"], hit["_id"], hit["_version"]) for hit in found),
        "indices": sorted(call("GET", "/impulse-*")),
        "templates": call("GET", "/_index_template/impulse-*"),
    }


def searched_as(install: Install, reader: Account) -> None:
    """Search with the command line on the reader's account; what that account cannot know is said."""
    install.world.write({"opensearch.username": reader.name})
    try:
        for verb in (["search", "--text", "d"], ["top", "--by", "action"], ["actions"]):
            code, output, error = install.in_process(*verb, "--last", "60d", "--json")
            assert code == 0, (verb, error)
        assert json.loads(output)["actions"]
        assert install.in_process("status")[2].count("indices:data/read/get") == 1
    finally:
        install.world.write({"opensearch.username": install.account.name})


def forbidden_to_readers(index: str, instance: str) -> list[tuple[str, str, Any]]:
    """Return what a reader may not do: write, delete, look into the agent's own indices, administrate."""
    everything_: dict[str, Any] = {"query": {"match_all": {}}}
    month = f"{index}-{datetime.now(UTC):%Y.%m}"
    return [
        ("PUT", f"/{month}/_doc/x", {"id": 1}),
        ("POST", f"/{month}/_update/{instance}:70", {"doc": {"id": 1}}),
        ("DELETE", f"/{month}/_doc/{instance}:70", None),
        ("POST", "/_bulk", f'{{"delete":{{"_index":"{month}","_id":"{instance}:70"}}}}\n'.encode()),
        ("POST", f"/{index}-*/_delete_by_query", everything_),
        ("POST", f"/{index}-*/_update_by_query", everything_),
        ("POST", "/_reindex", {"source": {"index": month}, "dest": {"index": "impulse-audit-copy"}}),
        ("DELETE", f"/{month}-000001", None),
        ("PUT", "/impulse-audit-new", None),
        ("PUT", f"/{month}/_mapping", {"properties": {"x": {"type": "long"}}}),
        ("PUT", f"/{month}/_settings", {"index.blocks.write": True}),
        ("POST", "/_aliases", {"actions": [{"add": {"index": f"{month}-000001", "alias": "impulse-audit-x"}}]}),
        ("GET", f"/{month}/_mapping", None),
        ("GET", "/impulse-agent-state/_search", None),
        ("GET", "/impulse-agent-dead-letters/_search", None),
        ("GET", "/impulse-agent-journal/_search", None),
        ("GET", f"/impulse-agent-state/_doc/{instance}", None),
        ("GET", "/_all/_search", None),
        ("GET", "/_cluster/state", None),
        ("GET", "/_index_template/impulse-audit", None),
        ("PUT", "/_index_template/evil", {"index_patterns": ["x"]}),
        ("GET", "/_nodes", None),
        ("GET", "/_plugins/_security/api/internalusers", None),
        ("PUT", "/_plugins/_security/api/rolesmapping/all_access", {"users": ["reader-under-test"]}),
        ("PUT", "/_snapshot/x", {"type": "fs", "settings": {"location": "/"}}),
    ]


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
