"""A document's own fault, which no rung of the ladder heals: one dead letter, and nobody else is held up.

No JSON can force one, so a partition is given a mapping somebody made strict: an address that is none is then refused.
"""

from __future__ import annotations

import json

import pytest

from tests.integration.retention_world import aged, insert_raw
from tests.world import Database, World

pytestmark = pytest.mark.integration

ADDRESS = {"type": "ip", "fields": {"keyword": {"type": "keyword", "ignore_above": 1024}}}
SECRET = "c0ffee5ec2e7c0ffee"
BAD = (17, 500, 999)


def set_strict(world: World, *, is_strict: bool) -> None:
    """Make every partition refuse an address that is none, or take it."""
    body = {"properties": {"ip_address": {**ADDRESS, "ignore_malformed": not is_strict}}}
    world.request("PUT", f"/{world.index}-*/_mapping", body)


def test_three_bad_rows_of_a_thousand_are_kept_apart_and_come_back_after_the_fix(
    world: World, database: Database
) -> None:
    insert_raw(database, [aged(1)])
    assert world.run("sync").code == 0
    set_strict(world, is_strict=True)
    context = json.dumps({"password": SECRET, "kept": 7})
    rows = [aged(1, ip_address="198.51.100.7", context=f'{{"n": {number}}}') for number in range(2, 1002)]
    for bad in BAD:
        rows[bad - 2] |= {"ip_address": f"host-{bad}", "context": context, "detail": f"login with password={SECRET}"}
    insert_raw(database, rows)

    synced = world.run("sync", "--json")
    assert (synced.code, synced.json["indexed"], synced.json["dead_letters"]) == (0, 997, 3), synced.stderr
    assert synced.json["watermark"] == 1001
    assert {document["id"] for document in world.documents()} == set(range(1, 1002)) - set(BAD)
    assert world.run("status", "--json").json["dead_letters"] == 3

    letters = world.run("dead-letters", "list", "--json").json["dead_letters"]
    assert [(letter["id"], letter["kind"], letter["attempts"]) for letter in letters] == [
        (bad, "mapping", 1) for bad in BAD
    ]
    assert all("ip_address" in letter["reason"] and f"host-{letter['id']}" in letter["reason"] for letter in letters)
    shown = world.run("dead-letters", "show", "500", "--json")
    assert shown.json["row"]["ip_address"] == "host-500"
    assert '"kept":7' in json.dumps(shown.json["row"]).replace(" ", "").replace("\\", "")
    assert SECRET not in synced.stdout + synced.stderr + shown.stdout

    again = world.run("dead-letters", "replay", "500", "--json")
    assert (again.code, list(again.json["rejected"])) == (1, ["500"])
    assert world.run("dead-letters", "show", "500", "--json").json["attempts"] == 2
    set_strict(world, is_strict=False)
    assert world.run("dead-letters", "replay", "--json").json["replayed"] == list(BAD)

    assert world.run("dead-letters", "list", "--json").json["count"] == 0
    assert world.count() == 1001
    assert [document["context"]["kept"] for document in world.documents({"terms": {"id": BAD}})] == [7, 7, 7]
    assert world.run("verify", "--deep", "--json").code == 0
