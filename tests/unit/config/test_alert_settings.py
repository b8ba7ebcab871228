"""config/alerts.yml: one condition each, with what it needs and nothing it ignores."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config.alerts import AlertSettings
from agent.config.loading import load_alerts
from tests.unit.config.conftest import problems


@pytest.fixture
def alert(write: Callable[..., Path]) -> Callable[[str], AlertSettings]:
    return lambda keys: load_alerts(write(f"alerts:\n- {{name: a, description: d, {keys}}}\n", "a.yml"), {})


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ("threshold: 1", "threshold"),
        ("factor: 3, baseline: 7d", "factor"),
        ("factor: 3, baseline: 7d, threshold: 20", "factor"),
        ("absent_for: 26h, match: {action: security_collect.run}", "absent_for"),
        ("first_ever: true, baseline: 30d, group_by: [action, context.exception]", "first_ever"),
        ("stalled_for: 10m", "stalled_for"),
    ],
)
def test_each_kind_of_condition_is_recognised(alert, keys: str, kind: str):
    assert alert(keys).alerts[0].kind == kind


def test_values_have_their_types(alert):
    found = alert("threshold: 5, over: 90s, match: {severity: error, context.server_id: 42}, group_by: 'action,client_id', "
                  "notify: [ops]").alerts[0]  # fmt: skip
    assert (found.over, found.threshold, found.severity) == (dt.timedelta(seconds=90), 5, "warning")
    assert found.match == {"severity": ("error",), "context.server_id": ("42",)}
    assert (found.group_by, found.notify) == (("action", "client_id"), ("ops",))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("over: 15m", "alerts[0]: got no condition, allowed exactly one of threshold, factor"),
        ("threshold: 1, absent_for: 1h", "got threshold and absent_for"),
        ("factor: 3", "baseline with factor and first_ever"),
        ("threshold: 1, baseline: 1d", "baseline with factor and first_ever"),
        ("factor: 3, over: 1d, baseline: 1d", "alerts[0].baseline: got"),
        ("first_ever: true, baseline: 1d", "group_by beside first_ever"),
        ("absent_for: 1h, group_by: [action]", "no group_by beside absent_for"),
        ("stalled_for: 1h, match: {source: cron}", "no match beside stalled_for"),
        ("threshold: 0", "alerts[0].threshold: got 0"),
        ("factor: 1, baseline: 7d", "alerts[0].factor: got 1"),
        ("threshold: 1, over: 15", "alerts[0].over: got 15, allowed a duration from 1m to 31d"),
        ("threshold: 1, over: 15", "a number needs its unit"),
        ("threshold: 1, over: 59s", 'alerts[0].over: got "59s"'),
        ("threshold: 1, over: 15min", 'alerts[0].over: got "15min"'),
        ("threshold: 1, over: 32d", 'alerts[0].over: got "32d"'),
        ("treshold: 1", "alerts[0].treshold: unknown key; did you mean «threshold»?"),
        ("threshold: 1, severity: error", "did you mean «critical»?"),
        ("threshold: 1, match: {severty: x}", "did you mean «severity»?"),
        ("threshold: 1, match: {context.: x}", "got key «context.»"),
        ("threshold: 1, group_by: [module]", 'alerts[0].group_by[0]: got "module"'),
        ("threshold: 1, group_by: [module]", "did you mean «module_slug»?"),
        ("threshold: 1, notify: ['https://hooks.example/T0/secret']", "the id of a notification channel"),
    ],
)
def test_a_mistake_is_answered_with_its_line(alert, keys: str, said: str):
    first = problems(lambda: alert(keys))[0]
    assert first.startswith("a.yml:2: ")
    assert said in first


def test_two_alerts_of_one_name_are_refused(write: Callable[..., Path]):
    text = "alerts:\n- {name: a, description: d, threshold: 1}\n- {name: a, description: d, threshold: 2}\n"
    assert problems(lambda: load_alerts(write(text, "a.yml"), {}))[0].startswith("a.yml:3: alerts[1].name: got")


def test_an_alert_without_a_description_is_refused(write: Callable[..., Path]):
    assert problems(lambda: load_alerts(write("alerts:\n- {name: a, threshold: 1}\n", "a.yml"), {})) == [
        "a.yml:2: alerts[0].description: is missing"
    ]
