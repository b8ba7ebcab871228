"""Verbs in forks of one process that has everything imported: most of what a run of the command line costs is imports.

A fork is a process of its own, with its own pid, files, environment, folder and exit code, and enters by the door that
`python -m agent` enters by. What depends on how Python itself starts (other variables, signals, memory) is started for
real by whoever tests it, as `World.start` does.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_LONGEST_REQUEST = 1 << 20
_STATUS_BYTES = 4


class Forks:
    """Hold the process that forks; safe for use by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.verbs", str(theirs.fileno())]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        theirs.close()
        atexit.register(self.close)

    def close(self) -> None:
        self._socket.close()
        self._process.wait(30)

    def run(
        self, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], timeout: float
    ) -> tuple[int, str, str]:
        """Return exit code, stdout and stderr of one verb."""
        request = json.dumps({"arguments": arguments, "folder": str(folder), "environment": dict(environment)})
        status, theirs = os.pipe()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                with self._lock:
                    socket.send_fds(self._socket, [request.encode()], [out.fileno(), err.fileno(), theirs])
            finally:
                os.close(theirs)
            try:
                code = _exit_code(status, arguments, timeout)
            finally:
                os.close(status)
            out.seek(0)
            err.seek(0)
            return code, out.read().decode(), err.read().decode()


@functools.cache
def forks() -> Forks:
    """Return the one of this test process."""
    return Forks()


def _exit_code(status: int, arguments: Sequence[str], timeout: float) -> int:
    deadline = time.monotonic() + timeout
    found = array.array("i")
    while len(found) < 2:
        if not select.select([status], [], [], max(0.0, deadline - time.monotonic()))[0]:
            for pid in found:
                os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(list(arguments), timeout)
        content = os.read(status, _STATUS_BYTES)
        if not content:
            raise RuntimeError("the process that forks has ended")
        found.frombytes(content)
    return found[1]


def _serve(requests: socket.socket) -> None:
    for module in pkgutil.walk_packages(importlib.import_module("agent").__path__, "agent."):
        if module.name != "agent.__main__":
            importlib.import_module(module.name)
    for name in ("sqlalchemy.dialects.mysql.pymysql", "rich.console"):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        content, files, _flags, _address = socket.recv_fds(requests, _LONGEST_REQUEST, 3)
        if not content:
            return
        if os.fork() == 0:
            requests.close()
            _watch(json.loads(content), *files)
            return
        for file in files:
            os.close(file)


def _watch(request: Mapping[str, Any], out: int, err: int, status: int) -> None:
    """Fork the verb and tell its pid and how it ended; in the fork, be the verb."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid:
        os.write(status, array.array("i", [pid]).tobytes())
        os.close(out)
        os.close(err)
        _, ended = os.waitpid(pid, 0)
        with contextlib.suppress(BrokenPipeError):  # whoever asked has given up on it
            os.write(status, array.array("i", [os.waitstatus_to_exitcode(ended)]).tobytes())
        os._exit(0)
    os.close(status)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["folder"])
    sys.argv[1:] = request["arguments"]
    os._exit(_be_the_verb())


def _be_the_verb() -> int:
    """Run it as `python -m agent` does, and end as Python does, but for taking every module apart."""
    code: object = 0
    try:
        runpy.run_module("agent", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    with contextlib.suppress(ValueError):
        sys.stdout.flush()
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
