"""The draft: the careful way to a document, for the rows that cannot be sent as they came.

Something in such a row is new to the catalogue, suspected of a secret, no JSON, too large, or was refused by the
server before. Each value still ends in the document: mapped, in the overflow, or as text; and `agent` says which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from agent.mapping.catalogue import CONTEXT, EXTRA, Catalogue
from agent.mapping.context import decode, decode_exactly
from agent.mapping.dropped import without_dropped
from agent.mapping.ladder import Rung
from agent.mapping.overflow import Overflow, cut
from agent.mapping.redaction import Counts, Redaction
from agent.mapping.sound import dumps
from agent.mapping.walk import Walk, fits, has_cut_numbers

if TYPE_CHECKING:
    from agent.row import Row, RowShape

REJECTED = "rejected"
TEXT = "context_text"
OVERFLOW = "context_overflow"
_MARGIN = 16 * 1024
LONGEST_NOTE = 500
"""Characters of a note about the row (a parser's message, a date that is none)."""


class Unfit(NamedTuple):
    """Hold a context that is parsed and free of secrets, and of which some path is not in the catalogue as it is."""

    value: dict[str, Any]
    redactions: Counts


class Workshop(Protocol):
    """Name what a draft takes from the builder it works for."""

    shape: RowShape
    catalogue: Catalogue
    redaction: Redaction
    max_bytes: int


class Draft:
    """Fill in one document's source; used once."""

    def __init__(
        self, workshop: Workshop, source: dict[str, Any], agent: dict[str, Any], partition: str, rung: Rung
    ) -> None:
        self._workshop = workshop
        self._source = source
        self._agent = agent
        self._partition = partition
        self._rung = rung
        self.overflow: dict[str, int] = {}
        self.redactions: Counts = {}

    def fill(self, row: Row, unfit: Unfit | None = None) -> None:
        """Turn the columns of one row into fields of its document; `unfit` is its context, as far as it was got."""
        shape = self._workshop.shape
        self._source.pop(CONTEXT, None)
        place = shape.position(CONTEXT)
        raw = None if place is None else row[place]
        if self._source["created_at"] is None and row[1] is not None:
            self._agent["created_at_text"] = str(row[1])[:LONGEST_NOTE]
        detail = self._source.get("detail")
        if isinstance(detail, str):
            self._source["detail"] = self._text(detail)
        if shape.extra:
            columns = zip(shape.extra, row[len(shape.fields) : -1], strict=True)
            self._put_extra({name: self._text(item) if isinstance(item, str) else item for name, item in columns})
        if unfit is not None and not has_cut_numbers(unfit.value):
            self._count(unfit.redactions)
            self._walk(self._kept(unfit.value))
        elif raw is not None:
            self._put_context(str(raw))
        if self.redactions:
            self._agent["redacted"] = sorted(self.redactions)

    def _text(self, text: str) -> str:
        """Return a text without secrets, cut to the limit; redacted first, or a secret could be cut out of sight."""
        limit = self._workshop.max_bytes
        if len(text) <= limit // 4:
            return self._workshop.redaction.text(text, self.redactions)
        # What is redacted is a little more than what is kept, so a secret astride the cut is seen whole.
        kept = cut(text, limit + _MARGIN)
        kept = cut(self._workshop.redaction.text(kept, self.redactions), limit)
        if len(text.encode("utf-8", "surrogatepass")) > limit:
            self._agent["truncated"] = True
        return kept

    def _put_extra(self, extra: dict[str, Any]) -> None:
        extra = self._workshop.redaction.value(extra, self.redactions, texts=False)
        if self._rung >= Rung.RAW_TEXT:
            self._add_texts([str(item) for item in extra.values() if item is not None])
            return
        walk = Walk(self._workshop.catalogue, exceptions=self._exceptions, today=self._today)
        self._source[EXTRA] = walk.route(EXTRA, extra)
        self._note(walk.overflow, {})

    def _put_context(self, raw: str) -> None:
        limit = self._workshop.max_bytes
        if len(raw) > limit // 4 and len(raw.encode("utf-8", "surrogatepass")) > limit:
            self._add_texts([self._text(raw)])
            return
        decoded = decode(raw)
        if decoded.error is not None:
            self._agent["context_error"] = self._text(decoded.error)[:LONGEST_NOTE]
            self._add_texts([self._text(raw)])
        elif decoded.value is not None:
            self._put_value(raw, self._kept(decoded.value))

    def _put_value(self, raw: str, value: dict[str, Any]) -> None:
        counts: Counts = {}
        redacted = self._redacted(raw, value, counts)
        if not self._is_sent_as_it_is(redacted) and has_cut_numbers(value):
            exact = decode_exactly(raw).value
            counts = {}
            redacted = self._redacted(raw, value if exact is None else self._kept(exact), counts)
        self._count(counts)
        self._route(redacted)

    def _count(self, counts: Counts) -> None:
        for rule, count in counts.items():
            self.redactions[rule] = self.redactions.get(rule, 0) + count

    def _kept(self, value: dict[str, Any]) -> dict[str, Any]:
        return without_dropped(value, self._workshop.catalogue.dropped, (CONTEXT,))

    def _redacted(self, raw: str, value: dict[str, Any], counts: Counts) -> dict[str, Any]:
        redaction = self._workshop.redaction
        result: dict[str, Any] = redaction.value(value, counts, texts=redaction.suspects_json(raw))
        return result

    def _is_sent_as_it_is(self, value: dict[str, Any]) -> bool:
        is_plain_try = self._rung < Rung.ALL_OVERFLOW and self._exceptions is None
        return is_plain_try and fits(self._workshop.catalogue.tree[CONTEXT], value)

    def _route(self, value: dict[str, Any]) -> None:
        if self._rung >= Rung.RAW_TEXT:
            self._add_texts([dumps(value).decode()])
            self.overflow[REJECTED] = self.overflow.get(REJECTED, 0) + 1
            self._agent["overflow_reason"] = sorted(self.overflow)
            return
        if self._is_sent_as_it_is(value):
            self._source[CONTEXT] = value
            return
        self._walk(value)

    def _walk(self, value: dict[str, Any]) -> None:
        walk = Walk(self._workshop.catalogue, exceptions=self._exceptions, today=self._today)
        if self._rung >= Rung.ALL_OVERFLOW:
            walk.overflow.value = walk.overflow.spill(value, (CONTEXT,), REJECTED)
        else:
            self._source[CONTEXT] = walk.route(CONTEXT, value)
        self._note(walk.overflow, walk.overflow.value)

    @property
    def _exceptions(self) -> Any:
        return self._workshop.catalogue.exceptions(self._partition)

    @property
    def _today(self) -> str:
        return str(self._agent["indexed_at"])[:10]

    def _note(self, overflow: Overflow, value: dict[str, Any]) -> None:
        if value:
            self._source[OVERFLOW] = value
        self._add_texts(overflow.texts)
        if not overflow.reasons:
            return
        for reason, count in overflow.reasons.items():
            self.overflow[reason] = self.overflow.get(reason, 0) + count
        self._agent["overflow"] = [*self._agent.get("overflow", ()), *overflow.paths]
        self._agent["overflow_reason"] = sorted(self.overflow)
        if overflow.more:
            self._agent["overflow_more"] = self._agent.get("overflow_more", 0) + overflow.more

    def _add_texts(self, texts: list[str]) -> None:
        if texts:
            self._source.setdefault(TEXT, []).extend(texts)
