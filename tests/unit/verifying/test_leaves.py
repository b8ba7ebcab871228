"""Two documents that lie differently say the same exactly when every value is on either side."""

from __future__ import annotations

import pytest

from agent.verifying.leaves import same


@pytest.mark.parametrize(
    ("kept", "over", "other_kept", "other_over"),
    [
        ({"a": 1}, None, {"a": 1}, None),
        ({"a": 1}, None, None, {"a": "1"}),
        ({"a": {"b": [1, "x", True]}}, None, {"a": {"b": [1]}}, {"a": {"b": ["x", "true"]}}),
        ({"a": 1, "b": 2}, None, {"b": 2}, {"a": "1"}),
        ({"a": None, "b": {}, "c": []}, None, {}, None),
        ({"a": [{"x": 1}, {"x": 2}]}, None, {"a": [{"x": 2}]}, {"a": [{"x": "1"}]}),
        ({"a.b": 1}, None, {"a": {"b": 1}}, None),
        ({"a": 1.18e21}, None, None, {"a": "1180000000000000000000"}),
        (None, {"k": "x" * 8000}, {"k": "x" * 9000}, None),
    ],
)
def test_the_same_values_on_another_route_are_the_same(
    kept: object, over: object, other_kept: object, other_over: object
) -> None:
    assert same(kept, over, other_kept, other_over)
    assert same(other_kept, other_over, kept, over)


@pytest.mark.parametrize(
    ("kept", "over", "other_kept", "other_over"),
    [
        ({"a": 1}, None, {"a": 2}, None),
        ({"a": 1}, None, {"a": "1"}, None),  # both kept: the type counts
        ({"a": True}, None, {"a": "true"}, None),
        ({"a": 1}, None, {"b": 1}, None),
        ({"a": [1, 1]}, None, {"a": [1]}, None),
        ({"a": 1}, None, {"a": 1}, {"a": "1"}),  # doubled
        ({"a": 1, "b": 2}, None, {"a": 1}, None),
        (None, {"a": "1"}, None, {"a": "2"}),
        ({"a": "x" * 9000}, None, {"a": "x" * 8999}, None),
    ],
)
def test_a_value_that_differs_is_seen(kept: object, over: object, other_kept: object, other_over: object) -> None:
    assert not same(kept, over, other_kept, other_over)
    assert not same(other_kept, other_over, kept, over)
