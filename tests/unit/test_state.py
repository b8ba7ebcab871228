"""The state document: who may write it, whose change is adopted, and what fences an agent off that slept."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.errors import TemporaryError
from agent.state import LeaseLost, StateDocument, new_holder
from tests.fakes.opensearch import FakeCluster, FakeState

Make = Callable[[str], StateDocument]


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def agent(cluster: FakeCluster) -> Make:
    return lambda holder: StateDocument(FakeState(cluster, "whmcs"), "whmcs", holder)


@pytest.fixture
def leader(agent: Make) -> StateDocument:
    document = agent("a")
    document.claim("now")
    document.write({"watermark": 5})
    return document


def stored(cluster: FakeCluster, name: str) -> object:
    return cluster.states["whmcs"][0].get(name)


def test_what_is_written_is_there(cluster: FakeCluster, leader: StateDocument) -> None:
    assert (stored(cluster, "watermark"), stored(cluster, "lease")) == (5, "a")
    assert not leader.refresh()


def test_a_persons_change_is_adopted_and_said_so_once(leader: StateDocument, agent: Make) -> None:
    agent("person").update(lambda _: {"paused": {"tail": {"who": "me"}}})
    assert leader.refresh()
    assert leader.paused("tail") == {"who": "me"}
    assert leader.paused("retention") is None
    assert not leader.refresh()


def test_a_write_over_a_persons_change_is_refused_and_the_change_still_noticed(
    cluster: FakeCluster, leader: StateDocument, agent: Make
) -> None:
    # Were it adopted by the refused write, the next refresh would say «nothing new» and the rewind be overwritten.
    agent("person").update(lambda _: {"watermark": 2})
    with pytest.raises(TemporaryError, match="meanwhile") as refused:
        leader.write({"watermark": 9})
    assert refused.value.kind == "state_changed"
    assert stored(cluster, "watermark") == 2
    assert leader.refresh()
    assert leader.members["watermark"] == 2


def test_a_persons_change_leaves_the_lease_where_it_is(leader: StateDocument, agent: Make) -> None:
    agent("person").update(lambda _: {"watermark": 2})
    leader.refresh()
    leader.write({"watermark": 3})


def test_two_persons_changes_at_once_both_count(cluster: FakeCluster, leader: StateDocument, agent: Make) -> None:
    other, interrupted = agent("other"), False

    def change(members: dict[str, object]) -> dict[str, object]:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            other.update(lambda _: {"b": 1})
        return {"a": 1}

    agent("person").update(change)
    assert (stored(cluster, "a"), stored(cluster, "b"), stored(cluster, "watermark")) == (1, 1, 5)


def test_a_document_that_always_changes_is_given_up_on_in_the_end(leader: StateDocument, agent: Make) -> None:
    def change(_members: object) -> dict[str, int]:
        other = agent("other")
        other.update(lambda members: {"n": int(members.get("n", 0)) + 1})
        return {"a": 1}

    with pytest.raises(TemporaryError, match="too often"):
        agent("person").update(change, attempts=3)


def test_who_slept_through_the_loss_of_the_lease_cannot_write(
    cluster: FakeCluster, leader: StateDocument, agent: Make
) -> None:
    other = agent("b")
    other.claim("later")
    other.write({"watermark": 70})
    for _ in range(3):
        with pytest.raises(TemporaryError):
            leader.write({"watermark": 6})
        with pytest.raises(LeaseLost, match="b"):
            leader.refresh()
    assert stored(cluster, "watermark") == 70


def test_a_lease_given_back_by_another_is_not_ours_either(
    cluster: FakeCluster, leader: StateDocument, agent: Make
) -> None:
    other = agent("b")
    other.claim("later")
    other.write({"watermark": 70, "lease": None})
    with pytest.raises(LeaseLost):
        leader.refresh()
    with pytest.raises(LeaseLost):
        leader.write({"watermark": 6})
    leader.claim("again")
    assert leader.members["watermark"] == 70
    leader.write({"watermark": 71})
    assert stored(cluster, "watermark") == 71


def test_the_lease_is_given_back_by_writing_so(leader: StateDocument, cluster: FakeCluster) -> None:
    leader.write({"lease": None})
    assert stored(cluster, "lease") is None
    assert not leader.refresh()


def test_a_race_for_the_lease_is_a_temporary_failure(leader: StateDocument, agent: Make, cluster: FakeCluster) -> None:
    late = agent("b")

    def in_between(effect: str) -> None:
        if effect == "state write":
            cluster.fault = lambda _effect: None
            leader.write({"watermark": 6})

    cluster.fault = in_between
    with pytest.raises(TemporaryError):
        late.claim("now")
    late.claim("now")
    assert late.members["watermark"] == 6


def test_a_document_that_vanished_is_written_again_from_what_is_remembered(
    cluster: FakeCluster, leader: StateDocument
) -> None:
    cluster.states.clear()
    assert not leader.refresh()
    leader.write({"frontier": 9})
    assert (stored(cluster, "watermark"), stored(cluster, "frontier"), stored(cluster, "lease")) == (5, 9, "a")


def test_a_document_that_vanished_since_the_last_look_is_noticed_by_the_write(
    cluster: FakeCluster, leader: StateDocument
) -> None:
    cluster.states.clear()
    with pytest.raises(TemporaryError):
        leader.write({"frontier": 9})
    leader.refresh()
    leader.write({"frontier": 9})
    assert stored(cluster, "watermark") == 5


def test_a_write_whose_answer_was_lost_is_adopted_as_a_change(cluster: FakeCluster, leader: StateDocument) -> None:
    def lose_the_answer(effect: str) -> None:
        if effect == "state written":
            cluster.fault = lambda _effect: None
            raise TemporaryError("answer lost")

    cluster.fault = lose_the_answer
    with pytest.raises(TemporaryError):
        leader.write({"watermark": 6})
    assert leader.refresh()
    assert leader.members["watermark"] == 6
    leader.write({"watermark": 7})


def test_no_two_processes_have_the_same_name() -> None:
    assert new_holder() != new_holder()
