"""Dead letters: rejected rows kept with their reason, one per row, until they are replayed or dropped.

The row is kept as JSON text, so that no mapping and no odd key can reject it a second time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agent.errors import TemporaryError
from agent.opensearch.answers import printable
from agent.opensearch.client import Cluster, url_path
from agent.opensearch.connection import dumped
from agent.opensearch.search import Search

_MOST_TRIES = 5  # each lost race means that somebody else has just written the same row's letter
_PER_REQUEST = 500
_IDS_PER_PAGE = 10_000
_HIGHEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A rejected row: what was (redacted) to be indexed, where to, and why it was not."""

    id: int
    partition: str
    created_at: str | None
    kind: str
    reason: str
    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLetter:
    """A dead letter as kept, with how often and when it was rejected (UTC, ISO 8601)."""

    letter: DeadLetter
    attempts: int
    first_at: str
    last_at: str


class DeadLetters(Protocol):
    """Dead letters of one instance, by row id. Raises TemporaryError when the cluster can't do it now."""

    def put(self, letters: Sequence[DeadLetter], at: str) -> None:
        """Keep letters; one that is there already gets the new reason and one more attempt.

        Durable on return. Repeating after an error at worst counts an attempt twice.
        """
        ...

    def listed(self, *, limit: int = 100, after: int = 0) -> list[KeptLetter]:
        """Return letters with ids above `after`, ascending."""
        ...

    def get(self, row_id: int) -> KeptLetter | None:
        """Return one letter, None when there is none."""
        ...

    def drop(self, row_ids: Iterable[int]) -> int:
        """Remove letters; return how many there were. Idempotent."""
        ...

    def count(self) -> int:
        """Return how many are kept."""
        ...

    def ids_between(self, lo: int, hi: int) -> set[int]:
        """Return the ids in [lo, hi] that are dead letters."""
        ...

    def highest_id(self) -> int | None:
        """Return the highest id that is a dead letter, None when there is none."""
        ...


class ClusterDeadLetters:
    """Documents `<instance>:<id>` in the dead-letter index."""

    def __init__(self, cluster: Cluster, index: str, instance: str) -> None:
        self._cluster = cluster
        self._index = index
        self._instance = instance
        self._search = Search(cluster, index)

    def put(self, letters: Sequence[DeadLetter], at: str) -> None:
        """Keep; see `DeadLetters`."""
        for start in range(0, len(letters), _PER_REQUEST):
            # Of two letters for one row in one call the later one counts.
            left = {self._key(letter.id): letter for letter in letters[start : start + _PER_REQUEST]}
            for _ in range(_MOST_TRIES):
                left = self._put_once(left, at)
                if not left:
                    break
            else:
                got = f"{len(left)} letters"
                raise TemporaryError("dead letters are contended", where=self._index, got=got, kind="contended")

    def listed(self, *, limit: int = 100, after: int = 0) -> list[KeptLetter]:
        """List; see `DeadLetters`."""
        found: list[KeptLetter] = []
        while len(found) < limit:
            size = min(_PER_REQUEST, limit - len(found))
            body = {"size": size, "sort": [{"id": "asc"}], "query": self._between(after + 1, _HIGHEST_ID)}
            hits = self._search.search_or_empty(body)["hits"]["hits"]
            found += [_kept(hit["_source"]) for hit in hits]
            if len(hits) < size:
                break
            after = found[-1].letter.id
        return found

    def get(self, row_id: int) -> KeptLetter | None:
        """Read by id; see `DeadLetters`."""
        answer = self._cluster.answer("GET", url_path(self._index, "_doc", self._key(row_id)), accept=(404,))
        return _kept(answer.body["_source"]) if answer.body.get("found") else None

    def drop(self, row_ids: Iterable[int]) -> int:
        """Remove; see `DeadLetters`."""
        ids = list(row_ids)
        dropped = 0
        for start in range(0, len(ids), _PER_REQUEST):
            lines = [dumped({"delete": {"_id": self._key(row_id)}}) for row_id in ids[start : start + _PER_REQUEST]]
            for result in self._bulk(lines):
                if result["status"] not in (200, 404):
                    raise self._failed(result)
                dropped += result["status"] == 200
        return dropped

    def count(self) -> int:
        """Count; see `DeadLetters`."""
        return self._counted(0, _HIGHEST_ID)

    def ids_between(self, lo: int, hi: int) -> set[int]:
        """Return ids; see `DeadLetters`."""
        found: set[int] = set()
        while lo <= hi:
            page = self._ids(lo, hi, order="asc", size=_IDS_PER_PAGE)
            found.update(page)
            if len(page) < _IDS_PER_PAGE:
                break
            lo = page[-1] + 1
        return found

    def highest_id(self) -> int | None:
        """Return the last one; see `DeadLetters`."""
        return next(iter(self._ids(0, _HIGHEST_ID, order="desc", size=1)), None)

    def _ids(self, lo: int, hi: int, *, order: str, size: int) -> list[int]:
        body = {"size": size, "sort": [{"id": order}], "_source": False, "query": self._between(lo, hi)}
        return [int(hit["sort"][0]) for hit in self._search.search_or_empty(body)["hits"]["hits"]]

    def _put_once(self, letters: Mapping[str, DeadLetter], at: str) -> dict[str, DeadLetter]:
        """Try each letter once, based on what is kept now; return those another writer came first with."""
        kept = self._kept_by_key(list(letters))
        lines: list[bytes] = []
        for key, letter in letters.items():
            present = kept.get(key)
            document = _document(self._instance, letter, at)
            if present is None:
                lines.append(dumped({"create": {"_id": key}}))
            else:
                condition = {"if_seq_no": present["_seq_no"], "if_primary_term": present["_primary_term"]}
                lines.append(dumped({"index": {"_id": key, **condition}}))
                source = present["_source"]
                document["attempts"] = source["attempts"] + 1
                document["first_at"] = source["first_at"]
            lines.append(dumped(document))
        lost = {}
        for (key, letter), result in zip(letters.items(), self._bulk(lines), strict=True):
            if result["status"] == 409:
                lost[key] = letter
            elif result["status"] not in (200, 201):
                raise self._failed(result)
        return lost

    def _kept_by_key(self, keys: list[str]) -> dict[str, dict[str, Any]]:
        # Not the rows: five hundred of them may be hundreds of megabytes.
        params, body = {"_source_includes": "attempts,first_at"}, {"ids": keys}
        answer = self._cluster.answer("POST", url_path(self._index, "_mget"), params=params, body=body, accept=(404,))
        found = {}
        for entry in answer.body.get("docs", ()):
            error = entry.get("error")
            if error and error.get("type") != "index_not_found_exception":
                got = printable(error.get("reason"))
                raise TemporaryError("dead letters cannot be read", where=self._index, got=got)
            if entry.get("found"):
                found[entry["_id"]] = entry
        return found

    def _bulk(self, lines: list[bytes]) -> list[dict[str, Any]]:
        actions = b"\n".join(lines) + b"\n"
        # Rare and small: visible at once, so that `list` and `count` tell the truth after a replay.
        answer = self._cluster.call("POST", url_path(self._index, "_bulk"), params={"refresh": "true"}, body=actions)
        return [next(iter(item.values())) for item in answer.get("items", ())]

    def _failed(self, result: dict[str, Any]) -> TemporaryError:
        error = result.get("error") or {}
        got = printable(f"{result['status']} {error.get('type', '')}: {error.get('reason', '')}")
        return TemporaryError("dead letters cannot be written", where=self._index, got=got)

    def _counted(self, lo: int, hi: int) -> int:
        try:
            return self._search.count(self._between(lo, hi))
        except TemporaryError as failure:
            if failure.kind != "missing_index":
                raise
            return 0

    def _between(self, lo: int, hi: int) -> dict[str, Any]:
        mine = {"term": {"instance": self._instance}}
        return {"bool": {"filter": [mine, {"range": {"id": {"gte": lo, "lte": hi}}}]}}

    def _key(self, row_id: int) -> str:
        return f"{self._instance}:{row_id}"


def _document(instance: str, letter: DeadLetter, at: str) -> dict[str, Any]:
    return {
        "instance": instance,
        "id": letter.id,
        "partition": letter.partition,
        "created_at": letter.created_at,
        "kind": letter.kind,
        "reason": printable(letter.reason),
        "attempts": 1,
        "first_at": at,
        "last_at": at,
        "row": dumped(letter.row).decode("utf-8"),
    }


def _kept(source: Mapping[str, Any]) -> KeptLetter:
    letter = DeadLetter(
        id=source["id"],
        partition=source["partition"],
        created_at=source["created_at"],
        kind=source["kind"],
        reason=source["reason"],
        row=json.loads(source["row"]),
    )
    return KeptLetter(
        letter=letter, attempts=source["attempts"], first_at=source["first_at"], last_at=source["last_at"]
    )
