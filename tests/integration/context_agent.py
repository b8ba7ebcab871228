"""One instance's shipper in this process: the world's real table on one side, its corner of the cluster on the other.

`Agent.insert` writes contexts into the table as they come, `Agent.ship` takes every new row in one step, `Agent.finds`
asks the node. `scalars` and `Finding` say, without asking the mapping room, what must be found and how.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from agent.cli.app import Application
from agent.cli.line import Line
from agent.errors import TemporaryError
from agent.shipping.shipper import Shipped
from demo.table import TABLE
from tests.least_privilege import administrators_cluster
from tests.world import World

AT = "2026-11-23 21:04:05"
NOVEMBER = "2026.11"
Query = dict[str, Any]
Answer = TypeVar("Answer")
STEP_BYTES = 5_000_000
LONGEST_WORD = 255
"""Characters after which the standard analyzer begins a new word."""
_LONE = re.compile("[\ud800-\udfff]")


class Agent:
    """Ship a world's table without a process of its own; nothing in it expires, whatever day the test runs on."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.retention = {"mode": "preview", "rows": {"days": 0}, "documents": {"days": 0}}
        world.write()
        self.app = Application(world.config)
        self.app.make_ready()
        self.shipper = Line(self.app).shipper
        self._asking = administrators_cluster(world.opensearch_url)
        self.frontier = 0
        self._last_id = 0

    def again(self) -> Agent:
        """Return the agent as it is after a restart: it knows of the mapping what the node says."""
        other = Agent(self.world)
        other.frontier, other._last_id = self.frontier, self._last_id
        return other

    def insert(self, contexts: Iterable[str | None], at: str | None = AT, **columns: Any) -> list[int]:
        """Insert one row for each context text; return their ids."""
        names = ["id", "created_at", "context", "module_slug", "source", "action", *columns]
        rows = []
        for text in contexts:
            self._last_id += 1
            rows.append((self._last_id, at, text, "impulsecore", "cron", "a.b", *columns.values()))
        marks = ", ".join(["%s"] * len(names))
        with self.world.database.connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO `{TABLE}` ({', '.join(names)}) VALUES ({marks})", rows)
        return [row[0] for row in rows]

    def ship(self) -> Shipped:
        """Ship every new row in one step; no row is left out and none is tried twice."""
        rows = self.app.rows.after(self.frontier, 200_000).rows
        shipped = patiently(lambda: self.shipper.ship(rows, STEP_BYTES))
        assert shipped.ids == [row[0] for row in rows]
        self.frontier = shipped.ids[-1] if shipped.ids else self.frontier
        return shipped

    def take(self, contexts: Iterable[str | None], at: str | None = AT, **columns: Any) -> list[int]:
        """Insert and ship; every row must be indexed in this step."""
        ids = self.insert(contexts, at, **columns)
        shipped = self.ship()
        assert (shipped.counts["indexed"], shipped.counts["dead_letters"]) == (len(ids), 0)
        return ids

    def finds(self, queries: Sequence[tuple[int, Query]], *, refresh: bool = True) -> list[bool]:
        """Return for each (id, query) whether the query finds that row."""
        if refresh:
            self.world.refresh()
        found = []
        for start in range(0, len(queries), 500):
            lines: list[bytes] = []
            for row_id, query in queries[start : start + 500]:
                filtered = {"bool": {"filter": [{"term": {"id": row_id}}, query]}}
                lines += [b"{}", orjson.dumps({"query": filtered, "size": 0})]
            body = b"\n".join(lines) + b"\n"
            answer = self._searched(body)
            for part in answer["responses"]:
                assert "hits" in part, part
                found.append(part["hits"]["total"]["value"] == 1)
        return found

    def _searched(self, body: bytes) -> Any:
        return patiently(lambda: self._asking.call("POST", f"/{self.app.names.read}/_msearch", body=body))

    def ids(self, query: Query, partition: str = "") -> set[int]:
        """Return the ids of every row a query finds, in one partition or in all."""
        self.world.refresh()
        index = self.app.names.alias(partition) if partition else self.app.names.read
        body = {"query": query, "size": 10_000, "_source": ["id"], "track_total_hits": True}
        hits = self.world.request("POST", f"/{index}/_search", body)["hits"]
        assert hits["total"]["value"] <= 10_000
        return {hit["_source"]["id"] for hit in hits["hits"]}

    def leaves(self, partition: str = NOVEMBER) -> set[str]:
        """Return the paths the node maps as leaves of `context`."""
        mapping = patiently(lambda: self.app.partitions.mapping(partition)) or {}
        return set(_leaves_of(mapping["context"].get("properties", {}), ""))


def patiently(ask: Callable[[], Answer]) -> Answer:
    """Ask again while a small node has no memory for the moment, as every step of the agent does."""
    for _ in range(60):
        try:
            return ask()
        except TemporaryError as failure:
            if failure.kind != "throttled":
                raise
            time.sleep(0.5)
    return ask()


def _leaves_of(properties: dict[str, Any], above: str) -> Iterator[str]:
    for key, body in properties.items():
        if "properties" in body or body.get("type", "object") == "object":
            yield from _leaves_of(body.get("properties", {}), f"{above}{key}.")
        else:
            yield above + key


def scalars(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every scalar of a parsed context with its keys; nulls hold nothing to find."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from scalars(item, (*path, key))
    elif isinstance(value, list):
        for item in value:
            yield from scalars(item, path)
    elif value is not None:
        yield path, value


@dataclass(frozen=True, slots=True)
class Finding:
    """Say by which queries a scalar is found: by its path where that is mapped, else by either of the others.

    mapped       term on the keyword up to 1 024 UTF-16 units (`ignore_above`), beyond it phrase on context_text;
                 a number also by equality on `.number`
    overflowed   term on context_overflow.<path> (first 8 000 bytes), or phrase on context_text;
                 under a key that no query can name, term on context_overflow

    A phrase is of the value's own first words. A value beyond 1 024 units that holds no word at all (`-----…`) is only
    shown: `wordless`.
    """

    path: str
    mapped: tuple[Query, ...]
    overflowed: tuple[Query, ...]
    wordless: bool = False


def finding(keys: Sequence[str], value: Any) -> Finding:
    """Derive the queries from a scalar of the row, as its table holds it."""
    text = whole(written(value))
    path = ".".join(keys)
    phrase: Query = {"match_phrase": {"context_text": _first_words(text)}}
    is_short = len(text.encode("utf-16-le")) // 2 <= 1024
    mapped: tuple[Query, ...] = ({"term": {f"context.{path}": text}} if is_short else phrase,)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1.7e308:
        mapped += ({"term": {f"context.{path}.number": float(value)}},)
    shown = text.encode()[:8000].decode("utf-8", "ignore")
    overflowed = (
        {"term": {f"context_overflow.{path}": shown}},
        phrase,
        {"term": {"context_overflow": shown}},
    )
    return Finding(
        path, mapped, overflowed, wordless=not is_short and not re.search("[\\w\U0001f300-\U0001f6ff]", text)
    )


def written(value: Any) -> str:
    """Write a scalar as JSON does, strings without quotes."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return orjson.dumps(value).decode()
    return json.dumps(value)


def parsed(text: str) -> Any:
    """Parse a context as its writer meant it: `NaN` is a word, and of keys that are the same the last counts."""
    return json.loads(
        text, parse_constant=str, object_pairs_hook=lambda pairs: {whole(key): item for key, item in pairs}
    )


def whole(text: str) -> str:
    """Return what is left of a text in UTF-8: pairs of surrogates become one character, halves U+FFFD."""
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return _LONE.sub("\ufffd", joined)


def _first_words(text: str) -> str:
    """Return a leading part that is analysed as in the whole: cut at a blank, or where the analyzer cuts a long word."""
    if len(text) <= 1024:
        return text
    head = text[:1024]
    return head[: head.rindex(" ")] if " " in head else head[: 2 * LONGEST_WORD]
