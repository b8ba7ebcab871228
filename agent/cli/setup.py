"""`setup`: what the agent needs in the cluster, and on request dashboards and alerts."""

from __future__ import annotations

import click

from agent.cli.app import Application
from agent.cli.output import json_option, print_json, print_line
from agent.opensearch.agent_indices import ensure_agent_indices


@click.command()
@click.option("--force", is_flag=True, help="Overwrite templates that a person has changed.")
@json_option
@click.pass_obj
def setup(app: Application, *, force: bool, as_json: bool) -> int:
    """Install templates, indices and aliases; report what changed."""
    templates = app.templates.install(force=force)
    indices = ensure_agent_indices(app.cluster, app.names, app.templates)
    report = {
        "instance": app.instance,
        "templates": [{"name": t.name, "action": str(t.action), "detail": t.detail} for t in templates],
        "indices_created": indices,
    }
    if as_json:
        print_json(report)
        return 0
    for template in templates:
        print_line(
            f"template {template.name}: {template.action}" + (f" ({template.detail})" if template.detail else "")
        )
    for index in indices:
        print_line(f"index {index}: created")
    print_line(f"partitions of {app.instance} are created as rows arrive: {app.names.alias('YYYY.MM')}")
    return 0
