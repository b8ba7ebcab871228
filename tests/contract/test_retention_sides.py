"""Retention's two sides: what the fakes of its unit tests promise, the real table and the real index keep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from agent.cli.app import Application
from agent.cli.retaining import Retaining
from agent.config.retention import RetentionSettings
from agent.retention.condition import ANYTHING, Before, Every, Is, Like, Not, Within
from agent.retention.sides import Documents, Rows
from tests.fakes.retention import FakeIndex, FakeTable
from tests.integration.retention_world import insert_raw
from tests.unit.retention.world import NOW, at
from tests.world import Database, World

OLD = [{"created_at": at(timedelta(days=age)), "severity": "error", "client_id": age} for age in (120, 110)]
YOUNG = [{"created_at": at(timedelta(days=age)), "severity": "info", "client_id": 7} for age in (40, 20, 10)]
CONTENT: list[dict[str, Any]] = [
    {"id": number, "module_slug": "core", "source": "cron", "action": f"a.{number}", **row}
    for number, row in enumerate([*OLD, *YOUNG], 1)
]
PARTITIONS = ["2026.07", "2026.08", "2026.10", "2026.11"]


@dataclass
class Sides:
    rows: Rows
    documents: Documents


@pytest.fixture(params=["memory", pytest.param("servers", marks=pytest.mark.integration)])
def sides(request: pytest.FixtureRequest) -> Iterator[Sides]:
    """Give five rows, each indexed."""
    if request.param == "memory":
        table, index = FakeTable(NOW), FakeIndex()
        for row in CONTENT:
            table.add(row["id"], **{key: value for key, value in row.items() if key != "id"})
        index.ship(table)
        yield Sides(table, index)
        return
    make_world = request.getfixturevalue("make_world")
    database = Database(str(request.getfixturevalue("mariadb")))
    try:
        database.create_table()
        insert_raw(database, CONTENT)
        world: World = make_world(database)
        assert world.run("sync").code == 0
        retaining = Retaining(Application(world.config), RetentionSettings(), "")
        retaining.documents.refresh()
        yield Sides(retaining.rows, retaining.documents)
    finally:
        database.drop()


def test_conditions_choose_the_same_rows_and_documents(sides: Sides) -> None:
    conditions = [
        Every((Before(at(timedelta(days=115)).replace(" ", "T") + ".000Z"), Like("severity", "err*"))),
        Within(2, 3),
        Every((Is("client_id", 7), Not(Like("action", "a.5")), Not(Within(2, 3)))),
    ]
    in_table, in_index = sides.rows.group(conditions, 1, 5), sides.documents.group(conditions)

    assert [group.count for group in in_table.groups] == [group.count for group in in_index.groups] == [1, 2, 1]
    assert in_table.total == in_index.total == 5
    for condition, found in zip(conditions, ([1], [2, 3], [4]), strict=True):
        assert [each.id for each in sides.rows.candidates(condition, 1, 5, 10)] == found


def test_a_row_goes_only_with_its_checksum_and_while_the_condition_holds(sides: Sides) -> None:
    one, two, three, *others = sides.rows.candidates(ANYTHING, 1, 5, 10)
    crcs = {each.id: frozenset({each.crc}) for each in (one, two, three, *others)}
    assert crcs == sides.documents.checksums([1, 2, 3, 4, 5, 6])

    changed, absent = replace(two, crc=two.crc + 1), replace(three, id=6)
    assert sides.rows.delete([three, one, changed, absent], Not(Within(3, 3))) == [1]
    assert sides.rows.existing([1, 2, 3, 6]) == {2, 3}
    assert sides.rows.delete([one], ANYTHING) == []
    assert sides.rows.bounds() == (2, 5)


def test_whole_rows_are_read_with_their_rule_in_order(sides: Sides) -> None:
    found = [record for block in sides.rows.records({5: "x", 2: "y", 9: "z"}) for record in block]

    assert [(record.id, record.rule, record.fields["action"]) for record in found] == [(2, "y", "a.2"), (5, "x", "a.5")]
    assert {record.id: frozenset({record.crc}) for record in found} == sides.documents.checksums([2, 5])


def test_documents_go_by_query_within_their_partition_and_by_partition(sides: Sides) -> None:
    assert sides.documents.partitions() == PARTITIONS
    assert sides.documents.delete(Within(4, 5), "2026.10", 100) == 0
    assert sides.documents.delete(Within(4, 4), "2026.11", 100) == 1
    sides.documents.refresh()
    assert sides.documents.group([ANYTHING], "2026.11").groups[0].count == 1
    for _ in range(2):
        sides.documents.drop("2026.07")
    assert sides.documents.partitions() == PARTITIONS[1:]
    assert sides.documents.ids() == (2, 5)


def test_documents_go_by_id_wherever_they_are(sides: Sides) -> None:
    assert sorted(sides.documents.page(2, 4, ("client_id",))) == [2, 3, 4]
    assert sides.documents.delete_ids([1, 4, 77]) == 2
    sides.documents.refresh()
    assert sorted(sides.documents.page(1, 9, ("client_id",))) == [2, 3, 5]
    assert sides.documents.dead_letters([1, 2]) == frozenset()
