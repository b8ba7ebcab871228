"""Fetches servers from Maven Central with the machine's own `mvn`, so that its mirrors and proxies apply."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import zipfile
from pathlib import Path

from demo.java import bundled_java, newest_installed_java
from demo.missing import Missing
from demo.progress import Say

_SYSTEM_TRUST = Path("/etc/ssl/certs/java/cacerts")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST_COMPLAINT = 160
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"


def fetch(artifact: str, folder: Path, *, say: Say) -> Path:
    """Download one Maven artifact (`group:name:version[:type]`) into a folder and return the file."""
    command = [_maven(say), "-B", "-q", _COPY, f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"]
    before = set(folder.iterdir())
    complaint = ""
    for env in _environments():
        done = subprocess.run(
            [*command, "-Dmdep.useBaseVersion=true"], capture_output=True, text=True, check=False, env=env, cwd=folder
        )
        new = set(folder.iterdir()) - before
        if done.returncode == 0 and new:
            return new.pop()
        complaint = _complaint(done.stdout + done.stderr)
    raise Missing(
        f"mvn could not download {artifact}: {complaint}",
        remedy="check the network and ~/.m2/settings.xml (mirror, proxy), or set DEMO_MYSQL_URL and "
        "DEMO_OPENSEARCH_URL to servers of yours",
    )


def unpack(archive: Path, folder: Path) -> None:
    """Unzip, and set the run bits that zip files from Maven Central lack."""
    with zipfile.ZipFile(archive) as content:
        content.extractall(folder)
    archive.unlink()
    for path in folder.rglob("*"):
        if path.is_file() and path.parent.name in {"bin", "scripts"}:
            path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def _complaint(said: str) -> str:
    """Return the end of Maven's first error: it begins with whom it asked for what, and ends with why not."""
    lines = [_COLOUR.sub("", line).partition(" -> [Help")[0].strip() for line in said.splitlines()]
    first = next((line for line in lines if "ERROR" in line), lines[-1] if lines else "it said nothing")
    return first if len(first) <= _LONGEST_COMPLAINT else f"… {first[-_LONGEST_COMPLAINT:].partition(' ')[2]}"


def _maven(say: Say) -> str:
    found = shutil.which("mvn")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        say("installing maven with apt-get (once)")
        _apt_install("maven")
        found = shutil.which("mvn")
    if found is None:
        raise Missing(
            "mvn is not installed", remedy="install Apache Maven (apt-get install maven, or brew install maven)"
        )
    return found


def _apt_install(package: str) -> None:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-y", "-q", "--no-install-recommends", package],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=quiet)
    if done.returncode != 0:
        raise Missing(f"apt-get could not install {package}: {done.stderr.strip()[-300:]}", remedy=f"install {package}")


def _environments() -> list[dict[str, str]]:
    """Return how to run Maven, best first: as it is, then with the certificates the system trusts.

    A Java from elsewhere does not know the company's or the proxy's own authority; Debian keeps it in a store.
    """
    plain = _with_java()
    if not _SYSTEM_TRUST.exists() or "trustStore" in plain.get("MAVEN_OPTS", ""):
        return [plain]
    trusting = f"{plain.get('MAVEN_OPTS', '')} -Djavax.net.ssl.trustStore={_SYSTEM_TRUST}".strip()
    return [plain, {**plain, "MAVEN_OPTS": trusting}]


def _with_java() -> dict[str, str]:
    """Give Maven a Java when the machine has none on its PATH."""
    if shutil.which("java") or os.environ.get("JAVA_HOME"):
        return dict(os.environ)
    java = newest_installed_java(at_least=8) or bundled_java()
    return dict(os.environ) if java is None else {**os.environ, "JAVA_HOME": str(java.home)}
