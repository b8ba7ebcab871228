"""What a person mistypes is answered in lines that help: exit code 2, no traceback, the near word."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONNECTIONS = 'source: {url: "mysql+pymysql://u:a-Password-1@db/whmcs"}\nopensearch: {hosts: "http://search:9200"}\n'


def mistake(*arguments: str) -> list[str]:
    """Return the lines a usage or configuration error is told in."""
    done = subprocess.run([sys.executable, "-m", "agent", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "a-Password-1" not in done.stderr
    return [line for line in done.stderr.splitlines() if line]


@pytest.mark.parametrize(
    ("verb", "meant"), [("statu", "status"), ("deadletters", "dead-letters"), ("dead_letters", "dead-letters")]
)
def test_an_unknown_verb_is_answered_with_the_near_one(verb: str, meant: str) -> None:
    assert mistake(verb)[-1] == f"Error: no verb '{verb}'; did you mean «{meant}»?"


def test_a_verb_near_none_is_answered_with_where_to_look() -> None:
    *_, where, what = mistake("frobnicate")
    assert "--help' for help" in where
    assert what == "Error: no verb 'frobnicate'"


def test_each_mistake_in_a_file_is_a_line_of_its_own_with_its_place(tmp_path: Path) -> None:
    config = tmp_path / "agent.yml"
    config.write_text(CONNECTIONS + "tail:\n  batch_row: 5\n  poll_seconds: fast\nlog: {level: warn}\n")
    assert mistake("-c", str(config), "status") == [
        f"error: {config}: 3 problems",
        f"error: {config}:4: tail.batch_row: unknown key; did you mean «batch_rows»?",
        f'error: {config}:5: tail.poll_seconds: got "fast", allowed a number from 0.05 to 3600',
        f'error: {config}:6: log.level: got "warn", allowed debug | info | warning | error; did you mean «warning»?',
    ]


def test_a_file_that_is_not_there_is_answered_with_how_to_name_one(tmp_path: Path) -> None:
    (line,) = mistake("-c", str(tmp_path / "agent.yml"), "status")
    assert "AUDIT_AGENT_CONFIG" in line
    (line,) = mistake("-c", str(tmp_path), "status")[-1:]
    assert "is a directory" in line
