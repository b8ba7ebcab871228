"""Drift planted behind the agent's back: every kind, at random ids, each known so that a report can be compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import orjson

from tests.world import World

TABLE = "mod_impulsecore_audit_log"


@dataclass
class Planted:
    """Ids by the kind a report must give them; `altered` are different to a deep look only.

    So are `swapped`, unless other drift has their window taken apart: two documents changed places, sums are equal.
    """

    missing: set[int] = field(default_factory=set)
    orphan: set[int] = field(default_factory=set)
    different: set[int] = field(default_factory=set)
    altered: set[int] = field(default_factory=set)
    swapped: set[int] = field(default_factory=set)

    def within(self, low: int, high: int) -> dict[str, set[int]]:
        """Return what a deep report on a range must say."""
        deeply = {
            "missing": self.missing,
            "orphan": self.orphan,
            "different": self.different | self.altered | self.swapped,
        }
        return {kind: {row_id for row_id in ids if low <= row_id <= high} for kind, ids in deeply.items()}


class Planter:
    """Plant drift in one world whose ids 1..`rows` are all indexed, with `free` ids that never had a row.

    What only a deep look finds is planted within `deep`, a range of ids, so that a deep look need not be at them all.
    """

    def __init__(self, world: World, *, rows: int, free: Sequence[int] = ()) -> None:
        self.world = world
        self.rows = rows
        self.free = list(free)
        world.refresh()
        self.indices = sorted(world.request("GET", f"/{world.index}-*"))
        self._used: set[int] = set()

    def plant(self, seed: int, each: int = 3, *, deep: range | None = None) -> Planted:
        """Plant `each` of every kind."""
        random = Random(seed)
        # Not the first rows: rows missing from the front look as Core's purge leaves them.
        chosen = self._choose(random, range(20, self.rows + 1), 7 * each)
        hidden = self._choose(random, deep or range(20, self.rows + 1), 3 * each)
        lost, edited, deleted, moved, doubled, copied, unsummed = _parts(chosen, each)
        altered, swapped, partners = _parts(hidden, each)
        planted = Planted()
        free, self.free = self.free[:each], self.free[each:]
        found = self._hits([*chosen, *hidden])
        lines: list[Any] = [{"delete": self._address(found[row_id])} for row_id in lost]
        for row_id in [*moved, *doubled]:
            hit = found[row_id]
            other = random.choice([index for index in self.indices if index != hit["_index"]])
            lines += [{"index": {"_index": other, "_id": hit["_id"]}}, hit["_source"]]
            if row_id in moved:
                lines.append({"delete": {"_index": hit["_index"], "_id": hit["_id"]}})
        for row_id in copied:
            lines += [
                {"index": {"_index": found[row_id]["_index"], "_id": f"by-hand-{row_id}"}},
                found[row_id]["_source"],
            ]
        for row_id in altered:
            lines += self._altered(found[row_id], random)
        for row_id, other_id in zip(swapped, partners, strict=True):
            for place, content in ((row_id, other_id), (other_id, row_id)):
                lines += [{"index": self._address(found[place])}, {**found[content]["_source"], "id": place}]
        for row_id in unsummed:
            source = found[row_id]["_source"]
            # Any other sum but one that another document's would make up for, as flips of one bit do.
            agent = {**source["agent"], "crc": source["agent"]["crc"] ^ random.randrange(1, 1 << 32)}
            lines += [{"index": self._address(found[row_id])}, {**source, "agent": agent}]
        for row_id in free:
            hit = found[chosen[0]]
            key = f"{self.world.instance}:{row_id}"
            lines += [{"index": {"_index": hit["_index"], "_id": key}}, {**hit["_source"], "id": row_id}]
        self._bulk(lines)
        self._sql("UPDATE {table} SET detail = CONCAT('x', IFNULL(detail, '')) WHERE id IN ({ids})", edited)
        self._sql("DELETE FROM {table} WHERE id IN ({ids})", deleted)
        planted.missing.update(lost)
        planted.orphan.update(deleted, free)
        planted.different.update(edited, moved, doubled, copied, unsummed)
        planted.altered.update(altered)
        planted.swapped.update(swapped, partners)
        return planted

    def _choose(self, random: Random, among: range, count: int) -> list[int]:
        chosen = random.sample([row_id for row_id in among if row_id not in self._used], count)
        self._used.update(chosen)
        return chosen

    def _altered(self, hit: dict[str, Any], random: Random) -> list[Any]:
        source = dict(hit["_source"])
        changes: list[Callable[[], None]] = [
            lambda: source.update(severity="forged"),
            lambda: source.update(detail="forged"),
            lambda: source.update(client_id=999_999_999),
            lambda: source.update(context={**(source.get("context") or {}), "forged": True}),
            lambda: source.update(
                created_at=source["created_at"][:17] + ("31" if "30." in source["created_at"] else "30") + ".000Z"
            ),
            # A date of another partition, where the document lies.
            lambda: source.update(created_at="2001" + source["created_at"][4:]),
        ]
        random.choice(changes)()
        return [{"index": self._address(hit)}, source]

    def _hits(self, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        body = {"size": len(ids), "query": {"terms": {"id": list(ids)}}}
        answer = self.world.request("POST", f"/{self.world.index}/_search", body)
        return {hit["_source"]["id"]: hit for hit in answer["hits"]["hits"]}

    def _address(self, hit: dict[str, Any]) -> dict[str, Any]:
        return {"_index": hit["_index"], "_id": hit["_id"]}

    def _bulk(self, lines: list[Any]) -> None:
        bulk(self.world, lines)

    def _sql(self, sql: str, ids: Sequence[int]) -> None:
        self.world.database.execute(sql.format(table=TABLE, ids=",".join(map(str, ids))))


def _parts(ids: Sequence[int], size: int) -> list[Sequence[int]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]


def bulk(world: World, lines: Sequence[Any]) -> None:
    """Send bulk lines past the agent, visible when it returns."""
    body = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    answer = world.request("POST", "/_bulk?refresh=true", body)
    assert not answer["errors"], [item for item in answer["items"] if "error" in next(iter(item.values()))][:3]


def lose(world: World, *ids: int) -> None:
    """Delete documents past the agent."""
    world.refresh()
    query = {"query": {"terms": {"id": list(ids)}}}
    answer = world.request("POST", f"/{world.index}/_delete_by_query?refresh=true", query)
    assert answer["deleted"] == len(ids)


def samples(report: dict[str, Any]) -> Planted:
    """Return the ids of a report."""
    assert {kind: report[kind] for kind in report["samples"]} == {
        kind: len(ids) for kind, ids in report["samples"].items()
    }
    return Planted(**{kind: set(ids) for kind, ids in report["samples"].items()})


def contents(world: World) -> dict[tuple[str, str], Any]:
    """Return every document with its place, without when it was indexed."""
    world.refresh()
    found: dict[tuple[str, str], Any] = {}
    after: list[Any] | None = None
    while True:
        body: dict[str, Any] = {"size": 5000, "sort": [{"id": "asc"}], "query": {"match_all": {}}}
        if after:
            body["search_after"] = after
        answer = world.request("POST", f"/{world.index}/_search?allow_no_indices=true", body)
        hits = answer["hits"]["hits"] if answer else []
        for hit in hits:
            hit["_source"]["agent"].pop("indexed_at")
            found[hit["_index"], hit["_id"]] = hit["_source"]
        if len(hits) < 5000:
            return found
        after = hits[-1]["sort"]
