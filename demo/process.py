"""One server process that cannot outlive us.

`setpriv --pdeathsig` asks the kernel to kill the server when the thread that started it is gone, so even
`kill -9` of the demo leaves nothing behind; the flag is set after the change of user, which would clear it.
Start servers from a thread that lives as long as they should (the main thread, in practice).
"""

from __future__ import annotations

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from demo.missing import Missing
from demo.system_user import SystemUser

# Below Linux's range for outgoing connections (32768…), so that no client takes the port between our look and
# the server's bind.
_PORTS = range(20_000, 32_000)
_POLL_SECONDS = 0.1
_LOG_TAIL_LINES = 15


def free_port() -> int:
    """Return a port that is free on loopback right now."""
    for _ in range(200):
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as probe:
            # Servers bind with this flag too: without it, a port some earlier test used looks taken for a minute.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Missing("no free port between 20000 and 32000 on 127.0.0.1", remedy="stop some servers")


class ServerProcess:
    """Run one server; `stop` asks, `kill` does not. Both are harmless when it is gone already."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        user: SystemUser | None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*leash(user), *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                # A Ctrl-C at the terminal is for us: we stop the servers in order.
                start_new_session=True,
            )
        atexit.register(self.kill)

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, is_ready: Callable[[], bool], *, seconds: float) -> None:
        """Wait until the server answers; raise with the end of its log when it ends or takes too long."""
        give_up = time.monotonic() + seconds
        while not is_ready():
            if not self.is_running():
                raise Missing(f"{self.name} ended at its start: {self._tail()}", remedy=f"see {self._keep_log()}")
            if time.monotonic() > give_up:
                self.kill()
                raise Missing(
                    f"{self.name} did not answer within {seconds:.0f} s: {self._tail()}",
                    remedy=f"see {self._keep_log()}",
                )
            time.sleep(_POLL_SECONDS)

    def stop(self, *, seconds: float = 30) -> None:
        if self.is_running():
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        atexit.unregister(self.kill)

    def kill(self) -> None:
        if self.is_running():
            self._process.kill()
            self._process.wait()
        atexit.unregister(self.kill)

    def freeze(self) -> None:
        """Stop it in its tracks (SIGSTOP): connections stay open and nothing answers."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        telling = [line for line in lines if "ERROR" in line or "Exception" in line or "rror:" in line]
        return " | ".join((telling or lines)[-_LOG_TAIL_LINES:])[-1500:] or "(it said nothing)"

    def _keep_log(self) -> Path:
        """Copy the log to where it survives the run folder."""
        kept = Path(os.environ.get("TMPDIR", "/tmp")) / f"impulse-demo-{self._log.name}"
        shutil.copyfile(self._log, kept)
        return kept


def leash(user: SystemUser | None) -> list[str]:
    """Return the command prefix that changes the user and ties the process to the thread that starts it."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        if user is not None:
            raise Missing(
                "setpriv is not installed", remedy="apt-get install -y util-linux, or run as an ordinary user"
            )
        return []
    identity = [] if user is None else [f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups"]
    return [setpriv, *identity, "--pdeathsig=KILL", "--"]
