"""Every example of docs/searching.md runs, and each question's SQL finds as many rows or groups as its command."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agent.cli import audit_agent
from demo.rows import AuditRow, rows
from tests.integration.searched import Searched, row, searched
from tests.world import Database

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).parents[2] / "docs" / "searching.md").read_text()
QUESTIONS = re.findall(
    r"^### (\d+)\. .*?```sh\n(.*?)\n```\n```dql\n(.*?)\n```\n```sql\n(.*?);\n```", PAGE, re.DOTALL | re.MULTILINE
)
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)\n```", PAGE, re.DOTALL) for line in block.splitlines()]


@pytest.fixture(scope="module")
def found(mariadb: str, opensearch: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
    with searched(mariadb, opensearch, tmp_path_factory.mktemp("documented"), _fill) as shipped:
        yield shipped


def test_the_page_asks_fourteen_questions_three_ways() -> None:
    assert [int(number) for number, *_ in QUESTIONS] == list(range(1, 15))


@pytest.mark.parametrize(("number", "command", "dql", "sql"), QUESTIONS, ids=[f"question-{n}" for n, *_ in QUESTIONS])
def test_a_question_has_one_answer(found: Searched, number: str, command: str, dql: str, sql: str) -> None:
    answer = json.loads(_run(found, f"{command} --json").stdout)
    in_sql = found.world.database.execute(sql)
    assert in_sql, "an example that finds nothing shows nothing"
    assert len(answer["rows"]) == len(in_sql)
    if command.startswith("audit-agent search"):
        assert answer["total"] == len(in_sql)
    else:
        place = next(i for i, value in enumerate(in_sql[0]) if isinstance(value, int) and i >= len(answer["by"]))
        assert sorted(group["count"] for group in answer["rows"]) == sorted(line[place] for line in in_sql)


@pytest.mark.parametrize(("number", "command", "dql", "sql"), QUESTIONS, ids=[f"question-{n}" for n, *_ in QUESTIONS])
def test_a_dashboards_query_finds_the_rows_of_its_command(
    found: Searched, number: str, command: str, dql: str, sql: str
) -> None:
    answer = json.loads(_run(found, f"{command} --json").stdout)
    picked = {key: answer["range"][name] for key, name in (("gte", "from"), ("lt", "to")) if answer["range"][name]}
    query = {"bool": {"must": [{"query_string": {"query": _lucene(dql)}}], "filter": {"range": {"created_at": picked}}}}
    body = {"size": 0, "track_total_hits": True, "query": query if picked else query["bool"]["must"][0]}
    hits = found.world.request("POST", f"/{found.world.index}/_search", body)["hits"]
    assert hits["total"]["value"] == answer["total"]


@pytest.mark.parametrize("command", [command for command in COMMANDS if "--follow" not in command])
def test_an_example_runs_as_it_is_printed(found: Searched, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(found.world.folder)
    printed = _run(found, command)
    assert printed.stdout or (found.world.folder / "november.csv").stat().st_size > 200


@pytest.mark.parametrize("dql", [dql for _, _, dql, _ in QUESTIONS])
def test_a_dashboards_query_names_fields_that_are_mapped(found: Searched, dql: str) -> None:
    known = found.world.request("GET", f"/{found.world.index}/_field_caps?fields=*")["fields"]
    for name in re.findall(r"([\w.]+)(?:: | >= )", dql):
        assert name in known


def _lucene(dql: str) -> str:
    """Return DQL in the words of Lucene, which has the same meaning for the little of it that the page uses."""
    outside = re.compile(r'"[^"]*"|\b(?:and|or)\b| >= |: ')
    words = {"and": "AND", "or": "OR", " >= ": ":>=", ": ": ":"}
    return outside.sub(lambda found: words.get(found[0], found[0]), dql)


def _run(found: Searched, command: str) -> Result:
    program, *arguments = shlex.split(command)
    assert program == "audit-agent"
    result = CliRunner().invoke(audit_agent, ["-c", str(found.world.config), *arguments], standalone_mode=False)
    assert result.exception is None, result.exception
    return result


def _fill(database: Database) -> None:
    """Insert what the questions are about, among other rows whose JSON SQL can read, too."""
    now = datetime.now(UTC) - timedelta(minutes=5)
    others = [
        each for each in rows(1_500, now=now, seed=3, days=60) if (each.context or "{").startswith("{") and _json(each)
    ]
    database.insert([*others, *_asked_about(now)])


def _json(each: AuditRow) -> bool:
    try:
        json.loads(each.context or "{}")
    except ValueError:
        return False
    return True


def _asked_about(now: datetime) -> Iterator[AuditRow]:
    recent, yesterday, old = (f"{now - timedelta(days=days):%Y-%m-%d %H:%M:%S}" for days in (0, 1, 20))

    def made(at: str = recent, context: dict[str, Any] | None = None, **columns: Any) -> AuditRow:
        return row(at, None if context is None else json.dumps(context), **columns)

    yield made(client_id=1234)
    yield made(old, client_id=1234)
    yield made(context={"client_id": "1234"})
    failed = {"exception": "PDOException", "message": "connect: Connection refused (port 9099)"}
    yield made(context=failed, source="cron", severity="error", action="cron.task_failed")
    yield made(yesterday[:10] + " 00:00:00", source="admin", admin_id=5)
    yield made(recent[:10] + " 00:00:00", source="admin", admin_id=5)
    yield made(service_id=71)
    yield made(old, {"service_id": 71}, action="service.terminated")
    yield made(context={"server_id": 42, "region": "us-central-dallas"})
    yield made(context={"server_id": "42", "region": "us-central-dallas"})
    patched = {"cve_id": ["CVE-2026-1042", "CVE-2026-7"], "snapshot_id": 7}
    yield made(context=patched, action="patch.succeeded")
    yield made(context={**patched, "cve_id": "CVE-2026-1042"}, action="patch.succeeded")
    yield made(context={"cve_id": "CVE-2026-1042"}, action="patch.succeeded")
    yield made(context={"exception": "NewException"}, severity="error")
    yield made(ip_address="203.0.113.200", source="customer", client_id=1001, action="access_key.rotated")
    yield made(context={"region": "eu", "plan_id": 3}, action="provisioning_held")
