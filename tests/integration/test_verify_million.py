"""Drift of every kind planted in a million rows, fifty times: every planted id is named with its kind, nothing else is.

The table is loaded and shipped once. `AUDIT_TEST_ROWS` makes it smaller; `-k "seed-7-"` takes one planting.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from demo.rows import COLUMNS
from tests.integration.drift import TABLE, Planter, samples
from tests.world import Database, World

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1800)]
ROWS = int(os.environ.get("AUDIT_TEST_ROWS", "1000000"))
SEEDS = 50
EACH = 5


@dataclass
class Million:
    world: World
    planter: Planter

    @property
    def rows(self) -> int:
        return self.world.database.count()


@pytest.fixture(scope="module")
def million(mariadb: str, opensearch: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Million]:
    database = Database(mariadb)
    database.create_table()
    world = World(folder=tmp_path_factory.mktemp("million"), database=database, opensearch_url=opensearch)
    load(database)
    outcome = world.run("sync", "--json", timeout=1500)
    assert outcome.json["watermark"] == ROWS, outcome.stderr
    yield Million(world, Planter(world, rows=ROWS, free=leave_free(world)))
    world.remove()
    database.drop()


def load(database: Database) -> None:
    """Fill the table with the demo's rows of some days, copied to the days after until there are enough."""
    days, columns = 120.0, ", ".join(COLUMNS[1:])
    parts = 2 ** min(5, (ROWS // 100).bit_length() - 1)
    span = days / parts
    rows = ROWS // parts
    database.fill(rows, days=span, now=datetime.now(UTC) - timedelta(days=days - span))
    while rows < ROWS:
        more = min(rows, ROWS - rows)
        database.execute(
            f"INSERT INTO {TABLE} (id, created_at, {columns})"
            f" SELECT id + {rows}, created_at + INTERVAL {int(span * 86400)} SECOND, {columns}"
            f" FROM {TABLE} WHERE id <= {more}"
        )
        rows, span = rows + more, span * 2
    assert database.execute(f"SELECT MAX(id), COUNT(*) FROM {TABLE}")[0] == (ROWS, ROWS)


def leave_free(world: World) -> list[int]:
    """Return ids for documents that never had a row: half of them below the watermark, half above it."""
    half = SEEDS * EACH // 2
    world.database.execute(f"ALTER TABLE {TABLE} AUTO_INCREMENT = {ROWS + half + 1}")
    world.database.fill(1)
    assert world.run("sync").code == 0
    below, above = range(ROWS + 1, ROWS + half + 1), range(ROWS + half + 2, ROWS + 2 * half + 2)
    return [row_id for pair in zip(below, above, strict=True) for row_id in pair]


@pytest.mark.parametrize("seed", range(SEEDS), ids=lambda seed: f"seed-{seed}-")
def test_every_planted_id_is_named_and_repaired(million: Million, seed: int) -> None:
    world = million.world
    width = ROWS // SEEDS
    low, high = seed * width + 20, (seed + 1) * width
    planted = million.planter.plant(seed, EACH, deep=range(low, high + 1))

    plain = world.run("verify", "--json", timeout=600)
    deep = world.run("verify", "--deep", "--from-id", str(low), "--to-id", str(high), "--json", timeout=600)

    assert (plain.code, deep.code) == (3, 3), plain.stderr + deep.stderr
    found, deeply = samples(plain.json), samples(deep.json)
    assert (found.missing, found.orphan) == (planted.missing, planted.orphan)
    assert found.different - planted.swapped == planted.different
    assert {"missing": deeply.missing, "orphan": deeply.orphan, "different": deeply.different} == planted.within(
        low, high
    )

    span = ("--from-id", str(low), "--to-id", str(high))
    assert world.run("verify", "--deep", "--repair", "--delete-orphans", *span, timeout=600).code == 0
    repaired = world.run("verify", "--repair", "--delete-orphans", "--json", timeout=600)
    clean = world.run("verify", "--json", timeout=600)

    assert (repaired.code, clean.code) == (0, 0), clean.stdout
    assert (clean.json["missing"], clean.json["orphan"], clean.json["different"]) == (0, 0, 0)
    assert clean.json["rows"] == clean.json["documents"] == million.rows == world.count()
    assert world.run("verify", "--deep", *span, timeout=600).code == 0
    print(f"seed {seed}: {clean.json['rows'] / clean.json['seconds']:,.0f} rows/s")
