"""The systemd template unit: correct, and hardened to a measured exposure."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[3] / "deploy" / "audit-agent@.service"
MOST_EXPOSURE = 2.5


@pytest.fixture
def analyze():
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze (Debian package systemd) is not installed")

    def run(*arguments):
        return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False, timeout=60)

    return run


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if match := re.match(r"(\w+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


def test_systemd_finds_nothing_wrong_with_the_unit(analyze, tmp_path):
    """The program itself is not installed here, so another one stands in for it."""
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(), flags=re.MULTILINE)
    instance = tmp_path / "audit-agent@whmcs.service"
    instance.write_text(text)
    checked = analyze("verify", str(instance))
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_exposure_is_low(analyze, tmp_path):
    shutil.copy(UNIT, tmp_path)
    checked = analyze("security", "--offline=true", "--no-pager", str(tmp_path / UNIT.name))
    exposure = re.search(r"exposure level for .*: ([\d.]+) ", checked.stdout)
    assert exposure is not None, checked.stderr
    assert float(exposure[1]) <= MOST_EXPOSURE


def test_each_instance_has_its_own_configuration_state_and_credentials():
    unit = settings()
    assert "-c /etc/audit-agent/%i/agent.yml run" in unit["ExecStart"][0]
    assert unit["StateDirectory"] == ["audit-agent/%i"]
    assert unit["LoadCredential"] == [
        "mysql.password:/etc/audit-agent/%i/mysql.password",
        "opensearch.password:/etc/audit-agent/%i/opensearch.password",
    ]


def test_the_unit_waits_for_readiness_is_watched_and_may_drain():
    unit = settings()
    assert unit["Type"] == ["notify"]
    assert int(unit["WatchdogSec"][0]) >= 120
    assert int(unit["TimeoutStopSec"][0]) >= 60
    assert unit["ExecReload"] == ["/bin/kill -HUP $MAINPID"]


def test_a_configuration_mistake_is_not_repeated_for_ever():
    unit = settings()
    assert unit["Restart"] == ["on-failure"]
    assert unit["RestartPreventExitStatus"] == ["2"]


def test_no_secret_is_passed_through_the_environment_or_the_command_line():
    unit = settings()
    for value in [*unit["ExecStart"], *unit["Environment"]]:
        for word in value.split():
            name = word.partition("=")[0].upper()
            assert "PASSWORD" not in name or name.endswith("_FILE")
