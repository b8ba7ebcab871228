"""Reading YAML: lines are known, and nothing in a file can harm the reader."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.problems import InvalidFile
from agent.config.yaml_tree import MAX_DEPTH, MAX_FILE_BYTES, MAX_VALUES, parse_tree, read_tree
from tests.unit.config.conftest import problems


def tree(text: str | bytes, **environ: str):
    return parse_tree("f.yml", text if isinstance(text, bytes) else text.encode(), environ)


def test_every_path_knows_its_line():
    parsed = tree("a: 1\nb:\n  c: x\n  d:\n  - 1\n  - e: 2\n")
    assert parsed.value == {"a": 1, "b": {"c": "x", "d": [1, {"e": 2}]}}
    assert [parsed.line_of(path) for path in [("a",), ("b",), ("b", "c"), ("b", "d", 0), ("b", "d", 1, "e")]] == [
        1, 2, 3, 5, 6]  # fmt: skip


def test_a_path_that_is_not_there_has_the_line_of_its_parent():
    assert tree("a: 1\nb:\n  c: x\n").line_of(("b", "missing", 3)) == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("13:20", "13:20"),
        ("03:20", "03:20"),
        ("2027-03-01", "2027-03-01"),
        ("yes", "yes"),
        ("off", "off"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("42", 42),
        ("-1", -1),
        ("5_000_000", 5_000_000),
        ("1.5", 1.5),
        ("1e9", 1e9),
        ("1e", "1e"),
        (".", "."),
        ("'42'", "42"),
        ('"true"', "true"),
        ("9" * 41, "9" * 41),
        ("0x10", "0x10"),
    ],
)
def test_scalars_are_what_they_look_like(text: str, value: object):
    assert tree(f"a: {text}\n").value == {"a": value}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: !!python/object/apply:os.system [id]", 1),
        ("a: 1\nb: !!str x", 2),
        ("a:\n- !secret x", 2),
        ("a: ! x", 1),
        ("!!map {a: 1}", 1),
        ("a: !!binary aGk=", 1),
    ],
)
def test_tags_are_refused_with_their_line(text: str, line: int):
    (problem,) = problems(lambda: tree(text))
    assert problem.startswith(f"f.yml:{line}: a YAML tag")


def test_every_duplicate_key_is_refused_and_names_the_first():
    lines = problems(lambda: tree("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n"))
    assert lines == [
        "f.yml:4: b.c: is given twice (the first is in line 3; keep one)",
        "f.yml:5: a: is given twice (the first is in line 1; keep one)",
    ]


def test_merge_keys_are_refused():
    assert "f.yml:2: a merge key (<<)" in problems(lambda: tree("a: &x {b: 1}\nc: {<<: *x}\n"))[0]


def test_an_alias_is_a_copy():
    assert tree("a: &x [1, 2]\nb: *x\n").value == {"a": [1, 2], "b": [1, 2]}


def test_a_bomb_of_aliases_is_refused():
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "unfold without end" in problems(lambda: tree("\n".join(rows)))[0]


def test_an_alias_inside_itself_is_refused():
    assert "unfold without end" in problems(lambda: tree("a: &a [*a]\n"))[0]


@pytest.mark.parametrize(("count", "fits"), [(MAX_VALUES - 2, True), (MAX_VALUES - 1, False)])
def test_the_number_of_values_is_bounded_also_through_aliases(count: int, fits: bool):
    inner = 99
    block = f"&b [{', '.join(['1'] * inner)}]"  # each use costs 100 values
    uses, rest = divmod(count - 100, 100)
    text = f"[{block}, {', '.join(['*b'] * uses)}, {', '.join(['2'] * (rest + 1))}]"
    if fits:
        assert len(tree(text).value) == uses + rest + 2
    else:
        assert problems(lambda: tree(text))


@pytest.mark.parametrize(("depth", "fits"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False), (5000, False)])
def test_depth_is_bounded(depth: int, fits: bool):
    text = "[" * depth + "]" * depth
    if fits:
        tree(text)
    else:
        assert "nested deeper" in problems(lambda: tree(text))[0]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [1\nc: 2\n", 3),
        ('a: "unfinished\n', 2),
        ("a: 1\n\tb: 2\n", 2),
        ("a: 1\n b: 2\n", 2),
        ("a: b: c\n", 1),
        ("a: @x\n", 1),
        ("a: 1\n---\nb: 2\n", 2),
        ("? [1]\n: 2\n", 1),
    ],
)
def test_broken_yaml_is_reported_with_its_line(text: str, line: int):
    (problem,) = problems(lambda: tree(text))
    assert problem.startswith(f"f.yml:{line}: ")


def test_a_bare_reference_in_brackets_says_to_quote_it():
    assert "in quotes" in problems(lambda: tree("a: [${HOSTS}]\n"))[0]


@pytest.mark.parametrize(
    "text",
    [
        'password: "hunter2\n',
        "password: *hunter2\n",
        "password: !hunter2 x\n",
        "password: &hunter2 x: y\n",
        "password: hunter2: x\n",
        "password: @hunter2\n",
        "password: %hunter2\n",
        "password: 'hunter2\n",
        'password: "\\hunter2"\n',
        "hunter2\npassword: x\n",
        "password: [hunter2\n",
        "a: &hunter2 1\nb: &hunter2 2\nc: *hunter3\n",
        "password: hunter2\x07\n",
        "password: hunter2\x07: *\n",
    ],
)
def test_a_syntax_error_never_quotes_the_file(text: str):
    with pytest.raises(InvalidFile) as caught:
        tree(text)
    assert "hunter" not in str(caught.value) + repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "\ufeff"])
def test_an_empty_file_is_nothing(text: str):
    assert tree(text).value is None


def test_bytes_that_are_no_utf8_are_reported_with_their_line():
    assert problems(lambda: tree(b"a: 1\nb: \xff\n")) == ["f.yml:2: byte 0xff is no UTF-8 (save the file as UTF-8)"]


def test_a_missing_file_a_folder_and_a_huge_file_are_said_as_such(tmp_path: Path):
    (tmp_path / "big.yml").write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    assert "no such file" in problems(lambda: read_tree(tmp_path / "none.yml", {}))[0]
    assert "is a directory" in problems(lambda: read_tree(tmp_path, {}))[0]
    assert "is larger than" in problems(lambda: read_tree(tmp_path / "big.yml", {}))[0]


def test_a_file_of_exactly_the_limit_is_read(tmp_path: Path):
    (tmp_path / "big.yml").write_bytes(b"#" * MAX_FILE_BYTES)
    assert read_tree(tmp_path / "big.yml", {}).value is None


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_never_anything_else(text: str):
    try:
        tree(text.encode("utf-8", "surrogatepass"))
    except InvalidFile as error:
        assert str(error).isprintable() or "\n" in str(error)


def test_half_a_character_is_refused():
    assert problems(lambda: tree('a: "\\ud800"\n')) == [
        "f.yml:1: a: holds half a character (write the character itself)"
    ]
    assert problems(lambda: tree("a: ${X}\n", X="\udcff"))


_texts = st.text(st.characters(exclude_categories=("C", "Zl", "Zp"), exclude_characters="$"), max_size=20)
_scalars = st.none() | st.booleans() | st.integers(-(10**18), 10**18) | _texts
_keys = st.text("abcdef", min_size=1, max_size=5)


@given(
    st.recursive(
        _scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=4),
        max_leaves=15,
    )
)
def test_json_is_read_as_what_it_says(value: object):
    assert tree(json.dumps(value, ensure_ascii=False)).value == value
