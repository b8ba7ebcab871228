"""The daemon's retention: slices between tail steps, rules that change, and every outcome told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.errors import TemporaryError
from agent.retention.daily import Daily
from agent.retention.rules import RuleSet
from agent.retention.run import Retention
from tests.unit.retention.test_run import EXPIRED_ROWS, NINETY
from tests.unit.retention.world import Installation, rules


class FakeWork:
    """Retention of an installation in memory."""

    config_digest = "c"

    def __init__(self, place: Installation, chosen: RuleSet, *, enforces: bool = True) -> None:
        self.place = place
        self.chosen = chosen
        self.enforces = enforces
        self.held = False
        self.is_free = True

    @property
    def retention(self) -> Retention:
        return self.place.retention()

    def rules(self) -> RuleSet:
        return self.chosen

    def watermark(self) -> int:
        return 10**6

    def acquire(self) -> bool:
        self.held = self.is_free
        return self.is_free

    def release(self) -> None:
        self.held = False


class FakeWitness:
    """Remember what was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda what: self.told.append((name, what))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.told]


@pytest.fixture
def place(tmp_path: Path) -> Installation:
    made = Installation(tmp_path, chunk_rows=1)
    made.fill()
    return made


def daily(work: FakeWork, witness: FakeWitness) -> Daily:
    return Daily(work, witness, who="daemon", clock=lambda: work.place.seconds)


def finish(job: Daily, place: Installation) -> int:
    """Step until there is nothing left; return the number of steps."""
    steps = 0
    while (pause := job.step()) is not None:
        place.seconds += pause
        steps += 1
    return steps


def test_enforce_deletes_in_many_short_steps_and_gives_the_lease_back(place: Installation) -> None:
    work, witness = FakeWork(place, NINETY), FakeWitness()
    job = daily(work, witness)
    assert job.step() is None

    job.begin()
    assert finish(job, place) > 5
    assert place.table.deleted == EXPIRED_ROWS
    assert (witness.names, work.held) == (["finished"], False)


def test_preview_only_plans(place: Installation) -> None:
    witness = FakeWitness()
    job = daily(FakeWork(place, NINETY, enforces=False), witness)
    job.begin()
    finish(job, place)

    assert (place.table.deleted, witness.names, place.journal.content) == ([], ["planned"], [])


def test_a_pause_is_kept_however_often_the_daemon_asks(place: Installation) -> None:
    job = daily(FakeWork(place, NINETY), FakeWitness())
    job.begin()
    while not place.table.deleted:
        job.step()
    for _ in range(50):
        job.step()

    assert len(place.table.deleted) == 1


def test_a_change_of_rules_ends_the_run_and_the_next_settles_it(place: Installation) -> None:
    witness = FakeWitness()
    job = daily(FakeWork(place, NINETY), witness)
    job.begin()
    while not place.table.deleted:
        job.step()
    job.adopt(FakeWork(place, rules(rows={"days": 0})))
    finish(job, place)
    job.begin()
    finish(job, place)

    assert place.table.deleted == [1]
    assert witness.names == ["announced", "finished"]
    assert [entry.content["what"].get("finished") for entry in place.journal.content] == [False, True]


def test_a_shortened_policy_is_announced_when_the_file_changes(place: Installation) -> None:
    witness = FakeWitness()
    job = daily(FakeWork(place, NINETY), witness)
    job.adopt()
    finish(job, place)
    job.adopt(FakeWork(place, rules(rows={"days": 30}, documents={"days": 30})))
    finish(job, place)

    assert witness.told[0] == ("announced", None)
    assert witness.told[1][1].newly_rows == 9 - len(EXPIRED_ROWS)
    assert place.table.deleted == []


def test_somebody_elses_lease_is_respected(place: Installation) -> None:
    work, witness = FakeWork(place, NINETY), FakeWitness()
    work.is_free = False
    job = daily(work, witness)
    job.begin()
    finish(job, place)

    assert (place.table.deleted, witness.names) == ([], [])


@pytest.mark.parametrize(("fault", "told"), [("brake", "refused"), ("outage", "deferred")])
def test_a_refusal_and_an_outage_are_told_and_end_the_work(place: Installation, fault: str, told: str) -> None:
    if fault == "brake":
        place.brakes = {"max_rows": 1}
    else:

        def down(name: str) -> None:
            raise TemporaryError("OpenSearch is unreachable", kind="unreachable")

        place.index.effect = down
    witness = FakeWitness()
    job = daily(FakeWork(place, NINETY), witness)
    job.begin()
    finish(job, place)

    assert (witness.names, job.is_working, place.table.deleted) == ([told], False, [])
