"""Both servers at once: started side by side, stopped together.

Servers that are there already are used as they are: `DEMO_MYSQL_URL` and `DEMO_OPENSEARCH_URL` name them.
`python -m demo.servers --keep` starts a pair, prints the URLs and stays until Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import pymysql

from demo.connection import connect
from demo.mariadb_server import MariaDB, start_witness
from demo.missing import Missing
from demo.opensearch_server import Cluster, answers
from demo.progress import Say, aloud, on_terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Hold a running pair; as a context manager it stops what it started, and only that."""

    mysql_url: str
    opensearch_url: str
    mariadb: MariaDB | None
    opensearch: Cluster | None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop and remove what was started here."""
        try:
            if self.opensearch is not None:
                self.opensearch.stop()
        finally:
            if self.mariadb is not None:
                self.mariadb.remove()


def start(*, heap: str = "512m", nodes: int = 1, short_lived: bool = False, say: Say | None = None) -> Servers:
    """Start what the environment does not name; raise `Missing` with a remedy when this machine cannot."""
    voice = say or on_terminal()
    mariadb: MariaDB | None = None
    opensearch: Cluster | None = None
    try:
        _check_given()
        if not os.environ.get("DEMO_OPENSEARCH_URL"):
            opensearch = Cluster(nodes=nodes, heap=heap, short_lived=short_lived, say=voice)
            opensearch.spawn()
        if not os.environ.get("DEMO_MYSQL_URL"):
            mariadb = start_witness(voice)
        if opensearch is not None:
            opensearch.wait()
    except BaseException:
        Servers(mysql_url="", opensearch_url="", mariadb=mariadb, opensearch=opensearch).stop()
        raise
    return Servers(
        mysql_url=mariadb.url if mariadb else os.environ["DEMO_MYSQL_URL"],
        opensearch_url=opensearch.url if opensearch else os.environ["DEMO_OPENSEARCH_URL"],
        mariadb=mariadb,
        opensearch=opensearch,
    )


def _check_given() -> None:
    """Ask the servers that the environment names, so that the first step need not fail on them."""
    mysql, cluster = os.environ.get("DEMO_MYSQL_URL"), os.environ.get("DEMO_OPENSEARCH_URL")
    try:
        if mysql:
            connect(mysql).close()
    except (pymysql.MySQLError, ValueError) as error:
        raise Missing(f"DEMO_MYSQL_URL does not answer: {error.args[-1]}", remedy="start it, or unset it") from error
    if cluster and not answers(cluster):
        raise Missing("DEMO_OPENSEARCH_URL does not answer", remedy="start it, or unset it")


def stop_on_sigterm() -> None:
    """Make SIGTERM unwind like Ctrl-C does, so that context managers stop their servers."""

    def unwind(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, unwind)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m demo.servers", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--keep", action="store_true", help="stay until Ctrl-C or SIGTERM")
    parser.add_argument("--heap", default="512m", help="heap of each OpenSearch node")
    parser.add_argument("--nodes", type=int, default=1, help="OpenSearch nodes")
    chosen = parser.parse_args(arguments)
    stop_on_sigterm()
    try:
        servers = start(heap=chosen.heap, nodes=chosen.nodes, say=aloud())
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    with servers:
        print(json.dumps({"mysql_url": servers.mysql_url, "opensearch_url": servers.opensearch_url}), flush=True)
        if chosen.keep:
            try:
                signal.pause()
            except KeyboardInterrupt:
                return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
