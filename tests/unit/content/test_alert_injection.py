"""Words of alerts.yml in the languages they end up in: Mustache, painless, PromQL, YAML. They stay words."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from agent.config.alerts import AlertRule
from agent.content.monitors import monitor
from agent.content.prometheus import expression, rules_text

EVIL = [
    "{{ctx.results}}",
    "{{#ctx}}",
    "{{{x}}}",
    '"} or vector(1) #',
    '"; return true; //',
    "') { return true; }",
    "\\",
    '\\" or vector(1) #',
    "$labels",
    "%s %d %",
    "${HOME}",
    "a: b\n- c",
    "`",
]


def alert(**fields: Any) -> AlertRule:
    return AlertRule.model_validate({"name": "a", "description": "d", "threshold": 1, **fields})


def made(rule: AlertRule) -> dict[str, Any]:
    return monitor(rule, audit_index="i", state_index="s", shift_seconds=60)


@pytest.mark.parametrize("text", EVIL)
def test_a_description_is_no_template(text: str) -> None:
    rule = alert(description=text, notify=["c"])
    (trigger,) = made(rule)["triggers"]
    (action,) = trigger["query_level_trigger"]["actions"]
    ours = made(alert(description="d", notify=["c"]))["triggers"][0]["query_level_trigger"]["actions"][0]
    tags = ours["message_template"]["source"].count("{{")
    assert action["message_template"]["source"].count("{{") == tags
    (group,) = yaml.safe_load(rules_text([rule]))["groups"]
    (told,) = group["rules"]
    assert "{{" not in told["annotations"]["description"]
    assert set(told) == {"alert", "expr", "labels", "annotations"}


@pytest.mark.parametrize("text", [text for text in EVIL if "{{" not in text and "\n" not in text])
def test_a_value_is_a_value_in_every_language(text: str) -> None:
    rule = alert(match={"module_slug": text, "context.x": text}, group_by=["module_slug"])
    built = made(rule)
    plain = made(alert(match={"module_slug": "m", "context.x": "m"}, group_by=["module_slug"]))
    assert built["triggers"] == plain["triggers"], "the painless condition holds no word of the configuration"
    assert json.dumps(built).count("{{") == json.dumps(plain).count("{{")
    counted = alert(match={"module_slug": text}, group_by=["module_slug"])
    ours = expression(alert(match={"module_slug": "m"}, group_by=["module_slug"]))
    theirs = expression(counted)
    assert ours is not None
    assert theirs is not None
    assert theirs == ours.replace('"m"', json.dumps(text, ensure_ascii=False))
    (group,) = yaml.safe_load(rules_text([counted]))["groups"]
    assert len(group["rules"]) == 1
    assert group["rules"][0]["expr"].strip() == theirs
