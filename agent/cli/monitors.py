"""The declared alerts made ready for the cluster: what `setup --alerts` and `alerts` share."""

from __future__ import annotations

from typing import Any

from agent.cli.app import Application
from agent.content.evaluate import measured_shift
from agent.content.monitors import install_monitors, monitor
from agent.content.report import Report


def declared_monitors(app: Application) -> list[dict[str, Any]]:
    """Return the monitors of all declared alerts; their windows end where rows have been seen to arrive."""
    shift = measured_shift(app.cluster, audit_index=app.names.read_all)
    return [
        monitor(alert, audit_index=app.names.read_all, state_index=app.names.state, shift_seconds=shift)
        for alert in app.configuration.alerts.alerts
    ]


def install(app: Application) -> Report:
    """Install a monitor for each declared alert and read it back."""
    return install_monitors(app.cluster, declared_monitors(app))


def as_json(report: Report) -> dict[str, Any]:
    """Return a report of an installation for a machine."""
    members: dict[str, Any] = {
        "installed": list(report.installed),
        "failed": [{"name": failure.name, "reason": failure.reason} for failure in report.failed],
    }
    return members | ({"missing_plugin": report.missing_plugin} if report.missing_plugin else {})


def as_lines(what: str, report: Report) -> list[str]:
    """Return a report of an installation for a person."""
    lines = [f"{what} {name}: installed and read back" for name in report.installed]
    lines += [f"{what} {failure.name}: FAILED, {failure.reason}" for failure in report.failed]
    return lines + ([f"{what}: {report.missing_plugin}"] if report.missing_plugin else [])
