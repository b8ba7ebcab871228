"""What a process costs: wall, CPU and peak memory, as the kernel counted them; and what the machine was."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = ("sqlalchemy", "pymysql", "opensearch-py", "orjson", "urllib3", "pydantic")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one process took from its start to its end."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    stdout: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


def run(*command: str) -> Cost:
    """Run a Python module (`-m` is added) to its end; its own errors end the benchmark."""
    begun = os.times().elapsed
    process = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    stdout = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {stdout[-500:]}")
    return Cost(
        seconds=os.times().elapsed - begun,
        cpu_seconds=used.ru_utime + used.ru_stime,
        peak_mb=used.ru_maxrss / 1024,
        stdout=stdout,
    )


def cpu_seconds(pid: int | None) -> float:
    """Return the CPU a process has used so far; 0 when it is not ours to see."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mb(pid: int | None, what: str = "VmHWM") -> float:
    """Return the peak (VmHWM) or present (VmRSS) memory of a process."""
    for line in Path(f"/proc/{pid or 'self'}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024
    return 0.0


def load() -> float:
    """Return the load of the last minute."""
    return round(os.getloadavg()[0], 2)


def machine(servers: Sequence[str]) -> dict[str, Any]:
    """Return what the figures were taken on."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "servers": list(servers),
        "libraries": {name: version(name) for name in LIBRARIES},
    }
