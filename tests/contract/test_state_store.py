"""The state store: compare-and-set, or nothing."""

from __future__ import annotations

import pytest

from agent.opensearch.state import Fenced
from tests.contract.conftest import Stores


def test_nothing_is_there_before_the_first_write(stores: Stores) -> None:
    assert stores.state.read() is None


def test_what_was_written_is_read_back_with_the_token_to_replace_it(stores: Stores) -> None:
    token = stores.state.write({"watermark": 7, "gaps": [{"ranges": "x"}]}, None)
    kept = stores.state.read()
    assert kept is not None
    assert kept.document == {"watermark": 7, "gaps": [{"ranges": "x"}]}
    assert kept.token == token


def test_tokens_form_a_chain(stores: Stores) -> None:
    token = None
    for watermark in range(5):
        token = stores.state.write({"watermark": watermark}, token)
    kept = stores.state.read()
    assert kept is not None
    assert (kept.document, kept.token) == ({"watermark": 4}, token)


def test_a_stale_token_is_fenced_off_and_changes_nothing(stores: Stores) -> None:
    old = stores.state.write({"watermark": 1}, None)
    stores.state.write({"watermark": 2}, old)
    with pytest.raises(Fenced):
        stores.state.write({"watermark": 9}, old)
    kept = stores.state.read()
    assert kept is not None
    assert kept.document == {"watermark": 2}


def test_creating_over_an_existing_document_is_fenced_off(stores: Stores) -> None:
    stores.state.write({"watermark": 1}, None)
    with pytest.raises(Fenced):
        stores.state.write({"watermark": 0}, None)


def test_repeating_a_write_whose_answer_was_lost_is_no_fence(stores: Stores) -> None:
    old = stores.state.write({"watermark": 1}, None)
    new = stores.state.write({"watermark": 2}, old)
    assert stores.state.write({"watermark": 2}, old) == new


def test_instances_do_not_see_each_other(stores: Stores) -> None:
    stores.state.write({"watermark": 1}, None)
    assert stores.other("shop-2").state.read() is None
