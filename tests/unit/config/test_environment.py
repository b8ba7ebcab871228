"""Variables in values: what is taken, what serves as default, and what is an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.environment import expand
from agent.config.yaml_tree import parse_tree
from tests.unit.config.conftest import problems


@pytest.mark.parametrize(
    ("text", "environ", "expanded"),
    [
        ("${A}", {"A": "x"}, "x"),
        ("${A}", {"A": ""}, ""),
        ("${A:-d}", {"A": "x"}, "x"),
        ("${A:-d}", {"A": ""}, "d"),
        ("${A:-d}", {}, "d"),
        ("${A:-}", {}, ""),
        ("${A:-http://h:1/x?y=z}", {}, "http://h:1/x?y=z"),
        ("a${A}b${B}c", {"A": "1", "B": "2"}, "a1b2c"),
        ("$${A}", {"A": "x"}, "${A}"),
        ("$$${A}", {"A": "x"}, "$${A}"),
        ("$A $ 5$", {"A": "x"}, "$A $ 5$"),
        ("${A}", {"A": "${B}", "B": "deep"}, "${B}"),
        ("${_a1}", {"_a1": "x"}, "x"),
    ],
)
def test_references_are_replaced_once(text: str, environ: dict[str, str], expanded: str):
    expansion = expand(text, environ)
    assert (expansion.text, expansion.missing, expansion.malformed) == (expanded, (), False)


@pytest.mark.parametrize("text", ["${", "${}", "${A", "${1A}", "${A-b}", "${A B}", "${:-x}"])
def test_what_looks_like_a_reference_and_is_none_is_malformed(text: str):
    assert expand(text, {"A": "x"}).malformed


def test_every_missing_variable_is_reported_with_line_path_and_name():
    lines = problems(lambda: parse_tree("f.yml", b"a: ${ONE}\nb:\n  c: x${TWO}y${THREE}\n  d: ${\n", {}))
    assert lines == [
        "f.yml:1: a: ${ONE} is not set (set ONE or write ${ONE:-default})",
        "f.yml:3: b.c: ${TWO} is not set (set TWO or write ${TWO:-default})",
        "f.yml:3: b.c: ${THREE} is not set (set THREE or write ${THREE:-default})",
        "f.yml:4: b.d: ${ without a name and a closing } (write ${NAME} or ${NAME:-default}; $${ stands for ${ itself)",
    ]


def test_a_variable_cannot_add_a_key():
    tree = parse_tree("f.yml", b"a: ${X}\n", {"X": "1\nb: 2"})
    assert tree.value == {"a": "1\nb: 2"}


def test_keys_and_comments_are_left_alone():
    assert parse_tree("f.yml", b"# ${NONE}\n'${NONE}': 1\n", {}).value == {"${NONE}": 1}


@given(st.text(max_size=50))
def test_text_without_a_dollar_sign_stays(text: str):
    text = text.replace("$", "")
    assert expand(text, {}).text == text


@given(st.text(max_size=50))
def test_what_a_variable_holds_arrives_unchanged(value: str):
    assert expand("${A}", {"A": value}).text == value
