"""The ladder of evidence: the best rung that works, left when it is lost, climbed again, refused where it would lie."""

from __future__ import annotations

import pytest

from agent.errors import PermanentError, TemporaryError
from agent.tailing.evidence import CLIMB_AGAIN_SECONDS, GRACE, Evidence
from tests.fakes.table import FakeProbe, FakeTable

NAMES = ("metadata_locks", "metadata_lock_info", "innodb_trx")
LOST = PermanentError("evidence is lost", got="the plugin is gone")
AWAY = TemporaryError("the server is away")


class Ladder:
    """An Evidence over three fake probes, a clock and an objection, all of which a test moves."""

    def __init__(self, wanted: str = "auto") -> None:
        table = FakeTable()
        table.reserve(table.begin())
        self.probes = {name: FakeProbe(table, name) for name in NAMES}
        self.now = 0.0
        self.objection: str | None = None
        self.evidence = Evidence(list(self.probes.values()), wanted, lambda: self.now, lambda: self.objection)

    def lose(self, *names: str) -> None:
        for name in names:
            self.probes[name].lost = LOST

    def sample(self) -> tuple[str, bool]:
        holders, changed = self.evidence.sample()
        assert holders == (None if self.evidence.rung.name == GRACE else frozenset({f"{self.evidence.rung.name}:t1"}))
        return self.evidence.rung.name, changed


@pytest.mark.parametrize("lost", range(4))
def test_auto_takes_the_first_that_works_and_says_why_not_a_better_one(lost: int) -> None:
    ladder = Ladder()
    ladder.lose(*NAMES[:lost])
    assert ladder.sample() == ((*NAMES, GRACE)[lost], False)
    for name in NAMES[:lost]:
        assert name in ladder.evidence.rung.reason


@pytest.mark.parametrize("name", NAMES)
def test_a_named_rung_is_taken_or_grace_but_no_other(name: str) -> None:
    ladder = Ladder(name)
    assert ladder.sample() == (name, False)
    ladder.lose(name)
    assert ladder.sample() == (GRACE, True)


def test_grace_by_configuration_asks_nobody() -> None:
    ladder = Ladder(GRACE)
    assert ladder.sample() == (GRACE, False)
    assert ladder.evidence.rung.reason == "configured"


def test_a_rung_lost_at_run_time_is_left_for_the_next_and_the_change_is_told_once() -> None:
    ladder = Ladder()
    assert ladder.sample() == ("metadata_locks", False)
    ladder.lose("metadata_locks")
    assert ladder.sample() == ("metadata_lock_info", True)
    assert "metadata_locks was lost: the plugin is gone" in ladder.evidence.rung.reason
    assert ladder.sample() == ("metadata_lock_info", False)
    ladder.lose("metadata_lock_info", "innodb_trx")
    assert ladder.sample() == (GRACE, True)


@pytest.mark.parametrize(("waited", "rung"), [(-0.1, "innodb_trx"), (0.0, "metadata_locks")])
def test_a_better_rung_is_tried_again_after_a_while(waited: float, rung: str) -> None:
    ladder = Ladder()
    ladder.lose("metadata_locks", "metadata_lock_info")
    assert ladder.sample() == ("innodb_trx", False)
    ladder.probes["metadata_locks"].lost = None
    ladder.now += CLIMB_AGAIN_SECONDS + waited
    assert ladder.sample() == (rung, rung != "innodb_trx")


def test_choosing_the_same_rung_again_changes_nothing() -> None:
    ladder = Ladder()
    ladder.sample()
    ladder.now += CLIMB_AGAIN_SECONDS
    assert ladder.sample() == ("metadata_locks", False)


def test_a_server_that_is_away_proves_nothing_and_the_rung_stays() -> None:
    ladder = Ladder()
    ladder.sample()
    ladder.probes["metadata_locks"].lost = AWAY
    with pytest.raises(TemporaryError):
        ladder.sample()
    ladder.probes["metadata_locks"].lost = None
    assert ladder.sample() == ("metadata_locks", False)


def test_a_change_is_told_even_if_the_server_went_away_in_the_middle_of_it() -> None:
    # The names of two probes differ: a change that went untold would make every transaction seem to have gone.
    ladder = Ladder()
    ladder.sample()
    ladder.lose("metadata_locks")
    ladder.probes["metadata_lock_info"].lost = AWAY
    with pytest.raises(TemporaryError):
        ladder.sample()
    ladder.probes["metadata_lock_info"].lost = None
    assert ladder.sample() == ("metadata_lock_info", True)


def test_a_server_that_goes_away_while_a_rung_is_chosen_does_not_leave_grace_behind() -> None:
    ladder = Ladder()
    ladder.sample()
    ladder.now += CLIMB_AGAIN_SECONDS
    ladder.probes["metadata_locks"].lost = AWAY
    for _ in range(2):
        with pytest.raises(TemporaryError):
            ladder.sample()
    ladder.probes["metadata_locks"].lost = None
    assert ladder.sample() == ("metadata_locks", False)


def test_an_objection_to_the_server_overrules_every_probe_at_once_and_as_long_as_it_stands() -> None:
    ladder = Ladder()
    ladder.sample()
    ladder.objection = "Galera"
    assert ladder.sample() == (GRACE, True)
    assert ladder.evidence.rung.reason == "Galera"
    assert ladder.sample() == (GRACE, False)
    ladder.objection = None
    assert ladder.sample() == ("metadata_locks", True)


def test_what_changes_between_the_choice_and_the_first_sample_is_told() -> None:
    ladder = Ladder()
    assert ladder.evidence.choose().name == NAMES[0]
    ladder.objection = "a read-only server"
    assert ladder.sample() == (GRACE, True)
