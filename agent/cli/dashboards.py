"""How verbs reach Dashboards: the options, and the connection they name. A password is never an option of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from agent.cli.app import Application
from agent.config.secrets import read_secret_file
from agent.content.dashboards_api import DashboardsApi
from agent.content.install import prepared
from agent.content.saved_objects import SavedObject
from agent.content.shipped import dashboards_text
from agent.errors import ConfigError
from agent.opensearch.credentials import basic_token

F = TypeVar("F", bound=Callable[..., Any])

PASSWORD_VARIABLE = "AUDIT_DASHBOARDS_PASSWORD"  # noqa: S105  the name of a variable, not a password


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Hold what the options say; without a username the account of `opensearch` is used."""

    url: str | None
    username: str | None
    password_file: Path | None
    tenant: str


def dashboards_options(verb: F) -> F:
    """Give a verb the options that lead to Dashboards; `Access(...)` takes them by name."""
    options = (
        click.option("--dashboards", "url", metavar="URL", help="Dashboards, as https://host:5601."),
        click.option(
            "--dashboards-username",
            "username",
            envvar="AUDIT_DASHBOARDS_USERNAME",
            show_envvar=True,
            help=f"Its account, default opensearch.username; the password is in {PASSWORD_VARIABLE} or in a file.",
        ),
        click.option(
            "--dashboards-password-file",
            "password_file",
            type=click.Path(dir_okay=False, path_type=Path),
            envvar="AUDIT_DASHBOARDS_PASSWORD_FILE",
            show_envvar=True,
            help="File that holds the password.",
        ),
        click.option(
            "--dashboards-tenant",
            "tenant",
            default="",
            envvar="AUDIT_DASHBOARDS_TENANT",
            show_envvar=True,
            help="Whose objects are meant, where Dashboards has tenants: global, private, or a name.",
        ),
    )
    for option in reversed(options):
        verb = option(verb)
    return verb


def dashboards_api(app: Application, access: Access) -> DashboardsApi:
    """Prepare the connection; nothing is asked yet. Raises ConfigError for a bad URL or a missing password."""
    opensearch = app.configuration.settings.opensearch
    username, password = access.username, _password(access)
    if username is None and password is None:
        username, password = opensearch.username, opensearch.read_password()
    elif username is None or password is None:
        missing = "username" if username is None else "password"
        raise ConfigError(
            f"the {missing} for Dashboards is missing",
            remedy=f"give --dashboards-username, and the password in {PASSWORD_VARIABLE} or --dashboards-password-file",
        )
    for secret in (password or "", basic_token(username or "", password or "")):
        # What a server or proxy may quote back.
        app.mask.add(secret)
    return DashboardsApi(
        access.url or "",
        username=username or "",
        password=password or "",
        tenant=access.tenant,
        ca_file=opensearch.ca_file,
        verify=opensearch.verify,
        timeout_seconds=opensearch.timeout_seconds,
    )


def shipped_objects(app: Application) -> tuple[SavedObject, ...]:
    """Return the saved objects of this version for this configuration, with the live field list of the index."""
    return prepared(
        dashboards_text(), index_prefix=app.names.prefix, agent_prefix=app.names.agent_prefix, cluster=app.cluster
    )


def _password(access: Access) -> str | None:
    if access.password_file is not None:
        return read_secret_file(access.password_file, "--dashboards-password-file")
    return os.environ.get(PASSWORD_VARIABLE)
