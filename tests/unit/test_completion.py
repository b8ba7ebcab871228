"""Completion in real shells: the lines docs/searching.md gives for each make Tab offer verbs, options and live values."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.node import Reply, Request, stub_node

BIN = Path(sys.executable).parent
PAGE = (Path(__file__).parents[2] / "docs" / "searching.md").read_text()
MODULES = ("impulseminio", "impulsecore", "other")

# Each completes the words in $WORDS and prints what it would offer.
SHELLS = {
    "bash": """
        SETUP
        COMP_WORDS=($WORDS); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _audit_agent_completion audit-agent
        printf '%s\\n' "${COMPREPLY[@]}" """,
    "zsh": """
        compdef() { : }
        _describe() { print -l -- ${(P)3} }
        compadd() { print -l -- ${(P)@[-1]} }
        SETUP
        words=(${=WORDS}); CURRENT=${#words}
        _audit_agent_completion""",
    "fish": """
        SETUP
        complete -C "$WORDS" """,
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the configuration of an instance whose index holds three modules."""

    def answer(request: Request) -> Reply:
        groups = [{"key": {"module": name}, "doc_count": 2, "first_seen": {}, "last_seen": {}} for name in MODULES]
        hits = {"total": {"value": 6, "relation": "eq"}, "hits": []}
        return Reply(body=json.dumps({"hits": hits, "aggregations": {"groups": {"buckets": groups}}}).encode())

    file = tmp_path_factory.mktemp("completion") / "agent.yml"
    with stub_node(answer) as node:
        source = "source: {url: mysql+pymysql://nobody@127.0.0.1:1/none}"
        file.write_text(f"instance: whmcs\n{source}\nopensearch: {{hosts: ['{node.url}']}}\n")
        yield file


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("audit-agent sea", {"search"}),
        ("audit-agent search --colu", {"--column-only"}),
        ("audit-agent search --format nd", {"ndjson"}),
        ("audit-agent search --module impulse", {"impulseminio", "impulsecore"}),
        ("audit-agent top --module other,impulsem", {"other,impulseminio"}),
        ("audit-agent alerts te", {"test"}),
    ],
)
def test_tab_offers_what_begins_so(shell: str, words: str, offered: set[str], config: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    if shell == "fish" and "," in words:
        pytest.skip("click's function for fish cuts a value at its comma: repeat the option there")
    (setup,) = re.findall(rf"^ +((?:eval )?.*{shell}_source .*?)(?: +#.*)?$", PAGE, re.MULTILINE)
    environ = {"PATH": f"{BIN}:{os.environ['PATH']}", "WORDS": words, "AUDIT_AGENT_CONFIG": str(config)}
    environ["HOME"] = str(config.parent)
    command = [shell, *(["-f"] if shell == "zsh" else []), "-c", SHELLS[shell].replace("SETUP", setup)]
    told = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    lines = {re.split(r"[\t:]", line)[0] for line in told.stdout.splitlines() if line.strip()}
    assert lines == offered, told.stderr


def test_a_cluster_that_is_away_offers_nothing_and_says_nothing(tmp_path: Path) -> None:
    source = "source: {url: mysql+pymysql://nobody@127.0.0.1:1/none}"
    config = tmp_path / "agent.yml"
    config.write_text(f"instance: whmcs\n{source}\nopensearch: {{hosts: ['http://127.0.0.1:1']}}\n")
    environ = {"COMP_WORDS": "audit-agent search --module i", "COMP_CWORD": "3", "AUDIT_AGENT_CONFIG": str(config)}
    command = [str(BIN / "audit-agent")]
    told = subprocess.run(
        command, env={**environ, "_AUDIT_AGENT_COMPLETE": "bash_complete"}, capture_output=True, text=True, check=False
    )
    assert (told.stdout.strip(), told.stderr) == ("", "")
