"""`check`: the doctor. Asks everything the agent depends on and prints one line each, with the remedy.

What the answers mean is judged in `agent.checking`; here they are asked for, and a question without an answer becomes
a line of its own, so that one side that is away hides nothing of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click

from agent.checking import configuration as configured
from agent.checking.finding import Finding, fail, failure, is_healthy
from agent.cli.app import Application
from agent.cli.check_cluster import cluster_findings, dashboards_findings, progress_findings
from agent.cli.check_host import host_findings
from agent.cli.check_source import source_findings
from agent.cli.dashboards import Access, dashboards_api, dashboards_options
from agent.cli.output import json_option, print_json, print_line
from agent.config.problems import InvalidFile
from agent.errors import AgentError, ConfigError

Section = Callable[[], Iterable[Finding]]


@click.command()
@click.option("--config-only", is_flag=True, help="Validate the configuration without connecting.")
@dashboards_options
@json_option
@click.pass_obj
def check(
    app: Application,
    *,
    config_only: bool,
    url: str | None,
    username: str | None,
    password_file: Path | None,
    tenant: str,
    as_json: bool,
) -> int:
    """Examine every dependency and grant: OK, WARN or FAIL with the remedy. Exit code 1 when something fails."""
    try:
        sections = _sections(app, config_only=config_only)
        if url is not None and not config_only:
            api = dashboards_api(app, Access(url=url, username=username, password_file=password_file, tenant=tenant))
            sections.append(("dashboards", lambda: dashboards_findings(app, api)))
    except ConfigError as error:
        if as_json:
            print_json({"ok": False, "lines": [finding.as_json() for finding in _problems(error)]})
        raise
    found = []
    mask = app.mask
    for finding in _examined(sections):
        found.append(finding)
        if not as_json:
            print_line(mask(finding.as_line()))
    healthy = is_healthy(found)
    if as_json:
        lines = [{key: mask(value) for key, value in finding.as_json().items()} for finding in found]
        print_json({"ok": healthy, "lines": lines})
    return 0 if healthy else 1


def _sections(app: Application, *, config_only: bool) -> list[tuple[str, Section]]:
    configuration = app.configuration
    sections: list[tuple[str, Section]] = [("configuration", lambda: configured.files(configuration))]
    if not config_only:
        sections += [
            ("host", lambda: host_findings(app)),
            ("mysql", lambda: source_findings(app)),
            ("opensearch", lambda: cluster_findings(app)),
            ("state", lambda: progress_findings(app)),
        ]
    return sections


def _examined(sections: Iterable[tuple[str, Section]]) -> Iterator[Finding]:
    for name, section in sections:
        try:
            yield from section()
        except AgentError as error:
            yield failure(name, error)
        except Exception as error:  # noqa: BLE001  a doctor that falls over tells nothing of the other patients
            told = f"could not be examined: {type(error).__name__}: {error}"
            yield fail(name, told, "this is a fault of the agent: report it with this line")


def _problems(error: ConfigError) -> list[Finding]:
    if isinstance(error, InvalidFile):
        return [fail("configuration", str(problem), "correct the file") for problem in error.problems]
    return [failure("configuration", error)]
