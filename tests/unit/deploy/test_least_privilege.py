"""Grants and roles: the least by default, the rest named and commented out."""

from __future__ import annotations

import json
import re
from pathlib import Path

DEPLOY = Path(__file__).parents[3] / "deploy"
GRANT = re.compile(r"GRANT ([A-Z, ]+) ON (\S+) TO 'audit_agent'@'localhost';")
TABLE = "`whmcs`.`mod_impulsecore_audit_log`"


def sections() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    name = ""
    for line in (DEPLOY / "grants.sql").read_text().splitlines():
        if match := re.fullmatch(r"-- == (.+) ==", line):
            name = match[1]
            found[name] = []
        elif re.match(r"(-- )?(GRANT|CREATE USER) ", line):
            found[name].append(line)
    return found


def granted(lines: list[str], *, optional: bool) -> list[tuple[str, str]]:
    prefix = "-- " if optional else ""
    matches = [GRANT.fullmatch(line.removeprefix(prefix)) for line in lines if line.startswith("-- ") is optional]
    assert all(matches)
    return [(match[1], match[2]) for match in matches]


def test_run_as_it_stands_the_script_lets_the_agent_read_and_nothing_more():
    live = [
        grant for name, lines in sections().items() if name != "account" for grant in granted(lines, optional=False)
    ]
    assert live == [
        ("SELECT", TABLE),
        ("SELECT", "`performance_schema`.`metadata_locks`"),
        ("SELECT", "`performance_schema`.`setup_instruments`"),
    ]


def test_every_wider_grant_is_a_part_of_its_own_to_be_uncommented():
    optional = {name: granted(lines, optional=True) for name, lines in sections().items() if name != "account"}
    assert {name: grants for name, grants in optional.items() if grants} == {
        "evidence: innodb_trx": [("PROCESS", "*.*")],
        "deleter": [("DELETE", TABLE)],
        "settings": [("SELECT", "`whmcs`.`mod_impulsecore_settings`")],
        "replica: mysql": [("REPLICATION CLIENT", "*.*")],
        "replica: mariadb": [("REPLICA MONITOR", "*.*")],
    }


def test_nobody_is_given_everything_or_the_right_to_pass_it_on():
    text = (DEPLOY / "grants.sql").read_text().upper()
    for word in ("ALL PRIVILEGES", "GRANT OPTION", "SUPER", "FILE", " UPDATE", " INSERT", " DROP"):
        assert word not in text, word


def role(name: str) -> dict:
    return json.loads((DEPLOY / "opensearch" / f"role-{name}.json").read_text())


def test_the_reader_searches_the_documents_and_nothing_else():
    reader = role("reader")
    assert reader["cluster_permissions"] == []
    assert reader["index_permissions"] == [
        {"index_patterns": ["impulse-audit-*"], "allowed_actions": ["indices:data/read/search"]}
    ]


def test_the_writer_is_confined_to_the_agents_own_indices_without_wildcard_actions():
    writer = role("writer")
    (indices,) = writer["index_permissions"]
    assert indices["index_patterns"] == ["impulse-audit-*", "impulse-agent-*"]
    for action in [*writer["cluster_permissions"], *indices["allowed_actions"]]:
        assert re.fullmatch(r"(cluster|indices):[a-z_/]+(\[s\]|\[shard\])?", action), action


def test_permissions_are_listed_once_and_in_order():
    for name in ("reader", "writer"):
        found = role(name)
        lists = [found["cluster_permissions"], *(part["allowed_actions"] for part in found["index_permissions"])]
        for actions in lists:
            assert actions == sorted(set(actions))
