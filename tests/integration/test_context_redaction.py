"""No planted secret leaves the process: not in documents, dead letters, logs, answers or archives; each is counted."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.context_agent import Agent
from tests.integration.retention_world import aged, insert_raw
from tests.integration.test_context_dead_letters import set_strict
from tests.unit.mapping.planted import HEX, KEYS, TEXTS
from tests.world import Database, World

pytestmark = pytest.mark.integration

TELLTALE = HEX[:12]


def planted() -> Iterator[dict[str, Any]]:
    """Yield rows that hold a secret: under each telling key and in each kind of text, in every place a row has."""
    for key in KEYS:
        yield {"context": json.dumps({key: HEX, "n": 1})}
        yield {"context": json.dumps({"request": [{"headers": {key: [HEX, {"x": HEX}]}}]})}
        yield {"context": json.dumps(json.dumps({key: HEX}))}
        yield {"context": f'{{"a":1,"{key}":"{HEX}'}
        yield {"context": json.dumps({"d": {"e" * 600: {key: HEX}}})}
    for text in TEXTS:
        yield {"context": json.dumps({"message": f"failed: {text} at 21:04"})}
        yield {"context": json.dumps({"deep": [[{"b": text}]], text: 1})}
        yield {"context": json.dumps({"m": text}).replace("/", "\\/")[:-2]}
        yield {"context": text}
        yield {"detail": f"failed: {text} at 21:04", "context": None}


def test_no_planted_secret_leaves(world: World, database: Database) -> None:
    assert len(KEYS) + len(TEXTS) >= 30
    archive = world.folder / "archive"
    world.write({"log.level": "debug"})
    rows = [aged(100, **{"detail": "d", **columns}) for columns in planted()]
    insert_raw(database, [aged(100)])
    said = [world.run("sync")]
    set_strict(world, is_strict=True)
    bad = [{**row, "ip_address": f"host-{number}"} for number, row in enumerate(rows[::23])]
    insert_raw(database, [{"ip_address": None, **row} for row in rows] + bad)

    said.append(world.run("sync", "--json"))
    assert (said[-1].json["indexed"], said[-1].json["dead_letters"]) == (len(rows), len(bad))
    said += [world.run("dead-letters", "list", "--json"), world.run("dead-letters", "replay", "--json")]
    said += [world.run("dead-letters", "show", str(len(rows) + 2), "--json")]
    said += [world.run("explain", "2", "--document"), world.run("search", "--last", "365d", "--format", "json")]
    world.retention |= {
        "brakes": {"max_share": 1},
        "archive": {"enabled": True, "directory": str(archive), "format": "ndjson"},
    }
    world.write()
    assert world.run("redact", "--scan", "--json").json["found"] == {}
    documents, letters = everything(world, f"{world.index_prefix}*"), everything(world, f"{world.agent_prefix}*")
    assert len(documents) == len(rows) + 1
    unmarked = [
        document["id"] for document in documents if document["id"] > 1 and not document["agent"].get("redacted")
    ]
    assert unmarked == [], "each of these rows names the rules that replaced its secret"
    said.append(world.run("retain", "--execute", "--json"))
    assert (said[-1].code, database.count()) == (0, len(bad)), said[-1].stderr
    archived = [gzip.decompress(path.read_bytes()) for path in Path(archive).rglob("*.gz")]
    assert sum(text.count(b"\n") for text in archived) == len(rows) + 1

    leaks = [item for item in [*documents, *letters] if TELLTALE in json.dumps(item).lower()]
    leaks += [line for text in archived for line in text.decode().splitlines() if TELLTALE in line.lower()]
    leaks += [
        line for outcome in said for line in (outcome.stdout + outcome.stderr).splitlines() if TELLTALE in line.lower()
    ]
    assert leaks == []


def everything(world: World, indices: str) -> list[dict[str, Any]]:
    """Return what is stored in indices, whole."""
    world.refresh()
    answer = world.request("POST", f"/{indices}/_search", {"size": 10_000})
    return [hit["_source"] for hit in answer["hits"]["hits"]]


def test_each_secret_is_counted_under_its_rule(world: World) -> None:
    agent = Agent(world)
    texts = [
        {"password": "a1b2c3", "x": {"db_password": "d4e5f6"}},
        {"m": f"Bearer {HEX} and AKIA{HEX[:16].upper()}"},
        {"n": 1},
    ]
    agent.insert([json.dumps(text) for text in texts])
    shipped = agent.ship()

    counted = {name: count for name, count in shipped.counts.items() if name.startswith("redacted:")}
    assert counted == {"redacted:password": 2, "redacted:bearer": 1, "redacted:aws_key": 1}
    assert [agent.ids({"term": {"agent.redacted": rule}}) for rule in ("password", "bearer", "aws_key")] == [
        {1},
        {2},
        {2},
    ]
    sources = [document["context"] for document in agent.world.documents()]
    assert sources[0] == {"password": "[redacted:password]", "x": {"db_password": "[redacted:password]"}}
    assert sources[2] == {"n": 1}
