"""`alerts`: show what is declared, evaluate it now against the live index, install it as monitors."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import click

from agent.cli import monitors
from agent.cli.app import Application
from agent.cli.output import json_option, print_json, print_line
from agent.config.alerts import AlertRule
from agent.content.evaluate import Evaluation, condition_text, evaluate
from agent.content.monitors import monitor_drift
from agent.content.prometheus import is_exact, rules_text
from agent.observing.line import neutralise

GROUPS_SHOWN = 10


@click.group()
def alerts() -> None:
    """Show, test or install the declared alerts."""


@alerts.command()
@click.option("--prometheus", is_flag=True, help="Print the rules file for Prometheus.")
@json_option
@click.pass_obj
def show(app: Application, *, prometheus: bool, as_json: bool) -> int:
    """Show what alerts.yml declares; asks no server."""
    declared = app.configuration.alerts.alerts
    if prometheus and as_json:
        raise click.UsageError("--prometheus prints YAML: leave out --json")
    if prometheus:
        click.echo(rules_text(declared), nl=False)
        return 0
    if as_json:
        print_json({"alerts": [_declared(alert) for alert in declared]})
        return 0
    for alert in declared:
        groups = f", by {', '.join(alert.group_by)}" if alert.group_by else ""
        print_line(f"{alert.name} ({alert.severity}): {condition_text(alert)}{groups}")
        print_line(f"    {' '.join(alert.description.split())}")
    if not declared:
        print_line("no alerts are declared: name a file in alerts.file")
    return 0


@alerts.command()
@json_option
@click.pass_obj
def test(app: Application, *, as_json: bool) -> int:
    """Evaluate every alert now: groups, counts, threshold, and whether it would fire. Sends nothing to anybody.

    Exit code 1 when the index cannot tell about one of them.
    """
    declared = app.configuration.alerts.alerts
    shift = monitors.shift_seconds(app)
    found = evaluate(
        app.cluster,
        declared,
        audit_index=app.names.read_all,
        state_index=app.names.state,
        now_ms=time.time_ns() // 1_000_000,
        shift_seconds=shift,
    )
    # What a server gives as its reason may quote what was sent.
    found = tuple(replace(told, reason=app.mask(told.reason), error=app.mask(told.error)) for told in found)
    if as_json:
        tested = [_tested(alert, told) for alert, told in zip(declared, found, strict=True)]
        firing = sum(told.would_fire for told in found)
        print_json({"shift_seconds": shift, "would_fire": firing, "alerts": tested})
    else:
        print_line(f"windows end {shift} s ago: what happened later may still be on its way")
        for told in found:
            _print_tested(told)
    return 1 if any(told.error for told in found) else 0


@alerts.command()
@click.option("--dry-run", is_flag=True, help="Only say which monitors are missing or differ.")
@json_option
@click.pass_obj
def install(app: Application, *, dry_run: bool, as_json: bool) -> int:
    """Install a monitor for each alert and read it back; exit code 1 names what failed."""
    report = monitor_drift(app.cluster, monitors.declared_monitors(app)) if dry_run else monitors.install(app)
    report = monitors.masked(app, report)
    if as_json:
        print_json(monitors.as_json(report) | {"ok": report.ok})
    for line in [] if as_json else monitors.as_lines("monitor", report):
        print_line(line)
    return 0 if report.ok else 1


def _declared(alert: AlertRule) -> dict[str, Any]:
    return {
        **alert.model_dump(mode="json"),
        "condition": condition_text(alert),
        "prometheus_exact": is_exact(alert),
    }


def _tested(alert: AlertRule, told: Evaluation) -> dict[str, Any]:
    return {
        "name": told.name,
        "severity": told.severity,
        "condition": told.condition,
        "threshold": alert.threshold,
        "would_fire": told.would_fire,
        "reason": told.reason,
        "total": told.total,
        "groups": [{"name": group.name, "count": group.count, "fires": group.fires} for group in told.groups],
    } | ({"error": told.error} if told.error else {})


def _print_tested(told: Evaluation) -> None:
    verdict = "WOULD FIRE" if told.would_fire else "silent    "
    print_line(f"{verdict}  {told.name} ({told.severity}): {told.condition}; {told.reason}, {told.total} in all")
    for group in told.groups[:GROUPS_SHOWN]:
        print_line(f"            {'!' if group.fires else ' '} {group.count:>7}  {neutralise(group.name)}")
    if len(told.groups) > GROUPS_SHOWN:
        print_line(f"              … and {len(told.groups) - GROUPS_SHOWN} more groups")
