"""An install on the accounts of deploy/ alone: made, filled, asked in process, and undone."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

from agent.cli import audit_agent
from agent.errors import AgentError
from demo.mariadb_server import MariaDB
from tests.integration.certificates import Authority
from tests.integration.retention_world import aged, insert_raw
from tests.integration.secured import Account, DatabaseAccount, SecureWorld, account_of, permissions_of, role
from tests.world import Database

WRITER, READER = role("writer"), role("reader")
PERMISSIONS = permissions_of(WRITER)
DELETER, SETTINGS = "deleter", "settings"


@contextmanager
def mariadb_with_tls() -> Iterator[tuple[MariaDB, Authority]]:
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


def fill(database: Database) -> None:
    """Insert rows of this month and the one before, expired ones, and more than a page of those."""
    insert_raw(database, [aged(120 + n / 100, action="old") for n in range(60)])
    insert_raw(database, [aged(n, action="new", context=json.dumps({"n": n, "who": f"w{n}"})) for n in range(1, 40)])


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
