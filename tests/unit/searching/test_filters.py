"""Words and addresses that cannot be asked for are refused; those that can become the right query."""

from __future__ import annotations

from typing import Any

import pytest

from agent.errors import ConfigError
from agent.searching.fields import Field
from agent.searching.filters import Filters, only_in_context, query_of
from agent.searching.words import text_query


def no_field(path: str) -> Field:
    raise AssertionError(f"nobody asked for {path}")


def clauses(filters: Filters) -> list[dict[str, Any]]:
    return query_of(filters, no_field)["bool"]["filter"]  # type: ignore[no-any-return]


def test_without_filters_everything_matches() -> None:
    assert query_of(Filters(), no_field) == {"match_all": {}}


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7/24", "203.0.113.0/24"),
        ("203.0.113.7/32", "203.0.113.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
    ],
)
def test_an_address_or_network_is_one_term(text: str, term: str) -> None:
    assert clauses(Filters(ips=[text])) == [{"term": {"ip_address": term}}]


@pytest.mark.parametrize("text", ["", "203.0.113", "203.0.113.*", "10.0.0.0/33", "localhost", "1.2.3.4-1.2.3.9"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--ip is no address"):
        clauses(Filters(ips=[text]))


@pytest.mark.parametrize("text", ["", "  ", '""', "--- !!", "*"])
def test_a_text_without_a_word_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no word to look for"):
        text_query(text)


def test_words_and_phrases_are_told_apart() -> None:
    looked_for = [str(clause) for clause in text_query('alpha "timed out" - node-7 bet*')]
    assert len(looked_for) == 4
    assert "'timed out'" in looked_for[1]
    assert "prefix" in looked_for[3]
    assert "prefix" not in looked_for[2]


def test_a_row_found_by_its_context_is_told_apart() -> None:
    asked = Filters(ids={"service_id": [71], "client_id": []})
    assert only_in_context(asked, {"service_id": None, "client_id": 5})
    assert only_in_context(asked, {"service_id": 70})
    assert not only_in_context(asked, {"service_id": 71})
