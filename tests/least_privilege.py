"""The integration suite on the users of deploy/: `AUDIT_TEST_LEAST_PRIVILEGE=mariadb` or `mysql9` switches it on.

Then every world and corner stands on the node with security, the agent's account there holds the permissions of
`deploy/opensearch/role-writer.json` on the tests' prefixes, every `Database.url` is an account made by
`deploy/grants.sql` that must use TLS, and a world checks the server's certificate. What tests do themselves, past the
agent, administrators do. A test that brings accounts or servers of its own is marked `own_accounts`.
"""

from __future__ import annotations

import functools
import os
import re
import secrets
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from agent.config.connections import OpenSearchSettings
from agent.opensearch.client import Cluster, open_cluster
from demo.connection import connect
from demo.mariadb_server import MariaDB
from demo.mysql_server import MySQL
from demo.table import TABLE
from tests.integration.certificates import Authority

SERVER = os.environ.get("AUDIT_TEST_LEAST_PRIVILEGE", "")
URL = os.environ.get("AUDIT_TEST_SECURE_OPENSEARCH_URL", "")
CERTS = Path(os.environ.get("AUDIT_TEST_SECURE_OPENSEARCH_CERTS", "/nonexistent"))
# What worlds and corners call their indices.
PATTERNS = ["audit-*", "agent-*", "t*-audit-*", "t*-agent-*"]
DEPLOY = Path(__file__).parents[1] / "deploy"
_SECTION = re.compile(r"^-- == (.+) ==$", re.MULTILINE)
_CODED = re.compile(r"^-- (?=GRANT )", re.MULTILINE)
# The files that certificates of the servers made here are checked with, by the server's URL.
_AUTHORITIES: dict[str, Path] = {}


def is_secured(url: str) -> bool:
    """Say whether a URL is one of the node with security."""
    return bool(URL) and url.startswith(URL)


@functools.cache
def visitor(url: str) -> ssl.SSLContext | None:
    """Return how a node's certificate is checked by who brings an account of their own."""
    return ssl.create_default_context(cafile=str(CERTS / "ca.pem")) if is_secured(url) else None


@functools.cache
def administrator(url: str) -> ssl.SSLContext | None:
    """Return how a test asks a node past the agent: as its administrator where it is the secured one."""
    if not is_secured(url):
        return None
    context = ssl.create_default_context(cafile=str(CERTS / "ca.pem"))
    context.load_cert_chain(CERTS / "admin.pem", CERTS / "admin-key.pem")
    return context


def administrators_cluster(url: str) -> Cluster:
    """Return a door to a node past the agent, as `administrator` opens it."""
    keys: dict[str, Any] = {"ca_file": CERTS / "ca.pem"}
    keys |= {"client_cert": CERTS / "admin.pem", "client_key": CERTS / "admin-key.pem"}
    return open_cluster(OpenSearchSettings(hosts=(url,), **(keys if is_secured(url) else {})))


@functools.cache
def agents_account(url: str) -> dict[str, Any]:
    """Return the keys of `opensearch` by which the agent reaches a node; its account is made on first use."""
    from tests.integration.secured import PASSWORD, Account, role  # noqa: PLC0415  it is made of worlds itself

    if not SERVER or url != URL:
        return {}
    permissions = role("writer")
    permissions["index_permissions"][0]["index_patterns"] = PATTERNS
    account = Account(f"suite-on-{SERVER}", permissions)
    return {"username": account.name, "password": PASSWORD, "ca_file": str(CERTS / "ca.pem")}


def grants(*optional: str) -> dict[str, list[str]]:
    """Return the statements of deploy/grants.sql by section: what is in force, and the optional parts that are named."""
    found = {}
    parts = _SECTION.split((DEPLOY / "grants.sql").read_text())[1:]
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        part = _CODED.sub("", body) if name in optional else body
        part = "\n".join(line for line in part.splitlines() if not line.startswith("--"))
        found[name] = [statement.strip() for statement in part.split(";") if statement.strip()]
    return found


def filled_in(statement: str, *, user: str, password: str, database: str, table: str = TABLE) -> str:
    """Return a statement with what its head asks to change: the host, the password and the database."""
    return (
        statement.replace("'audit_agent'@'localhost'", f"'{user}'@'%'")
        .replace("CHANGE-ME", password)
        .replace("`whmcs`", f"`{database}`")
        .replace(f"`{TABLE}`", f"`{table}`")
    )


class SuiteAccount:
    """The agent's account in one database of a test: each grant is given as soon as its table is there."""

    def __init__(self, connection: Connection[Cursor], database: str, server_url: str) -> None:
        self.name, self._password = f"a_{secrets.token_hex(5)}", secrets.token_hex(8)
        self._connection, self._database = connection, database
        address = server_url.rsplit("@", 1)[1].rstrip("/")
        self.url = f"mysql+pymysql://{self.name}:{self._password}@{address}/{database}"
        self.grant("account", "evidence: metadata_locks", "evidence: innodb_trx")
        if server_url in _AUTHORITIES:
            self._execute(f"ALTER USER '{self.name}'@'%' REQUIRE SSL")

    def grant(self, *sections: str, table: str = TABLE) -> None:
        """Execute sections of deploy/grants.sql, optional or not."""
        for section in sections:
            for statement in grants(*sections)[section]:
                self._execute(
                    filled_in(statement, user=self.name, password=self._password, database=self._database, table=table)
                )

    def _execute(self, statement: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)


def tls_of(server_url: str) -> dict[str, Any]:
    """Return the key `source.tls` for a server made here, {} for any other."""
    file = _AUTHORITIES.get(server_url)
    return {"tls": {"ca_file": str(file)}} if file else {}


@contextmanager
def tls_server() -> Iterator[str]:
    """Start the server that was asked for, with a certificate; give its URL."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server may be another user
        authority = Authority(folder)
        server = _mysql(authority) if SERVER == "mysql9" else _mariadb(authority)
        _AUTHORITIES[server.url] = authority.file
        try:
            yield server.url
        finally:
            server.remove()


def _mariadb(authority: Authority) -> MariaDB:
    certificate, key = authority.issue("server")
    files = [f"--ssl-ca={authority.file}", f"--ssl-cert={certificate}", f"--ssl-key={key}"]
    return MariaDB(metadata_lock_info=True, performance_schema=True, extra=files).start()


def _mysql(authority: Authority) -> MySQL:
    server = MySQL().start()
    # It lives in a root of its own, so the files go into its data folder and are named from there.
    with connect(server.url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@datadir")
        ((inside,),) = cursor.fetchall()
        folder = Path(f"/proc/{server.pid}/root{inside}")
        certificate, key = authority.issue("server")
        for variable, file in (("ssl_ca", authority.file), ("ssl_cert", certificate), ("ssl_key", key)):
            (folder / f"given-{file.name}").write_bytes(file.read_bytes())
            cursor.execute(f"SET GLOBAL {variable} = %s", (f"given-{file.name}",))
        cursor.execute("ALTER INSTANCE RELOAD TLS")
    return server
