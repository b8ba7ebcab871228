"""README.md on real servers: its row becomes its document, its commands run, and what it prints is what they print."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.table import TABLE
from tests.integration.tailing import Watched, until
from tests.world import Database, World

pytestmark = pytest.mark.integration

README = (Path(__file__).parents[2] / "README.md").read_text()
CONSOLES = re.findall(r"```console\n(.*?)\n```", README, re.DOTALL)
COMMANDS = [line for block in CONSOLES for line in block.splitlines() if line.startswith("$ audit-agent ")]


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)\n```", README, re.DOTALL)
    return str(found)


def shown() -> Iterator[tuple[str, str]]:
    """Return each command that is shown with output, and that output."""
    for console in CONSOLES:
        for command, output in re.findall(r"^(\$ .*)\n((?:(?!\$ ).*\n?)*)", console, re.MULTILINE):
            if output:
                yield command, output.rstrip("\n")


def words(command: str) -> list[str]:
    """Return the arguments of a command; Dashboards and the alerting plugin are not here to be set up."""
    _, _, *arguments = shlex.split(command, comments=True)
    return arguments[:1] if arguments[0] == "setup" else arguments


def blurred(text: str) -> str:
    """Take out what differs from day to day and from server to server."""
    text = re.sub(r"lag \d+\.\d s", "lag N s", re.sub(r"evidence \w+", "evidence E", text))
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


@pytest.fixture
def whmcs(make_world: Callable[..., World], database: Database) -> Watched:
    """Give a running agent on a table whose next row is the one of the README."""
    world = make_world(database, instance="whmcs")
    world.retention["brakes"] = {"max_share": 1}
    world.write()
    database.execute(f"ALTER TABLE {TABLE} AUTO_INCREMENT = {json.loads(block('json'))['id']}")
    watched = Watched(world)
    watched.start()
    database.execute(block("sql"))
    watched.caught_up()
    until(lambda: watched.state()["state"] == "idle", "it is idle", told=watched.state)
    world.refresh()
    return watched


def test_the_row_becomes_the_document_and_is_found_in_each_way_that_is_promised(whmcs: Watched) -> None:
    promised, (document,) = json.loads(block("json")), whmcs.world.documents()
    for each in (promised, document):
        del each["agent"]["indexed_at"]
    assert document == promised
    for query in (
        {"query_string": {"query": "context.server.id: 42"}},
        {"range": {"context.server.id.number": {"gt": 41.5, "lt": 42.5}}},
        {"match_phrase": {"detail": "usage sync"}},
        {"range": {"created_at": {"gte": "2026-11-23T21:04:05Z", "lt": "2026-11-23T21:04:06Z"}}},
    ):
        assert whmcs.world.count(query) == 1, query


def test_what_is_shown_is_what_is_printed(whmcs: Watched) -> None:
    outputs = list(shown())
    assert len(outputs) >= 2
    until(lambda: whmcs.world.run("status", "--json").json["state"] == "idle", "the agent is idle")
    for command, output in outputs:
        printed = whmcs.world.run(*words(command))
        assert (printed.code, printed.stderr) == (0, ""), printed.stderr
        assert blurred(printed.stdout) == blurred(output), f"{command}\n{printed.stdout}"


def test_every_command_runs(whmcs: Watched) -> None:
    whmcs.world.database.execute(
        f"INSERT INTO {TABLE} (created_at, module_slug, source, action, severity, client_id, detail, context) VALUES"
        " (UTC_TIMESTAMP(), 'impulseminio', 'cron', 'cron.task_failed', 'error', 1234, 'timed out',"
        """ '{"server": {"id": 42}, "duration_ms": 7000}')"""
    )
    whmcs.world.database.fill(500, days=120)
    whmcs.caught_up()
    whmcs.world.refresh()
    ran = []
    for command in COMMANDS:
        arguments = words(command)
        if arguments[0] == "run":
            continue
        if arguments[0] == "sync":
            whmcs.stop()
        outcome = whmcs.world.run(*arguments)
        assert outcome.code == 0, f"{command}\n{outcome.stdout}{outcome.stderr}"
        assert outcome.stdout or "--output" in arguments, command
        assert "0 of 0" not in outcome.stdout, f"{command} finds nothing"
        if arguments[0] == "sync":
            whmcs.start()
        ran.append(arguments[0])
    assert {"check", "sync", "search", "top", "explain", "retain", "verify"} <= set(ran)
