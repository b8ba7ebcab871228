"""Tables, columns and settings whose names are SQL: they are names, and nothing else happens."""

from __future__ import annotations

import pytest

from demo.table import TABLE
from tests.integration.retention_world import aged, insert_raw
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.own_accounts("renames the table the grants are for")]

EVIL_TABLE = "a'; DROP TABLE victim; -- %s %(x)s"
EVIL_ACTION = 'act"; DROP TABLE victim; -- %d'
EVIL_CREATED = "when' OR '1'='1"
EVIL_EXTRA = "x') UNION SELECT 1 -- %"
EVIL_SETTINGS = "s'; DROP TABLE victim; -- %s"
EVIL_KEY = "k' OR '1'='1"


def test_names_that_are_sql_are_only_names(world: World) -> None:
    database = world.database
    database.execute("CREATE TABLE victim (id INT)")
    insert_raw(database, [aged(days) for days in (200, 100, 3, 2, 1)])
    database.execute(f"ALTER TABLE {TABLE} CHANGE action `{EVIL_ACTION}` VARCHAR(100) NOT NULL")
    database.execute(
        f"ALTER TABLE {TABLE} CHANGE created_at `{EVIL_CREATED}` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP"
    )
    database.execute(f"ALTER TABLE {TABLE} ADD `{EVIL_EXTRA}` VARCHAR(10) DEFAULT 'e'")
    database.execute(f"RENAME TABLE {TABLE} TO `{EVIL_TABLE}`")
    database.execute(f"CREATE TABLE `{EVIL_SETTINGS}` (setting_key VARCHAR(99), setting_value VARCHAR(99))")
    database.execute(
        f"INSERT INTO `{EVIL_SETTINGS.replace('%', '%%')}` VALUES (%s, '150'), ('other', '1')", (EVIL_KEY,)
    )
    world.retention |= {
        "rows": {"days": 90},
        "documents": {"days": 300},
        "follow_core_setting": {"table": EVIL_SETTINGS, "key": EVIL_KEY},
        "brakes": {"max_share": 1},
        "rules": [
            {"name": "sql", "match": {"module_slug": "x' OR '1'='1", "action": "%' OR 1=1 -- *"}, "rows": {"days": 1}}
        ],
    }
    world.write({"source.table": EVIL_TABLE, "source.columns": {"action": EVIL_ACTION, "created_at": EVIL_CREATED}})

    for verb in (
        ["check"],
        ["setup"],
        ["sync"],
        ["verify", "--deep"],
        ["backfill"],
        ["explain", "1"],
        ["verify", "--last", "7d"],
    ):
        outcome = world.run(*verb, "--json")
        assert "Traceback" not in outcome.stderr
        assert outcome.code == 0 or verb == ["check"], (verb, outcome.stdout, outcome.stderr)
    planned = world.run("retain", "--json").json
    assert planned["rows"]["expired"] == 1, "150 days, as the setting of that very key says"
    executed = world.run("retain", "--execute", "--json")
    assert executed.code == 0, executed.stderr

    assert database.count(EVIL_TABLE) == 4
    assert database.execute("SHOW TABLES LIKE 'victim'")
    assert [document["action"] for document in world.documents()] == ["a.b"] * 5


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("source.table", f"{TABLE} WHERE 1=1 -- "),
        ("source.table", f"{TABLE}' OR '1'='1"),
        ("source.table", "%"),
        ("source.columns", {"id": "id) OR (1"}),
        ("source.columns", {"created_at": "created_at, SLEEP(9)"}),
        ("source.columns", {"action": "action AS x"}),
    ],
)
def test_a_name_that_is_no_name_there_is_refused_before_any_statement(world: World, key: str, name: object) -> None:
    insert_raw(world.database, [aged(1)])
    world.write({key: name})
    outcome = world.run("sync", "--json")
    assert outcome.code == 2, outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert world.database.count() == 1


def test_searching_by_what_is_a_query_finds_that_text_only(world: World) -> None:
    evil = ['*" OR *:*', "{{#toJson}}x{{/toJson}}", '"}},{"match_all":{}}', "a) OR (b", "\\", "%", "' OR 1=1 --"]
    insert_raw(world.database, [aged(1, module_slug=text) for text in evil] + [aged(1, module_slug="innocent")])
    assert world.run("setup").code == 0
    assert world.run("sync").code == 0
    world.refresh()
    for text in evil:
        if "," in text or "*" in text:
            continue
        found = world.run("search", "--module", text, "--last", "30d", "--json").json
        assert [row["module_slug"] for row in found["rows"]] == [text]
    for text in evil:
        outcome = world.run("search", "--text", text, "--last", "30d", "--json")
        assert "Traceback" not in outcome.stderr
