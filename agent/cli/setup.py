"""`setup`: what the agent needs in the cluster, and on request dashboards and alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agent.cli import monitors
from agent.cli.app import Application
from agent.cli.dashboards import Access, dashboards_api, dashboards_options, shipped_objects
from agent.cli.output import json_option, print_json, print_line
from agent.content.dashboards_api import DashboardsApi
from agent.content.install import install_dashboards, refresh_fields
from agent.content.report import Failure, Report
from agent.errors import AgentError
from agent.opensearch.agent_indices import ensure_agent_indices
from agent.opensearch.partition_facts import partition_facts


@click.command()
@dashboards_options
@click.option("--refresh-fields", is_flag=True, help="With --dashboards: only the field lists of index patterns.")
@click.option("--alerts", is_flag=True, help="Install a monitor for each alert of alerts.yml.")
@click.option("--force", is_flag=True, help="Overwrite templates that a person has changed.")
@json_option
@click.pass_obj
def setup(
    app: Application,
    *,
    url: str | None,
    username: str | None,
    password_file: Path | None,
    tenant: str,
    refresh_fields: bool,
    alerts: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Install templates, indices and aliases; report what changed. Exit code 1 names what could not be installed."""
    if refresh_fields and url is None:
        raise click.UsageError("--refresh-fields needs --dashboards URL")
    access = Access(url=url, username=username, password_file=password_file, tenant=tenant)
    api = dashboards_api(app, access) if url is not None else None
    answer, lines = _index_side(app, force=force)
    reports: dict[str, Report] = {}
    if api is not None:
        reports["dashboards"] = _dashboards(app, api, only_fields=refresh_fields)
    if alerts:
        reports["alerts"] = _alerts(app)
    reports = {name: monitors.masked(app, report) for name, report in reports.items()}
    answer |= {name: monitors.as_json(report) for name, report in reports.items()}
    is_done = all(report.ok for report in reports.values())
    if as_json:
        print_json(answer | {"ok": is_done})
    for line in (
        [] if as_json else [*lines, *(line for name in reports for line in monitors.as_lines(name, reports[name]))]
    ):
        print_line(line)
    return 0 if is_done else 1


def _index_side(app: Application, *, force: bool) -> tuple[dict[str, Any], list[str]]:
    templates = app.templates.install(force=force)
    indices = ensure_agent_indices(app.cluster, app.names, app.templates)
    restored = _restored_aliases(app)
    answer = {
        "instance": app.instance,
        "templates": [{"name": t.name, "action": str(t.action), "detail": t.detail} for t in templates],
        "indices_created": indices,
        "aliases_restored": restored,
    }
    lines = [f"template {t.name}: {t.action}" + (f" ({t.detail})" if t.detail else "") for t in templates]
    lines += [f"index {index}: created" for index in indices]
    lines += [f"aliases of {index}: restored" for index in restored]
    lines.append(f"partitions of {app.instance} are created as rows arrive: {app.names.alias('YYYY.MM')}")
    return answer, lines


def _restored_aliases(app: Application) -> list[str]:
    """Put back aliases that somebody removed from partitions; return the indices that lacked some."""
    wanted = {app.names.read, app.names.read_all}
    found = partition_facts(app.cluster, app.names)
    written = {facts.partition for facts in found if facts.is_current}
    lacking = [f for f in found if (f.is_current and wanted - f.aliases) or f.partition not in written]
    for partition in sorted({facts.partition for facts in lacking}):
        app.partitions.ensure(partition, {})
    return [facts.index for facts in lacking]


def _dashboards(app: Application, api: DashboardsApi, *, only_fields: bool) -> Report:
    try:
        api.version()
        objects = shipped_objects(app)
        return refresh_fields(api, objects) if only_fields else install_dashboards(api, objects)
    except AgentError as error:
        return Report(installed=(), failed=(Failure(name=api.url, reason=str(error)),))


def _alerts(app: Application) -> Report:
    try:
        return monitors.install(app)
    except AgentError as error:
        return Report(installed=(), failed=(Failure(name="all monitors", reason=str(error)),))
