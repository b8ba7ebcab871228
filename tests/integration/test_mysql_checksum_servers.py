"""On every server the checksum is the one its definition gives, whatever the server's defaults become meanwhile."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from agent.mysql import RowReader
from agent.mysql.windows import WindowReader
from agent.row import KNOWN_FIELDS, Row, Value
from demo.mariadb_server import MariaDB
from demo.mysql_server import MySQL
from demo.table import Kind
from tests.conftest import had
from tests.integration.mysql_source import opened, reader
from tests.integration.test_mysql_checksum import STORED
from tests.world import Database, World

pytestmark = [pytest.mark.integration, pytest.mark.own_accounts("has tables that no grant names")]
# What a host may change between the day a row is shipped and the day it is verified.
OTHER_DEFAULTS = (
    "--default-time-zone=+05:30",
    "--character-set-server=latin1",
    "--sql-mode=ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH",
    "--div-precision-increment=9",
)


@dataclass
class Server:
    url: str
    restart: Callable[[tuple[str, ...]], None] | None = None
    """Restart it with other defaults; None for a server that others use."""


@pytest.fixture(
    scope="module", params=["MariaDB 10.11", pytest.param("MariaDB 11.4", marks=pytest.mark.slow), "MySQL 9"]
)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param == "MariaDB 10.11":
        yield Server(str(request.getfixturevalue("mariadb")))
        return
    own: MariaDB | MySQL
    if request.param == "MySQL 9":
        own = request.getfixturevalue("mysql9")
    else:
        own = had(lambda: MariaDB(downloaded=True).start())
    yield Server(own.url, lambda extra: own.restart(extra=extra))
    own.restart(extra=()) if isinstance(own, MySQL) else own.remove()


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    fresh = Database(server.url)
    yield fresh
    fresh.drop()


def of_text(value: Value) -> str:
    return str(zlib.crc32(str(value).encode()))


def by_definition(field: str, kind: str, row: Row) -> int:
    """Compute the checksum of a row that has, beside its id and no date, one column."""
    row_id, _, value, _ = row
    verbatim = kind.startswith(("INT", "BIGINT", "TINYINT", "BIT", "YEAR", "DECIMAL", "DATE", "TIME"))
    said = "" if value is None else str(value) if verbatim else of_text(value)
    known = {"id": str(row_id), field: said}
    parts = [known.get(name, "") for name in KNOWN_FIELDS]
    if field not in KNOWN_FIELDS and value is not None:
        parts.append(f"{zlib.crc32(field.encode())}:{said}")
    return zlib.crc32(",".join(parts).encode())


@pytest.mark.parametrize("field", ["detail", "further"])
def test_the_checksum_of_every_type_is_what_its_definition_says(database: Database, field: str) -> None:
    wrong = []
    for number, (kind, *values) in enumerate(STORED):
        table = f"t{number}"
        database.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, created_at DATETIME NULL, {field} {kind})")
        database.execute(f"INSERT INTO {table} VALUES " + ", ".join(f"({n}, NULL, {v})" for n, v in enumerate(values)))
        source = opened(database.url, table=table)
        read = RowReader(*source, max_value_bytes=1 << 20).after(-1, 9).rows
        summed = WindowReader(*source).ids_and_crcs(0, 9)
        expected = [(int(row[0] or 0), by_definition(field, kind, row)) for row in read]
        if kind.startswith(("VARBINARY", "BLOB", "POINT")):  # the text of bytes is for people only
            expected = summed
        if not [(row[0], row[-1]) for row in read] == summed == expected:
            wrong.append((kind, values, read, summed, expected))
    assert not wrong


@pytest.mark.slow
def test_rows_of_every_kind_agree_after_the_server_has_got_other_defaults(
    server: Server, database: Database, make_world: Callable[..., World]
) -> None:
    worlds = []
    for kind in Kind:
        own = Database(server.url)
        own.create_table(kind)
        if kind is not Kind.MINIMAL:
            own.fill(120, json_only=kind is Kind.JSON)
        else:
            own.execute("INSERT INTO mod_impulsecore_audit_log (created_at, action) VALUES (NOW(), 'é'), (NULL, NULL)")
        worlds.append(make_world(own))
        assert worlds[-1].run("sync").code == 0

    if server.restart is not None:
        server.restart(OTHER_DEFAULTS)

    reports = [world.run("verify", "--deep", "--json") for world in worlds]
    assert [(report.code, report.json["left"]) for report in reports] == [(0, 0)] * len(Kind), reports
    assert all(report.json["rows"] == report.json["documents"] > 0 for report in reports)
    for world in worlds:
        world.database.drop()


def test_changes_of_the_table_that_keep_its_values_keep_the_checksums(database: Database) -> None:
    database.execute(
        "CREATE TABLE t (id INT PRIMARY KEY, created_at DATETIME NULL, source ENUM('cron','admin'),"
        " action VARCHAR(50) CHARACTER SET latin1, client_id INT, detail TEXT CHARACTER SET latin1, note VARCHAR(9))"
    )
    database.execute("INSERT INTO t VALUES (1, '2026-03-29 02:30:00', 'admin', 'Grüße', 7, '€ é', 'n')")
    database.execute("INSERT INTO t VALUES (2, NULL, NULL, NULL, NULL, NULL, NULL)")

    def crcs() -> list[Value]:
        return [row[-1] for row in reader(database.url, table="t").after(0, 9).rows]

    before = crcs()
    for change in (
        "CONVERT TO CHARACTER SET utf8mb4",
        "MODIFY id BIGINT UNSIGNED",
        "MODIFY created_at TIMESTAMP NULL",
        "MODIFY source VARCHAR(20)",
        "MODIFY detail LONGTEXT",
        "MODIFY client_id BIGINT FIRST",
        "ADD COLUMN project_id INT NULL AFTER id",
        "ADD COLUMN severity VARCHAR(10) NULL",
        "DROP COLUMN severity",
        "ADD INDEX (action)",
        "FORCE",
    ):
        database.execute(f"ALTER TABLE t {change}")
        assert crcs() == before, change
