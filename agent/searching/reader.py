"""The seam to the index: the two ways of reading that searching needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

Query = dict[str, Any]
Hit = dict[str, Any]


class Reader(Protocol):
    """One instance's documents. Raises TemporaryError when they can't be read wholly now; reading changes nothing."""

    def search(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the whole answer of one search; kind `missing_index` when there is no index."""
        ...

    def pages(self, body: dict[str, Any], *, sort: Sequence[dict[str, Any]], size: int) -> Iterator[list[Hit]]:
        """Return all hits in pages of at most `size`, from one point in time; `search_after` begins after that hit."""
        ...
