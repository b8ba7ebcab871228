"""The fault proxies do what their names say: tests that stand on them mean something."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from tests.fakes.node import Reply, StubNode, stub_node
from tests.proxy import (
    BULK,
    Fault,
    HttpProxy,
    TcpProxy,
    answer,
    cut_answer,
    items,
    reset,
    swallow_answer,
    too_few_items,
)


@pytest.fixture
def node() -> Iterator[StubNode]:
    def reply(request: object) -> Reply:
        body = request.body  # type: ignore[attr-defined]
        actions = body.count(b"\n") // 2
        return Reply(body=json.dumps({"errors": False, "items": [{"index": {"status": 201}}] * actions}).encode())

    with stub_node(reply) as stub:
        yield stub


@pytest.fixture
def proxy(node: StubNode) -> Iterator[HttpProxy]:
    with HttpProxy(node.url) as made:
        yield made


def post(url: str, count: int = 3) -> list[int]:
    body = b"".join(b'{"index":{"_id":"%d"}}\n{"n":%d}\n' % (n, n) for n in range(count))
    with urlopen(Request(f"{url}/_bulk", data=body, headers={"content-type": "application/json"}), timeout=5) as got:
        return [item["index"]["status"] for item in json.loads(got.read())["items"]]


def test_requests_pass_until_a_fault_is_installed_and_again_when_it_is_used_up(proxy: HttpProxy) -> None:
    proxy.on(BULK, answer(429, headers={"Retry-After": "7"}), times=1)
    with pytest.raises(HTTPError) as refused:
        post(proxy.url)
    assert refused.value.headers["Retry-After"] == "7"
    refused.value.close()
    assert post(proxy.url) == [201, 201, 201]
    assert [seen.status for seen in proxy.requests] == [429, 200]


def test_failed_items_never_reach_the_node(proxy: HttpProxy, node: StubNode) -> None:
    proxy.on(BULK, items({1: (400, "mapper_parsing_exception", "no")}))
    assert post(proxy.url) == [201, 400, 201]
    assert b'"_id":"1"' not in node.requests[0].body
    assert b'"_id":"2"' in node.requests[0].body


def test_an_answer_can_be_short_of_items(proxy: HttpProxy) -> None:
    proxy.on(BULK, too_few_items(1))
    assert post(proxy.url) == [201, 201]


@pytest.mark.parametrize("fault", [swallow_answer(), cut_answer(5), reset(done=True)])
def test_a_lost_answer_was_done_all_the_same(proxy: HttpProxy, node: StubNode, fault: Fault) -> None:
    proxy.on(BULK, fault)
    with pytest.raises((OSError, HTTPException)):
        post(proxy.url)
    assert len(node.requests) == 1


def test_a_reset_reaches_the_client_as_one(proxy: HttpProxy) -> None:
    proxy.on(BULK, reset())
    with pytest.raises(ConnectionResetError), socket.create_connection(("127.0.0.1", int(proxy.url[-5:]))) as client:
        client.sendall(b"POST /_bulk HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        client.recv(10)


@pytest.fixture
def echo() -> Iterator[TcpProxy]:
    def reply(_request: object) -> Reply:
        return Reply(body=b"hello")

    with stub_node(reply) as stub, TcpProxy.to(stub.url) as proxy:
        yield proxy


def get(proxy: TcpProxy) -> bytes:
    with urlopen(proxy.url, timeout=0.3) as got:
        return bytes(got.read())


def test_bytes_pass(echo: TcpProxy) -> None:
    assert get(echo) == b"hello"
    assert echo.accepted == 1


def test_a_swallowed_connection_is_silent_for_good_and_a_new_one_works_after_healing(echo: TcpProxy) -> None:
    with socket.create_connection(("127.0.0.1", echo.port)) as old:
        old.settimeout(0.2)
        echo.swallow()
        with pytest.raises(TimeoutError):
            get(echo)
        echo.heal()
        old.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        with pytest.raises(TimeoutError):
            old.recv(1)
        assert get(echo) == b"hello"


def test_a_refused_connection_is_refused(echo: TcpProxy) -> None:
    echo.refuse()
    with pytest.raises(URLError, match="refused"):
        get(echo)
    echo.heal()
    assert get(echo) == b"hello"


def test_an_answer_is_cut(echo: TcpProxy) -> None:
    echo.cut_after(30)
    with socket.create_connection(("127.0.0.1", echo.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        received = b"".join(iter(lambda: client.recv(100), b""))
    assert len(received) == 30
