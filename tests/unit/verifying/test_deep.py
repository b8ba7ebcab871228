"""A deep look sees every altered value and takes no route a document took for an alteration."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.mapping.catalogue import Catalogue
from agent.mapping.ladder import Rung
from agent.verifying.deep import differing
from tests.unit.verifying.rows import builder, row

NOW = "2026-11-23T00:00:00.000Z"
KEYS = st.text("ab._ é", max_size=4) | st.sampled_from(["task", "a.b", "password", "x" * 600, "..", ""])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)
CONTEXTS = st.dictionaries(KEYS, VALUES, max_size=4).map(json.dumps) | st.sampled_from(
    ["[]", "{broken", "", "7", '"x"']
)


@settings(max_examples=150, deadline=None)
@given(
    contexts=st.lists(CONTEXTS, min_size=1, max_size=4),
    budget=st.sampled_from([0, 1, 3, 500]),
    rung=st.sampled_from(list(Rung)),
)
def test_no_route_a_document_may_take_is_drift(contexts: list[str], budget: int, rung: Rung) -> None:
    shipped = builder(catalogue=Catalogue(max_fields=budget, max_depth=3))
    for number, context in enumerate(contexts):
        stored = shipped.build(row(number + 1, context), NOW, rung).source
        assert differing(builder(), row(number + 1, context), stored) == []


CONTEXT = '{"task": "sync", "n": 3, "deep": {"list": [1, 2], "objects": [{"x": "y"}], "none": null}, "bad..key": "v"}'


def _at(document: dict[str, Any], path: str) -> tuple[Any, Any]:
    *above, last = path.split("/")
    place: Any = document
    for key in above:
        place = place[int(key) if isinstance(place, list) else key]
    return place, (int(last) if isinstance(place, list) else last)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("severity", "severity"),
        ("service_id", "service_id"),
        ("created_at", "created_at"),
        ("detail", "detail"),
        ("instance", "instance"),
        ("context/task", "context"),
        ("context/n", "context"),
        ("context/deep/list/0", "context"),
        ("context/deep/objects/0/x", "context"),
        ("context_overflow/bad..key", "context"),
        ("context_text/0", "context_text"),
        ("extra/note", "extra"),
        ("agent/crc_version", "agent.crc_version"),
    ],
)
@pytest.mark.parametrize("change", ["replace", "remove"])
def test_any_altered_value_is_seen(path: str, field: str, change: str) -> None:
    stored = builder().build(row(1, CONTEXT), NOW).source
    altered = copy.deepcopy(stored)
    place, key = _at(altered, path)
    if change == "replace":
        place[key] = "forged"
    else:
        del place[key]

    names = differing(builder(), row(1, CONTEXT), altered)

    assert field in names


def test_something_added_is_seen() -> None:
    stored = builder().build(row(1, '{"a": 1}'), NOW).source

    assert differing(builder(), row(1, '{"a": 1}'), {**stored, "context": {"a": 1, "b": 2}}) == ["context"]
    assert differing(builder(), row(1, '{"a": 1}'), {**stored, "extra": {"note": "n", "more": 1}}) == ["extra"]
    assert differing(builder(), row(1, '{"a": 1}'), {**stored, "context_text": ["found"]}) == ["context_text"]


def test_the_time_of_indexing_and_the_version_may_differ() -> None:
    stored = builder().build(row(1, CONTEXT), NOW).source
    stored["agent"] |= {"indexed_at": "2020-01-01T00:00:00.000Z", "version": "0.1"}

    assert differing(builder(), row(1, CONTEXT), stored) == []
