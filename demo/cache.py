"""Where downloads live between runs, and where each run keeps its servers' data.

    <cache>/lock                      held while something is assembled: first runs side by side wait, not clash
    <cache>/opensearch-3.8.0/ …       finished things only: each is built aside and renamed into place
    <cache>/runs/<name>/ + .lock      one folder a run; its lock is held by the living run, so that the folder of
                                      one that was killed is known by its free lock and swept by the next

When we are root the cache lies under /var/cache, because the servers' user must be able to reach it; an ordinary
user gets `$XDG_CACHE_HOME` or `~/.cache`. `DEMO_CACHE` overrides both.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.missing import Missing

NAME = "impulse-audit-demo"


def cache_folder() -> Path:
    """Return the cache folder, made if need be."""
    chosen = os.environ.get("DEMO_CACHE")
    if chosen:
        folder = Path(chosen).expanduser().resolve()
    elif os.geteuid() == 0:
        folder = Path("/var/cache") / NAME
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            folder.chmod(0o755)
    except OSError as error:
        what = f"the cache folder {folder} cannot be made: {error.strerror}"
        raise Missing(what, remedy="name another one in DEMO_CACHE") from error
    return folder


def cached(name: str, build: Callable[[Path], None]) -> Path:
    """Return `<cache>/<name>`, built by `build(empty folder)` if it is not there yet.

    A build that fails or is killed leaves nothing under the final name; the next run starts over.
    """
    final = cache_folder() / name
    if final.exists():
        return final
    with _locked():
        if final.exists():
            return final
        aside = cache_folder() / f".building-{name}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        try:
            build(aside)
            aside.rename(final)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return final


class RunFolder:
    """Hold one run's private folder; `remove()` deletes it, and so does the next run if we are killed first."""

    def __init__(self, what: str) -> None:
        runs = cache_folder() / "runs"
        runs.mkdir(exist_ok=True)
        with _locked(runs / "lock"):
            _sweep(runs)
            self.path = Path(tempfile.mkdtemp(prefix=f"{what}-", dir=runs))
            self._lock = os.open(_lock_of(self.path), os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path.chmod(0o755)

    def remove(self) -> None:
        """Delete the folder; twice is harmless."""
        if self._lock < 0:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        _lock_of(self.path).unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = -1


@contextmanager
def _locked(path: Path | None = None) -> Iterator[None]:
    handle = os.open(path or cache_folder() / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".lock")


def _sweep(runs: Path) -> None:
    for folder in (path for path in runs.iterdir() if path.is_dir()):
        handle = os.open(_lock_of(folder), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            _lock_of(folder).unlink(missing_ok=True)
        except BlockingIOError:
            continue
        finally:
            os.close(handle)
