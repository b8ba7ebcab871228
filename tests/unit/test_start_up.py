"""A verb carries what it needs and nothing else that is large: what loads decides how long a short answer takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.node import Reply, Request, stub_node

TELLING = """
import sys
from agent.cli import main
try:
    main()
finally:
    print("loaded", *sys.modules, file=sys.stderr)
"""
DRIVER = {"sqlalchemy", "pymysql", "cryptography"}
DAEMON = {"prometheus_client", "schedule", "structlog"}
DRAWING = {"rich"}


def nothing_found(request: Request) -> Reply:
    """Answer as an index without documents and without a state does."""
    if "/_doc/" in request.path:
        return Reply(status=404, body=b'{"_index":"impulse-agent-state","_id":"whmcs","found":false}')
    return Reply(body=json.dumps({"hits": {"total": {"value": 0, "relation": "eq"}, "hits": []}}).encode())


def loaded(*arguments: str) -> set[str]:
    """Return the modules a verb has loaded by its end."""
    command = [sys.executable, "-c", TELLING, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return set(ended.stderr.rpartition("loaded ")[2].split())


@pytest.mark.parametrize("verb", ["actions", "alerts", "export", "fields", "journal", "search", "setup", "top"])
def test_a_verb_that_only_asks_the_index_carries_neither_a_database_driver_nor_the_daemon(verb: str) -> None:
    assert not loaded(verb, "--help") & (DRIVER | DAEMON | DRAWING)


def test_help_and_version_read_no_configuration_and_know_no_server() -> None:
    for option in ("--help", "--version"):
        assert not loaded(option) & {*DRIVER, *DAEMON, *DRAWING, "opensearchpy", "pydantic", "yaml"}


@pytest.mark.parametrize("verb", ["run", "sync"])
def test_catching_up_and_the_daemon_draw_nothing(verb: str) -> None:
    assert not loaded(verb, "--help") & DRAWING


def test_a_search_that_was_answered_has_loaded_no_more(tmp_path: Path) -> None:
    config = tmp_path / "agent.yml"
    with stub_node(nothing_found) as node:
        config.write_text(
            "instance: whmcs\n"
            "source: {url: mysql+pymysql://nobody@127.0.0.1:1/none}\n"
            f"opensearch: {{hosts: ['{node.url}']}}\n"
            "alerts: {file: alerts.yml}\n"
        )
        (tmp_path / "alerts.yml").write_text("alerts: a search does not stumble over this\n")
        found = loaded("-c", str(config), "search", "--format", "json")
    assert "opensearchpy" in found
    assert not found & (DRIVER | DAEMON | DRAWING | {"requests"})
    assert not found & {"agent.config.alerts", "agent.config.retention", "agent.config.context_fields"}
    assert not found & {"agent.mapping.document", "agent.mapping.redaction"}


def test_who_draws_beside_the_daemons_log_gets_the_real_console() -> None:
    command = [sys.executable, "-c", "import agent.observing.logging, rich.console; print(rich.console.Console)"]
    assert "class 'rich.console.Console'" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_who_needs_requests_itself_gets_the_real_one() -> None:
    command = [sys.executable, "-c", "import agent.opensearch.driver, requests; print(requests.get)"]
    assert "function get" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
