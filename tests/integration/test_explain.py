"""`explain` tells the truth about every place a row can be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.request import urlopen

import pytest
from click.testing import CliRunner
from pymysql.err import DataError

from agent.cli.app import Application
from agent.cli.explain import explain
from agent.observing.line import neutralise_json
from tests.integration.drift import bulk, lose
from tests.mapping_cases import cases
from tests.world import World

pytestmark = pytest.mark.integration
TABLE = "mod_impulsecore_audit_log"
COLUMNS = "(created_at, module_slug, source, action, severity, context)"
ROW = "(UTC_TIMESTAMP(), 'm', 'cron', 'a.b', 'info', '{\"n\": 1}')"


def state(world: World, row_id: int) -> str:
    outcome = world.run("explain", str(row_id), "--json")
    assert outcome.code == 0, outcome.stderr
    assert outcome.json["id"] == row_id
    return str(outcome.json["state"])


def sync(world: World) -> None:
    outcome = world.run("sync")
    assert outcome.code == 0, outcome.stderr


@contextmanager
def open_insert(world: World) -> Iterator[int]:
    """Hold a transaction that has inserted a row; it is rolled back at the end."""
    other = world.database.connect()
    other.begin()
    with other.cursor() as cursor:
        cursor.execute(f"INSERT INTO {TABLE} {COLUMNS} VALUES {ROW}")
        row_id = int(cursor.lastrowid)
    yield row_id
    other.rollback()
    other.close()


def test_an_indexed_row_says_where_and_that_its_checksum_is_equal(world: World) -> None:
    world.database.fill(50)
    sync(world)

    answer = world.run("explain", "7", "--json").json

    assert (answer["state"], answer["checksum_equal"], answer["in_table"]) == ("indexed", True, True)
    [document] = answer["documents"]
    assert document["index"].startswith(f"{world.index}-{answer['partition']}-0")
    assert document["belongs_there"] is True
    assert "indexed" in world.run("explain", "7").stdout.splitlines()[0]


def test_rows_the_tail_has_not_settled(world: World) -> None:
    world.database.fill(20)
    with open_insert(world) as gap_id:
        world.database.fill(3)
        sync(world)
        assert state(world, gap_id) == "open_gap"
        world.database.fill(2)
        last = world.database.execute(f"SELECT MAX(id) FROM {TABLE}")[0][0]
        assert state(world, last) == "not_reached"
        assert state(world, last + 1000) == "never_existed"
    sync(world)

    assert state(world, gap_id) == "skipped"
    assert state(world, last) == "indexed"


def test_drift_is_named_as_such(world: World) -> None:
    world.database.fill(60)
    sync(world)
    lose(world, 30)
    world.database.execute(f"UPDATE {TABLE} SET detail = 'other' WHERE id = 31")
    world.database.execute(f"DELETE FROM {TABLE} WHERE id = 32")

    assert [state(world, row_id) for row_id in (30, 31, 32, 33)] == ["missing", "different", "orphan", "indexed"]

    source = {**world.documents({"term": {"id": 34}})[0], "severity": "forged"}
    (index,) = {each["index"] for each in world.run("explain", "34", "--json").json["documents"]}
    bulk(world, [{"index": {"_index": index, "_id": f"{world.instance}:34"}}, source])
    answer = world.run("explain", "34", "--json").json
    assert (answer["state"], answer["checksum_equal"]) == ("different", True)
    assert answer["reason"].startswith("altered in the index: severity;")


def test_what_core_purged_is_purged_and_no_drift(world: World) -> None:
    world.database.fill(200, days=100)
    sync(world)
    world.database.execute(f"DELETE FROM {TABLE} WHERE created_at < UTC_TIMESTAMP() - INTERVAL 60 DAY")
    left = world.database.count()
    assert 0 < left < 200

    assert state(world, 5) == "purged"
    report = world.run("verify", "--json")
    assert report.code == 0, report.stdout
    assert report.json["explained"] == {"purged": 200 - left}


def test_what_retention_deleted_is_expired_or_archived_and_no_drift(world: World) -> None:
    world.retention |= {"rows": {"days": 30}, "documents": {"days": 60}, "brakes": {"max_share": 1}}
    world.retention["archive"] = {"enabled": True, "directory": "archive", "format": "ndjson"}
    world.write()
    world.database.fill(300, days=100)
    sync(world)
    held = world.database.execute(f"SELECT MIN(id) FROM {TABLE} WHERE created_at > UTC_TIMESTAMP() - INTERVAL 59 DAY")[
        0
    ][0]
    # A row that stays behind: what is missing around it was not purged by age.
    world.retention["holds"] = [{"name": "h", "match": {"client_id": 77}, "reason": "test"}]
    world.write()
    world.database.execute(f"UPDATE {TABLE} SET client_id = 77 WHERE id IN (1, {held})")
    assert world.run("verify", "--repair").code == 0
    outcome = world.run("retain", "--execute", "--json")
    assert outcome.code == 0, outcome.stdout + outcome.stderr

    assert state(world, 2) == "archived"  # gone from both sides
    assert state(world, held + 1) == "archived"  # its document is kept
    assert state(world, held) == "indexed"
    answer = world.run("explain", "2", "--json").json
    assert answer["archives"][0].endswith(".ndjson.gz")
    report = world.run("verify", "--json")
    assert report.code == 0, report.stdout
    assert report.json["explained"]["expired"] > 0

    world.retention["archive"]["enabled"] = False
    world.retention["archive"]["directory"] = "elsewhere"
    world.write()
    assert state(world, 2) == "expired"
    assert state(world, held + 1) == "expired"


def test_the_document_is_exactly_what_sync_sends(world: World) -> None:
    world.database.fill(40)
    world.database.execute(
        f"INSERT INTO {TABLE} {COLUMNS} VALUES (UTC_TIMESTAMP(), 'm', 'cron', 'a', 'info', %s)",
        ('{"duration_ms": "12", "new": {"path": [1, "two"]}, "bad..key": 5, "password": "hunter2"}',),
    )
    before = [world.run("explain", str(row_id), "--document", "--json") for row_id in (1, 17, 41)]
    assert world.request("GET", f"/{world.index}-*") == {}, "explaining creates nothing"
    sync(world)

    stored = {document["id"]: document for document in world.documents()}
    for outcome in before:
        document = outcome.json["document"]
        sent = stored[document["id"]]
        for each in (document, sent):
            each["agent"].pop("indexed_at")
        assert document == sent
    fields = before[-1].json["fields"]
    assert fields["context.duration_ms"].startswith("native type long")
    assert "new" in fields["context.new.path"]
    assert "bad_key" in fields["context_overflow.bad..key"]
    assert "redacted" in fields["context.password"]
    assert "hunter2" not in before[-1].stdout


@pytest.mark.own_accounts("reads the node past the agent")
def test_the_bytes_are_those_that_sync_sends(world: World) -> None:
    """Whatever the context holds: no digit of a large number, no order of keys and no escape is another."""
    world.database.fill(20)
    contexts = [case.given["columns"].get("context") for case in cases()]
    contexts += ['{"n": 123456789012345678901234567890, "f": 1e400, "z": -0.0, "e": 1.10}', '{"\u202e\u009b": "\x85"}']
    for context in filter(None, contexts):
        # Halves of surrogate pairs cannot be stored; rows with them come from no table.
        with suppress(UnicodeEncodeError, DataError):
            world.database.execute(
                f"INSERT INTO {TABLE} {COLUMNS} VALUES (UTC_TIMESTAMP(), 'm', 'cron', 'a', 'info', %s)", (context,)
            )
    sync(world)
    ids = [row[0] for row in world.database.execute(f"SELECT id FROM {TABLE}")]
    assert len(ids) > 60
    plain = {row_id: explained(world, row_id).splitlines()[0] for row_id in [*ids[::5], ids[-1]]}
    fragments = {row_id: explained(world, row_id, "--json") for row_id in ids}
    assert world.run("sync", "--restart").code == 0
    world.refresh()

    for row_id in ids:
        sent = _without_time(neutralise_json(raw_source(world, row_id)))
        assert sent in _without_time(fragments[row_id])
        if row_id in plain:
            assert json.loads(_without_time(plain[row_id])) == json.loads(sent)
            assert _without_time(plain[row_id]) == sent or not sent.isascii()


def explained(world: World, row_id: int, *arguments: str) -> str:
    """Ask in this process: a process for each row would take its time."""
    application = Application(world.config)
    result = CliRunner().invoke(
        explain, [str(row_id), "--document", *arguments], obj=application, standalone_mode=False
    )
    application.database.close()
    assert result.exit_code == 0, result.output
    return result.stdout


def raw_source(world: World, row_id: int) -> str:
    """Return the bytes of a document as the cluster keeps them."""
    query = {"query": {"ids": {"values": [f"{world.instance}:{row_id}"]}}, "_source": False}
    (hit,) = world.request("POST", f"/{world.index}/_search", query)["hits"]["hits"]
    with urlopen(f"{world.opensearch_url}/{hit['_index']}/_source/{hit['_id']}", timeout=30) as answer:
        return str(answer.read().decode())


def _without_time(text: str) -> str:
    return re.sub(r'"indexed_at":"[^"]*"', '"indexed_at":""', text)


@pytest.mark.parametrize("row_id", ["-1", "x", str(2**63), "9" * 40])
def test_an_id_that_no_row_can_have_is_a_usage_error(world: World, row_id: str) -> None:
    assert world.run("explain", "--", row_id).code == 2


def test_there_is_no_document_without_a_row(world: World) -> None:
    world.database.fill(3)

    outcome = world.run("explain", "9", "--document")

    assert outcome.code == 1
    assert "no such row" in outcome.stderr
