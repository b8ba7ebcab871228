"""One request, one JSON answer or one of the project's errors; nothing of the driver, nothing secret."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest

from agent.config.connections import OpenSearchSettings
from agent.errors import ConfigError, TemporaryError
from agent.opensearch.bulk import ClusterBulk
from agent.opensearch.client import Cluster, open_cluster, url_path
from agent.opensearch.connection import dumped
from tests.fakes.node import Reply, Request, StubNode, stub_node

Node = Callable[[Callable[[Request], Reply]], StubNode]


@pytest.fixture
def node() -> Iterator[Node]:
    with ExitStack() as stack:
        yield lambda reply: stack.enter_context(stub_node(reply))


def cluster(*hosts: str, **settings: Any) -> Cluster:
    return open_cluster(OpenSearchSettings(hosts=hosts, **settings))


def closed_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def kind_of(call: Callable[[], object]) -> str:
    with pytest.raises(TemporaryError) as failure:
        call()
    return failure.value.kind


def test_an_answer_is_parsed_json(node: Node) -> None:
    stub = node(lambda _: Reply(body=b'{"a": [1]}'))
    assert cluster(stub.url).call("POST", "/x/_search", params={"timeout": "2s"}, body={"q": 1}) == {"a": [1]}
    request = stub.requests[0]
    assert (request.method, request.path, request.body) == ("POST", "/x/_search?timeout=2s", b'{"q":1}')
    assert request.headers["user-agent"].startswith("impulse-audit-agent/")


def test_bytes_are_sent_as_they_are(node: Node) -> None:
    stub = node(lambda _: Reply())
    cluster(stub.url).call("POST", "/_bulk", body=b"{}\n{}\n")
    assert stub.requests[0].body == b"{}\n{}\n"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b"<html>login</html>", headers={"content-type": "text/html"}),
        Reply(body=b"<html>login</html>"),
        Reply(body=b'{"a": [1'),
        Reply(body=b"OK", headers={"content-type": "text/plain"}),
        Reply(body=b""),
        Reply(body=b'"text"'),
        Reply(body=b"\xff\xfe{}"),
        Reply(body=b"{}", headers={"content-type": "application/cbor"}),
    ],
)
def test_what_is_no_json_of_opensearch_is_temporary(node: Node, reply: Reply) -> None:
    stub = node(lambda _: reply)
    assert kind_of(lambda: cluster(stub.url).call("GET", "/")) == "not_json"


def test_a_proxys_own_404_does_not_pass_for_a_missing_document(node: Node) -> None:
    stub = node(lambda _: Reply(status=404, body=b"<html>no such page", headers={"content-type": "text/html"}))
    assert kind_of(lambda: cluster(stub.url).answer("GET", "/i/_doc/1", accept=(404,))) == "not_json"


def test_an_accepted_status_comes_back_with_its_body(node: Node) -> None:
    stub = node(lambda _: Reply(status=404, body=b'{"found": false}'))
    answer = cluster(stub.url).answer("GET", "/i/_doc/1", accept=(404,))
    assert (answer.status, answer.body) == (404, {"found": False})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, "forbidden"),
        (403, "forbidden"),
        (413, "too_large"),
        (429, "throttled"),
        (500, "server_error"),
        (502, "unavailable"),
        (503, "unavailable"),
        (504, "unavailable"),
    ],
)
def test_statuses_have_kinds_and_are_asked_once(node: Node, status: int, kind: str) -> None:
    stub = node(lambda _: Reply(status=status, body=b"<html>", headers={"content-type": "text/html"}))
    assert kind_of(lambda: cluster(stub.url).call("GET", "/")) == kind
    assert len(stub.requests) == 1


def test_retry_after_is_passed_on(node: Node) -> None:
    stub = node(lambda _: Reply(status=429, body=b"", headers={"retry-after": "17"}))
    with pytest.raises(TemporaryError) as failure:
        cluster(stub.url).call("GET", "/")
    assert failure.value.retry_after_seconds == 17.0


def test_a_redirect_is_not_followed_with_our_credentials(node: Node) -> None:
    elsewhere = node(lambda _: Reply())
    stub = node(lambda _: Reply(status=302, body=b"", headers={"location": elsewhere.url}))
    assert kind_of(lambda: cluster(stub.url, username="a", password="b").call("GET", "/")) == "redirected"
    assert elsewhere.requests == []


def test_an_answer_cut_in_the_middle_is_temporary(node: Node) -> None:
    stub = node(lambda _: Reply(body=b'{"errors": false', promised=500))
    assert kind_of(lambda: ClusterBulk(cluster(stub.url)).send(b"{}\n{}\n", ["a"])) == "unreachable"


def test_a_connection_cut_before_the_answer_is_temporary(node: Node) -> None:
    stub = node(lambda _: Reply(status=0))
    assert kind_of(lambda: cluster(stub.url).call("GET", "/")) == "unreachable"


def test_nobody_listening_is_temporary_and_names_the_host() -> None:
    url = closed_port()
    with pytest.raises(TemporaryError) as failure:
        cluster(url).call("GET", "/")
    assert failure.value.kind == "unreachable"
    assert url in str(failure.value)
    assert "Connection refused" in str(failure.value)
    assert "object at 0x" not in str(failure.value)


def test_silence_ends_at_the_clients_own_timeout(node: Node) -> None:
    release = threading.Event()

    def hang(_: Request) -> Reply:
        release.wait(30)
        return Reply()

    stub = node(hang)
    try:
        assert kind_of(lambda: cluster(stub.url, timeout_seconds=0.2).call("GET", "/")) == "timeout"
    finally:
        release.set()


def test_the_next_host_is_used_while_one_is_gone(node: Node) -> None:
    stub = node(lambda _: Reply())
    gone = closed_port()
    both = cluster(gone, stub.url)
    for _ in range(6):
        assert both.call("GET", "/") == {}
    assert len(stub.requests) == 6


def test_a_timeout_is_not_tried_on_the_next_host_for_nobody_knows_what_it_did(node: Node) -> None:
    release = threading.Event()
    stubs = []

    def hang(_: Request) -> Reply:
        release.wait(30)
        return Reply()

    try:
        stubs = [node(hang), node(hang)]
        assert (
            kind_of(lambda: cluster(*(stub.url for stub in stubs), timeout_seconds=0.2).call("POST", "/x")) == "timeout"
        )
        assert sum(len(stub.requests) for stub in stubs) == 1
    finally:
        release.set()


def test_a_tls_address_that_speaks_plain_http_says_so(node: Node) -> None:
    stub = node(lambda _: Reply())
    with pytest.raises(TemporaryError) as failure:
        cluster(stub.url.replace("http:", "https:")).call("GET", "/")
    assert failure.value.kind == "tls"
    assert "http://" in failure.value.remedy


def test_the_prefix_of_a_host_url_is_kept(node: Node) -> None:
    stub = node(lambda _: Reply())
    cluster(f"{stub.url}/search/es").call("GET", "/_cluster/health")
    assert stub.requests[0].path == "/search/es/_cluster/health"


def password_file(folder: Path, password: str) -> Path:
    path = folder / "password"
    path.write_text(f"{password}\n")
    return path


def test_a_rotated_password_file_is_picked_up_without_a_failed_request(node: Node, tmp_path: Path) -> None:
    good = "Basic YWdlbnQ6bmV3"  # agent:new
    stub = node(lambda request: Reply() if request.headers["authorization"] == good else Reply(401, b"Unauthorized"))
    path = password_file(tmp_path, "new")
    door = cluster(stub.url, username="agent", password_file=path)
    assert door.call("GET", "/") == {}
    path = password_file(tmp_path, "old")
    door = cluster(stub.url, username="agent", password_file=path)
    password_file(tmp_path, "new")
    assert door.call("GET", "/") == {}
    assert len(stub.requests) == 3


def test_requests_in_flight_together_all_survive_a_rotation(node: Node, tmp_path: Path) -> None:
    good = "Basic YWdlbnQ6bmV3"  # agent:new
    together = threading.Barrier(3)

    def reply(request: Request) -> Reply:
        if request.headers["authorization"] == good:
            return Reply()
        together.wait(30)
        return Reply(401, b"")

    stub = node(reply)
    path = password_file(tmp_path, "old")
    door = cluster(stub.url, username="agent", password_file=path)
    password_file(tmp_path, "new")
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(door.call("GET", "/"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [{}, {}, {}]


def test_a_wrong_password_is_tried_once_a_call_and_never_shown(
    node: Node, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stub = node(lambda _: Reply(401, b"bad: agent:hunter2", {"content-type": "text/plain"}))
    door = cluster(stub.url, username="agent", password_file=password_file(tmp_path, "hunter2"))
    with caplog.at_level(logging.DEBUG), pytest.raises(TemporaryError) as failure:
        door.call("POST", "/_bulk", body=b'{"secret": "in a row"}')
    assert failure.value.kind == "forbidden"
    assert "password_file" in failure.value.remedy
    assert len(stub.requests) == 1
    shown = f"{failure.value} {failure.value!r} {door!r} {caplog.text}"
    assert "hunter2" not in shown
    assert "in a row" not in shown
    assert "aHVudGVyMg" not in shown


def test_a_password_file_that_vanishes_during_a_rotation_keeps_the_old_password(node: Node, tmp_path: Path) -> None:
    stub = node(lambda _: Reply(401, b""))
    path = password_file(tmp_path, "old")
    door = cluster(stub.url, username="agent", password_file=path)
    path.unlink()
    assert kind_of(lambda: door.call("GET", "/")) == "forbidden"


def test_a_missing_password_file_at_start_is_a_matter_of_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        cluster("http://127.0.0.1:1", username="agent", password_file=tmp_path / "none")


def test_unusable_tls_files_are_a_matter_of_configuration(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(ConfigError) as failure:
            cluster("https://127.0.0.1:1", ca_file=tmp_path / name)
        assert name in str(failure.value)


def test_a_bulk_request_called_wrong_as_a_whole_blames_no_document(node: Node) -> None:
    body = orjson.dumps({"error": {"type": "illegal_argument_exception", "reason": "Malformed action"}, "status": 400})
    stub = node(lambda _: Reply(400, body))
    assert kind_of(lambda: ClusterBulk(cluster(stub.url)).send(b"{}\n{}\n", ["a"])) == "refused"


def test_names_cannot_leave_their_place_in_a_path() -> None:
    assert url_path("a/../b?x=1#y", "_doc", "shop:1") == "/a%2F..%2Fb%3Fx%3D1%23y/_doc/shop%3A1"
    assert url_path("a-*,b") == "/a-*,b"


def test_odd_values_of_a_context_can_still_be_written() -> None:
    assert dumped({"n": 2**80, "s": "\ud800"}) == b'{"n":1208925819614629174706176,"s":"\\ud800"}'
