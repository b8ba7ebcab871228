"""The declared alerts made ready for the cluster: what `setup --alerts` and `alerts` share."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from agent.cli.app import Application
from agent.content.evaluate import LEAST_SHIFT_SECONDS, MOST_SHIFT_SECONDS
from agent.content.monitors import install_monitors, monitor
from agent.content.report import Report
from agent.observing.status import report


def declared_monitors(app: Application) -> list[dict[str, Any]]:
    """Return the monitors of all declared alerts; their windows end where rows are known to have arrived."""
    shift = shift_seconds(app)
    return [
        monitor(alert, audit_index=app.names.read_all, state_index=app.names.state, shift_seconds=shift)
        for alert in app.configuration.alerts.alerts
    ]


def shift_seconds(app: Application) -> int:
    """Return how far before now windows end: the agent's own lag, in whole minutes, at least one.

    How late rows arrived in the past is no measure: the first load of an old table would count as delay for a day.
    """
    app.state.refresh_unclaimed()
    poll = app.configuration.settings.tail.poll_seconds
    told = report(app.state.members or None, instance=app.instance, now=datetime.now(UTC), poll_seconds=poll)
    minutes = math.ceil((told["lag_seconds"] or 0.0) / 60)
    return max(LEAST_SHIFT_SECONDS, min(MOST_SHIFT_SECONDS, 60 * minutes))


def install(app: Application) -> Report:
    """Install a monitor for each declared alert and read it back."""
    return install_monitors(app.cluster, declared_monitors(app))


def masked(app: Application, found: Report) -> Report:
    """Return a report whose reasons, which quote servers, hold no secret of the configuration."""
    failed = tuple(replace(failure, reason=app.mask(failure.reason)) for failure in found.failed)
    return replace(found, failed=failed)


def as_json(found: Report) -> dict[str, Any]:
    """Return a report of an installation for a machine."""
    members: dict[str, Any] = {
        "installed": list(found.installed),
        "failed": [{"name": failure.name, "reason": failure.reason} for failure in found.failed],
    }
    return members | ({"missing_plugin": found.missing_plugin} if found.missing_plugin else {})


def as_lines(what: str, found: Report) -> list[str]:
    """Return a report of an installation for a person."""
    lines = [f"{what} {name}: installed and read back" for name in found.installed]
    lines += [f"{what} {failure.name}: FAILED, {failure.reason}" for failure in found.failed]
    return lines + ([f"{what}: {found.missing_plugin}"] if found.missing_plugin else [])
