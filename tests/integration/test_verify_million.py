"""Drift of every kind planted in a million rows, fifty times: every planted id is named with its kind, nothing else is.

The table is loaded and shipped once. `AUDIT_TEST_ROWS` makes it smaller; `-k "seed-7-"` takes one planting.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.integration.drift import Planter, samples
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
    database.fill(ROWS)
    outcome = world.run("sync", "--json", timeout=1500)
    assert outcome.json["watermark"] == ROWS, outcome.stderr
    # Half of the documents that never had a row lie below the watermark, half above it.
    half = SEEDS * EACH // 2
    database.execute(f"ALTER TABLE mod_impulsecore_audit_log AUTO_INCREMENT = {ROWS + half + 1}")
    database.fill(1)
    assert world.run("sync").code == 0
    below, above = range(ROWS + 1, ROWS + half + 1), range(ROWS + half + 2, ROWS + 2 * half + 2)
    free = [row_id for pair in zip(below, above, strict=True) for row_id in pair]
    yield Million(world, Planter(world, rows=ROWS, free=free))
    world.remove()
    database.drop()


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
