"""Connections: how they are set up, whom they trust, what they say when they fail, and that they say no secret."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.errors import AgentError, ConfigError, TemporaryError
from agent.mysql import open_database
from agent.mysql.lease import Lease
from demo.mariadb_server import MariaDB
from tests.integration.certificates import Authority
from tests.integration.mysql_source import Source, Tls, source
from tests.world import Database

pytestmark = pytest.mark.integration
TABLE = "mod_impulsecore_audit_log"
SECRET = "a-Password-1"


def asked(settings: Source, sql: str = "SELECT 1") -> object:
    with open_database(settings).connection() as connection:
        return connection.row(sql)


def problem(settings: Source, sql: str = "SELECT 1") -> AgentError:
    with pytest.raises(AgentError) as error:
        asked(settings, sql)
    assert SECRET not in str(error.value)
    return error.value


def test_every_session_is_utc_autocommit_and_read_committed(database: Database) -> None:
    isolation = (
        "@@transaction_isolation"
        if "maria" not in str(database.execute("SELECT VERSION()")).lower()
        else "@@tx_isolation"
    )

    row = asked(
        source(database.url),
        f"SELECT @@time_zone, @@autocommit, {isolation}, @@character_set_connection, @@innodb_lock_wait_timeout",
    )

    assert row == ("+00:00", 1, "READ-COMMITTED", "utf8mb4", 1)


def test_a_statement_is_stopped_by_the_server_before_we_give_up(database: Database) -> None:
    settings = source(database.url, read_timeout_seconds=2)
    database.execute(f"INSERT INTO {TABLE} (module_slug, source, action) VALUES ('m', 's', 'a'), ('m', 's', 'a')")
    endless = f"SELECT COUNT(*) FROM {TABLE} WHERE SLEEP(0.4) = 0 OR id IN (SELECT SLEEP(0.4) FROM {TABLE})"
    database.execute(
        f"INSERT INTO {TABLE} (module_slug, source, action) SELECT 'm', 's', 'a' FROM {TABLE}, {TABLE} AS b"
    )

    error = problem(settings, endless)

    assert isinstance(error, TemporaryError)
    assert error.kind == "statement_timeout"


def test_a_wrong_password_is_for_a_person_to_correct(database: Database) -> None:
    url = database.create_user("SELECT ON {database}.*", password=SECRET)

    error = problem(source(url.replace(SECRET, SECRET + "x")))

    assert isinstance(error, ConfigError)
    assert "password" in error.remedy


def test_a_rotated_password_file_is_picked_up_at_the_next_connect(database: Database, tmp_path: Path) -> None:
    url = database.create_user("SELECT ON {database}.*", password=SECRET)
    user = url.split("//")[1].split(":")[0]
    file = tmp_path / "password"
    file.write_text(SECRET + "\n")
    opened = open_database(source(url.replace(f":{SECRET}", ""), password_file=file))
    with opened.connection() as connection:
        assert connection.row("SELECT 1") == (1,)

    database.execute(f"ALTER USER `{user}`@`%%` IDENTIFIED BY 'another-Password-2'", ())
    file.write_text("another-Password-2")
    opened.close()

    with opened.connection() as connection:
        assert connection.row("SELECT 1") == (1,)


def test_a_missing_password_file_is_named(database: Database, tmp_path: Path) -> None:
    error = problem(source(database.url, password_file=tmp_path / "nowhere"))

    assert isinstance(error, ConfigError)
    assert "nowhere" in str(error)


@pytest.mark.parametrize("url", ["mysql+pymysql://u:{}@127.0.0.1:1/d", "mysql+pymysql://u:{}@no-such-host.invalid/d"])
def test_a_server_that_is_not_there_is_temporary(url: str) -> None:
    error = problem(source(url.format(SECRET)))

    assert isinstance(error, TemporaryError)
    assert error.kind == "mysql_unreachable"
    assert "source.url" in error.remedy


@pytest.mark.parametrize("url", ["postgresql://u:{}@h/d", "mysql+nodriver://u:{}@h/d", "//{}", "mysql://u:{}@h:port/d"])
def test_a_url_that_is_none_is_refused_without_showing_it(url: str) -> None:
    assert isinstance(problem(source(url.format(SECRET))), ConfigError)


@pytest.mark.parametrize("patience", ["read_timeout_seconds", "connect_timeout_seconds"])
def test_a_silent_server_is_noticed_within_the_shorter_of_both_timeouts(patience: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        before = time.monotonic()

        error = problem(source(f"mysql+pymysql://u@127.0.0.1:{port}/d", **{patience: 1}))

        assert isinstance(error, TemporaryError)
        assert time.monotonic() - before < 10


def test_denied_and_unknown_things_name_the_remedy(database: Database) -> None:
    url = database.create_user("SELECT ON {database}." + TABLE, password=SECRET)

    assert "GRANT DELETE ON" in problem(source(url), f"DELETE FROM {TABLE}").remedy
    assert "source.columns" in problem(source(url), f"SELECT nope FROM {TABLE}").remedy
    assert "source.url" in problem(source(url.rsplit("/", 1)[0] + "/no_such_database")).remedy


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    # Not a folder of pytest's: each run that starts closes those to the server's user.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield Authority(folder)


@pytest.fixture(scope="module")
def tls_server(authority: Authority) -> Iterator[MariaDB]:
    server = MariaDB(extra=_tls(authority, "good")).start()
    yield server
    server.remove()


def _tls(authority: Authority, file: str, **options: object) -> list[str]:
    certificate, key = authority.issue(file, **options)  # type: ignore[arg-type]
    return [f"--ssl-ca={authority.file}", f"--ssl-cert={certificate}", f"--ssl-key={key}"]


def test_a_trusted_certificate_is_accepted(tls_server: MariaDB, authority: Authority) -> None:
    settings = source(tls_server.url, tls=Tls(ca_file=authority.file))

    assert str(asked(settings, "SHOW STATUS LIKE 'Ssl_cipher'")).count("TLS")


def test_an_unknown_authority_is_refused_unless_told_not_to_verify(tls_server: MariaDB, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other authority")

    error = problem(source(tls_server.url, tls=Tls(ca_file=other.file)))

    assert isinstance(error, TemporaryError)
    assert error.kind == "tls"
    assert asked(source(tls_server.url, tls=Tls(ca_file=other.file, verify=False))) == (1,)
    assert asked(source(tls_server.url, tls=Tls(enabled=False))) == (1,)


def test_an_account_that_requires_a_certificate_gets_in_with_it_alone(
    tls_server: MariaDB, authority: Authority
) -> None:
    database = Database(tls_server.url)
    url = database.create_user("SELECT ON {database}.*", password=SECRET)
    database.execute(f"ALTER USER `{url.split('//')[1].split(':')[0]}`@`%` REQUIRE X509")
    certificate, key = authority.issue("client")
    holding = Tls(ca_file=authority.file, client_cert=certificate, client_key=key)

    assert asked(source(url, tls=holding)) == (1,)
    error = problem(source(url, tls=Tls(ca_file=authority.file)))
    assert isinstance(error, ConfigError)
    assert SECRET not in str(error)
    database.drop()


@pytest.mark.parametrize(
    ("file", "options", "words"),
    [("expired", {"days": -1}, "expired"), ("elsewhere", {"address": "127.0.0.2"}, "mismatch")],
)
def test_an_expired_or_foreign_certificate_is_refused(
    private_mariadb: Callable[..., MariaDB], authority: Authority, file: str, options: dict[str, object], words: str
) -> None:
    server = private_mariadb(extra=_tls(authority, file, **options))

    error = problem(source(server.url, tls=Tls(ca_file=authority.file)))

    assert isinstance(error, TemporaryError)
    assert error.kind == "tls"
    assert words in error.got


def test_a_server_without_tls_is_refused_when_tls_is_asked_for(
    private_mariadb: Callable[..., MariaDB], authority: Authority
) -> None:
    error = problem(source(private_mariadb(extra=["--skip-ssl"]).url, tls=Tls(ca_file=authority.file)))

    assert isinstance(error, TemporaryError)
    assert error.kind == "tls"


def test_a_missing_authority_file_is_a_configuration_error(database: Database, tmp_path: Path) -> None:
    error = problem(source(database.url, tls=Tls(ca_file=tmp_path / "no.pem")))

    assert isinstance(error, ConfigError)
    assert "no.pem" in str(error)


@pytest.mark.parametrize("tls", [Tls(verify=False), Tls(enabled=False)], ids=["TLS", "RSA"])
def test_caching_sha2_password_works_over_tls_and_in_the_clear(database: Database, tls: Tls) -> None:
    if "maria" in str(database.execute("SELECT VERSION()")).lower():
        pytest.skip("MariaDB has no caching_sha2_password")
    url = database.create_user("SELECT ON {database}.*", password=SECRET)
    user = url.split("//")[1].split(":")[0]
    database.execute(f"ALTER USER `{user}`@`%%` IDENTIFIED WITH caching_sha2_password BY %s", (SECRET,))

    assert asked(source(url, tls=tls)) == (1,)


def test_only_one_of_two_has_the_lease(database: Database) -> None:
    opened = open_database(source(database.url))
    one, other = Lease(opened, database.name), Lease(opened, database.name)

    assert (one.acquire(), one.acquire(), other.acquire()) == (True, True, False)
    assert (one.held(), other.held()) == (True, False)
    assert one.holder() is not None
    one.release()
    assert not one.held()
    assert other.acquire()
    other.release()
    assert other.holder() is None


def test_leases_of_two_instances_do_not_meet(database: Database) -> None:
    opened = open_database(source(database.url))
    one, other = Lease(opened, database.name), Lease(opened, database.name + "-b")

    assert one.acquire()
    assert other.acquire()
    one.release()
    other.release()


def test_a_lease_whose_session_died_is_not_held_and_can_be_taken_over(database: Database) -> None:
    opened = open_database(source(database.url))
    one, other = Lease(opened, database.name), Lease(opened, database.name)
    assert one.acquire()

    database.execute(f"KILL {one.holder()}")

    assert not one.held()
    assert other.acquire()
    assert not one.acquire()
    other.release()


def test_a_lease_nobody_asks_about_ends_by_itself(database: Database) -> None:
    opened = open_database(source(database.url))
    one, other = Lease(opened, database.name, idle_seconds=1), Lease(opened, database.name)
    assert one.acquire()

    deadline = time.monotonic() + 20
    while not other.acquire() and time.monotonic() < deadline:
        time.sleep(0.2)

    assert other.held()
    assert not one.held()
    other.release()
