"""Judge the machine the agent runs on: its files, folders, port and clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from agent.checking.finding import Finding, fail, ok, warn

LEAST_FREE_BYTES = 1 << 30
LEAST_FREE_SHARE = 0.05
MOST_SKEW_SECONDS = 30.0
_OTHERS_MAY_READ = 0o004
_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """Say what is known of a folder that files go to: it, or the nearest folder above it that exists."""

    path: str
    nearest: str
    is_folder: bool
    is_writable: bool
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """Say whether the listener's address can be had; `is_ours` when an agent answers there already."""

    address: str
    problem: str
    is_ours: bool


def secrets(modes: Mapping[str, int]) -> Iterator[Finding]:
    """Judge the modes of files that hold secrets, by path."""
    for path, mode in modes.items():
        name = "secret file"
        if mode & _OTHERS_MAY_READ:
            yield warn(name, f"{path} can be read by every user of this machine", f"chmod 640 {path}")
        else:
            yield ok(name, f"{path} is closed to others")


def folder(name: str, found: Folder) -> Finding:
    """Judge a folder that an archive or export is written to; it is created when it is first needed."""
    if not found.is_folder:
        return fail(
            name, f"{found.nearest} is no folder", f"remove that file, or name another folder than {found.path}"
        )
    if not found.is_writable:
        return fail(
            name,
            f"{found.nearest} cannot be written to by this user",
            f"mkdir -p {found.path} and give it to the agent's user",
        )
    share = found.free_bytes / max(1, found.total_bytes)
    free = f"{found.free_bytes / _GIB:.1f} GiB ({share:.0%}) free"
    if found.free_bytes < LEAST_FREE_BYTES or share < LEAST_FREE_SHARE:
        return warn(name, f"{found.path}: only {free}", "make room, or name a folder on a larger disk")
    return ok(name, f"{found.path}: {free}")


def port(found: Port | None) -> Finding:
    """Judge the listener's address; None is «switched off»."""
    name = "http listener"
    if found is None:
        return ok(name, "switched off: no /metrics, /healthz, /readyz")
    if not found.problem:
        return ok(name, f"{found.address} is free")
    if found.is_ours:
        return ok(name, f"{found.address}: an agent answers there")
    return fail(name, f"{found.address} cannot be had: {found.problem}", "name another address in http.listen")


def clock(name: str, theirs: datetime, ours: datetime) -> Finding:
    """Compare a server's clock with this machine's."""
    skew = (theirs - ours).total_seconds()
    if abs(skew) <= MOST_SKEW_SECONDS:
        return ok(f"clock of {name}", f"within {MOST_SKEW_SECONDS:.0f} s of this machine's")
    direction = "ahead of" if skew > 0 else "behind"
    return warn(
        f"clock of {name}",
        f"{abs(skew):.0f} s {direction} this machine's",
        "run a time service (NTP) on both; retention and lag follow the database's clock",
    )
