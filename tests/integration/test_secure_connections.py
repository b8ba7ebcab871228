"""Trust that fails, told as what it is; secrets that rotate under a running agent; and no secret in any of it."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from agent.config.connections import OpenSearchSettings
from agent.errors import AgentError, ConfigError, TemporaryError
from agent.mysql import open_database
from agent.mysql.engine import database_at
from agent.opensearch.client import open_cluster
from demo.mysql_server import MySQL
from tests.integration.certificates import Authority
from tests.integration.mysql_source import Tls, source
from tests.integration.retention_world import aged, insert_raw
from tests.integration.secured import Account, DatabaseAccount, SecureWorld, account_of, role, secured
from tests.world import Database

pytestmark = [pytest.mark.integration, pytest.mark.secured]
SECRET = "planted-Secret-7"
WAIT_SECONDS = 60


@contextmanager
def tls_port(certificate: tuple[Path, Path] | None) -> Iterator[int]:
    """Answer handshakes with a certificate (or plain HTTP without one) until the end."""
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    connection.settimeout(5)
                    if context is None:
                        connection.recv(4096)
                        connection.sendall(
                            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                        )
                        continue
                    with context.wrap_socket(connection, server_side=True) as encrypted:
                        encrypted.recv(4096)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def outage(port: int, *, ca_file: Path | None, scheme: str = "https") -> TemporaryError:
    settings = OpenSearchSettings(
        hosts=(f"{scheme}://127.0.0.1:{port}",), username="u", password=SECRET, ca_file=ca_file, timeout_seconds=5
    )
    cluster = open_cluster(settings)
    with pytest.raises(TemporaryError) as failure:
        cluster.call("GET", "/")
    cluster.close()
    assert SECRET not in str(failure.value) + repr(failure.value)
    return failure.value


@pytest.mark.parametrize(
    ("made", "trusted", "words", "remedy"),
    [
        ({}, False, "certificate", "opensearch.ca_file"),
        ({"days": -1}, True, "expired", "renew"),
        ({"address": "127.0.0.2"}, True, "127.0.0.1", "host name"),
    ],
    ids=["another authority", "expired", "another host"],
)
def test_a_certificate_that_does_not_hold_is_told_with_its_remedy(
    tmp_path: Path, made: dict[str, object], trusted: bool, words: str, remedy: str
) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "another authority")
    with tls_port(authority.issue("node", **made)) as port:  # type: ignore[arg-type]
        failure = outage(port, ca_file=(authority if trusted else other).file)
    assert failure.kind == "tls"
    assert words in failure.got
    assert remedy in failure.remedy


def test_tls_to_a_plain_port_hints_at_http(tmp_path: Path) -> None:
    with tls_port(None) as port:
        failure = outage(port, ca_file=Authority(tmp_path).file)
    assert failure.kind == "tls"
    assert "http://" in failure.remedy


def test_plain_http_to_a_tls_port_is_unreachable_not_a_crash(tmp_path: Path) -> None:
    with tls_port(Authority(tmp_path).issue("node")) as port:
        assert outage(port, ca_file=None, scheme="http").kind == "unreachable"


@pytest.fixture
def on_mysql9(mysql9: MySQL) -> Iterator[Database]:
    database = Database(mysql9.url)
    database.create_table()
    yield database
    database.drop()


@pytest.mark.parametrize(
    "tls",
    [Tls(verify=False), Tls(enabled=False), None],
    ids=["over TLS", "in the clear, by RSA", "as the driver likes"],
)
def test_caching_sha2_password_logs_in_also_when_the_server_has_forgotten_it(
    on_mysql9: Database, tls: Tls | None
) -> None:
    url = on_mysql9.create_user("SELECT ON {database}.*", password=SECRET)
    on_mysql9.execute("FLUSH PRIVILEGES")  # empties the server's cache: the next login is the full exchange
    opened = open_database(source(url, tls=tls))

    with opened.connection() as connection:
        cipher = connection.row("SHOW STATUS LIKE 'Ssl_cipher'")
    opened.close()

    user = url.split("//")[1].split(":")[0]
    assert on_mysql9.execute("SELECT plugin FROM mysql.user WHERE user = %s", (user,))[0][0] == "caching_sha2_password"
    assert cipher is not None
    assert bool(cipher[1]) is (tls is None or tls.enabled)
    wrong = open_database(source(url.replace(SECRET, f"{SECRET}x"), tls=tls))
    with pytest.raises(ConfigError) as failure, wrong.connection():
        pass
    assert "source.password_file" in failure.value.remedy
    assert SECRET not in str(failure.value)


def test_mysqls_own_certificate_is_not_trusted_by_default(on_mysql9: Database) -> None:
    opened = open_database(source(on_mysql9.url, tls=Tls()))
    with pytest.raises(TemporaryError) as failure, opened.connection():
        pass
    assert failure.value.kind == "tls"


@pytest.mark.parametrize(("own", "file"), [(True, True), (False, True), (False, False)])
def test_a_replica_uses_its_own_password_or_that_of_the_source(
    database: Database, tmp_path: Path, own: bool, file: bool
) -> None:
    url = database.create_user("SELECT ON {database}.*", password=SECRET)
    replica, bare = (url, url.replace(f":{SECRET}", ""))
    (tmp_path / "pw").write_text("of-the-source" if own else SECRET)
    # Another database in the URL makes it another URL, as a replica's is.
    settings = source(
        database.url if own else f"{bare}?charset=utf8mb4" if file else f"{url}?charset=utf8mb4",
        password_file=tmp_path / "pw" if file else None,
    )
    opened = database_at(replica if own else bare, settings)
    with opened.connection() as connection:
        assert connection.row("SELECT 1") == (1,)
    opened.close()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"a\0b"])
def test_a_half_written_password_file_is_told_without_showing_it(
    database: Database, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "pw"
    file.write_bytes(content)
    with pytest.raises(AgentError) as failure, open_database(source(database.url, password_file=file)).connection():
        pass
    assert "source.password_file" in str(failure.value)


ODD = ["Aa1@:/?#[]!$&'()*+,;=%20\"\\%s%(x)s{}${HOME}$${<b>", "Aa1-pä€ß-🎈 and blanks"]


@pytest.mark.slow
@pytest.mark.parametrize("password", ODD)
def test_a_password_of_any_characters_gets_in_and_is_shown_nowhere(
    database: Database, tmp_path: Path, password: str
) -> None:
    secured()
    world = SecureWorld(folder=tmp_path, database=database)
    database_account = account_of(database)
    account = Account("agent-odd", role("writer"), password=password)
    try:
        database.execute(f"ALTER USER '{database_account.user}'@'%%' IDENTIFIED BY %s", (password,))
        world.use(account, database_account)
        insert_raw(database, [aged(1)])
        in_files(world, password)
        assert (world.run("sync").code, world.count()) == (0, 1)
        insert_raw(database, [aged(1)])
        in_the_open(world, database_account)
        outcome = world.run("sync", env=variables(password))
        assert (outcome.code, world.count()) == (0, 2), outcome.stderr

        for verb in (["sync"], ["check", "--json"], ["explain", "1"]):
            outcome = world.run(*verb, env=variables(f"{password}!"))
            assert outcome.code in (1, 2)
            shown = outcome.stdout + outcome.stderr
            assert not [form for form in forms(password) if form in shown], (verb, shown)
    finally:
        world.remove()
        account.remove()
        database_account.drop()


def in_files(world: SecureWorld, password: str) -> None:
    for name in ("mysql", "opensearch"):
        world.password_file(name).write_text(f"{password}\n")


def in_the_open(world: SecureWorld, database_account: DatabaseAccount) -> None:
    """Have the passwords in variables: inside the URL, as such."""
    del world.settings["source"]["password_file"], world.settings["opensearch"]["password_file"]
    user = database_account.user
    url = database_account.url.replace(f"{user}@", f"{user}:${{IN_A_URL}}@")
    world.write({"source.url": url, "opensearch.password": "${AS_IT_IS}"})


def variables(password: str) -> dict[str, str]:
    return {"IN_A_URL": quote(password, safe=""), "AS_IT_IS": password}


def forms(password: str) -> set[str]:
    return {password, quote(password), quote(password, safe=""), repr(password)[1:-1], json.dumps(password)[1:-1]}


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_passwords_that_rotate_under_a_running_agent_are_taken_up_without_a_restart(
    database: Database, tmp_path: Path
) -> None:
    secured()
    world = SecureWorld(folder=tmp_path, database=database)
    database_account = account_of(database)
    account = Account("agent-rotated", role("writer"))
    try:
        world.use(account, database_account)
        world.write({"tail.gaps.evidence": "grace"})
        insert_raw(database, [aged(1)])
        daemon = world.start("run")
        eventually(lambda: world.count() == 1)

        # The server first and the file later: the worst order, and one the agent has to wait out.
        database.execute(f"ALTER USER '{database_account.user}'@'%' IDENTIFIED BY 'Rotated-horse-9-battery'")
        for (session,) in database.execute(
            "SELECT id FROM information_schema.processlist WHERE user = %s", (database_account.user,)
        ):
            with suppress(Exception):
                database.execute(f"KILL {session}")
        account.set_password("Rotated-horse-8-battery")
        insert_raw(database, [aged(1)])
        time.sleep(2)
        assert world.count() == 1
        world.password_file("mysql").write_text("Rotated-horse-9-battery\n")
        world.password_file("opensearch").write_text("Rotated-horse-8-battery\n")

        eventually(lambda: world.count() == 2)
        assert daemon.poll() is None
        daemon.terminate()
        _, log = daemon.communicate(timeout=30)
        assert daemon.returncode == 0
    finally:
        world.remove()
        account.remove()
        database_account.drop()
    assert "tail.deferred" in log, log
    assert "horse" not in log
