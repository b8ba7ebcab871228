"""A private MySQL 9, the newest in Debian sid, in a root folder of its own.

MySQL and MariaDB differ in what the tail relies on: metadata locks, the JSON type, caching_sha2_password. Debian
stable has MariaDB only, so this unpacks sid's server with mmdebstrap; that needs root and a Debian machine.
User root without a password, loopback only.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pymysql

from demo.cache import RunFolder, cached
from demo.connection import connect
from demo.missing import Missing
from demo.process import ServerProcess, free_port, leash
from demo.progress import Say, silent

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_START_SECONDS = 90
_COMMON = ("--no-defaults", "--user=root", "--secure-file-priv=", "--mysqlx=OFF", "--skip-log-bin")


class MySQL:
    """Run one server; `restart` keeps port and data."""

    def __init__(self, *, extra: Sequence[str] = (), port: int | None = None, say: Say = silent) -> None:
        self._say = say
        self._root = _root(say)
        self.extra = tuple(extra)
        self.port = port or free_port()
        self._run = RunFolder("mysql")
        # Seen from inside the root; outside it is the run's own folder, so that the sweep of the cache finds it.
        self._inside = Path("/var/lib/demo") / self._run.path.name
        self._outside = self._root / self._inside.relative_to("/")
        self.process: ServerProcess | None = None
        try:
            self._initialize()
        except BaseException:
            self.remove()
            raise

    @property
    def url(self) -> str:
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/"

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process and self.process.is_running() else None

    def connect(self, database: str | None = None) -> Connection[Cursor]:
        """Return a new connection as root, autocommit, utf8mb4, UTC."""
        return connect(self.url, database=database)

    def start(self) -> MySQL:
        self._say("starting MySQL 9")
        try:
            self.restart()
        except BaseException:
            self.remove()
            raise
        return self

    def restart(self, *, extra: Sequence[str] | None = None) -> None:
        self.stop()
        if extra is not None:
            self.extra = tuple(extra)
        command = [
            *self._mysqld(),
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self._inside / 's'}",
            f"--pid-file={self._inside / 'pid'}",
            "--max-allowed-packet=256M",
            "--innodb-flush-log-at-trx-commit=2",
            *self.extra,
        ]
        self.process = ServerProcess("MySQL", command, log=self._run.path / "mysql.log", user=None)
        self.process.wait_until(self._answers, seconds=_START_SECONDS)

    def stop(self) -> None:
        if self.process:
            self.process.stop()

    def kill(self) -> None:
        if self.process:
            self.process.kill()

    def remove(self) -> None:
        """Stop for good and delete the data."""
        self.stop()
        shutil.rmtree(self._outside, ignore_errors=True)
        self._run.remove()

    def _initialize(self) -> None:
        self._sweep()
        self._outside.mkdir(parents=True)
        done = subprocess.run(
            [*leash(None), *map(str, self._mysqld()), "--initialize-insecure"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise Missing(f"mysqld --initialize failed: {done.stderr.strip()[-500:]}", remedy="use MariaDB")

    def _sweep(self) -> None:
        """Delete the data of runs that were killed: their run folder is gone by now."""
        living = {path.name for path in self._run.path.parent.iterdir()}
        for folder in self._outside.parent.glob("*"):
            if folder.name not in living:
                shutil.rmtree(folder, ignore_errors=True)

    def _mysqld(self) -> list[str | Path]:
        chroot = shutil.which("chroot") or "/usr/sbin/chroot"
        return [chroot, self._root, "/usr/sbin/mysqld", *_COMMON, f"--datadir={self._inside / 'data'}"]

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except pymysql.MySQLError:
            return False
        return True


def _root(say: Say) -> Path:
    if os.geteuid() != 0:
        raise Missing("a private MySQL 9 needs root (chroot)", remedy="name a server of yours in AUDIT_TEST_MYSQL_URL")
    return cached("mysql-9", functools.partial(_assemble, say=say)) / "root"


def _assemble(folder: Path, *, say: Say) -> None:
    mirror = _debian_mirror()
    if mirror is None or not _KEYRING.exists():
        raise Missing("a private MySQL 9 needs a Debian machine", remedy="name a server in AUDIT_TEST_MYSQL_URL")
    if shutil.which("mmdebstrap") is None:
        say("installing mmdebstrap with apt-get (once)")
        _run(["apt-get", "install", "-y", "-q", "--no-install-recommends", "mmdebstrap"])
    say("unpacking MySQL 9 from Debian sid (500 MB, once)")
    root = folder / "root"
    folder.chmod(0o755)
    _run(
        [
            "mmdebstrap",
            "--quiet",
            "--variant=essential",
            "--aptopt=Acquire::Check-Valid-Until false",
            "--include=mysql-server-core,mysql-client-core",
            "sid",
            str(root),
            f"deb [signed-by={_KEYRING}] {mirror} sid main",
        ]
    )
    (root / "run/mysqld").mkdir(parents=True, exist_ok=True)


def _run(command: list[str]) -> None:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet)
    if done.returncode != 0:
        said = done.stderr.strip()[-400:]
        raise Missing(f"{command[0]} failed: {said}", remedy="check the network and the apt sources")


def _debian_mirror() -> str | None:
    """Return the mirror apt uses already: the one this machine can reach."""
    places = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    text = "\n".join(
        line
        for place in places
        if place.is_file()
        for line in place.read_text(errors="replace").splitlines()
        if not line.lstrip().startswith("#")
    )
    match = re.search(r"https?://\S+/debian/?(?=\s|$)", text)
    return match[0] if match else None
