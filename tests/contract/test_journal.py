"""The journal's store: numbered, append-only."""

from __future__ import annotations

import pytest

from agent.opensearch.journal import Entry
from agent.opensearch.state import Fenced
from tests.contract.conftest import Stores


def entry(seq: int, **content: object) -> Entry:
    return Entry(seq=seq, at="2026-11-23T21:04:05Z", kind="retention", content=dict(content))


def test_an_empty_journal_has_no_last_entry(stores: Stores) -> None:
    assert stores.journal.last() is None
    assert list(stores.journal.entries()) == []


def test_entries_come_back_in_order_and_unchanged(stores: Stores) -> None:
    written = [entry(seq, rule="errors-longer", odd={"": [1, {"a.b": None}]}) for seq in (1, 2, 3)]
    for one in written:
        stores.journal.append(one)
    assert list(stores.journal.entries()) == written
    assert list(stores.journal.entries(after=2)) == written[2:]
    assert stores.journal.last() == written[-1]


def test_a_number_is_taken_once(stores: Stores) -> None:
    stores.journal.append(entry(1, rows=5))
    with pytest.raises(Fenced):
        stores.journal.append(entry(1, rows=6))
    assert stores.journal.last() == entry(1, rows=5)


def test_appending_the_same_entry_again_is_no_error(stores: Stores) -> None:
    stores.journal.append(entry(1, rows=5))
    stores.journal.append(entry(1, rows=5))
    assert list(stores.journal.entries()) == [entry(1, rows=5)]


def test_instances_do_not_see_each_other(stores: Stores) -> None:
    stores.journal.append(entry(1, rows=5))
    assert stores.other("shop-2").journal.last() is None
