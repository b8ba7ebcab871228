"""`check` on real servers: planted misconfigurations are found with their remedy, a sound install is OK, nothing crashes.

Plants that do not disturb each other share one run; `sound` shows that the same lines are OK without them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from agent.cli.app import Application
from agent.opensearch.dead_letters import DeadLetter
from agent.tailing.checkpoint import encoded
from agent.tailing.gaps import Gap, Progress, Sighting
from demo.table import TABLE
from tests.unit.content.stub_dashboards import serving
from tests.world import Outcome, World

pytestmark = [pytest.mark.integration, pytest.mark.own_accounts("plants wrong accounts, grants and names")]

Lines = dict[str, list[dict[str, str]]]


def lines(outcome: Outcome) -> Lines:
    """Return the lines of a run by name, and require that the summary and the exit code agree with them."""
    assert "Traceback" not in outcome.stderr
    answer = outcome.json
    assert set(answer) == {"ok", "lines"}
    assert answer["ok"] == (outcome.code == 0) == all(line["level"] != "FAIL" for line in answer["lines"])
    found: Lines = {}
    for line in answer["lines"]:
        assert set(line) == {"level", "name", "finding", "remedy"}
        assert line["level"] == "OK" or line["remedy"], line
        found.setdefault(line["name"], []).append(line)
    return found


def planted(found: Lines, name: str, level: str, remedy: str) -> dict[str, str]:
    """Return the line about a plant: of this level, with a remedy that holds these words."""
    at_level = [line for line in found.get(name, []) if line["level"] == level]
    assert at_level, (name, found.get(name), sorted(found))
    fitting = [line for line in at_level if remedy in line["remedy"]]
    assert fitting, (remedy, at_level)
    return fitting[0]


def account(world: World, *grants: str) -> str:
    """Make the configuration use an account with these grants on the audit table's database; return its name."""
    url = world.database.create_user(*grants)
    world.write({"source.url": url})
    return url.split("//")[1].split(":")[0]


LEAST = (f"SELECT ON {{database}}.`{TABLE}`",)


def test_a_sound_install_has_no_warning_about_what_is_planted_below(world: World) -> None:
    world.database.fill(30, days=60)
    account(world, *LEAST)
    world.config.chmod(0o640)  # it holds the account's password
    assert world.run("setup").code == 0
    assert world.run("sync").code == 0

    outcome = world.run("check", "--json")

    found = lines(outcome)
    shared = {"disk", "shard headroom", "opensearch health", "evidence"}  # those of the machine, not of this install
    bad = [line for name in found for line in found[name] if line["level"] != "OK"]
    assert [line for line in bad if line["name"] not in shared and not line["name"].startswith("disk of")] == []
    for name in ("table id", "index on created_at", "time zone", "partitions", "dead letters", "open gap", "source"):
        assert found[name][0]["level"] == "OK"


def test_plants_in_the_table_and_its_account_are_found(world: World) -> None:
    world.database.fill(20)
    world.database.execute(f"ALTER TABLE {TABLE} MODIFY id INT UNSIGNED NOT NULL, DROP INDEX created_at, ENGINE=MyISAM")
    world.database.execute(f"UPDATE {TABLE} SET created_at = NOW() + INTERVAL 3 HOUR ORDER BY id DESC LIMIT 1")
    world.database.execute(f"UPDATE {TABLE} SET id = 4294967000 ORDER BY id DESC LIMIT 1")
    world.database.execute("CREATE TABLE mod_impulsecore_secrets (token TEXT)")
    world.retention = {
        "mode": "enforce",
        "rows": {"days": 30},
        "documents": {"days": 60},
        "follow_core_setting": True,
        "pace": {"replicas": [world.database.url]},
    }
    user = account(world, *LEAST, f"INSERT ON {{database}}.`{TABLE}`", "SELECT ON {database}.mod_impulsecore_secrets")
    world.write({"tail.gaps.evidence": "innodb_trx"})

    outcome = world.run("check", "--json")

    found = lines(outcome)
    table = f"{world.database.name}.{TABLE}"
    assert outcome.code == 1
    planted(found, "table id", "FAIL", "AUTO_INCREMENT")
    planted(found, "index on created_at", "WARN", "CREATE INDEX")
    planted(found, "table engine", "WARN", "ENGINE=InnoDB")
    planted(found, "time zone", "WARN", "source.time_zone")
    planted(found, "table ids", "WARN", "BIGINT")
    planted(found, f"grant DELETE ON {table}", "FAIL", f"GRANT DELETE ON `{world.database.name}`.`{TABLE}` TO '{user}'")
    planted(found, "grant PROCESS ON *.*", "FAIL", "GRANT PROCESS ON *.* TO")
    planted(found, "evidence", "FAIL", "GRANT PROCESS ON *.* TO")
    planted(found, "needless privileges", "WARN", f"REVOKE INSERT ON {table}")
    planted(found, "needless privileges", "WARN", f"REVOKE SELECT ON {world.database.name}.mod_impulsecore_secrets")
    planted(found, "retention of Core", "WARN", "follow_core_setting")
    (replica,) = [name for name in found if name.startswith("replica mysql://")]
    planted(found, replica, "WARN", "REPLICATION CLIENT")


def test_cores_setting_without_its_grant_names_the_grant(world: World) -> None:
    world.database.create_settings({"audit_retention_days": "90"})
    world.retention = {"rows": {"days": 90}, "documents": {"days": 90}, "follow_core_setting": True}
    account(world, *LEAST)

    found = lines(world.run("check", "--json"))

    settings = f"{world.database.name}.mod_impulsecore_settings"
    planted(found, f"grant SELECT ON {settings}", "WARN", "GRANT SELECT ON `")
    planted(found, "retention of Core", "WARN", "grant SELECT")


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_plants_in_cluster_state_and_host_are_found(world: World, taken_port: int) -> None:
    world.database.fill(30, days=80)
    assert world.run("sync").code == 0
    app = Application(world.config)
    partitions = sorted(world.request("GET", f"/{world.index}-*/_alias"))
    blocked, unaliased, crowded = partitions[:3]
    born_dynamic = f"{world.index}-2020.01-000001"
    template = f"{world.index_prefix}-settings"
    world.request("PUT", f"/{blocked}/_settings", {"index.blocks.write": True})
    remove = {"remove": {"index": unaliased, "alias": world.index}}
    world.request("POST", "/_aliases", {"actions": [remove]})
    world.request("PUT", f"/{crowded}/_settings", {"index.mapping.total_fields.limit": 200})
    world.request("PUT", f"/{born_dynamic}", {"mappings": {"dynamic": True}})
    changed = world.request("GET", f"/_component_template/{template}")["component_templates"][0]["component_template"]
    changed["template"]["settings"]["index"]["refresh_interval"] = "30s"
    world.request("PUT", f"/_component_template/{template}", changed)
    world.request("DELETE", f"/_index_template/{world.agent_prefix}-journal")
    letter = DeadLetter(id=7, partition="2026.11", created_at=None, kind="rejected", reason="odd", row={"id": 7})
    app.dead_letters.put([letter], "2026-11-23T12:00:00.000Z")
    app.state.update(
        lambda stored: {
            **encoded(Progress(frontier=30, gaps=(Gap(5, 6, Sighting(1.0)),))),
            "paused": {"retention": {"who": "ann", "since": "2026-11-23T12:00:00Z", "why": "audit"}},
        }
    )
    password = world.folder / "password"
    password.write_text("a-Password-1\n")
    password.chmod(0o644)
    world.retention["archive"] = {"enabled": True, "directory": "agent.yml/archive"}
    world.write(
        {
            "opensearch.replicas": 3,
            "opensearch.verify": False,
            "context.max_fields": 20,
            "http.listen": f"127.0.0.1:{taken_port}",
            "source.password_file": str(password),
            "source.url": world.database.create_user("SELECT ON {database}.*"),
        }
    )

    outcome = world.run("check", "--json", env={"AUDIT_X": "1"})

    found = lines(outcome)
    assert outcome.code == 1
    planted(found, "blocks", "FAIL", f"PUT /{blocked}/_settings")
    planted(found, f"partition {unaliased}", "WARN", "audit-agent setup")
    planted(found, f"partition {crowded}", "WARN", "total_fields.limit")
    planted(found, f"partition {born_dynamic}", "FAIL", "rebuild --partition 2020.01")
    planted(found, f"template {template}", "WARN", "setup --force")
    planted(found, f"template {world.agent_prefix}-journal", "WARN", "audit-agent setup")
    planted(found, "dead letters", "WARN", "dead-letters list")
    planted(found, "open gap", "WARN", "innodb_trx")
    planted(found, "pause of retention", "WARN", "resume retention")
    planted(found, "replicas", "WARN", "opensearch.replicas: 0")
    planted(found, "security", "WARN", "opensearch.ca_file")
    planted(found, "context fields", "WARN", "context.max_fields")
    planted(found, "archive folder", "FAIL", "name another folder")
    planted(found, "http listener", "FAIL", "http.listen")
    planted(found, "secret file", "WARN", f"chmod 640 {password}")
    planted(found, "needless privileges", "WARN", "REVOKE SELECT")
    assert "a-Password-1" not in outcome.stdout + outcome.stderr


def test_a_damaged_or_newer_state_and_a_replaced_table_stop_nothing_else(world: World) -> None:
    world.database.fill(30)
    assert world.run("sync").code == 0
    app = Application(world.config)
    world.database.execute(f"TRUNCATE {TABLE}")

    replaced = lines(world.run("check", "--json"))
    app.state.update(lambda stored: {**stored, "format_version": 99})
    newer = lines(world.run("check", "--json"))

    planted(replaced, "source", "FAIL", "sync --restart")
    assert newer["state"][0]["level"] == "FAIL"
    assert newer["table"][0]["level"] == "OK"


def test_an_index_that_bears_an_aliases_name_is_found(world: World) -> None:
    world.request("PUT", f"/{world.index_prefix}")

    planted(lines(world.run("check", "--json")), "aliases", "FAIL", f"DELETE /{world.index_prefix}")


@pytest.mark.parametrize(
    ("change", "name", "remedy"),
    [
        ({"source.table": "mod_impulsecore_audit_logs"}, "table", f"did you mean {TABLE}"),
        ({"source.url": "mysql+pymysql://u:p@127.0.0.1:1/whmcs"}, "mysql", "source.url"),
        ({"source.password_file": "nowhere"}, "source.password_file", "check the path"),
        ({"opensearch.hosts": ["http://127.0.0.1:1"]}, "opensearch", "opensearch.hosts"),
    ],
)
def test_when_one_side_is_away_the_other_is_still_examined(
    world: World, change: dict[str, object], name: str, remedy: str
) -> None:
    world.write(change)

    found = lines(world.run("check", "--json"))

    planted(found, name, "FAIL", remedy)
    assert "opensearch version" in found or "mysql version" in found


def test_a_wrong_password_is_said_without_it(world: World) -> None:
    url = world.database.create_user(*LEAST)
    world.write({"source.url": url.replace("a-Password-1", "Another-Secret-2")})

    outcome = world.run("check")

    assert outcome.code == 1
    assert "FAIL  mysql: MySQL refuses" in outcome.stdout
    assert "source.password_file" in outcome.stdout
    assert "Another-Secret-2" not in outcome.stdout + outcome.stderr


def test_a_table_without_its_grant_says_so(world: World) -> None:
    world.database.execute("CREATE TABLE other (id INT)")
    account(world, "SELECT ON {database}.other")

    told = planted(lines(world.run("check", "--json")), "table", "FAIL", "grant SELECT")

    assert TABLE in told["finding"]


def test_drift_in_dashboards_is_found_only_when_asked_for(world: World) -> None:
    world.database.fill(5)
    assert world.run("sync").code == 0
    with serving() as dashboards:
        assert world.run("setup", "--dashboards", dashboards.url).code == 0
        plain = lines(world.run("check", "--json"))
        same = lines(world.run("check", "--json", "--dashboards", dashboards.url))
        del dashboards.objects["dashboard", "impulse-audit-overview"]
        pattern = next(key for key in dashboards.objects if key[0] == "index-pattern" and "agent" not in key[1])
        dashboards.objects[pattern]["attributes"]["fields"] = "[]"
        drifted = lines(world.run("check", "--json", "--dashboards", dashboards.url))

    assert not any(name.startswith("dashboards") for name in plain)
    assert same["dashboards"][0]["level"] == "OK"
    (gone,) = [name for name in drifted if name.startswith("dashboards ") and "overview" in name.lower()]
    planted(drifted, gone, "WARN", "setup --dashboards")
    planted(drifted, f"index pattern {pattern[1]}", "WARN", "--refresh-fields")


def test_the_configuration_alone_is_checked_without_servers(world: World) -> None:
    world.write({"source.url": "mysql+pymysql://u:p@127.0.0.1:1/whmcs", "opensearch.hosts": ["http://127.0.0.1:1"]})
    sound = world.run("check", "--config-only", "--json")
    world.settings["tail"]["batch_row"] = 5
    world.write()
    broken = world.run("check", "--config-only", "--json")
    told = world.run("check", "--config-only")

    assert sound.code == 0
    assert {line["name"] for line in sound.json["lines"]} == {"configuration"}
    assert broken.code == 2
    assert broken.json["ok"] is False
    assert "did you mean «batch_rows»" in broken.json["lines"][0]["finding"]
    assert told.code == 2
    assert "agent.yml:" in told.stderr
    assert "batch_rows" in told.stderr


def test_a_text_run_prints_one_line_each(world: World) -> None:
    outcome = world.run("check")

    assert outcome.stderr == ""
    assert all(line.split(" ")[0] in ("OK", "WARN", "FAIL") for line in outcome.stdout.splitlines())


def test_check_changes_nothing(world: World) -> None:
    world.database.fill(3)
    before = world.request("GET", f"/_cat/indices/{world.index_prefix}*,{world.agent_prefix}*?format=json&h=index")

    assert world.run("check").code == 0

    after = world.request("GET", f"/_cat/indices/{world.index_prefix}*,{world.agent_prefix}*?format=json&h=index")
    assert (before, after) == ([], [])
    assert world.request("GET", f"/_index_template/{world.index_prefix}*") in (None, {"index_templates": []})
    assert world.database.count() == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_archive_folder_of_somebody_else_is_found(world: World) -> None:
    world.retention["archive"] = {"enabled": True, "directory": "/proc/archive"}
    world.write()

    planted(lines(world.run("check", "--json")), "archive folder", "FAIL", "agent's user")
