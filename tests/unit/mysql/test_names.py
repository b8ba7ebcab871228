"""Identifiers are quoted, lock names fit, and statements suit the server's version."""

from __future__ import annotations

import pytest

from agent.mysql.checksum import crc_expression
from agent.mysql.lease import lock_name
from agent.mysql.probe import lock_names
from agent.mysql.replica_lag import _statement
from agent.mysql.schema import quoted
from tests.unit.mysql.tables import column, table


@pytest.mark.parametrize(
    ("name", "written"), [("id", "`id`"), ("a`b", "`a``b`"), ("50%", "`50%%`"), ("x; DROP", "`x; DROP`")]
)
def test_an_identifier_cannot_leave_its_quotes(name: str, written: str) -> None:
    assert written == quoted(name)


def test_lock_names_fit_and_differ() -> None:
    assert lock_name("whmcs") == "audit-agent:whmcs"
    assert lock_name("i" * 52) == "audit-agent:" + "i" * 52
    long = {lock_name("i" * 53), lock_name("i" * 54)}
    assert len(long) == 2
    assert all(len(name) <= 64 for name in long)


def test_a_server_that_ignores_case_may_list_locks_in_lower_case() -> None:
    assert lock_names(table()) == (("Whmcs", "Whmcs"), ("Audit", "Audit"))
    assert lock_names(table(is_case_sensitive=False)) == (("Whmcs", "whmcs"), ("Audit", "audit"))


@pytest.mark.parametrize(
    ("version", "statement"),
    [
        ("5.5.5-10.11.19-MariaDB-1", "SHOW ALL SLAVES STATUS"),
        ("8.0.21", "SHOW SLAVE STATUS"),
        ("8.0.22", "SHOW REPLICA STATUS"),
        ("9.7.4-2", "SHOW REPLICA STATUS"),
        ("5.7.44-log", "SHOW SLAVE STATUS"),
    ],
)
def test_the_replica_is_asked_in_its_own_words(version: str, statement: str) -> None:
    assert statement == _statement(version)


def test_a_missing_known_column_keeps_its_place_in_the_checksum() -> None:
    assert "IFNULL(`id`, ''), IFNULL(`created_at`, ''), ''" in crc_expression(table().columns, 2)


def test_extra_columns_count_by_name_not_by_place() -> None:
    one, two = column("alpha"), column("beta")

    assert crc_expression(table(extra=(one, two)).columns, 2) == crc_expression(table(extra=(two, one)).columns, 2)
