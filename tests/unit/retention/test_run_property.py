"""Random installations, rules and faults: nothing goes that must stay, and nothing stays a run longer than it may."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest

from agent.retention.policy import Side
from agent.retention.rules import RuleSet
from tests.fakes.retention import Crash, CrashAt
from tests.unit.retention.test_policy import oracle_expired
from tests.unit.retention.test_run import archived_ids
from tests.unit.retention.world import NOW, Installation, at, rules

DAYS = [0, 1, 29, 30, 31, 60]


def random_rules(draw: random.Random) -> RuleSet:
    rows, errors = draw.choice(DAYS), draw.choice(DAYS)
    return rules(
        rows={"days": rows},
        documents={"days": 0 if rows == 0 else draw.choice([0, rows, rows + 30])},
        rules=[
            {
                "name": "errors",
                "match": {"severity": "error"},
                "rows": {"days": errors},
                "documents": {"days": 0 if errors == 0 else draw.choice([0, errors, errors + 5])},
            }
        ],
        holds=[{"name": "h", "match": {"client_id": 1}, "reason": "r"}] if draw.random() < 0.5 else [],
    )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the dead leave their files open
@pytest.mark.parametrize("seed", range(60))
def test_only_what_may_go_goes_and_all_of_it(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    crash = CrashAt()
    place = Installation(tmp_path, brakes={"max_share": 1, "shorten_wait": "none"}, chunk_rows=draw.randint(1, 4))
    place.archive_format = draw.choice([None, "ndjson"])
    place.table.effect = place.index.effect = place.state.effect = place.journal.effect = crash
    for row_id in range(1, 31):
        age = timedelta(days=draw.choice([0, 1, 29, 30, 31, 36, 60, 90, -3]), seconds=draw.choice([-1, 0, 1]))
        created_at = draw.choice([None, "0000-00-00 00:00:00"]) if draw.random() < 0.1 else at(age)
        severity = draw.choice(["info", "error"])
        place.table.add(row_id, created_at=created_at, severity=severity, client_id=draw.choice([None, 1, 2]))
    watermark = draw.randint(20, 35)
    unconfirmed = set(draw.sample(range(1, 31), 6))
    place.index.ship(place.table, but=sorted(unconfirmed))
    place.index.dead = set(list(unconfirmed)[:2])
    chosen = random_rules(draw)
    before = dict(place.table.content)
    for _ in range(draw.randint(0, 3)):
        # Clocks may go a day back or forth between runs, and any run may die anywhere.
        crash.number = len(crash.names) + draw.randint(1, 40)
        place.table.clock = NOW + timedelta(seconds=draw.randint(-86_400, 0))
        try:
            place.execute(chosen, watermark=watermark)
        except Crash:
            continue
    crash.number = None
    place.table.clock = NOW
    report = place.execute(chosen, watermark=watermark)

    may_go = {
        row_id
        for row_id, row in before.items()
        if oracle_expired(chosen, Side.ROWS, row) and row_id <= watermark and row_id not in unconfirmed
    }
    assert set(place.table.deleted) == may_go
    assert set(before) - set(place.table.content) == may_go
    expired = {row_id for row_id, row in before.items() if oracle_expired(chosen, Side.DOCUMENTS, row)}
    assert place.index.all_ids == set(before) - unconfirmed - expired
    assert (report.left.rows, report.left.documents) == (0, 0)
    if place.archive_format:
        assert sorted(archived_ids(tmp_path)) == sorted(place.table.deleted)
