"""The shipper: rows in, outcomes out. Build, make partitions ready, send, climb the ladder, keep dead letters.

    rows ─▶ documents ─▶ partitions ready ─▶ bulk request ─▶ items: indexed ──────────────────▶ done
              ▲                                                │   rejected ─▶ ladder ─▶ dead letter ─▶ done
              └── built again when a partition says otherwise  └── deferred ─▶ TemporaryError: all of it again

`prepare` and `settle` belong to one thread (they share the catalogue); `send` may run in any. A request is settled
when each of its rows is indexed or a dead letter; before that nothing may be checkpointed that speaks of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

from agent.backoff import LEAST_BYTES
from agent.errors import TemporaryError
from agent.mapping.document import Document, DocumentBuilder
from agent.mapping.ladder import Rung, next_rung
from agent.opensearch.bulk import Bulk, Outcome, Verdict
from agent.opensearch.dead_letters import DeadLetter, DeadLetters
from agent.row import Row, RowShape
from agent.shipping.partitions import PreparedPartitions

# Two agents may widen one mapping against each other a few times; each round one of them has won a path for good.
ROUNDS_OF_AGREEMENT = 8
EventLabels = tuple[Any, Any, Any]
"""module_slug, severity, source of a row."""


@dataclass(frozen=True, slots=True)
class Request:
    """One bulk request: its documents, the rows they came from, and the ids it settles.

    The ids are those of the rows and of any in between that a retention run has expired: settled by being left out.
    """

    ids: list[int]
    rows: list[Row]
    documents: list[Document]
    body: bytes


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
        self._alias = alias
        self._bulk = bulk
        self._dead_letters = dead_letters
        self._refused = refused
        self._now = now
        self._heads: dict[str, bytes] = {}
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
        return list(self._requests(rows, documents, max_bytes))

    def send(self, request: Request) -> Mapping[int, Outcome]:
        """Send one request; return by position the items that were not indexed."""
        if not request.documents:
            return {}
        return self._sent(request.body, len(request.documents))

    def settle(self, request: Request, outcomes: Mapping[int, Outcome]) -> Shipped:
        """Settle every row of a sent request, or raise TemporaryError because the cluster deferred some."""
        for outcome in outcomes.values():
            if outcome.verdict is Verdict.DEFERRED:
                self._partitions.forget()
                raise TemporaryError(
                    "OpenSearch defers documents", where="POST /_bulk", got=outcome.reason, kind=outcome.kind
                )
        shipped = Shipped(ids=request.ids, last=request.rows[-1] if request.rows else None)
        for position, outcome in outcomes.items():
            dead_of = self._climb(request, position, outcome)
            if dead_of:
                shipped.counts["dead_letters"] += 1
                shipped.counts[f"dead:{dead_of}"] += 1
        shipped.counts["indexed"] = len(request.documents) - shipped.counts["dead_letters"]
        shipped.counts["refused"] = len(request.ids) - len(request.rows)
        for document in request.documents:
            for reason in document.overflow:
                shipped.counts[f"overflowed:{reason}"] += 1
            for rule, count in document.redactions.items():
                shipped.counts[f"redacted:{rule}"] += count
        shipped.events.update(map(self._labels, request.rows))
        return shipped

    def _documents(self, rows: Sequence[Row]) -> list[Document]:
        for _ in range(ROUNDS_OF_AGREEMENT):
            now = self._now()
            documents = [self._builder.build(row, now) for row in rows]
            if self._partitions.ready({document.partition for document in documents}):
                return documents
        raise TemporaryError("partitions keep changing their mapping", kind="mapping_race")

    def _requests(self, rows: Sequence[Row], documents: list[Document], max_bytes: int) -> Iterator[Request]:
        """Cut rows into requests in their order; `documents` are those of the rows that are not left out."""
        begun = _Open()
        following = iter(documents)
        document = next(following, None)
        for row in rows:
            if document is None or row[0] != document.id:
                begun.ids.append(int(row[0] or 0))
                continue
            lines = self._lines(document)
            if begun.parts and begun.size + len(lines) > max_bytes:
                yield begun.closed()
                begun = _Open()
            begun.add(row, document, lines)
            document = next(following, None)
        if begun.ids:
            yield begun.closed()

    def _lines(self, document: Document) -> bytes:
        head = self._heads.get(document.partition)
        if head is None:
            head = f'{{"index":{{"_index":"{self._alias(document.partition)}","_id":"'.encode()
            self._heads[document.partition] = head
        return b'%b%b"}}\n%b\n' % (head, document.key.encode(), document.body)

    def _climb(self, request: Request, position: int, outcome: Outcome) -> str | None:
        """Try a rejected document rung by rung; return of what it became a dead letter, None when it was taken."""
        row, document = request.rows[position], request.documents[position]
        self._partitions.reread(document.partition)
        rung: Rung | None = next_rung(Rung.NORMAL)
        while rung is not None:
            again = self._builder.build(row, self._now(), rung)
            self._partitions.ready({again.partition})
            refusal = self._sent(self._lines(again), 1).get(0)
            if refusal is None:
                return None
            outcome = refusal
            if outcome.verdict is Verdict.DEFERRED:
                raise TemporaryError("OpenSearch defers a document", got=outcome.reason, kind=outcome.kind)
            rung = next_rung(rung)
        if outcome.kind == "field_limit":
            # Not the document's fault after all: with everything but raw text gone, the index itself is full.
            raise TemporaryError("an index has no room for fields", got=outcome.reason, kind=outcome.kind)
        self._keep(
            DeadLetter(
                id=document.id,
                partition=document.partition,
                created_at=document.created_at,
                kind=outcome.kind,
                reason=outcome.reason,
                row=document.source,
            )
        )
        return outcome.kind

    def _sent(self, body: bytes, count: int) -> Mapping[int, Outcome]:
        """Send; one large document that is too large all by itself is at fault: no smaller request could carry it."""
        try:
            return self._bulk.send(body, count)
        except TemporaryError as failure:
            if failure.kind != "too_large" or count > 1 or len(body) <= LEAST_BYTES:
                raise
            return {0: Outcome(Verdict.REJECTED, failure.kind, f"{len(body)} bytes: {failure.got or failure.what}")}

    def _keep(self, letter: DeadLetter) -> None:
        """Keep a dead letter; of a row that is too large for that as well, the letter says where to find it."""
        try:
            self._dead_letters.put([letter], self._now())
        except TemporaryError as failure:
            if failure.kind != "too_large":
                raise
            row = {"id": letter.id, "created_at": letter.created_at, "omitted": "too large: the table has it"}
            self._dead_letters.put([replace(letter, row=row)], self._now())


@dataclass(slots=True)
class _Open:
    """A request being filled."""

    ids: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, row: Row, document: Document, lines: bytes) -> None:
        self.ids.append(document.id)
        self.rows.append(row)
        self.documents.append(document)
        self.parts.append(lines)
        self.size += len(lines)

    def closed(self) -> Request:
        return Request(self.ids, self.rows, self.documents, b"".join(self.parts))


def _labels(shape: RowShape) -> Callable[[Row], EventLabels]:
    positions = [shape.position(name) for name in ("module_slug", "severity", "source")]
    if None not in positions:
        return itemgetter(*[place for place in positions if place is not None])
    return lambda row: tuple(None if place is None else row[place] for place in positions)  # type: ignore[return-value]
