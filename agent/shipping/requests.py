"""Bulk requests: documents cut into them by size, sent, and halved at once when one is found too large.

Being too large is no overload: half of it can go out in the same breath, and waiting would help nobody. Only one
document that is too large all by itself is at fault, while a small request gets through; that a request no larger
than any server takes is refused is a fault of the way, and is left to the step to wait out. Which rows come and what
follows from the outcomes is the shipper's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agent.backoff import LEAST_BYTES
from agent.errors import TemporaryError
from agent.mapping.document import Document
from agent.opensearch.bulk import Bulk, Outcome, Verdict
from agent.row import Row


@dataclass(frozen=True, slots=True)
class Request:
    """One bulk request: the rows it carries, their keys, its body, and the ids it settles.

    The ids are those of the rows and of any in between that a retention run has expired: settled by being left out.
    Documents exist in the body only, for with several requests in flight they would be most of the memory; the few
    that are needed once more are built again from their rows. `noted` counts what was overflowed and redacted.
    """

    ids: list[int]
    rows: list[Row]
    keys: list[str]
    body: bytes
    noted: Counter[str]


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
        return self._sent(request.body, request.keys) if request.keys else Sent({})

    def send_one(self, document: Document) -> Outcome | None:
        """Send one document by itself; return its outcome, None when it was indexed. Raises TemporaryError."""
        line = b'%b%b"}}\n%b\n' % (self._head(document.partition), document.key.encode(), document.body)
        return self._sent(line, [document.key]).outcomes.get(0)

    def finds_shard_working(self, document: Document) -> bool:
        """Say whether the very shard a document belongs to takes a write now. Raises TemporaryError."""
        return self._is_shard_working(self._head(document.partition), document.key)

    def _is_shard_working(self, head: bytes, key: str) -> bool:
        # The write deletes what was never there: routed to the same shard, it passes through all that a document
        # passes through and leaves nothing to be seen.
        head = head.replace(b'{"index"', b'{"delete"', 1)
        probe = f"{key}:probe"
        return not self._bulk.send(b'%b%b","routing":"%b"}}\n' % (head, probe.encode(), key.encode()), [probe])

    def _sent(self, body: bytes, keys: Sequence[str]) -> Sent:
        try:
            return Sent(self._bulk.send(body, keys))
        except TemporaryError as failure:
            if failure.kind != "too_large" or len(body) <= LEAST_BYTES:
                raise
            reason = f"{len(body)} bytes: {failure.got or failure.what}"
        # Outside of the handler: its error would hold every body of the way down in memory.
        if len(keys) > 1:
            return self._halved(body, keys)
        # A way that finds everything too large, the smallest request too, says nothing about a document.
        head = body[: body.index(b"\n")].removesuffix(keys[0].encode() + b'"}}')
        verdict = Verdict.REJECTED if self._is_shard_working(head, keys[0]) else Verdict.DEFERRED
        return Sent({0: Outcome(verdict, "too_large", reason)})

    def _halved(self, body: bytes, keys: Sequence[str]) -> Sent:
        middle = len(keys) // 2
        lines = body.splitlines(keepends=True)
        first = self._sent(b"".join(lines[: 2 * middle]), keys[:middle])
        second = self._sent(b"".join(lines[2 * middle :]), keys[middle:])
        outcomes = {**first.outcomes, **{position + middle: each for position, each in second.outcomes.items()}}
        return Sent(outcomes, first.halvings + second.halvings + 1)

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
    keys: list[str] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    noted: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row, document: Document, pieces: Sequence[bytes], size: int) -> None:
        self.ids.append(document.id)
        self.rows.append(row)
        self.keys.append(document.key)
        self.parts += pieces
        self.size += size
        for reason in document.overflow:
            self.noted[f"overflowed:{reason}"] += 1
        for rule, count in document.redactions.items():
            self.noted[f"redacted:{rule}"] += count

    def closed(self) -> Request:
        return Request(self.ids, self.rows, self.keys, b"".join(self.parts), self.noted)
