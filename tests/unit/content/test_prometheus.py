"""Prometheus rules: in step with the declarations, honest about what they can say, and proven by promtool."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent.config.alerts import AlertRule, AlertSettings
from agent.config.loading import load_alerts
from agent.content.prometheus import expression, is_exact, rule_name, rules_text

ROOT = Path(__file__).parents[3]
RULES = ROOT / "alerts" / "impulse-audit.rules.yml"
CASES = sorted((ROOT / "alerts").glob("*.tests.yml"))
ALERTS = load_alerts(ROOT / "config" / "alerts.yml", {}).alerts


def alert(**fields: Any) -> AlertRule:
    entry = {"name": "x", "description": "d."} | fields
    return AlertSettings.model_validate({"alerts": [entry]}).alerts[0]


def promtool(*arguments: str) -> str:
    found = shutil.which("promtool")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("promtool is missing")
        pytest.skip("promtool is missing")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_file_is_what_the_declarations_make() -> None:
    assert RULES.read_text(encoding="utf-8") == rules_text(ALERTS)


def test_promtool_accepts_the_rules() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", str(RULES))


def test_each_rule_fires_when_it_should_and_only_then() -> None:
    assert len(CASES) == 2
    promtool("test", "rules", *(str(path) for path in CASES))


def test_each_shipped_rule_has_a_case_that_fires_and_one_that_stays_silent() -> None:
    cases = "".join(path.read_text(encoding="utf-8") for path in CASES)
    for shipped in ALERTS:
        asked = rf'alertname="{rule_name(shipped)}",alertstate="firing"}}\)\n +eval_time: \w+\n +exp_samples:'
        assert re.search(asked + r" \[\]\n", cases), f"{shipped.name} has no silent case"
        assert re.search(asked + r" \[\{", cases), f"{shipped.name} has no firing case"


def test_an_alert_on_counted_columns_alone_is_exact() -> None:
    found = alert(match={"severity": "error"}, group_by=["module_slug"], threshold=3)
    assert is_exact(found)
    assert 'severity="error"' in str(expression(found))
    assert str(expression(found)).endswith(">= 3")
    assert 'precision: "exact"' in rules_text([found])


def test_what_the_counters_cannot_say_is_said_and_not_faked() -> None:
    found = alert(match={"action": "provisioning_held"}, threshold=1)
    assert expression(found) is None
    assert "use the OpenSearch monitor" in rules_text([found])


def test_a_coarser_rule_is_called_nearest_and_wakes_nobody() -> None:
    nearest = {"match": {"severity": "error"}, "threshold": 2}
    text = rules_text([alert(match={"action": "a.b"}, threshold=1, severity="critical", prometheus=nearest)])
    assert 'precision: "nearest"' in text
    assert 'severity: "info"' in text
    assert "counts every event with severity error" in text


def test_signs_of_a_description_cannot_break_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    odd = alert(threshold=1, description='a "quote": {{ $x }} \\ # no comment\nsecond line', notify=["ops", "on-call"])
    factor = alert(name="y", match={"module_slug": ["a*b", "c|d"]}, factor=3, baseline="30d", threshold=5)
    path.write_text(rules_text([odd, factor]), encoding="utf-8")
    assert "2 rules found" in promtool("check", "rules", str(path))
