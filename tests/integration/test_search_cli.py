"""The verbs as a shell meets them: what they print where, with which exit code, and that they tell the truth about it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.errors import AgentError, ConfigError
from agent.searching.view import Order, look
from tests.integration.searched import Searched, row, run, searched
from tests.world import Database, World

pytestmark = pytest.mark.integration

EVIL = '=HYPERLINK("http://x")\x1b[2J, Müller 株式会社 🚀\nsecond line'
ROWS = 2_500


@pytest.fixture(scope="module")
def found(mariadb: str, opensearch: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
    def fill(database: Database) -> None:
        database.fill(ROWS - 2, seed=5)
        database.insert([row(detail=EVIL, context=json.dumps({"note": EVIL})), row()])
        database.execute("SET sql_mode = ''")
        database.execute("UPDATE mod_impulsecore_audit_log SET created_at = '0000-00-00' WHERE id IN (1, 2, 3)")

    with searched(mariadb, opensearch, tmp_path_factory.mktemp("cli"), fill) as shipped:
        yield shipped


def test_json_is_one_object_with_rows_total_and_freshness(found: Searched) -> None:
    answer = found.world.run("search", "--json")
    assert answer.code == 0
    assert answer.json.keys() >= {"instance", "total", "freshness", "rows"}
    assert answer.json["total"] == ROWS
    assert len(answer.json["rows"]) == 100
    fresh = answer.json["freshness"]
    assert fresh.keys() >= {"watermark", "lag_seconds", "heartbeat", "state", "behind", "warning"}
    assert (fresh["watermark"], fresh["state"], fresh["behind"]) == (ROWS, "stopped", True)
    assert "warning: the agent is stopped" in answer.stderr
    times = [each["created_at"] for each in answer.json["rows"]]
    assert times == sorted(times, reverse=True)
    columns = "id created_at module_slug source action severity service_id admin_id client_id ip_address detail context"
    assert all(each.keys() >= set(columns.split()) for each in answer.json["rows"])


def test_freshness_follows_the_running_agent(found: Searched) -> None:
    state = found.app.state
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    before = found.world.request("GET", f"/{found.world.agent_prefix}-state/_doc/{found.world.instance}")["_source"]
    try:
        for changes, behind in (
            ({"state": "shipping", "reason": "", "lag_seconds": 0.5, "heartbeat": now}, False),
            ({"state": "shipping", "reason": "", "lag_seconds": 600, "heartbeat": now}, True),
            ({"state": "degraded", "reason": "unreachable", "lag_seconds": 1, "heartbeat": now}, True),
            ({"state": "shipping", "lag_seconds": 0.5, "heartbeat": "2026-01-01T00:00:00.000Z"}, True),
        ):
            state.update(lambda _, changes=changes: changes)
            answer = json.loads(run(found, "search", "--limit", "1", "--json"))["freshness"]
            assert (answer["behind"], answer["warning"] is not None) == (behind, behind), changes
            newest = found.world.documents({"term": {"id": ROWS}})[0]["created_at"]
            assert answer["watermark_time"] == newest
    finally:
        state.update(lambda _: before)


def test_sorting_puts_undated_rows_where_sql_puts_null(found: Searched) -> None:
    sql = "SELECT id FROM mod_impulsecore_audit_log ORDER BY {} LIMIT 3000"
    orders = {
        "-created_at": "NULLIF(created_at, 0) DESC, id DESC",
        "created_at": "NULLIF(created_at, 0), id",
        "id": "id",
        "-id": "id DESC",
    }
    for order, by in orders.items():
        expected = [number for (number,) in found.world.database.execute(sql.format(by))]
        answer = json.loads(run(found, "search", "--sort", order, "--limit", "3000", "--json"))
        assert [each["id"] for each in answer["rows"]] == expected
        exported = run(found, "export", "--sort", order, "--format", "ndjson").splitlines()
        assert [json.loads(line)["id"] for line in exported] == expected


def test_a_limit_beyond_one_answer_of_the_server_is_read_in_pages(
    found: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("search", "--sort", "id", "--limit", "2000", "--json")
    in_one = json.loads(run(found, *asked))
    monkeypatch.setattr("agent.searching.view.LONGEST_ANSWER_ROWS", 100)
    monkeypatch.setattr("agent.searching.view.PAGE_ROWS", 130)
    in_pages = json.loads(run(found, *asked))
    assert in_pages["rows"] == in_one["rows"]
    assert in_pages["total"] == in_one["total"] == ROWS


def test_the_rows_below_a_histogram_are_those_without_one(found: Searched) -> None:
    everything, errors = {"match_all": {}}, {"bool": {"filter": [{"term": {"severity": "error"}}]}}
    for query in (everything, errors, {"bool": {"filter": [{"term": {"action": "nobody.did"}}]}}):
        for limit in (1, 7, 100, ROWS - 4, ROWS - 3, ROWS - 2, ROWS, ROWS + 1):
            asked: dict[str, Any] = {"limit": limit, "order": Order.NEWEST, "row_of": lambda source: source["id"]}
            with_bars = look(found.app.search, query, histogram=True, **asked)
            without = look(found.app.search, query, **asked)
            assert (with_bars.rows, with_bars.total) == (without.rows, without.total), limit


def test_the_table_shows_rows_and_freshness_and_obeys_none_of_them(found: Searched) -> None:
    text = run(found, "search", "--context", "note=*", "--tz", "Asia/Tokyo")
    assert "2026-11-01 21:00:00" in text
    assert "1 of 1 rows · watermark 2500" in text
    assert "\x1b" not in text
    assert "\\x1b[2J, Müller 株式会社 🚀\\nsecond line" in text
    assert "a bar:" in run(found, "search", "--limit", "3")
    assert "no rows" in run(found, "search", "--module", "nobody")


def test_show_lays_one_row_out(found: Searched) -> None:
    ((number,),) = found.world.database.execute(
        "SELECT id FROM mod_impulsecore_audit_log WHERE context LIKE '%server_id%' AND id > 7 LIMIT 1"
    )
    text = run(found, "search", "--show", str(number))
    assert f"id           {number}" in text
    assert '\n    "server_id": ' in text
    assert [each["id"] for each in json.loads(run(found, "search", "--show", f"7,{number}", "--json"))["rows"]] == [
        7,
        number,
    ]
    with pytest.raises(AgentError, match=r"no such row in the index.*9999"):
        run(found, "search", "--show", "9999")


def test_formats_for_programs_hold_the_same_rows(found: Searched) -> None:
    asked = ("search", "--severity", "error", "--limit", "50")
    rows = json.loads(run(found, *asked, "--json"))["rows"]
    assert [json.loads(line) for line in run(found, *asked, "--format", "ndjson").splitlines()] == rows
    assert [int(each["id"]) for each in csv.DictReader(run(found, *asked, "--format", "csv").splitlines())] == [
        each["id"] for each in rows
    ]


def test_actions_lists_every_action_with_its_count(found: Searched) -> None:
    sql = "SELECT action, COUNT(*) FROM mod_impulsecore_audit_log WHERE severity <> 'info' GROUP BY action"
    answer = json.loads(run(found, "actions", "--severity", "warn,error", "--json"))
    assert {each["action"]: each["count"] for each in answer["actions"]} == dict(found.world.database.execute(sql))
    counts = [each["count"] for each in answer["actions"]]
    assert counts == sorted(counts, reverse=True)
    assert answer["total"] == sum(counts)


def test_top_groups_as_sql_does_null_included(found: Searched) -> None:
    sql = """SELECT client_id, source, COUNT(*), DATE_FORMAT(MAX(created_at), '%Y-%m-%dT%H:%i:%s.000Z')
             FROM mod_impulsecore_audit_log WHERE id > 3 GROUP BY client_id, source"""
    answer = json.loads(run(found, "top", "--by", "client,source", "--from", "2000", "--limit", "5000", "--json"))
    groups = {(each["client_id"], each["source"], each["count"], each["last_seen"]) for each in answer["rows"]}
    assert groups == set(found.world.database.execute(sql))
    assert answer["groups_total"] == len(groups)
    first = json.loads(run(found, "top", "--by", "client,source", "--from", "2000", "--limit", "3", "--json"))
    assert first["rows"] == answer["rows"][:3]
    assert first["groups_total"] == answer["groups_total"]


def test_an_export_to_a_file_is_whole_safe_and_utf_8(found: Searched, tmp_path: Path) -> None:
    file = tmp_path / "all.csv"
    file.write_text("an older export")
    report = json.loads(run(found, "export", "--output", str(file), "--bom", "--json"))
    assert (report["rows"], report["file"]) == (ROWS, str(file))
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    with file.open(encoding="utf-8-sig", newline="") as text:
        rows = list(csv.DictReader(text))
    assert sorted(int(each["id"]) for each in rows) == list(range(1, ROWS + 1))
    (evil,) = [each for each in rows if "HYPERLINK" in each["detail"]]
    assert evil["detail"] == "'" + EVIL.replace("\x1b", "\\x1b")
    assert json.loads(evil["context"]) == {"note": EVIL}
    assert [path.name for path in tmp_path.iterdir()] == ["all.csv"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("search", "--limit", "0"), "--limit must be at least 1: 0"),
        (("search", "--last", "5x"), "--last is no time range: '5x'"),
        (("search", "--from", "2026-11-02", "--to", "2026-11-01"), "the range ends before it begins"),
        (("search", "--context", "regionn=eu"), "did you mean «region»"),
        (("search", "--context", "region"), "write path=value"),
        (("search", "--ip", "10.0.0"), "--ip is no address and no network"),
        (("search", "--service", "x"), "--service is no id: 'x'"),
        (("search", "--client", "99999999999999999999"), "--client is no id"),
        (("search", "--module", ""), "--module names nothing"),
        (("search", "--tz", "Vienna"), "--tz is no time zone: 'Vienna'"),
        (("search", "--text", "!!"), "--text holds no word"),
        (("search", "--follow", "--json"), "--follow has no end"),
        (("search", "--follow", "--to", "now"), "--follow has no end"),
        (("search", "--follow", "--show", "7"), "--follow goes on with new rows, and --show names old ones"),
        (("search", "--follow", "--sort", "id"), "--follow shows rows as they come in"),
        (("top", "--by", "modul"), "--by names no field to group by"),
        (("top", "--limit", "0"), "--limit must be at least 1"),
        (("export", "--json"), "--json reports about a file"),
    ],
)
def test_a_wrong_option_is_one_clear_line(found: Searched, arguments: tuple[str, ...], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        run(found, *arguments)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_usage_error_exits_with_2_and_a_missing_index_is_one_line(world: World) -> None:
    assert world.run("search", "--limit", "0").code == 2
    for verb in ("search", "actions", "top", "export"):
        outcome = world.run(verb)
        assert outcome.code == 1
        assert outcome.stdout == ""
        assert outcome.stderr.startswith(f"error: there is no index to search: {world.index}")
        assert outcome.stderr.count("\n") == 1
    outcome = world.run("search", "--context", "server_id=42")
    assert "there is no index to search" in outcome.stderr
