"""The shipper: rows in, outcomes out. Build, make partitions ready, send, climb the ladder, keep dead letters.

    rows ─▶ documents ─▶ partitions ready ─▶ bulk request ─▶ items: indexed ──────────────────▶ done
              ▲                                                │   rejected ─▶ ladder ─▶ dead letter ─▶ done
              └── built again when a partition says otherwise  └── deferred ─▶ TemporaryError: all of it again

`prepare` and `settle` belong to one thread (they share the catalogue); `send` may run in any. A request is settled
when each of its rows is indexed or a dead letter; before that nothing may be checkpointed that speaks of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from agent.errors import TemporaryError
from agent.mapping.document import Document, DocumentBuilder
from agent.opensearch.bulk import Bulk
from agent.opensearch.dead_letters import DeadLetters
from agent.row import Row, RowShape
from agent.shipping.partitions import PreparedPartitions
from agent.shipping.refusals import Refusals
from agent.shipping.requests import Request, Requests, Sent

# Two agents may widen one mapping against each other a few times; each round one of them has won a path for good.
ROUNDS_OF_AGREEMENT = 8
EventLabels = tuple[Any, Any, Any]
"""module_slug, severity, source of a row."""


@dataclass(slots=True)
class Shipped:
    """What became of rows: all of `ids` are settled."""

    ids: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    events: Counter[EventLabels] = field(default_factory=Counter)
    last: Row | None = None
    """The last row that was sent, by which the table is recognised later."""


class Shipper:
    """Ship rows, each onto its own document."""

    def __init__(
        self,
        *,
        shape: RowShape,
        builder: DocumentBuilder,
        partitions: PreparedPartitions,
        alias: Callable[[str], str],
        bulk: Bulk,
        dead_letters: DeadLetters,
        refused: Callable[[Sequence[Row]], Container[int]],
        now: Callable[[], str],
    ) -> None:
        self._builder = builder
        self._partitions = partitions
        self._refused = refused
        self._now = now
        self._requests = Requests(bulk, alias)
        self._refusals = Refusals(
            builder=builder, partitions=partitions, requests=self._requests, dead_letters=dead_letters, now=now
        )
        self._labels = _labels(shape)

    def ship(self, rows: Sequence[Row], max_bytes: int) -> Shipped:
        """Ship rows and return when all are settled; raises TemporaryError when some must be tried again."""
        total = Shipped()
        for request in self.prepare(rows, max_bytes):
            shipped = self.settle(request, self.send(request))
            total.ids += shipped.ids
            total.counts += shipped.counts
            total.events += shipped.events
        return total

    def prepare(self, rows: Sequence[Row], max_bytes: int) -> list[Request]:
        """Build documents and make their partitions ready, cut into requests of at most `max_bytes`."""
        refused = self._refused(rows)
        documents = self._documents([row for row in rows if row[0] not in refused])
        return list(self._requests.cut(rows, documents, max_bytes))

    def send(self, request: Request) -> Sent:
        """Send one request; return what became of its items. Raises TemporaryError."""
        return self._requests.send(request)

    def settle(self, request: Request, sent: Sent) -> Shipped:
        """Settle every row of a sent request, or raise TemporaryError because the cluster deferred some."""
        dead = self._refusals.settle(request, sent.outcomes)
        shipped = Shipped(ids=request.ids, last=request.rows[-1] if request.rows else None)
        shipped.counts["dead_letters"] = len(dead)
        shipped.counts.update(f"dead:{kind}" for kind in dead)
        shipped.counts["halvings"] = sent.halvings
        shipped.counts["indexed"] = len(request.rows) - shipped.counts["dead_letters"]
        shipped.counts["refused"] = len(request.ids) - len(request.rows)
        shipped.counts.update(request.noted)
        shipped.events.update(map(self._labels, request.rows))
        return shipped

    def _documents(self, rows: Sequence[Row]) -> list[Document]:
        for _ in range(ROUNDS_OF_AGREEMENT):
            now = self._now()
            documents = [self._builder.build(row, now) for row in rows]
            if self._partitions.ready({document.partition for document in documents}):
                return documents
        raise TemporaryError("partitions keep changing their mapping", kind="mapping_race")


def _labels(shape: RowShape) -> Callable[[Row], EventLabels]:
    positions = [shape.position(name) for name in ("module_slug", "severity", "source")]
    if None not in positions:
        return itemgetter(*[place for place in positions if place is not None])
    return lambda row: tuple(None if place is None else row[place] for place in positions)  # type: ignore[return-value]
