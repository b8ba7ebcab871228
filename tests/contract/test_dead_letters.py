"""Dead letters: one a row, never lost, never doubled."""

from __future__ import annotations

from typing import Any

from agent.opensearch.dead_letters import DeadLetter
from tests.contract.conftest import Stores

FIRST, LATER = "2026-11-23T21:04:05Z", "2026-11-24T00:00:00Z"


def letter(row_id: int, reason: str = "mapper_parsing_exception: no", **row: Any) -> DeadLetter:
    return DeadLetter(
        id=row_id, partition="2026.11", created_at="2026-11-23T21:04:05.000Z", kind="mapping", reason=reason, row=row
    )


def test_a_letter_is_read_back_as_it_was_put(stores: Stores) -> None:
    odd = {"": 1, "..": [1, "x", {"a": None}], "big": 2**80, "text": "a\u0000\ud800é\n"}
    stores.dead_letters.put([letter(5, context=odd)], FIRST)
    kept = stores.dead_letters.get(5)
    assert kept is not None
    assert kept.letter == letter(5, context=odd)
    assert (kept.attempts, kept.first_at, kept.last_at) == (1, FIRST, FIRST)


def test_putting_again_counts_the_attempt_and_keeps_the_first_time(stores: Stores) -> None:
    stores.dead_letters.put([letter(5), letter(6)], FIRST)
    stores.dead_letters.put([letter(5, reason="other")], LATER)
    kept = stores.dead_letters.get(5)
    assert kept is not None
    assert (kept.attempts, kept.first_at, kept.last_at, kept.letter.reason) == (2, FIRST, LATER, "other")
    assert stores.dead_letters.count() == 2


def test_the_list_is_ascending_and_can_be_paged(stores: Stores) -> None:
    stores.dead_letters.put([letter(row_id) for row_id in (9, 3, 5, 12)], FIRST)
    first = stores.dead_letters.listed(limit=3)
    rest = stores.dead_letters.listed(limit=3, after=first[-1].letter.id)
    assert [kept.letter.id for kept in first + rest] == [3, 5, 9, 12]


def test_more_letters_than_one_request_holds_are_all_kept(stores: Stores) -> None:
    stores.dead_letters.put([letter(row_id) for row_id in range(1, 1002)], FIRST)
    assert stores.dead_letters.count() == 1001
    assert [kept.letter.id for kept in stores.dead_letters.listed(limit=2000)] == list(range(1, 1002))


def test_dropping_counts_only_what_was_there(stores: Stores) -> None:
    stores.dead_letters.put([letter(1), letter(2)], FIRST)
    assert stores.dead_letters.drop([1, 7]) == 1
    assert stores.dead_letters.drop([1]) == 0
    assert stores.dead_letters.get(1) is None
    assert stores.dead_letters.count() == 1


def test_ids_between_includes_both_ends(stores: Stores) -> None:
    stores.dead_letters.put([letter(row_id) for row_id in (1, 2, 5, 6)], FIRST)
    assert stores.dead_letters.ids_between(2, 5) == {2, 5}


def test_instances_do_not_see_each_other(stores: Stores) -> None:
    stores.dead_letters.put([letter(1)], FIRST)
    other = stores.other("shop-2").dead_letters
    assert (other.count(), other.get(1), other.listed(), other.drop([1])) == (0, None, [], 0)
    assert stores.dead_letters.count() == 1


def test_the_highest_id_is_that_of_the_last_letter_still_kept(stores: Stores) -> None:
    assert stores.dead_letters.highest_id() is None
    stores.dead_letters.put([letter(row_id) for row_id in (9, 3, 12)], FIRST)
    assert stores.dead_letters.highest_id() == 12
    stores.dead_letters.drop([12])
    assert stores.dead_letters.highest_id() == 9
