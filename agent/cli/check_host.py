"""Ask this machine what `check` wants to know of it: secret files, folders, the listener's port."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from agent.checking import host
from agent.checking.finding import Finding, failure
from agent.cli.app import Application
from agent.errors import ConfigError

_ANSWER_SECONDS = 2.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  asked on loopback, not listened on


def host_findings(app: Application) -> Iterator[Finding]:
    """Examine what the agent needs of this machine."""
    yield from _secrets(app)
    retention = app.configuration.retention
    if retention.archive.enabled:
        yield host.folder("archive folder", _folder(retention.archive.directory))
    if retention.export.enabled:
        yield host.folder("export folder", _folder(retention.export.directory))
    address = app.configuration.settings.http.address
    yield host.port(None if address is None else _port(*address))


def _secrets(app: Application) -> Iterator[Finding]:
    settings = app.configuration.settings
    readers = {
        "source.password_file": settings.source.read_password,
        "opensearch.password_file": settings.opensearch.read_password,
    }
    for key, read in readers.items():
        try:
            read()
        except ConfigError as error:
            yield failure(key, error)
    files = [settings.source.password_file, settings.opensearch.password_file, settings.opensearch.client_key]
    files.append(settings.source.tls.client_key if settings.source.tls else None)
    if settings.source.url.password and settings.source.password_file is None:
        # Written into the file itself, or come from the environment: the file is closed either way.
        files.append(app.config_path if settings.source.url.password in _text(app.config_path) else None)
    yield from host.secrets({str(file): file.stat().st_mode for file in files if file is not None and file.exists()})


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _folder(path: Path) -> host.Folder:
    nearest = path.absolute()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    usage = shutil.disk_usage(nearest)
    return host.Folder(
        path=str(path),
        nearest=str(nearest),
        is_folder=nearest.is_dir(),
        is_writable=os.access(nearest, os.W_OK | os.X_OK),
        free_bytes=usage.free,
        total_bytes=usage.total,
    )


def _port(name: str, number: int) -> host.Port:
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    problem = ""
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        # As the listener itself does: a connection that is only dying does not hold the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((name, number))
            listener.listen()
        except OSError as error:
            problem = error.strerror or str(error)
    address = f"{name}:{number}"
    return host.Port(address=address, problem=problem, is_ours=bool(problem) and _is_agent(name, number))


def _is_agent(name: str, number: int) -> bool:
    connection = http.client.HTTPConnection(_EVERYWHERE.get(name, name), number, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/metrics")
        return b"audit_agent_build_info" in connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
