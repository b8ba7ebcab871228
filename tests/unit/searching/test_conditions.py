"""A condition is read as a person means it: operators, commas, quotes, backslashes."""

from __future__ import annotations

import pytest

from agent.searching.conditions import Condition, Operator, condition_of
from agent.searching.matching import spellings, wildcard


@pytest.mark.parametrize(
    ("text", "path", "operator", "values"),
    [
        ("server_id=42", "server_id", "=", ("42",)),
        ("context.server.id=42,43", "server.id", "=", ("42", "43")),
        ("duration_ms >= 500", "duration_ms", ">=", ("500",)),
        ("a>1", "a", ">", ("1",)),
        ("a<=1", "a", "<=", ("1",)),
        ("a<1", "a", "<", ("1",)),
        ("a!=x,y", "a", "!=", ("x", "y")),
        ("message~timed out", "message", "~", ("timed out",)),
        ("a=b=c", "a", "=", ("b=c",)),
        ("a=", "a", "=", ("",)),
        ("a=*", "a", "=*", ()),
        ('a="*"', "a", "=", ("*",)),
        ('a="x, y",z', "a", "=", ("x, y", "z")),
        ('a=" x "', "a", "=", (" x ",)),
        ("a=x\\, y", "a", "=", ("x, y",)),
        ("a=Guzzle\\Http", "a", "=", ("Guzzle\\Http",)),
        ("a=C:\\", "a", "=", ("C:\\",)),
        ('a="say \\"no\\""', "a", "=", ('say "no"',)),
        ("a=x,", "a", "=", ("x", "")),
        ("a b=1", "a b", "=", ("1",)),
    ],
)
def test_a_condition_is_read(text: str, path: str, operator: str, values: tuple[str, ...]) -> None:
    assert condition_of(text) == Condition(path=path, operator=Operator(operator), values=values)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("42", ["42", "42.0"]),
        ("42.0", ["42", "42.0"]),
        ("9.90", ["9.9", "9.90"]),
        ("042", ["042"]),
        ("true", ["true"]),
        ("9007199254740993", ["9007199254740993"]),
        ("1e999", ["1e999"]),
        ("", [""]),
    ],
)
def test_a_number_is_looked_for_in_every_spelling_of_json(value: str, expected: list[str]) -> None:
    assert spellings(value) == expected


def test_what_a_pattern_means_specially_is_escaped() -> None:
    assert wildcard("a*b?c\\d") == "a\\*b\\?c\\\\d"
