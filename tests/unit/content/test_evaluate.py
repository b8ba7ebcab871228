"""Evaluating alerts: what the cluster cannot tell is said, and never passes for silence."""

from __future__ import annotations

from typing import Any

import pytest

from agent.config.alerts import AlertRule
from agent.content.evaluate import Evaluation, evaluate
from agent.errors import PermanentError, TemporaryError

QUIET = {"timed_out": False, "_shards": {"failed": 0}, "hits": {"total": {"value": 0}}, "aggregations": {}}
REFUSAL = PermanentError("OpenSearch refuses the request", got="illegal_argument_exception: too many buckets")


class Answers:
    """A cluster that gives one answer after the other."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    def call(self, method: str, path: str, *, params: Any = None, body: Any = None) -> Any:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def told(*answers: Any) -> tuple[Evaluation, ...]:
    rules = [AlertRule.model_validate({"name": f"a{n}", "description": "d", "threshold": 1}) for n in range(2)]
    names = {"audit_index": "audit", "state_index": "state"}
    return evaluate(Answers(*answers), rules, **names, now_ms=0, shift_seconds=60)


@pytest.mark.parametrize(
    "answer",
    [
        REFUSAL,
        QUIET | {"timed_out": True},
        QUIET | {"_shards": {"failed": 1}},
        {"took": 1},
    ],
)
def test_an_alert_that_the_index_cannot_tell_about_would_fire_and_says_why(answer: Any) -> None:
    first, second = told(answer, QUIET)
    assert (first.would_fire, bool(first.error)) == (True, True)
    assert first.reason == f"nobody can tell: {first.error}"
    assert (second.would_fire, second.error) == (False, "")


def test_why_a_shard_failed_is_told_by_its_innermost_cause() -> None:
    deepest = {
        "type": "illegal_argument_exception",
        "reason": "text fields are not optimised for that: [context.essay]",
    }
    failure = {"shard": 0, "reason": {"type": "script_exception", "reason": "runtime error", "caused_by": deepest}}
    first, _ = told(QUIET | {"_shards": {"total": 2, "failed": 1, "failures": [failure]}}, QUIET)
    assert f"1 of 2 shards failed: {deepest['reason']}" in first.error


def test_a_cluster_that_is_away_is_told_once_and_for_all_alerts() -> None:
    with pytest.raises(TemporaryError):
        told(TemporaryError("OpenSearch is unreachable"))
