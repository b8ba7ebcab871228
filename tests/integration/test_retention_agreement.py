"""One row, one answer: Python, SQL and OpenSearch decide alike about rows and rules picked at random."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent.cli.app import Application
from agent.cli.retaining import Retaining
from agent.config.retention import RetentionSettings
from agent.retention.condition import as_query
from agent.retention.policy import Side, fixed
from agent.retention.rules import Hold, Rule, RuleSet
from demo.table import TABLE
from tests.integration.retention_world import insert_raw
from tests.world import World

pytestmark = pytest.mark.integration

TEXTS = [
    "impulsecore",
    "ImpulseCore",
    "impulsecore ",
    " impulsecore",
    "",
    "a%c",
    "a_c",
    "abc",
    "a\\c",
    "a|c",
    "ünï",
    "UNI",
    "a*",
]
GLOBS = [*TEXTS, "impulse*", "*core", "?mpulsecore", "*", "a?c", "a*", "*\\*", "??ï", "a%*", "license.*"]
SEVERITIES = ["info", "warn", "error"]
DAYS = [0, 1, 30, 90]


def a_match(draw: random.Random) -> dict[str, tuple[str | int, ...]]:
    match: dict[str, tuple[str | int, ...]] = {}
    if draw.random() < 0.6:
        match["module_slug"] = tuple(draw.sample(GLOBS, draw.randint(1, 2)))
    if draw.random() < 0.3:
        match["severity"] = tuple(draw.sample([*SEVERITIES, "*r*"], draw.randint(1, 2)))
    if draw.random() < 0.3:
        match["client_id"] = tuple(draw.sample(range(4), draw.randint(1, 2)))
    return match


def a_rule_set(draw: random.Random) -> RuleSet:
    def rule(name: str, match: Any) -> Rule:
        rows = draw.choice(DAYS)
        return Rule(name=name, match=match, rows_days=rows, documents_days=rows and rows + draw.choice([0, 30]))

    rules = [rule(f"r{number}", a_match(draw)) for number in range(draw.randint(0, 3))]
    holds = [Hold(name="h", match=a_match(draw), until=None, reason="x") for _ in range(draw.randint(0, 1))]
    holds += [Hold(name="past", match={}, until=date(2020, 1, 1), reason="x")]
    return RuleSet(rules=(*rules, rule("default", {})), holds=tuple(holds))


def rows_at_every_edge(draw: random.Random, now: datetime, zone: ZoneInfo) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for days in (*DAYS, 31, 60, 120):
        for seconds in (-1, 0, 1):
            instant = now.replace(microsecond=0) - timedelta(days=days, seconds=seconds)
            found.append({"created_at": instant.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")})
    odd = [
        None,
        "0000-00-00 00:00:00",
        "2020-00-10 00:00:00",
        "2020-02-31 10:00:00",
        "1969-12-31 23:59:59",
        "9999-01-01",
    ]
    found += [{"created_at": text} for text in odd]
    return [
        {
            **row,
            "module_slug": draw.choice(TEXTS),
            "severity": draw.choice(SEVERITIES),
            "client_id": draw.choice([None, 0, 1, 2, 3]),
            "source": "cron",
            "action": draw.choice(["license.check", "a.b"]),
        }
        for row in found
        for _ in range(6)
    ]


@pytest.mark.parametrize("zone", [pytest.param("UTC", marks=pytest.mark.slow), "America/New_York"])
def test_python_sql_and_opensearch_agree(make_world: Callable[..., World], database: Any, zone: str) -> None:
    database.execute(f"ALTER TABLE `{TABLE}` MODIFY created_at DATETIME NULL, MODIFY severity VARCHAR(10) NULL")
    they_agree(make_world(database), rows_at_every_edge, zone, rule_sets=60)


SHAPES = {
    "microseconds": "created_at DATETIME(6) NULL, MODIFY severity VARCHAR(10) NULL",
    "milliseconds": "created_at TIMESTAMP(3) NULL DEFAULT NULL, MODIFY severity ENUM('info','warn','error') NULL",
    "days": "created_at DATE NULL, MODIFY module_slug CHAR(20) NULL COLLATE utf8mb4_general_ci",
    "numbers as text": "created_at DATETIME NULL, MODIFY client_id VARCHAR(20) NULL",
    "numbers as decimals": "created_at DATETIME NULL, MODIFY client_id DECIMAL(10,0) NULL",
    "another character set": (
        "created_at DATETIME NULL, MODIFY module_slug VARCHAR(99) CHARACTER SET latin1 COLLATE latin1_swedish_ci NULL"
    ),
}


def odd_shape(draw: random.Random, now: datetime, zone: ZoneInfo, *, shape: str) -> list[dict[str, Any]]:
    found = rows_at_every_edge(draw, now, zone)
    for row in found:
        text = row["created_at"]
        if shape == "milliseconds" and text and not "1980" < text < "2030":
            row["created_at"] = None
        elif shape in ("microseconds", "milliseconds") and text and text > "2020":
            row["created_at"] = text[:19] + draw.choice([".000001", ".499999", ".999999", ".999", ""])
        if shape == "numbers as text":
            row["client_id"] = draw.choice([None, "", "0", "1", "01", "x", "2", "3"])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_they_agree_whatever_the_columns_are(make_world: Callable[..., World], database: Any, shape: str) -> None:
    database.execute("SET SESSION sql_mode = 'ALLOW_INVALID_DATES'")
    database.execute(f"ALTER TABLE `{TABLE}` MODIFY {SHAPES[shape]}")
    they_agree(make_world(database), partial(odd_shape, shape=shape), "UTC", rule_sets=25)


def they_agree(world: World, rows_of: Callable[..., list[dict[str, Any]]], zone: str, *, rule_sets: int) -> None:
    world.write({"source.time_zone": zone})
    app = Application(world.config)
    retaining = Retaining(app, RetentionSettings(), "")
    now = retaining.rows.now()
    draw = random.Random(20261123)
    insert_raw(world.database, rows_of(draw, now, ZoneInfo(zone)))
    assert world.run("sync").code == 0
    world.refresh()
    rows = [dict(zip(app.table.shape.fields, row, strict=False)) for row in app.rows.after(0, 10_000).rows]
    top = len(rows)
    assert world.count() == top

    for _ in range(rule_sets):
        policy = fixed(a_rule_set(draw), now, ZoneInfo(zone))
        policy = replace(policy, unsettled=draw.choice([None, (top // 2, top - 3)]))
        for side in Side:
            expected = {int(row["id"]) for row in rows if policy.decide(side, row).expired}
            found = retaining.rows.candidates(policy.expired(side), 1, top, top)
            hits = app.search.search({"size": top, "query": as_query(policy.expired(side)), "_source": ["id"]})

            assert {candidate.id for candidate in found} == expected, policy.rules
            assert {hit["_source"]["id"] for hit in hits["hits"]["hits"]} == expected, policy.rules
            grouped = [policy.expired(side, rule) for rule in policy.rules.rules]
            in_table = [group.count for group in retaining.rows.group(grouped, 1, top).groups]
            assert in_table == [group.count for group in retaining.documents.group(grouped).groups]
            assert sum(in_table) == len(expected)
