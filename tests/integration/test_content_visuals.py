"""Every panel on a real node: what the file asks, on rows of known numbers, gives the known numbers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.content.install import capabilities
from agent.content.saved_objects import AUDIT_PATTERN, STATE_PATTERN, SavedObject, for_prefixes, parse
from agent.content.validate import validate
from tests.integration.content_seed import LEDGER, Corner, document, stamp, state
from tests.integration.dashboards_queries import query_of, search_of, vega_of

pytestmark = pytest.mark.integration

FILE = (Path(__file__).parents[2] / "dashboards" / "impulse-audit.ndjson").read_text(encoding="utf-8")
OBJECTS = {item.id: item for item in parse(FILE)[0]}
# The middle of an hour, so that all rows of one half hour share a bucket.
NOON = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
CONNECT, TIMEOUT = "GuzzleHttp\\Exception\\ConnectException", "PDOException"


def rows() -> list[dict[str, Any]]:
    """Return 20 rows: 6 cron errors, 2 held orders, 3 rotations, 3 about CVEs, 6 by people."""

    def at(minutes: int) -> dt.datetime:
        return NOON + dt.timedelta(minutes=minutes)

    def info(minutes: int, action: str, **fields: Any) -> dict[str, Any]:
        return document(at(minutes), action, **({"severity": "info"} | fields))

    failed = [document(at(n), context={"exception": CONNECT, "server": {"id": 42}}) for n in range(4)]
    failed += [
        document(at(31 + n), module_slug="impulsecore", context={"exception": TIMEOUT, "server": {"id": 7}})
        for n in range(2)
    ]
    held = [
        info(40, "provisioning_held", severity="warn", source="system", context={"region": "eu"}),
        info(41, "provisioning_held", severity="warn", source="system"),
    ]
    person = {"source": "customer", "ip_address": "203.0.113.7"}
    rotated = [info(n, "access_key.rotated", client_id=1234, service_id=71, **person) for n in (5, 6)]
    rotated.append(info(7, "access_key.rotated", client_id=99, service_id=72, **person))
    cves = [
        info(50, "cve.detected", context={"cve_id": ["CVE-2026-1", "CVE-2026-2"]}),
        info(51, "patch.succeeded", context={"cve_id": "CVE-2026-1", "snapshot_id": 5}),
        info(52, "rollback.triggered", severity="warn", context={"cve_id": "CVE-2026-2"}),
    ]
    admin = {"source": "admin", "admin_id": 5, "ip_address": "2001:db8::1"}
    people = [info(n, "plan.updated", **admin) for n in (10, 11, 12, 13)]
    people.append(info(14, "service.terminated", client_id=1234, **admin))
    odd = info(20, "quota.updated", source="admin", admin_id=6)
    odd["agent"] |= {"overflow": ["before", "after"], "overflow_reason": ["conflict"]}
    return [*failed, *held, *rotated, *cves, *people, odd]


@pytest.fixture(scope="module")
def corner(opensearch: str) -> Iterator[Corner]:
    made = Corner(opensearch)
    made.write(rows())
    made.write([state(NOON, 2), state(NOON - dt.timedelta(hours=1), 700, "second"), LEDGER], index=made.state)
    yield made
    made.remove()


def ask(corner: Corner, name: str) -> dict[str, Any]:
    return corner.node.search(corner.audit, search_of(OBJECTS[f"impulse-audit-vis-{name}"]))


def counts(level: dict[str, Any], *path: str) -> dict[Any, Any]:
    """Return nested buckets as {key: count}, or {key: {key: count}} for two levels."""
    first, *rest = path
    found: dict[Any, Any] = {}
    for bucket in level[first]["buckets"]:
        key = bucket.get("key_as_string", bucket["key"])
        found[key] = counts(bucket, *rest) if rest else bucket["doc_count"]
    return found


def test_the_file_fits_the_mapping_that_setup_installs(corner: Corner) -> None:
    patterns = {AUDIT_PATTERN: corner.audit, STATE_PATTERN: corner.state}
    caps = {identity: corner.capabilities(index) for identity, index in patterns.items()}
    assert [str(problem) for problem in validate(FILE, capabilities=caps)] == []


def test_live_capabilities_are_asked_for_the_configured_indices(corner: Corner) -> None:
    moved = for_prefixes(OBJECTS.values(), index_prefix=corner.audit, agent_prefix=corner.state.removesuffix("-state"))
    for pattern in [item for item in moved if item.type == "index-pattern"]:
        assert capabilities(corner.node, pattern)["fields"]


HALF_HOURS = ["2026-11-23T12:00:00.000Z", "2026-11-23T12:30:00.000Z"]
EXPECTED = {
    "events-by-severity": (
        ("2", "3"),
        {HALF_HOURS[0]: {"info": 9, "error": 4}, HALF_HOURS[1]: {"warn": 3, "error": 2, "info": 2}},
    ),
    "events-by-module": (
        ("2", "3"),
        {HALF_HOURS[0]: {"impulseminio": 13}, HALF_HOURS[1]: {"impulseminio": 5, "impulsecore": 2}},
    ),
    "errors-by-module": (("2", "3"), {HALF_HOURS[0]: {"impulseminio": 4}, HALF_HOURS[1]: {"impulsecore": 2}}),
    "actions": (
        ("2", "3"),
        {
            "impulseminio": {
                "cron.task_failed": 4,
                "plan.updated": 4,
                "access_key.rotated": 3,
                "provisioning_held": 2,
                "cve.detected": 1,
                "patch.succeeded": 1,
                "quota.updated": 1,
                "rollback.triggered": 1,
                "service.terminated": 1,
            },
            "impulsecore": {"cron.task_failed": 2},
        },
    ),
    "cron-errors": (("2", "3"), {"impulseminio": {"cron.task_failed": 4}, "impulsecore": {"cron.task_failed": 2}}),
    "sources": (("2",), {"cron": 9, "admin": 6, "customer": 3, "system": 2}),
    "exceptions": (("2",), {CONNECT: 4, TIMEOUT: 2}),
    "exceptions-over-time": (("2", "3"), {HALF_HOURS[0]: {CONNECT: 4}, HALF_HOURS[1]: {TIMEOUT: 2}}),
    "exception-cloud": (("2",), {CONNECT: 4, TIMEOUT: 2}),
    "servers": (("2", "3"), {"42": {"error": 4}, "7": {"error": 2}}),
    "held-by-region": (("2",), {"eu": 1, "none": 1}),
    "patches": (
        ("2", "3"),
        {
            "CVE-2026-1": {"cve.detected": 1, "patch.succeeded": 1},
            "CVE-2026-2": {"cve.detected": 1, "rollback.triggered": 1},
        },
    ),
    "key-rotations": (("2",), {1234: 2, 99: 1}),
    "entity-actions": (
        ("2", "3"),
        {
            HALF_HOURS[0]: {
                "cron.task_failed": 4,
                "plan.updated": 4,
                "access_key.rotated": 3,
                "quota.updated": 1,
                "service.terminated": 1,
            },
            HALF_HOURS[1]: {
                "cron.task_failed": 2,
                "provisioning_held": 2,
                "cve.detected": 1,
                "patch.succeeded": 1,
                "rollback.triggered": 1,
            },
        },
    ),
    "addresses": (("2",), {"2001:db8::1": 5, "203.0.113.7": 3}),
    "shipped": (("2", "3"), {HALF_HOURS[0]: {"whmcs": 13}, HALF_HOURS[1]: {"whmcs": 7}}),
    "overflow": (("2",), {"before": 1, "after": 1}),
}
METRICS = {
    "held": (2, {"4": NOON + dt.timedelta(minutes=41)}),
    "error-count": (6, {"4": NOON + dt.timedelta(minutes=32)}),
    "totals": (20, {"2": 2, "3": 2}),
}
OTHERS = {"controls", "note", "agents", "agent-lag", "delay"}


def test_every_visualization_has_known_numbers_here() -> None:
    shipped = {item.id.removeprefix("impulse-audit-vis-") for item in OBJECTS.values() if item.type == "visualization"}
    assert shipped == set(EXPECTED) | set(METRICS) | OTHERS


@pytest.mark.parametrize("name", EXPECTED)
def test_a_chart_or_table_shows_the_known_numbers(corner: Corner, name: str) -> None:
    path, expected = EXPECTED[name]
    assert counts(ask(corner, name)["aggregations"], *path) == expected


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_shows_the_known_number(corner: Corner, name: str) -> None:
    total, others = METRICS[name]
    answer = ask(corner, name)
    assert answer["hits"]["total"]["value"] == total
    for key, value in others.items():
        wanted = value.timestamp() * 1000 if isinstance(value, dt.datetime) else value
        assert answer["aggregations"][key]["value"] == wanted


def test_the_cron_table_says_when_each_source_was_last_seen(corner: Corner) -> None:
    modules = {bucket["key"]: bucket for bucket in ask(corner, "cron-errors")["aggregations"]["2"]["buckets"]}
    [action] = modules["impulsecore"]["3"]["buckets"]
    assert action["4"]["value_as_string"] == stamp(NOON + dt.timedelta(minutes=32))


@pytest.mark.parametrize(("name", "found"), [("tab", 20), ("triage", 9), ("client", 4), ("admin", 6)])
def test_a_saved_search_finds_its_rows_newest_first(corner: Corner, name: str, found: int) -> None:
    item = OBJECTS[f"impulse-audit-search-{name}"]
    [[field, order]] = item.attributes["sort"]
    body = {"size": 100, "query": query_of(item), "sort": [{field: order}], "_source": ["created_at"]}
    hits = corner.node.search(corner.audit, body)["hits"]["hits"]
    times = [hit["_source"]["created_at"] for hit in hits]
    assert len(times) == found
    assert times == sorted(times, reverse=True)


def test_each_control_offers_the_values_of_its_field(corner: Corner) -> None:
    offered = {}
    for control in OBJECTS["impulse-audit-vis-controls"].text("visState")["params"]["controls"]:
        body = {
            "size": 0,
            "aggs": {"o": {"terms": {"field": control["fieldName"], "size": control["options"]["size"]}}},
        }
        offered[control["fieldName"]] = counts(corner.node.search(corner.audit, body)["aggregations"], "o")
    assert offered == {
        "client_id": {1234: 3, 99: 1},
        "service_id": {71: 2, 72: 1},
        "admin_id": {5: 5, 6: 1},
        "module_slug": {"impulseminio": 18, "impulsecore": 2},
        "severity": {"info": 11, "error": 6, "warn": 3},
    }


def vega(corner: Corner, name: str, index: str) -> dict[str, Any]:
    found: SavedObject = OBJECTS[f"impulse-audit-vis-{name}"]
    return corner.node.search(index, vega_of(found)["body"])


@pytest.mark.parametrize("name", ["agents", "agent-lag"])
def test_the_health_panels_show_every_agent_also_one_that_stopped(corner: Corner, name: str) -> None:
    url = vega_of(OBJECTS[f"impulse-audit-vis-{name}"])
    assert url["index"] == STATE_PATTERN
    assert "%timefield%" not in url
    hits = vega(corner, name, corner.state)["hits"]["hits"]
    assert {hit["_source"]["instance"]: hit["_source"]["lag_seconds"] for hit in hits} == {"whmcs": 2, "second": 700}


def test_the_delay_panel_shows_two_seconds_for_rows_that_took_two_seconds(corner: Corner) -> None:
    buckets = vega(corner, "delay", corner.audit)["aggregations"]["shipped"]["time"]["buckets"]
    filled = [bucket for bucket in buckets if bucket["doc_count"]]
    assert sum(bucket["doc_count"] for bucket in filled) == 20
    assert {bucket["delay"]["values"]["50.0"] for bucket in filled} == {2.0}
