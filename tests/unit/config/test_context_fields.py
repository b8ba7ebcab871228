"""config/context_fields.yml: types that exist, paths that can be, patterns that match something."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config.context_fields import ContextFields
from agent.config.loading import load_context_fields
from agent.mapping.redaction import LONGEST_PATTERN
from tests.unit.config.conftest import problems


@pytest.fixture
def fields(write: Callable[..., Path]) -> Callable[[str], ContextFields]:
    return lambda text: load_context_fields(write(text, "f.yml"), {})


def test_an_empty_file_redacts_by_the_built_in_rules(fields):
    empty = fields("")
    assert (empty.types, empty.drop) == ({}, ())
    assert (empty.redact.keys, empty.redact.detectors, empty.redact.email, empty.redact.rules) == ((), None, False, ())


def test_a_full_file_is_read(fields):
    found = fields(
        "types: {duration_ms: long, server.id: keyword}\ndrop: [debug.trace]\nredact:\n  keys: [iban]\n"
        "  detectors: [jwt, aws_key]\n  email: true\n  rules: [{name: card, pattern: '\\b\\d{16}\\b'}]\n"
    )
    assert found.types == {"duration_ms": "long", "server.id": "keyword"}
    assert found.drop == ("debug.trace",)
    assert (found.redact.keys, found.redact.detectors, found.redact.email) == (("iban",), ("jwt", "aws_key"), True)
    assert [(rule.name, rule.pattern) for rule in found.redact.rules] == [("card", r"\b\d{16}\b")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("types: {a: integer}\n", 'f.yml:1: types.a: got "integer", allowed long | double | date'),
        ("types: {a: integer}\n", "did you mean «long»?"),
        ("types: {a: boolean}\n", "did you mean «keyword»?"),
        ("types: {a: lnog}\n", "did you mean «long»?"),
        ("types: {a: 3}\n", "types.a: got 3"),
        ("types:\n  context.a: long\n", "f.yml:2: types.context.a: got key «context.a»"),
        ("types:\n  context.a: long\n", "did you mean «a»?"),
        ("types: {a..b: long}\n", "got key «a..b»"),
        ("types: {.a: long}\n", "got key «.a»"),
        ("types: {a.: long}\n", "got key «a.»"),
        ("types:\n  a: long\n  a.b: long\n", "f.yml:3: types.a.b: got a type for «a.b» and one for «a»"),
        ("types: {a: long}\ndrop: [a]\n", "f.yml:2: drop[0]: got «a» in both"),
        ("types: [a]\n", "types: got a list, allowed a mapping"),
        ("drop: [context.a]\n", "did you mean «a»?"),
        ("drop: ['']\n", "drop[0]: got"),
        ("drop: a\n", "allowed a list"),
        ("redact: {detectors: [jtw]}\n", "did you mean «jwt»?"),
        ("redact: {emails: true}\n", "redact.emails: unknown key; did you mean «email»?"),
        ("redact: {email: 3}\n", "redact.email: got 3, allowed true or false"),
        ("redact: {rules: [{name: a, pattern: '('}]}\n", "redact.rules[0].pattern: got"),
        ("redact: {rules: [{name: a, pattern: '('}]}\n", "at position 0"),
        ("redact: {rules: [{name: a, pattern: 'x*'}]}\n", "does not match the empty text"),
        ("redact: {rules: [{name: a, pattern: ''}]}\n", "redact.rules[0].pattern: got"),
        ("redact: {rules: [{name: A, pattern: x}]}\n", "redact.rules[0].name: got"),
        ("redact: {rules: [{pattern: x}]}\n", "redact.rules[0].name: is missing"),
        ("redact: {rules: [{name: a, pattern: x}, {name: a, pattern: y}]}\n", "redact.rules[1].name"),
        ("redactt: {}\n", "did you mean «redact»?"),
    ],
)
def test_a_mistake_is_answered(fields, text: str, said: str):
    (problem,) = problems(lambda: fields(text))
    assert said in problem


def test_a_pattern_of_the_greatest_length_is_taken_and_one_longer_is_not(fields):
    text = "redact:\n  rules:\n  - {name: a, pattern: '%s'}\n"
    assert fields(text % ("x" * LONGEST_PATTERN))
    assert problems(lambda: fields(text % ("x" * (LONGEST_PATTERN + 1))))
