"""A private OpenSearch: one node, or several that form a cluster, from the bare server zip.

Binding to loopback means development mode, where no bootstrap check of the machine can stop the start. There are
all modules but no plugins: no security, no alerting. `Cluster.repository` is a folder every node may use for
file-system snapshots.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from demo.cache import RunFolder, cached
from demo.downloads import fetch, unpack
from demo.java import Java, find_java
from demo.process import ServerProcess, free_port
from demo.progress import Say, silent
from demo.system_user import server_user

VERSION = "3.8.0"
_ARTIFACT = f"org.opensearch.distribution.integ-test-zip:opensearch:{VERSION}:zip"
_START_SECONDS = 180
# A server of some minutes spends more on compiling well than it gains by it: a start costs half the CPU.
_QUICK_COMPILER = " -XX:TieredStopAtLevel=1"
# Files named relative to the home, which the servers' user cannot write.
_UNWANTED_JVM_OPTIONS = ("-Xlog:gc", "HeapDump", "ErrorFile")


class Node:
    """Hold one node: its folder, its fixed port, and its process while it runs."""

    def __init__(self, name: str, folder: Path, *, home: Path, java: Java, options: str) -> None:
        self.name = name
        self.port = free_port()
        self.transport_port = free_port()
        self.folder = folder
        self._home = home
        self._java = java
        self._options = options
        self.process: ServerProcess | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process and self.process.is_running() else None

    def spawn(self) -> None:
        """Start the process without waiting for its answer."""
        env = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.folder),
            "OPENSEARCH_JAVA_HOME": str(self._java.home),
            "OPENSEARCH_PATH_CONF": str(self.folder / "config"),
            "OPENSEARCH_TMPDIR": str(self.folder / "tmp"),
            "OPENSEARCH_JAVA_OPTS": self._options,
        }
        self.process = ServerProcess(
            f"OpenSearch {self.name}",
            [self._home / "bin" / "opensearch"],
            log=self.folder / f"opensearch-{self.name}.log",
            user=server_user(),
            env=env,
            # The Java agent's path in jvm.options is relative to the home.
            cwd=self._home,
        )

    def wait(self, *, nodes: int = 1) -> None:
        """Wait until the node sees that many nodes."""
        if self.process is not None:
            path = f"/_cluster/health?wait_for_nodes=%3E%3D{nodes}&timeout=2s"
            self.process.wait_until(lambda: answers(self.url, path), seconds=_START_SECONDS)

    def stop(self) -> None:
        if self.process:
            self.process.stop()

    def kill(self) -> None:
        if self.process:
            self.process.kill()

    def restart(self) -> None:
        """Start again on the same port and data, whether it was stopped, killed or still runs."""
        self.stop()
        self.spawn()
        self.wait()


class Cluster:
    """Run `nodes` nodes as one cluster; `start` returns when all have joined, `stop` removes every trace."""

    def __init__(
        self,
        *,
        nodes: int = 1,
        heap: str = "512m",
        settings: Mapping[str, object] | None = None,
        short_lived: bool = False,
        say: Say = silent,
    ) -> None:
        self._say = say
        user = server_user()
        java = find_java(user)
        home = _home(java, say)
        self._run = RunFolder("opensearch")
        self.repository = self._run.path / "repository"
        self.repository.mkdir()
        options = f"-Xms{heap} -Xmx{heap}{_QUICK_COMPILER if short_lived else ''}"
        self.nodes = [
            Node(f"node-{number}", self._run.path / f"node-{number}", home=home, java=java, options=options)
            for number in range(1, nodes + 1)
        ]
        for node in self.nodes:
            self._lay_out(node, home, java, settings or {})
        if user is not None:
            user.own(self._run.path)

    @property
    def url(self) -> str:
        return self.nodes[0].url

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.nodes]

    def spawn(self) -> None:
        """Start the processes without waiting, so that other servers can start meanwhile."""
        self._say(f"starting OpenSearch {VERSION} ({len(self.nodes)} node(s), about 20 s)")
        for node in self.nodes:
            node.spawn()

    def wait(self) -> None:
        for node in self.nodes:
            node.wait(nodes=len(self.nodes))

    def start(self) -> Cluster:
        try:
            self.spawn()
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()
        self._run.remove()

    def _lay_out(self, node: Node, home: Path, java: Java, settings: Mapping[str, object]) -> None:
        shutil.copytree(home / "config", node.folder / "config")
        for name in ("data", "logs", "tmp"):
            (node.folder / name).mkdir()
        options = node.folder / "config" / "jvm.options"
        options.write_text(_jvm_options(options.read_text(), java))
        chosen = {**self._settings(node), **settings}
        # JSON is YAML: no quoting rules of our own.
        lines = [f"{key}: {json.dumps(value)}" for key, value in chosen.items()]
        (node.folder / "config" / "opensearch.yml").write_text("\n".join(lines) + "\n")

    def _settings(self, node: Node) -> dict[str, object]:
        settings: dict[str, object] = {
            "cluster.name": self._run.path.name,
            "node.name": node.name,
            "network.host": "127.0.0.1",
            "http.port": node.port,
            "transport.port": node.transport_port,
            "path.data": str(node.folder / "data"),
            "path.logs": str(node.folder / "logs"),
            "path.repo": [str(self.repository)],
            # A laptop's disk is often fuller than a server's may be: it would turn every index read-only.
            "cluster.routing.allocation.disk.threshold_enabled": False,
        }
        if len(self.nodes) == 1:
            return {**settings, "discovery.type": "single-node"}
        seeds = [f"127.0.0.1:{other.transport_port}" for other in self.nodes]
        names = [other.name for other in self.nodes]
        return {**settings, "discovery.seed_hosts": seeds, "cluster.initial_cluster_manager_nodes": names}


def _home(java: Java, say: Say) -> Path:
    """Return the unpacked server; the one for a Java without Thai lacks the analyzers that would need it."""
    whole = cached(f"opensearch-{VERSION}", functools.partial(_assemble, say=say))
    if java.knows_thai:
        return whole
    return cached(f"opensearch-{VERSION}-small-java", functools.partial(_without_analyzers, whole))


def _assemble(folder: Path, *, say: Say) -> None:
    say(f"downloading OpenSearch {VERSION} (160 MB, once)")
    archive = fetch(_ARTIFACT, folder, say=say)
    say("unpacking OpenSearch")
    unpack(archive, folder)
    inner = folder / f"opensearch-{VERSION}"
    for path in inner.iterdir():
        path.rename(folder / path.name)
    inner.rmdir()
    folder.chmod(0o755)


def _without_analyzers(whole: Path, folder: Path) -> None:
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    shutil.rmtree(folder / "modules" / "analysis-common")
    folder.chmod(0o755)


def _jvm_options(text: str, java: Java) -> str:
    unwanted = _UNWANTED_JVM_OPTIONS if java.has_vectors else (*_UNWANTED_JVM_OPTIONS, "jdk.incubator.vector")
    return "\n".join(line for line in text.splitlines() if not any(word in line for word in unwanted)) + "\n"


def answers(url: str, path: str = "/_cluster/health") -> bool:
    """Say whether a node answers, with all that the path waits for."""
    try:
        with urllib.request.urlopen(url + path, timeout=5) as response:
            return not json.load(response)["timed_out"]
    except (OSError, urllib.error.URLError, ValueError, KeyError):
        return False
