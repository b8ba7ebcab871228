"""The table is found as it is: any column names, any shape the agent can work with, clear words for the rest."""

from __future__ import annotations

import pytest

from agent.errors import ConfigError
from agent.mysql import identity, look_up, open_database
from agent.row import KNOWN_FIELDS
from demo.table import Kind
from tests import least_privilege
from tests.integration.mysql_source import opened, reader, source
from tests.world import Database

pytestmark = pytest.mark.integration
TABLE = "mod_impulsecore_audit_log"


def refused(database: Database, **changes: object) -> str:
    settings = source(database.url, **changes)
    with pytest.raises(ConfigError) as error:
        look_up(open_database(settings), settings)
    return str(error.value)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_shape_met_in_the_field_is_read(database: Database, kind: Kind) -> None:
    database.execute(f"DROP TABLE {TABLE}")
    database.create_table(kind)
    if kind == Kind.MINIMAL:
        database.execute(f"INSERT INTO {TABLE} (action) VALUES ('a.b'), (NULL)")
    else:
        database.fill(50, json_only=kind == Kind.JSON)

    _, table = opened(database.url)
    batch = reader(database.url).after(0, 100)

    assert len(batch.rows) == database.count()
    assert table.shape.fields[:2] == ("id", "created_at")
    assert list(table.shape.fields) == [field for field in KNOWN_FIELDS if field in table.shape.fields]
    width = len(table.shape.fields) + len(table.shape.extra) + 1
    assert {len(row) for row in batch.rows} == {width}
    assert all(isinstance(row[0], int) and isinstance(row[-1], int) for row in batch.rows)


@pytest.mark.own_accounts("has tables that no grant names")
def test_names_with_quotes_and_percent_signs_are_only_names(database: Database) -> None:
    name = "a`b; DROP TABLE x -- %s"
    quoted = "`" + name.replace("`", "``").replace("%", "%%") + "`"
    database.execute(
        f"CREATE TABLE {quoted} (`i``d%%` INT AUTO_INCREMENT PRIMARY KEY, `when's` DATETIME, `%%s` VARCHAR(9))", ()
    )
    database.execute(f"INSERT INTO {quoted} VALUES (7, '2026-01-01', 'x')", ())
    columns = {"id": "i`d%", "created_at": "when's"}

    batch = reader(database.url, table=name, columns=columns).after(0, 10)

    assert [row[:3] for row in batch.rows] == [(7, "2026-01-01 00:00:00", "x")]


def test_a_table_may_be_named_with_its_database(database: Database) -> None:
    server = database.server_url.rstrip("/")

    _, table = opened(f"{server}/", table=f"{database.name}.{TABLE}")

    assert (table.schema, table.name) == (database.name, TABLE)


def test_a_wrong_table_suggests_the_near_name(database: Database) -> None:
    assert f"did you mean {TABLE}" in refused(database, table="mod_impulsecore_audit_logs")


def test_a_wrong_column_suggests_the_near_name(database: Database) -> None:
    assert "did you mean severity" in refused(database, columns={"severity": "severty"})


@pytest.mark.own_accounts("has tables that no grant names")
@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("id INT PRIMARY KEY, created DATETIME", "no column for created_at"),
        ("number INT PRIMARY KEY, created_at DATETIME", "no column for id"),
        ("id VARCHAR(9) PRIMARY KEY, created_at DATETIME", "id must be an integer"),
        ("id INT, created_at DATETIME", "id must be indexed"),
        ("other INT, id INT, created_at DATETIME, PRIMARY KEY (other, id)", "id must be indexed"),
        ("id INT PRIMARY KEY, created_at INT", "created_at must be DATETIME"),
    ],
)
def test_a_table_that_cannot_be_tailed_is_refused(database: Database, columns: str, words: str) -> None:
    database.execute(f"CREATE TABLE odd ({columns})")

    assert words in refused(database, table="odd")


@pytest.mark.own_accounts("has tables that no grant names")
def test_an_id_that_leads_a_longer_key_will_do(database: Database) -> None:
    database.execute("CREATE TABLE parted (id INT AUTO_INCREMENT, created_at DATETIME, PRIMARY KEY (id, created_at))")

    _, table = opened(database.url, table="parted")

    assert table.id_index == "PRIMARY"


@pytest.mark.own_accounts("has tables that no grant names")
def test_a_view_is_refused(database: Database) -> None:
    database.execute(f"CREATE VIEW seen AS SELECT * FROM {TABLE}")

    assert "must be a table" in refused(database, table="seen")


def test_a_table_that_ignores_case_is_found_in_any_case(database: Database) -> None:
    ignores = int(database.execute("SELECT @@lower_case_table_names")[0][0]) != 0

    if ignores:
        assert opened(database.url, table=TABLE.upper())[1].name == TABLE
    else:
        assert f"did you mean {TABLE}" in refused(database, table=TABLE.upper())


def test_the_source_says_who_it_is(database: Database) -> None:
    opened_database, table = opened(database.url)

    first, second = identity(opened_database, table), identity(opened_database, table)

    assert first == second
    assert first.server
    assert first.table_created
    assert not first.is_read_only
    # Who may not ask is told nothing: that is no replica, but not known to be none.
    assert first.is_replica is (None if least_privilege.SERVER == "mysql9" else False)
    assert not first.is_galera
    assert first.vendor in ("mariadb", "mysql")
