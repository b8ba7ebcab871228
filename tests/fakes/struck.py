"""The command line of an agent that dies, as by kill -9, the moment its n-th write to the cluster has taken effect.

    python -m tests.fakes.struck N -c agent.yml sync

Every effect of a step but reading is a request to the cluster: documents, dead letters, partitions and their mappings,
journal, lease and checkpoint. What is never reached lets the agent end as it would.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from agent.cli import main
from agent.opensearch.connection import NodeConnection

STRUCK = 137
_READS = ("_search", "_count", "_mget", "_msearch", "_refresh", "_pit")


def is_effect(method: str, path: str) -> bool:
    """Say whether a request changes anything."""
    return method in ("PUT", "POST", "DELETE") and not path.split("?", maxsplit=1)[0].endswith(_READS)


def strike(after: int) -> None:
    """Have this process end once so many writes were answered."""
    lock, seen = threading.Lock(), [0]
    send = NodeConnection.perform_request

    def struck(self: NodeConnection, method: str, url: str, *arguments: Any, **named: Any) -> Any:
        answer = send(self, method, url, *arguments, **named)
        with lock:
            seen[0] += is_effect(method, url)
            if seen[0] == after and is_effect(method, url):
                os._exit(STRUCK)
        return answer

    NodeConnection.perform_request = struck  # type: ignore[method-assign]


if __name__ == "__main__":
    strike(int(sys.argv.pop(1)))
    main()
