"""The keys of alerts.yml that only this room gives a meaning to: wrong ones are named with file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.loading import load_alerts
from agent.errors import ConfigError

HEAD = "alerts:\n  - name: a\n    description: d.\n"


@pytest.mark.parametrize(
    ("keys", "line", "said"),
    [
        ("    treshold: 1\n", 4, "did you mean «threshold»"),
        ("    threshold: 1\n    lowered: {befor: context.x, after: context.y}\n", 5, "did you mean «before»"),
        ("    threshold: 1\n    lowered: {before: detail, after: context.y}\n", 5, "context.PATH"),
        (
            "    absent_for: 1h\n    lowered: {before: context.x, after: context.y}\n",
            5,
            "lowered beside threshold only",
        ),
        ("    threshold: 1\n    prometheus: {match: {action: x}}\n", 5, "module_slug, severity, source"),
        ("    threshold: 1\n    prometheus: {match: {severity: eror}}\n", 5, "did you mean «error»"),
        ("    threshold: 1\n    prometheus: {match: {}, threshold: 0}\n", 5, "threshold"),
    ],
)
def test_a_wrong_declaration_is_named_with_file_line_and_key(tmp_path: Path, keys: str, line: int, said: str) -> None:
    path = tmp_path / "alerts.yml"
    path.write_text(HEAD + keys, encoding="utf-8")
    with pytest.raises(ConfigError) as met:
        load_alerts(path, {})
    assert f"alerts.yml:{line}" in str(met.value)
    assert said in str(met.value)
