"""How a value is shown, and what is never shown."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent.config.problems import InvalidFile, Problem, did_you_mean, dotted, mask_url, near, shown
from agent.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("mysql://u:pw@h/db", "mysql://u:***@h/db"),
        ("mysql://u:p@w@h/db", "mysql://u:***@h/db"),
        ("mysql://u:p/w@h/db", "mysql://u:***@h/db"),
        ("mysql://u:p:w@h/db", "mysql://u:***@h/db"),
        ("mysql://:pw@h", "mysql://:***@h"),
        ("mysql://u@h/db", "mysql://u@h/db"),
        ("u:pw@h/db", "u:***@h/db"),
        ("http://h/?password=pw&x=1", "http://h/?password=***&x=1"),
        ("http://h/?Api_Token=pw", "http://h/?Api_Token=***"),
        ("someone@example.org", "someone@example.org"),
        ("mysql://u:pw/db", "mysql://u:***"),
        ("http://h:9200/x", "http://h:9200/x"),
        ("http://h:9200", "http://h:9200"),
        ("http://[::1]:9200", "http://[::1]:9200"),
        ("plain", "plain"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, masked: str):
    assert mask_url(url) == masked


@settings(max_examples=300)
@given(st.text("abc:/@?#%", max_size=8), st.sampled_from(["mysql://u:", "http://u:", "u:", "https://:"]))
def test_no_spelling_of_a_url_shows_its_password(odd: str, start: str):
    assume(not (start == "u:" and odd.startswith("//")))  # that is a scheme, and no password
    assert "hunter2" not in mask_url(f"{start}{odd}hunter2{odd}@host/db")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("abc", '"abc"'),
        ("a\nb", '"a\\nb"'),
        ("\x1b[31m", '"\\u001b[31m"'),
        ("\u202e", '"\\u202e"'),
        ('say "x"', '"say \\"x\\""'),
        ("x" * 61, '"' + "x" * 60 + '…"'),
        (True, "true"),
        (1.5, "1.5"),
        (None, "nothing"),
        ({"password": "x"}, "a mapping"),
        (["x"], "a list"),
    ],
)
def test_a_value_is_shown_on_one_line(value: object, text: str):
    assert shown(value) == text


@given(st.text(max_size=100))
def test_no_value_can_forge_a_line(value: str):
    assert shown(value).isprintable()


def test_one_problem_is_one_line_and_several_have_a_summary():
    first = Problem(file="f.yml", line=3, path="a.b", what="is missing")
    second = Problem(file="f.yml", line=1, path="c", what="unknown key", remedy="delete it")
    assert str(InvalidFile("f.yml", [first])) == "f.yml:3: a.b: is missing"
    assert str(InvalidFile("f.yml", [first, second])).split("\n") == [
        "f.yml: 2 problems",
        "f.yml:1: c: unknown key (delete it)",
        "f.yml:3: a.b: is missing",
    ]
    assert isinstance(InvalidFile("f.yml", [first]), ConfigError)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("batch_row", "batch_rows"),
        ("batch-rows", "batch_rows"),
        ("BATCH_ROWS", "batch_rows"),
        ("bath_rows", "batch_rows"),
        ("poll", "poll_seconds"),
        ("zzz", ""),
    ],
)
def test_the_near_word_is_found(word: str, meant: str):
    assert near(word, ["batch_rows", "poll_seconds"]) == meant
    assert did_you_mean(word, ["batch_rows", "poll_seconds"]) == (f"; did you mean «{meant}»?" if meant else "")


def test_paths_are_written_as_people_say_them():
    assert dotted(("rules", 2, "match", "severity")) == "rules[2].match.severity"
    assert dotted(()) == ""
