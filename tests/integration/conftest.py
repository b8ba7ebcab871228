"""What holds for every integration test: servers, and installs on the accounts of deploy/.

The four kinds of server the tail must be exact on:
mariadb        the plugin metadata_lock_info
with_schema    performance_schema
bare           neither
mysql          MySQL 9
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from demo.mariadb_server import MariaDB
from demo.mysql_server import MySQL
from tests.conftest import had
from tests.integration.certificates import Authority
from tests.integration.content_seed import Corner
from tests.integration.mysql_source import OPENED
from tests.integration.secure_install import Install, Made, making, mariadb_with_tls, standing_on

GIVEN_URL = os.environ.get("AUDIT_TEST_MYSQL_URL")
OwnServer = MariaDB | MySQL
MAKE: dict[str, Callable[..., OwnServer]] = {
    "mariadb": partial(MariaDB, metadata_lock_info=True),
    "with_schema": partial(MariaDB, performance_schema=True),
    "bare": MariaDB,
    "mysql": MySQL,
}
OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in ("with_schema", "bare", "mysql")]


@pytest.fixture(autouse=True)
def _pools_are_closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


@pytest.fixture(scope="module")
def shared_corner(opensearch: str) -> Iterator[Corner]:
    made = Corner(opensearch)
    yield made
    made.remove()


@pytest.fixture
def corner(shared_corner: Corner) -> Corner:
    shared_corner.clear()
    return shared_corner


@pytest.fixture(scope="module")
def with_schema() -> Iterator[str]:
    """Give a MariaDB whose performance_schema collects metadata locks."""
    server = had(lambda: MariaDB(performance_schema=True).start())
    yield server.url
    server.remove()


@pytest.fixture(scope="module")
def bare() -> Iterator[str]:
    """Give a MariaDB that shows no locks at all: neither the plugin nor performance_schema."""
    server = had(lambda: MariaDB().start())
    yield server.url
    server.remove()


@pytest.fixture(scope="module")
def mysql(request: pytest.FixtureRequest) -> str:
    """Give a MySQL 9, or the server that is named for these tests."""
    return GIVEN_URL or str(request.getfixturevalue("mysql9").url)


@pytest.fixture(params=["mariadb", *OTHERS])
def each_server(request: pytest.FixtureRequest) -> str:
    """Give the URL of each kind of server; a test file takes it in the place of `database_server`."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture(params=["mariadb", *OTHERS])
def own_server(request: pytest.FixtureRequest) -> Iterator[Callable[..., OwnServer]]:
    """Make a server of each kind for the test alone, to stop, kill, restart or configure: `own_server(extra=[…])`."""
    made: list[OwnServer] = []

    def make(**options: Any) -> OwnServer:
        made.append(had(lambda: MAKE[request.param](**options).start()))
        return made[-1]

    yield make
    for server in made:
        server.remove()


@pytest.fixture(scope="module")
def tls_mariadb() -> Iterator[tuple[MariaDB, Authority]]:
    with mariadb_with_tls() as found:
        yield found


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    with making(tmp_path) as make:
        yield make


@pytest.fixture(scope="module")
def standing(tls_mariadb: tuple[MariaDB, Authority], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    server, authority = tls_mariadb
    with standing_on(server.url, tmp_path_factory.mktemp("standing"), {"ca_file": str(authority.file)}) as install:
        yield install


@pytest.fixture(scope="module")
def standing_on_mysql9(mysql9: MySQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    with standing_on(mysql9.url, tmp_path_factory.mktemp("standing"), {"verify": False}) as install:
        yield install
