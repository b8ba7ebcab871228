"""The endpoint: three pages, two methods, and no client can hold it up."""

from __future__ import annotations

import http.client
import socket
import threading

import pytest

from agent.errors import ConfigError
from agent.observing.health import Verdict
from agent.observing.http import HttpServer

TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Facts:
    """Hold what the server is to tell."""

    healthy = Verdict(ok=True, reason="shipping")
    ready = Verdict(ok=False, reason="degraded: cluster\nthrottles")
    broken = False

    def metrics(self) -> bytes:
        if self.broken:
            raise RuntimeError("boom")
        return b"audit_agent_watermark 7\n"


@pytest.fixture
def facts():
    return Facts()


@pytest.fixture
def failures():
    return []


@pytest.fixture
def server(facts, failures):
    server = HttpServer(
        "127.0.0.1:0",
        metrics=facts.metrics,
        metrics_type=TYPE,
        healthy=lambda: facts.healthy,
        ready=lambda: facts.ready,
        failed=failures.append,
    )
    server.start()
    yield server
    server.close()


def ask(server, path, method="GET"):
    connection = http.client.HTTPConnection(server.address, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read(), response.headers
    finally:
        connection.close()


def test_port_zero_takes_a_free_port_and_says_which(server):
    host, port = server.address.split(":")
    assert host == "127.0.0.1"
    assert int(port) > 0


def test_metrics_are_served_with_their_type(server):
    status, body, headers = ask(server, "/metrics")
    assert (status, body, headers["Content-Type"]) == (200, b"audit_agent_watermark 7\n", TYPE)


def test_probes_answer_with_the_verdict_and_its_reason_on_one_line(server, facts):
    assert ask(server, "/healthz")[:2] == (200, b"shipping\n")
    assert ask(server, "/readyz")[:2] == (503, b"degraded: cluster\\nthrottles\n")
    facts.ready = Verdict(ok=True, reason="idle")
    facts.healthy = Verdict(ok=False, reason="stalled")
    assert ask(server, "/readyz?verbose")[:2] == (200, b"idle\n")
    assert ask(server, "/healthz")[:2] == (503, b"stalled\n")


def test_head_answers_like_get_without_a_body(server):
    status, body, headers = ask(server, "/metrics", "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", "24")


@pytest.mark.parametrize("path", ["/", "/metric", "/metrics/", "/../etc/passwd", "/healthz%00"])
def test_any_other_page_is_not_found(server, path):
    assert ask(server, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused(server, method):
    status, _, headers = ask(server, "/metrics", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_the_answer_does_not_tell_the_python_version(server):
    assert ask(server, "/metrics")[2]["Server"].strip() == "audit-agent"


def test_slow_clients_do_not_keep_others_out(server):
    slow = [socket.create_connection(server.address.split(":"), timeout=10) for _ in range(60)]
    try:
        for client in slow:
            client.sendall(b"GET /metrics HTT")
        assert ask(server, "/metrics")[0] == 200
        assert threading.active_count() < 60
    finally:
        for client in slow:
            client.close()


def test_requests_are_not_logged_and_a_vanishing_client_leaves_no_traceback(server, capsys, failures):
    ask(server, "/metrics")
    ask(server, "/nothing")
    with socket.create_connection(server.address.split(":"), timeout=10) as client:
        client.sendall(b"\x00\xff nonsense\r\n\r\n")
        client.recv(100)
    ask(server, "/metrics")
    captured = capsys.readouterr()
    assert (captured.out, captured.err, failures) == ("", "", [])


def test_an_error_while_answering_is_told_and_the_server_goes_on(server, facts, failures, capsys):
    facts.broken = True
    with pytest.raises(http.client.RemoteDisconnected):
        ask(server, "/metrics")
    assert [str(failure) for failure in failures] == ["boom"]
    facts.broken = False
    assert ask(server, "/metrics")[0] == 200
    assert capsys.readouterr().err == ""


def test_closing_frees_the_port_and_is_possible_before_the_start(server, facts):
    address = server.address
    server.close()
    with pytest.raises(ConnectionRefusedError):
        ask(server, "/metrics")
    again = HttpServer(
        address, metrics=facts.metrics, metrics_type=TYPE, healthy=lambda: facts.healthy, ready=lambda: facts.ready
    )
    assert again.address == address
    again.close()


@pytest.mark.parametrize("listen", ["127.0.0.1:99999", "127.0.0.1:http", "nonsense", "192.0.2.1:0", "127.0.0.1:-1"])
def test_an_address_that_cannot_be_bound_is_a_configuration_error(facts, listen):
    with pytest.raises(ConfigError, match=r"http\.listen"):
        HttpServer(
            listen, metrics=facts.metrics, metrics_type=TYPE, healthy=lambda: facts.healthy, ready=lambda: facts.ready
        )


def test_a_taken_port_is_a_configuration_error(server, facts):
    with pytest.raises(ConfigError, match=server.address):
        HttpServer(
            server.address,
            metrics=facts.metrics,
            metrics_type=TYPE,
            healthy=lambda: facts.healthy,
            ready=lambda: facts.ready,
        )
