"""Judged texts: the same text gets the same judgement, at once the second time, in flat memory, and no secret is kept."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from agent.mapping.judged_texts import LONGEST, MOST_CHARACTERS, JudgedTexts, Judgement
from agent.mapping.redaction import Redaction

SECRET = "hunter2-and-more"
MESSAGE = f"connection failed: mysql://whmcs:{SECRET}@db.example.net/whmcs password={SECRET}"


class Judge:
    """Shorten texts, and count how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, text: str) -> Judgement:
        self.asked.append(text)
        return text[:-1], {"rule": 1}


def test_a_text_is_judged_once_and_another_by_itself() -> None:
    judge = Judge()
    texts = JudgedTexts(judge)
    assert [texts.judged(text) for text in ("ab", "ab", "ac", "ab")] == [
        ("a", {"rule": 1}), ("a", {"rule": 1}), ("a", {"rule": 1}), ("a", {"rule": 1})]  # fmt: skip
    assert judge.asked == ["ab", "ac"]


def test_half_a_character_is_judged_like_any_other() -> None:
    judge = Judge()
    texts = JudgedTexts(judge)
    assert texts.judged("\ud800x") == texts.judged("\ud800x") == ("\ud800", {"rule": 1})
    assert len(judge.asked) == 1


def test_a_text_that_is_too_long_is_judged_each_time() -> None:
    judge = Judge()
    texts = JudgedTexts(judge)
    for text in ("x" * LONGEST, "x" * LONGEST, "x" * (LONGEST + 1), "x" * (LONGEST + 1)):
        texts.judged(text)
    assert list(map(len, judge.asked)) == [LONGEST, LONGEST + 1, LONGEST + 1]


def test_memory_is_bounded_whatever_comes() -> None:
    texts = JudgedTexts(Judge())
    for number in range(3000):
        texts.judged(f"{number:0>1000}")
        held = texts._known.values()
        assert sum(len(text) for text, _ in held) <= MOST_CHARACTERS
    assert held


def test_no_secret_is_kept() -> None:
    redaction = Redaction()
    for _ in range(3):
        assert SECRET not in redaction.text(MESSAGE, {})
    assert SECRET.encode() not in pickle.dumps(redaction._judged._known)


@given(
    st.lists(st.sampled_from([MESSAGE, "token=abcdef123456", "password is wrong", "fine", ""]) | st.text(), max_size=8)
)
def test_what_is_remembered_is_what_is_found_afresh(texts: list[str]) -> None:
    remembering, counts = Redaction(), {}
    for text in [*texts, *texts]:
        fresh: dict[str, int] = {}
        before = dict(counts)
        assert remembering.text(text, counts) == Redaction().text(text, fresh)
        assert {
            rule: count - before.get(rule, 0) for rule, count in counts.items() if count != before.get(rule)
        } == fresh
