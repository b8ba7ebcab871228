"""The raw ceiling: what the cluster takes when the bodies are ready and nothing is left to do but to send them.

    python -m benchmarks.ceiling CONFIG BATCH_ROWS BULK_BYTES CONNECTIONS

The bodies are those the agent would send for the same table, into partitions made and mapped the same way.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

from agent.cli.app import Application
from agent.cli.line import Line


def bodies(app: Application, batch_rows: int, bulk_bytes: int) -> Iterator[bytes]:
    """Yield the bodies of the whole table, in order, and make the partitions they go to."""
    app.make_ready()
    shipper = Line(app).shipper
    row_id = 0
    while True:
        batch = app.rows.after(row_id, batch_rows, bulk_bytes)
        yield from (request.body for request in shipper.prepare(batch.rows, bulk_bytes))
        if batch.is_complete:
            return
        row_id = int(batch.rows[-1][0] or 0)


def send(address: str, waiting: SimpleQueue[bytes]) -> None:
    """Post bodies over one connection until there are none."""
    connection = http.client.HTTPConnection(address)
    headers = {"Content-Type": "application/x-ndjson"}
    while True:
        try:
            body = waiting.get_nowait()
        except Empty:
            return
        connection.request("POST", "/_bulk?require_alias=true&filter_path=errors", body, headers)
        answer = connection.getresponse().read()
        if answer != b'{"errors":false}':
            raise SystemExit(f"the cluster refused something: {answer[:300]!r}")


def main() -> None:
    """Prepare, send, say how long the sending took."""
    app = Application(Path(sys.argv[1]))
    batch_rows, bulk_bytes, connections = map(int, sys.argv[2:])
    waiting: SimpleQueue[bytes] = SimpleQueue()
    size = 0
    for body in bodies(app, batch_rows, bulk_bytes):
        waiting.put(body)
        size += len(body)
    count = waiting.qsize()
    time.sleep(1)
    address = urlsplit(app.configuration.settings.opensearch.hosts[0]).netloc
    begun, used = time.monotonic(), time.process_time()
    with ThreadPoolExecutor(connections) as pool:
        for each in [pool.submit(send, address, waiting) for _ in range(connections)]:
            each.result()
    seconds, cpu = time.monotonic() - begun, time.process_time() - used
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "requests": count, "bytes": size}))


if __name__ == "__main__":
    main()
