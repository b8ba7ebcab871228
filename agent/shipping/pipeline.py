"""The pipeline: a bounded number of bulk requests in flight, acknowledged in the order of submission.

While requests travel, the next batch is read and built. Acknowledgement is contiguous: a request that is done waits
for the ones before it, so that the checkpoint never speaks of rows behind one that may still fail.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from agent.row import Row
from agent.shipping.requests import Request, Sent
from agent.shipping.shipper import Shipped, Shipper


class Pipeline:
    """Ship rows through a shipper with at most `concurrency` requests in flight."""

    def __init__(
        self, shipper: Shipper, *, concurrency: int, clock: Callable[[], float], took: Callable[[float], None]
    ) -> None:
        self._shipper = shipper
        self._concurrency = concurrency
        self._clock = clock
        self._took = took
        self._workers = ThreadPoolExecutor(concurrency, thread_name_prefix="bulk")
        self._flying: deque[tuple[Request, Future[Sent]]] = deque()
        self._done: list[Shipped] = []

    def submit(self, rows: Sequence[Row], max_bytes: int) -> None:
        """Start to ship rows; waits while too many requests are in flight. Raises TemporaryError."""
        for request in self._shipper.prepare(rows, max_bytes):
            self._land(down_to=self._concurrency - 1)
            self._flying.append((request, self._workers.submit(self._send, request)))

    def acknowledged(self, *, drain: bool) -> list[Shipped]:
        """Return the contiguous prefix settled by now; with `drain`, wait for all. Raises TemporaryError."""
        self._land(down_to=0 if drain else self._concurrency)
        done, self._done = self._done, []
        return done

    def abandon(self) -> None:
        """Wait out what is in flight and forget it."""
        wait([future for _, future in self._flying])
        self._flying.clear()
        self._done.clear()

    def close(self) -> None:
        """End the workers; what is in flight is waited for."""
        self._workers.shutdown()

    def _send(self, request: Request) -> Sent:
        begun = self._clock()
        sent = self._shipper.send(request)
        self._took(self._clock() - begun)
        return sent

    def _land(self, *, down_to: int) -> None:
        """Settle finished requests from the oldest on, waiting until at most `down_to` are left."""
        while self._flying and (len(self._flying) > down_to or self._flying[0][1].done()):
            # No name here for the future: its error would hold this frame, this frame the future, and both the request
            # with its megabytes until the collector comes by.
            shipped = self._shipper.settle(self._flying[0][0], self._flying[0][1].result())
            self._flying.popleft()
            self._done.append(shipped)
