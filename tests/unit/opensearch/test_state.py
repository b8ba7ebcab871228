"""A write whose answer was lost is looked up before anything is said about it."""

from __future__ import annotations

from typing import Any

import pytest

from agent.errors import PermanentError, TemporaryError
from agent.opensearch.client import Answer
from agent.opensearch.state import ClusterState, Fenced, Token

OLD, NEW = Token(3, 1), Token(4, 1)


class Script:
    """A cluster that answers from a list, one answer (or error) a request."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, str, dict[str, str]]] = []

    def answer(self, method: str, path: str, *, params: dict[str, str] | None = None, **_: Any) -> Answer:
        self.requests.append((method, path, params or {}))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def state(script: Script) -> ClusterState:
    return ClusterState(script, "impulse-agent-state", "shop")  # type: ignore[arg-type]  # a script is cluster enough


def stored(watermark: int, token: Token) -> Answer:
    source = {"watermark": watermark}
    return Answer(200, {"found": True, "_source": source, "_seq_no": token.seq_no, "_primary_term": token.primary_term})


LOST = TemporaryError("OpenSearch did not answer", kind="timeout")
ABSENT = Answer(404, {"found": False})
CONFLICT = Answer(409, {"error": {"type": "version_conflict_engine_exception"}})


def test_a_lost_answer_of_a_write_that_was_done_is_success() -> None:
    assert state(Script(LOST, stored(8, NEW))).write({"watermark": 8}, OLD) == NEW


def test_a_lost_answer_of_a_write_that_was_not_done_may_be_repeated() -> None:
    with pytest.raises(TemporaryError):
        state(Script(LOST, stored(7, OLD))).write({"watermark": 8}, OLD)


def test_a_lost_answer_while_another_agent_wrote_is_fenced() -> None:
    with pytest.raises(Fenced):
        state(Script(LOST, stored(9, NEW))).write({"watermark": 8}, OLD)


def test_a_lost_answer_that_cannot_be_looked_up_stays_unknown() -> None:
    with pytest.raises(TemporaryError) as failure:
        state(Script(LOST, TemporaryError("gone", kind="unreachable"))).write({"watermark": 8}, OLD)
    assert failure.value.kind == "timeout"


def test_a_lost_creation_that_was_not_done_may_be_repeated() -> None:
    with pytest.raises(TemporaryError):
        state(Script(LOST, ABSENT)).write({"watermark": 0}, None)


def test_a_conflict_with_our_own_first_try_is_success() -> None:
    assert state(Script(CONFLICT, stored(8, NEW))).write({"watermark": 8}, OLD) == NEW


@pytest.mark.parametrize("now", [stored(9, NEW), ABSENT, stored(7, OLD)])
def test_any_other_conflict_is_fenced(now: Answer) -> None:
    with pytest.raises(Fenced):
        state(Script(CONFLICT, now)).write({"watermark": 8}, OLD)


def test_a_write_names_the_version_it_replaces() -> None:
    script = Script(Answer(200, {"_seq_no": 4, "_primary_term": 1}))
    state(script).write({"watermark": 8}, OLD)
    assert script.requests == [("PUT", "/impulse-agent-state/_doc/shop", {"if_seq_no": "3", "if_primary_term": "1"})]


def test_a_creation_never_overwrites() -> None:
    script = Script(Answer(201, {"_seq_no": 0, "_primary_term": 1}))
    state(script).write({"watermark": 0}, None)
    assert script.requests == [("PUT", "/impulse-agent-state/_create/shop", {})]


@pytest.mark.parametrize("body", [{"found": True}, {"found": True, "_source": "x"}])
def test_what_is_no_state_document_never_means_begin_at_zero(body: dict[str, Any]) -> None:
    with pytest.raises(PermanentError):
        state(Script(Answer(200, body))).read()


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("body", [{"error": {"type": "odd"}}, {"message": "not found"}, {"found": "no"}, {}, [1, 2]])
def test_an_answer_that_is_not_the_clusters_is_waited_out(status: int, body: Any) -> None:
    with pytest.raises(TemporaryError) as failure:
        state(Script(Answer(status, body))).read()
    assert failure.value.kind == "not_json"


@pytest.mark.parametrize("body", [{"took": 3}, [1, 2]])
def test_a_write_that_something_else_answered_is_looked_up(body: Any) -> None:
    script = Script(Answer(200, body), stored(8, NEW))
    assert state(script).write({"watermark": 8}, OLD) == NEW


def test_a_missing_index_means_no_document_yet() -> None:
    assert state(Script(Answer(404, {"error": {"type": "index_not_found_exception"}}))).read() is None
