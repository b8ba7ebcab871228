"""No planted secret leaves, wherever it is planted; what is none stays."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.mapping.catalogue import Catalogue
from agent.mapping.document import DocumentBuilder
from agent.mapping.gate import gate
from agent.mapping.ladder import Rung
from agent.mapping.redaction import Redaction
from agent.mapping.rules import FieldRules
from agent.row import RowShape
from tests.unit.mapping.planted import HEX, KEYS, TEXTS


def builder(rules: FieldRules | None = None, extra: tuple[str, ...] = ("note",)) -> DocumentBuilder:
    redaction = Redaction(rules)
    return DocumentBuilder(
        instance="i", shape=RowShape(("id", "created_at", "detail", "context"), extra), period="month", zone="UTC",
        catalogue=Catalogue(sensitive=redaction.key_rule), redaction=redaction, version="1",
    )  # fmt: skip


def sent(detail: str | None = None, context: Any = None, note: str | None = None, rung: Rung = Rung.NORMAL) -> str:
    make = builder()
    text = context if isinstance(context, str) or context is None else json.dumps(context)
    row = (1, "2026-11-23 21:04:05", detail, text, note, 7)
    make.build(row, "2026-11-23T22:00:00Z")
    document = make.build(row, "2026-11-23T22:00:00Z", rung)
    assert sum(document.redactions.values()) >= 1
    assert json.loads(document.body)["agent"]["redacted"] == sorted(document.redactions)
    return document.body.decode().lower()


def test_at_least_thirty_kinds_are_planted() -> None:
    assert len(KEYS) >= 30
    assert len(TEXTS) >= 30


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("rung", list(Rung))
def test_a_value_under_a_telling_key_is_replaced_at_any_depth(key: str, rung: Rung) -> None:
    for context in (
        {key: HEX},
        {key: [HEX, {"x": HEX}], "n": 1},
        {"request": {"headers": [{key: {"deep": HEX}}]}},
        {key: 48879} if key != "x-amz-signature" else {key: HEX},
        json.dumps(json.dumps({key: HEX})),
        {"payload": json.dumps({key: HEX})},
    ):
        body = sent(context=context, rung=rung)
        assert HEX[:12] not in body
        assert "48879" not in body


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("rung", list(Rung))
def test_a_secret_inside_a_text_is_replaced_wherever_the_text_is(text: str, rung: Rung) -> None:
    slashed = json.dumps({"m": text}).replace("/", "\\/")
    for columns in (
        {"detail": f"failed: {text} at 21:04"},
        {"context": {"message": f"failed: {text} at 21:04"}},
        {"context": {"a": [{"b": [text]}]}},
        {"context": {text: 1}},
        {"context": json.dumps(text)},
        {"context": slashed},
        {"context": slashed.replace("{", "{{", 1)},
        {"context": slashed[:-2]},
        {"note": text},
    ):
        assert HEX[:12] not in sent(rung=rung, **columns), columns


@pytest.mark.parametrize("key", KEYS)
def test_a_context_that_is_no_json_is_searched_as_text(key: str) -> None:
    for raw in (
        f'{{"a":1,"{key}":"{HEX}"',
        f'{{"a":1,"{key}":"{HEX}',
        f'{{"a":1,"{key}" : ["{HEX}","{HEX}"],"b":',
        f'{{"a":1,"{key}":{{"x":"{HEX}","y":"}}{HEX}"}},"b":',
        f"{{'{key}': '{HEX}'}}",
    ):
        assert HEX[:12] not in sent(context=raw)


def test_an_overlong_context_is_redacted_before_it_is_cut() -> None:
    redaction = Redaction()
    make = DocumentBuilder(
        instance="i", shape=RowShape(("id", "created_at", "context")), period="month", zone="UTC",
        catalogue=Catalogue(), redaction=redaction, version="1", max_bytes=100,
    )  # fmt: skip
    for shift in range(60):
        raw = json.dumps({"x": "y" * shift, "m": f"mysql://u:{HEX}@h", "z": "z" * 200})
        assert HEX[:8] not in make.build((1, None, raw, 7), "2026-11-23T22:00:00Z").body.decode()


@pytest.mark.parametrize(
    "context",
    [
        {"password_changed": True, "token": None, "secret": "", "keys": 3, "key_id": "k-1", "token_count": 512},
        {"message": "cURL error 28: Operation timed out after 30001 milliseconds", "at": "2026-11-23T21:04:05Z"},
        {"region": "us-central-dallas", "host": "node-7.example.net", "email": "jo@example.net"},
        {"url": "https://cp.example.net/clientarea.php?action=productdetails&id=2170"},
        {"snapshot": "0b7e9d3a-5f0e-4a7e-9f57-2f1c9a7a9e11", "sha": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4"},
        {"note": "the key was rotated, the token is valid", "company": "Café Zoë"},
        {
            "bypass": "vpn",
            "compass": "N",
            "first_pass": "ok",
            "note": "the password reset was requested",
            "design": "a&b",
        },
        {
            "ran": [
                "redis-cli -p 6379 ping",
                "mysql -h db -P 3306 whmcs",
                "mysqldump -p whmcs",
                "mc alias list",
                "define(x)",
            ]
        },
    ],
)
def test_what_is_no_secret_stays(context: dict[str, Any]) -> None:
    document = builder().build((1, "2026-11-23 21:04:05", None, json.dumps(context), None, 7), "2026-11-23T22:00:00Z")

    assert (document.source["context"], document.redactions) == (context, {})


def test_secrets_are_counted_per_rule() -> None:
    context = {"password": "a1", "more": [{"password": "b2"}, "AKIAABCDEFGHIJKLMNOP and AKIAABCDEFGHIJKLMNOQ"]}
    document = builder().build((1, None, None, json.dumps(context), None, 7), "2026-11-23T22:00:00Z")

    assert document.redactions == {"password": 2, "aws_key": 2}


def test_redacting_twice_changes_nothing() -> None:
    redaction = Redaction(FieldRules(email=True))
    for text in [*TEXTS, *(f"{key}: {HEX}" for key in KEYS), '{"password":"x","b":1']:
        once = redaction.text(text, {})
        counts: dict[str, int] = {}
        assert redaction.text(once, counts) == once
        assert counts == {}


def test_redacting_a_value_twice_changes_nothing() -> None:
    redaction = Redaction()
    counts: dict[str, int] = {}
    for key in [*KEYS, "license_key"]:
        for value in (HEX, [HEX], {"x": HEX}, f"IMINIO-{HEX}"):
            once = redaction.value({"n": 1, "deep": [{key: value}]}, {}, texts=True)
            assert redaction.value(once, counts, texts=True) == once
            assert counts == {}
    for text in TEXTS:
        once = redaction.value({text: [text, {"x": text}]}, {}, texts=True)
        assert redaction.value(once, counts, texts=True) == once
        assert counts == {}
    for open_mark in (f"[redacted:{HEX}", f"[redacted:token] {HEX}", f"[redacted:a][redacted:{HEX}]"):
        assert HEX not in str(redaction.value({"token": open_mark}, {}, texts=True))


def test_own_keys_and_patterns_add_to_the_built_in_ones() -> None:
    rules = FieldRules(redact_keys=["iban", "stripe_*"], patterns=[("order", r"ORD-\d+")], detectors=["jwt"])
    context = {"IBAN": "DE00", "stripe_customer": "c", "m": "ORD-77 by AKIAABCDEFGHIJKLMNOP", "password": "x"}
    source = builder(rules).build((1, None, None, json.dumps(context), None, 7), "2026-11-23T22:00:00Z").source

    assert source["context"] == {
        "IBAN": "[redacted:iban]",
        "stripe_customer": "[redacted:stripe_*]",
        "m": "[redacted:order] by AKIAABCDEFGHIJKLMNOP",
        "password": "[redacted:password]",
    }


@pytest.mark.parametrize("pattern", ["x" * 501, "a*", "(", ""])
def test_a_pattern_that_would_harm_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Redaction(FieldRules(patterns=[("mine", pattern)]))


@given(st.text(), st.sampled_from(["eyJ", "token", "-----BEGIN", "@", "$2", "_live_", "key-", "SK"]), st.text())
def test_the_gate_sees_every_needle(before: str, needle: str, after: str) -> None:
    search = gate(["eyJ", "token", "-----BEGIN", "@", "$2", "_live_", "key-", "SK", "webhooks", "ya29."]).search

    assert search(before + needle + after)
    if needle == needle.lower():
        assert search(before + needle.upper() + after)


@pytest.mark.parametrize(
    "unit",
    [
        "password",
        "eyJ",
        "a:",
        "://",
        "@",
        "-----BEGIN PRIVATE KEY-----",
        '\\"',
        "key=",
        "{[",
        "-u ",
        "bearer ",
        "'",
        "\\",
    ],
)
def test_hostile_texts_cost_no_more_than_their_length(unit: str) -> None:
    redaction = Redaction(FieldRules(email=True))
    costs = []
    for size in (20_000, 160_000):
        text = (unit * size)[:size]
        start = time.process_time()
        redaction.text(text, {})
        costs.append(time.process_time() - start)

    # Eight times the length: quadratic cost would be 64 times as much.
    assert costs[1] < max(24 * costs[0], 0.25)
