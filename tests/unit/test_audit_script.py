"""`make audit`: what was not looked at never looks like «no vulnerabilities», and is no failure."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", Path(__file__).parents[2] / ".ci" / "audit.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BAD = '{"name":"b","version":"1","vulns":[{"id":"CVE-1","fix_versions":["2"]}]}'
GOOD = '{"name":"g","version":"1","vulns":[]}'
UNKNOWN = '{"name":"u","skip_reason":"not found"}'


@pytest.mark.parametrize(
    ("stdout", "code", "words"),
    [
        (f'{{"dependencies":[{GOOD},{UNKNOWN}]}}', 0, "1 packages looked at, 0 vulnerable, 1 unknown"),
        (f'{{"dependencies":[{GOOD},{BAD}]}}', 1, "b 1: CVE-1, fixed in 2"),
        (f'{{"dependencies":[{UNKNOWN}]}}', 0, "audit skipped: the package index has no"),
        ('{"dependencies":[]}', 0, "audit skipped"),
        ("", 0, "audit skipped: no data"),
        ("[]", 0, "audit skipped"),
    ],
)
def test_the_outcome_is_told_as_it_is(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stdout, code, words
) -> None:
    answer = subprocess.CompletedProcess([], 0, stdout=stdout, stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    assert script.main() == code
    assert words in capsys.readouterr().out


def test_a_data_source_that_never_answers_is_a_skipped_step(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hangs(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("pip_audit", 1)

    monkeypatch.setattr(subprocess, "run", hangs)
    assert script.main() == 0
    assert capsys.readouterr().out.startswith("audit skipped")
