"""Refusals by recovery: everything the world may heal is temporary, and no message repeats what it should not."""

from __future__ import annotations

from typing import Any

import pytest

from agent.errors import TemporaryError
from agent.opensearch.answers import LONGEST_REASON, Refused, printable, retry_after_seconds, translated


def fault(type_name: str, reason: str = "why") -> dict[str, Any]:
    return {"error": {"type": type_name, "reason": reason, "root_cause": [{"type": type_name, "reason": reason}]}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, "Unauthorized", "forbidden"),
        (403, fault("security_exception", "no permissions for [indices:admin/create] and User [name=a]"), "forbidden"),
        (403, {"Message": "User: anonymous is not authorized"}, "forbidden"),
        (403, "<html>", "forbidden"),
        (403, fault("cluster_block_exception"), "blocked"),
        (408, "", "timeout"),
        (413, "<html>too large", "too_large"),
        (429, "", "throttled"),
        (429, fault("cluster_block_exception"), "blocked"),
        (500, fault("snapshot_restore_exception"), "server_error"),
        (502, "<html>Bad gateway", "unavailable"),
        (503, "OpenSearch Security not initialized.", "unavailable"),
        (504, "", "unavailable"),
        (400, fault("index_closed_exception"), "closed_index"),
        (404, fault("index_not_found_exception"), "missing_index"),
        (400, "<html>a proxy's own words", "refused"),
        (302, "", "redirected"),
        (405, {"error": "Incorrect HTTP method"}, "refused"),
        (403, {"deleted": 0, "failures": [{"cause": {"type": "cluster_block_exception", "reason": "x"}}]}, "blocked"),
        (403, {"_shards": {"failures": [{"reason": {"type": "security_exception", "reason": "no"}}]}}, "forbidden"),
    ],
)
def test_failures_of_the_cluster_are_temporary_and_named(status: int, body: object, kind: str) -> None:
    error = translated(status, body, where="GET /x")
    assert isinstance(error, TemporaryError)
    assert error.kind == kind


def test_a_request_the_server_calls_wrong_is_refused_for_good() -> None:
    error = translated(400, fault("parsing_exception", "unknown query [x]"), where="POST /x/_search")
    assert isinstance(error, Refused)
    assert (error.status, error.type) == (400, "parsing_exception")
    assert "unknown query [x]" in str(error)


def test_the_cause_of_a_general_search_error_is_found() -> None:
    body = {
        "error": {
            "type": "search_phase_execution_exception",
            "reason": "all shards failed",
            "root_cause": [{"type": "query_shard_exception", "reason": "'x' is not an IP string literal."}],
        }
    }
    error = translated(400, body, where="POST /x/_search")
    assert "not an IP string literal" in str(error)


def test_a_denied_permission_is_named_without_the_users_roles() -> None:
    reason = "no permissions for [indices:data/write/bulk[s]] and User [name=agent, backend_roles=[secret-role]]"
    text = str(translated(403, fault("security_exception", reason), where="POST /_bulk"))
    assert "indices:data/write/bulk" in text
    assert "secret-role" not in text


def test_a_refused_password_is_not_repeated_whatever_the_body_says() -> None:
    assert "hunter2" not in str(translated(401, "bad credentials agent:hunter2", where="GET /"))


def test_text_from_outside_cannot_forge_a_second_line() -> None:
    assert printable("a\nb\r\x1b[31mc\u2028d") == "a b [31mc d"
    assert len(printable("x" * (LONGEST_REASON + 1))) == LONGEST_REASON
    assert printable("x" * LONGEST_REASON) == "x" * LONGEST_REASON


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        (None, None, None),
        ("", None, None),
        ("30", None, 30.0),
        (" 0 ", None, 0.0),
        ("-5", None, None),
        ("1e999", None, None),
        ("999999999", None, 3600.0),
        ("soon", None, None),
        ("Mon, 23 Nov 2026 21:05:05 GMT", "Mon, 23 Nov 2026 21:04:05 GMT", 60.0),
        ("Mon, 23 Nov 2026 21:04:05 GMT", "Mon, 23 Nov 2026 21:05:05 GMT", None),
        ("Mon, 23 Nov 2026 21:05:05 GMT", None, None),
        ("Mon, 23 Nov 2099 21:05:05 GMT", "Mon, 23 Nov 2026 21:04:05 GMT", 3600.0),
    ],
)
def test_retry_after_is_honoured_within_reason(value: str | None, date: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, date) == seconds
