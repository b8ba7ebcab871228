"""A transaction keeps a name through XA PREPARE, detachment and restart, and unrelated ones are let go."""

from __future__ import annotations

from agent.mysql.succession import Succession


def names(*words: str) -> frozenset[str]:
    return frozenset(words)


def test_without_prepared_transactions_names_are_what_is_listed() -> None:
    succession = Succession()

    assert names("a", "b") == succession.sample(names("a", "b"), names())
    assert names("b") == succession.sample(names("b"), names())
    assert names() == succession.sample(names(), names())


def test_a_name_that_vanishes_beside_a_prepared_one_lives_on_in_it() -> None:
    succession = Succession()
    succession.sample(names("a"), names())

    assert names("a", "x") == succession.sample(names(), names("x"))
    assert names("a", "x") == succession.sample(names(), names("x"))
    assert names() == succession.sample(names(), names())


def test_a_session_that_ends_after_prepare_lives_on() -> None:
    succession = Succession()
    succession.sample(names("a"), names())
    succession.sample(names("a"), names("x"))

    assert names("a", "x") == succession.sample(names(), names("x"))


def test_ordinary_transactions_that_come_later_inherit_nothing() -> None:
    succession = Succession()
    succession.sample(names("a"), names())

    assert names("b") == succession.sample(names("b"), names())


def test_continuous_prepared_transactions_do_not_hand_names_on_for_ever() -> None:
    succession = Succession()
    succession.sample(names("a"), names("x1"))
    succession.sample(names(), names("x1"))

    assert "a" in succession.sample(names(), names("x1", "x2"))
    assert "a" not in succession.sample(names(), names("x2"))


def test_a_restart_hands_all_names_to_what_was_recovered() -> None:
    succession = Succession()
    succession.sample(names("a"), names())
    succession.sample(names(), names("45:12"))

    held = succession.sample(names(), names("1:12"), recovered=names("1:12"))

    assert names("a", "45:12", "1:12") == held
    assert names() == succession.sample(names(), names(), names())
