"""The document: what a row becomes in the index, as the bytes of its source.

Promises: a function of the row (and of the catalogue, which only decides where a context value lies); every value of
the row is in it, once redacted; whatever the context holds, the bytes are valid JSON without a line break. Sending
them, and what the server says to them, is left to the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from agent.mapping.catalogue import CONTEXT, EXTRA, Catalogue
from agent.mapping.context import DEEPEST
from agent.mapping.draft import Draft, Unfit
from agent.mapping.ladder import Rung
from agent.mapping.partition import Calendar, Period
from agent.mapping.redaction import Redaction
from agent.mapping.sound import dumps
from agent.mapping.walk import fits
from agent.row import Row, RowShape

CRC_VERSION = 1
_NO_CONTEXT = frozenset(("[]", "", '""', "null"))
_NONE: Mapping[str, int] = {}


class Document(NamedTuple):
    """Hold one row's document, ready to be sent to the partition's write alias under `key`."""

    id: int
    key: str
    partition: str
    body: bytes
    crc: int
    created_at: str | None
    overflow: Mapping[str, int] = _NONE
    """Reason → how many scalars went to the overflow."""
    redactions: Mapping[str, int] = _NONE
    """Rule → how many secrets were replaced."""

    @property
    def source(self) -> dict[str, Any]:
        """Return the document as a value, for people and comparisons."""
        source: dict[str, Any] = orjson.loads(self.body)
        return source


class DocumentBuilder:
    """Build documents for one instance; widens the catalogue as it goes."""

    def __init__(
        self,
        *,
        instance: str,
        shape: RowShape,
        period: Period,
        zone: str,
        catalogue: Catalogue,
        redaction: Redaction,
        max_bytes: int = 1024 * 1024,
        version: str,
    ) -> None:
        self.shape = shape
        self.catalogue = catalogue
        self.redaction = redaction
        self.max_bytes = max_bytes
        self._instance = instance
        self._prefix = f"{instance}:"
        self._names = shape.fields
        self._calendar = Calendar(period, zone)
        self._columns = shape.extra
        self._known = len(shape.fields)
        self._tree = catalogue.tree[CONTEXT]
        self._extra_tree = catalogue.tree[EXTRA]
        self._safe_length = max_bytes // 4  # no character takes more than four bytes
        self._version = version
        self._clean = redaction.clean
        self._clean_names = True
        self._vetted = 0
        for name in shape.extra:
            catalogue.admit_column(name)

    def build(self, row: Row, indexed_at: str, rung: Rung = Rung.NORMAL) -> Document:
        """Return the document of one row; `rung` says what the server refused before."""
        partition, created_at = self._calendar.place(row[1])  # type: ignore[arg-type]  # a date column is text
        source: dict[str, Any] = dict(zip(self._names, row, strict=False))
        source["created_at"] = created_at
        source["instance"] = self._instance
        source["agent"] = agent = {
            "crc": row[-1],
            "crc_version": CRC_VERSION,
            "indexed_at": indexed_at,
            "version": self._version,
        }
        overflow = _NONE
        redactions = None if rung or created_at is None else self._fill(source, row, partition)
        if redactions is None or isinstance(redactions, Unfit):
            draft = Draft(self, source, agent, partition, rung)
            draft.fill(row, redactions)
            overflow, redactions = draft.overflow, draft.redactions
        elif redactions:
            source["agent"]["redacted"] = sorted(redactions)
        number, crc = row[0], row[-1]
        if not isinstance(number, int) or not isinstance(crc, int):
            raise TypeError("the id and the checksum of a row are integers")
        return Document(
            number, f"{self._prefix}{number}", partition, dumps(source), crc, created_at, overflow, redactions
        )

    def partition_of(self, row: Row) -> str:
        """Return the partition a row belongs to."""
        return self._calendar.place(row[1])[0]  # type: ignore[arg-type]  # a date column is text

    def is_plain(self, row: Row) -> bool:
        """Return whether a row takes the short way: nothing in it is new, odd, or a secret."""
        partition, created_at = self._calendar.place(row[1])  # type: ignore[arg-type]  # a date column is text
        source: dict[str, Any] = dict(zip(self._names, row, strict=False))
        return created_at is not None and self._fill(source, row, partition) == _NONE

    def _fill(self, source: dict[str, Any], row: Row, partition: str) -> Mapping[str, int] | Unfit | None:
        """Put the context into the source: as it came, as nearly always, or without its secrets.

        Return how many secrets were replaced, by rule. None says that a draft is needed, Unfit that it can begin with
        what was parsed and redacted here.
        """
        raw = source.pop(CONTEXT, None)
        if not self._columns_fit(source, row):
            return None
        if raw is None or raw in _NO_CONTEXT:
            return _NONE
        value = None if len(raw) > self._safe_length or self.catalogue.exceptions(partition) else _object(raw)
        if value is None:
            return None
        if self._names_are_clean() and fits(self._tree, value, self._clean):
            source[CONTEXT] = value
            return _NONE
        counts: dict[str, int] = {}
        value = self.redaction.value(value, counts, texts=True)
        if not fits(self._tree, value):
            return Unfit(value, counts)
        source[CONTEXT] = value
        return counts

    def _columns_fit(self, source: dict[str, Any], row: Row) -> bool:
        """Put the extra columns into the source; say whether all columns but the context can be sent as they are."""
        detail, clean = source.get("detail"), self._clean
        if detail and (len(detail) > self._safe_length or (detail not in clean and not clean.vouches(detail))):
            return False
        if not self._columns:
            return True
        source[EXTRA] = extra = dict(zip(self._columns, row[self._known :], strict=False))
        longest = max((len(item) for item in extra.values() if item.__class__ is str), default=0)
        return longest <= self._safe_length and fits(self._extra_tree, extra, clean)

    def _names_are_clean(self) -> bool:
        """Return whether no name in the catalogue (a server's mapping may hold any) looks like a secret itself."""
        version = self.catalogue.version
        if version != self._vetted:
            self._vetted = version
            names = {path[-1] for path in self.catalogue.paths_since(0) if path[0] == CONTEXT}
            self._clean_names = not any(map(self.redaction.suspects, names))
        return self._clean_names


def _object(raw: Any) -> dict[str, Any] | None:
    # No text is deeper than it has brackets; one with many is looked at level by level, not by recursion.
    if raw is None or raw.count("{") + raw.count("[") > DEEPEST:
        return None
    try:
        value = orjson.loads(raw) if raw is not None else None
    except orjson.JSONDecodeError:
        return None
    return value if value.__class__ is dict else None
