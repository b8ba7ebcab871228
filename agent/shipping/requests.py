"""Bulk requests: documents cut into them by size, sent, and halved at once when one is found too large.

Being too large is no overload: half of it can go out in the same breath, and waiting would help nobody. Only one
document that is too large all by itself is at fault, while a small request gets through; that a request no larger
than any server takes is refused is a fault of the way, and is left to the step to wait out. Which rows come and what
follows from the outcomes is the shipper's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agent.backoff import LEAST_BYTES
from agent.errors import TemporaryError
from agent.mapping.document import Document
from agent.opensearch.bulk import Bulk, Outcome, Verdict
from agent.row import Row


@dataclass(frozen=True, slots=True)
class Request:
    """One bulk request: its documents, the rows they came from, and the ids it settles.

    The ids are those of the rows and of any in between that a retention run has expired: settled by being left out.
    """

    ids: list[int]
    rows: list[Row]
    documents: list[Document]
    body: bytes


@dataclass(frozen=True, slots=True)
class Sent:
    """What the cluster said to a request: by position the items it did not index, and how often it had to be halved."""

    outcomes: Mapping[int, Outcome]
    halvings: int = 0


class Requests:
    """Make requests of documents and send them. Sending may happen in any thread and be repeated."""

    def __init__(self, bulk: Bulk, alias: Callable[[str], str]) -> None:
        self._bulk = bulk
        self._alias = alias
        self._heads: dict[str, bytes] = {}

    def cut(self, rows: Sequence[Row], documents: list[Document], max_bytes: int) -> Iterator[Request]:
        """Cut rows into requests in their order; `documents` are those of the rows that are not left out."""
        begun = _Open()
        following = iter(documents)
        document = next(following, None)
        for row in rows:
            if document is None or row[0] != document.id:
                begun.ids.append(int(row[0] or 0))
                continue
            # Pieces that exist already: joined once for the whole request, not once more for each document.
            pieces = (self._head(document.partition), document.key.encode(), b'"}}\n', document.body, b"\n")
            size = sum(map(len, pieces))
            if begun.parts and begun.size + size > max_bytes:
                yield begun.closed()
                begun = _Open()
            begun.add(row, document, pieces, size)
            document = next(following, None)
        if begun.ids:
            yield begun.closed()

    def send(self, request: Request) -> Sent:
        """Send one request, in parts if it must be. Raises TemporaryError when nothing is known of some items."""
        return self._sent(request.body, request.documents) if request.documents else Sent({})

    def send_one(self, document: Document) -> Outcome | None:
        """Send one document by itself; return its outcome, None when it was indexed. Raises TemporaryError."""
        return self._sent(self._lines(document), [document]).outcomes.get(0)

    def finds_shard_working(self, document: Document) -> bool:
        """Say whether the very shard a document belongs to takes a write now. Raises TemporaryError.

        The write deletes what was never there: routed to the same shard, it passes through all that a document
        passes through and leaves nothing to be seen.
        """
        probe = f"{document.key}:probe"
        head = self._head(document.partition).replace(b'{"index"', b'{"delete"', 1)
        return not self._bulk.send(b'%b%b","routing":"%b"}}\n' % (head, probe.encode(), document.key.encode()), [probe])

    def _sent(self, body: bytes, documents: Sequence[Document]) -> Sent:
        try:
            return Sent(self._bulk.send(body, [document.key for document in documents]))
        except TemporaryError as failure:
            if failure.kind != "too_large" or len(body) <= LEAST_BYTES:
                raise
            reason = f"{len(body)} bytes: {failure.got or failure.what}"
        # Outside of the handler: its error would hold every body of the way down in memory.
        if len(documents) > 1:
            return self._halved(documents)
        # A way that finds everything too large, the smallest request too, says nothing about a document.
        verdict = Verdict.REJECTED if self.finds_shard_working(documents[0]) else Verdict.DEFERRED
        return Sent({0: Outcome(verdict, "too_large", reason)})

    def _halved(self, documents: Sequence[Document]) -> Sent:
        middle = len(documents) // 2
        first, second = (
            self._sent(b"".join(map(self._lines, half)), half) for half in (documents[:middle], documents[middle:])
        )
        outcomes = {**first.outcomes, **{position + middle: each for position, each in second.outcomes.items()}}
        return Sent(outcomes, first.halvings + second.halvings + 1)

    def _lines(self, document: Document) -> bytes:
        return b'%b%b"}}\n%b\n' % (self._head(document.partition), document.key.encode(), document.body)

    def _head(self, partition: str) -> bytes:
        head = self._heads.get(partition)
        if head is None:
            head = f'{{"index":{{"_index":"{self._alias(partition)}","_id":"'.encode()
            self._heads[partition] = head
        return head


@dataclass(slots=True)
class _Open:
    """A request being filled."""

    ids: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, row: Row, document: Document, pieces: Sequence[bytes], size: int) -> None:
        self.ids.append(document.id)
        self.rows.append(row)
        self.documents.append(document)
        self.parts += pieces
        self.size += size

    def closed(self) -> Request:
        return Request(self.ids, self.rows, self.documents, b"".join(self.parts))
