"""The user the servers run as.

OpenSearch refuses to run as root, and a database should not either. When we are root, a system user without a
home or shell is made once and the servers are started as that user; an ordinary user starts them as itself.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demo.missing import Missing

if TYPE_CHECKING:
    from pathlib import Path

NAME = "impulse-demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemUser:
    """Name a user by its numbers, as setpriv wants it."""

    uid: int
    gid: int

    def own(self, folder: Path) -> None:
        """Give a folder and all it holds to this user."""
        if os.geteuid() != 0:
            return
        os.chown(folder, self.uid, self.gid)
        for path in folder.rglob("*"):
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def can_reach(self, path: Path) -> bool:
        """Say whether this user may walk to a path and read it (a home folder of root is often closed)."""
        path = path.resolve()
        if os.geteuid() != 0:
            return os.access(path, os.R_OK | os.X_OK)
        return all(parent.stat().st_mode & 0o001 for parent in [path, *path.parents])


def server_user() -> SystemUser | None:
    """Return the user to change to, made on first use; None when we are an ordinary user already."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        entry = _make()
    return SystemUser(uid=entry.pw_uid, gid=entry.pw_gid)


def _make() -> pwd.struct_passwd:
    useradd = shutil.which("useradd") or shutil.which("useradd", path="/usr/sbin:/sbin")
    if useradd is None:
        raise Missing(
            "OpenSearch cannot run as root and this machine has no useradd to make a user for it",
            remedy=f"make a system user named {NAME}, or run this as an ordinary user",
        )
    made = subprocess.run(
        [useradd, "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        # Another first run may have made it between our look and our try: only its absence now is an error.
        return pwd.getpwnam(NAME)
    except KeyError:
        raise Missing(
            f"could not make the system user {NAME}: {made.stderr.strip()}", remedy="run this as an ordinary user"
        ) from None
