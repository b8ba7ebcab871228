"""Fixtures on real servers: started once a run, only when a test asks, by the same code as the demo.

    mariadb · opensearch      the shared pair (or DEMO_MYSQL_URL, DEMO_OPENSEARCH_URL)
    mysql9                    MySQL 9 where it can be had: Debian and root; else the test is skipped
    private_mariadb …         make a server of the test's own, to stop, kill, restart or configure
    database                  a fresh database with an empty audit table, on MariaDB and on AUDIT_TEST_MYSQL_URL
    world                     that, plus a configuration and a corner of the cluster; `world.run("sync")`
    agent_cli                 `world.run`

A server that cannot be had skips the test on a laptop and fails it when CI=true.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from demo.connection import connect
from demo.mariadb_server import MariaDB, start_witness
from demo.missing import Missing
from demo.mysql_server import MySQL
from demo.opensearch_server import Cluster
from tests import least_privilege
from tests.world import Database, Outcome, World

# A run from a background shell inherits a SIGINT that is ignored, and would hand it down to every process it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

GIVEN_URL = os.environ.get("AUDIT_TEST_MYSQL_URL")
Server = TypeVar("Server", MariaDB, Cluster, MySQL)


def had(make: Callable[[], Server]) -> Server:
    """Return what `make` makes, or skip (fail in CI) with the reason why it cannot be made."""
    try:
        return make()
    except Missing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no server: {missing}")
        pytest.skip(f"no server: {missing}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out, on the users of deploy/, what brings accounts or servers of its own."""
    if least_privilege.SERVER:
        for item in items:
            marker = item.get_closest_marker("own_accounts")
            if marker or item.get_closest_marker("secured"):
                item.add_marker(pytest.mark.skip(marker.args[0] if marker else "has accounts of its own"))


@pytest.fixture(scope="session")
def mariadb() -> Iterator[str]:
    """Give the URL of a MariaDB that proves gaps dead, by its plugin if it has one; root without a password."""
    if least_privilege.SERVER:
        with least_privilege.tls_server() as url:
            yield url
        return
    given = os.environ.get("DEMO_MYSQL_URL")
    if given:
        yield given
        return
    server = had(start_witness)
    yield server.url
    server.remove()


@pytest.fixture(scope="session")
def plugin_mariadb(mariadb: str) -> str:
    """Give that MariaDB if its evidence is the plugin; the one from Maven Central comes without."""
    if least_privilege.SERVER:
        pytest.skip("the server with TLS proves gaps dead by its performance_schema")
    with connect(mariadb) as connection, connection.cursor() as cursor:
        if not cursor.execute("SELECT 1 FROM information_schema.plugins WHERE plugin_name = 'METADATA_LOCK_INFO'"):
            pytest.skip("this MariaDB comes without the plugin metadata_lock_info")
    return mariadb


@pytest.fixture(scope="session")
def mysql9() -> Iterator[MySQL]:
    """Give a MySQL 9, or skip: even CI need not be Debian and root."""
    try:
        server = MySQL().start()
    except Missing as missing:
        pytest.skip(f"no MySQL 9: {missing}")
    yield server
    server.remove()


@pytest.fixture(scope="session")
def short_lived(request: pytest.FixtureRequest) -> bool:
    """Say whether the run's clusters live for minutes only."""
    return not any(item.get_closest_marker("slow") for item in request.session.items)


@pytest.fixture(scope="session")
def opensearch(short_lived: bool) -> Iterator[str]:
    """Give the URL of one OpenSearch node."""
    given = least_privilege.URL if least_privilege.SERVER else os.environ.get("DEMO_OPENSEARCH_URL")
    if given:
        yield given
        return
    # Hundreds of tests leave their mark on this node's memory, two of them at a time: a third less has tripped its
    # circuit breaker.
    cluster = had(lambda: Cluster(heap="1536m", short_lived=short_lived).start())
    yield cluster.url
    cluster.stop()


@pytest.fixture
def private_mariadb() -> Iterator[Callable[..., MariaDB]]:
    """Make MariaDB servers of the test's own: `private_mariadb(performance_schema=True, extra=[…])`."""
    made: list[MariaDB] = []

    def make(**options: Any) -> MariaDB:
        made.append(had(lambda: MariaDB(**options).start()))
        return made[-1]

    yield make
    for server in made:
        server.remove()


@pytest.fixture
def private_opensearch(short_lived: bool) -> Iterator[Callable[..., Cluster]]:
    """Make clusters of the test's own: `private_opensearch(nodes=3, settings={…})`."""
    made: list[Cluster] = []

    def make(**options: Any) -> Cluster:
        made.append(had(lambda: Cluster(short_lived=short_lived, **options).start()))
        return made[-1]

    yield make
    for cluster in made:
        cluster.stop()


@pytest.fixture(params=[least_privilege.SERVER or "mariadb", *(["given"] if GIVEN_URL else [])])
def database_server(request: pytest.FixtureRequest) -> str:
    """Give the URL of each server the integration tests run on."""
    return GIVEN_URL if request.param == "given" and GIVEN_URL else str(request.getfixturevalue("mariadb"))


@pytest.fixture
def database(database_server: str) -> Iterator[Database]:
    """Give a fresh database with an empty audit table of the default shape."""
    fresh = Database(database_server)
    fresh.create_table()
    yield fresh
    fresh.drop()


@pytest.fixture
def make_world(opensearch: str, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Make worlds: on another database (`make_world(other)`), another cluster, or a second instance."""
    made: list[World] = []

    def make(database: Database, *, opensearch_url: str = opensearch, **fields: Any) -> World:
        folder = tmp_path / f"world-{len(made) + 1}"
        folder.mkdir()
        made.append(World(folder=folder, database=database, opensearch_url=opensearch_url, **fields))
        return made[-1]

    yield make
    for world in made:
        world.remove()


@pytest.fixture
def world(make_world: Callable[..., World], database: Database) -> World:
    """Give one instance: its database, its configuration, its corner of the cluster."""
    return make_world(database)


@pytest.fixture
def agent_cli(world: World) -> Callable[..., Outcome]:
    """Run the command line on this world's configuration: `agent_cli("search", "--json").json`."""
    return world.run
