"""Fault proxies: what networks and clusters do to a client, on demand.

    with TcpProxy.to(database.url) as proxy:          bytes, in front of MySQL or OpenSearch
        world.write({"source.url": proxy.url})
        proxy.swallow()        every connection, open or new, goes silent for good: no answer, no close
        proxy.reset()          every connection, open or new, is reset (RST)
        proxy.refuse()         open ones are reset, new ones are refused: nobody listens
        proxy.delay(0.2)       every piece of an answer comes that much later
        proxy.cut_after(100)   each connection is closed after so many more bytes of answers
        proxy.heal()           new connections work again; the silent ones stay silent, as behind a dead NAT
        proxy.accepted         how many connections there have been

    with HttpProxy(opensearch_url) as proxy:          requests, in front of OpenSearch
        world.write({"opensearch.hosts": [proxy.url]})
        fault = proxy.on(BULK, answer(503))                      until proxy.clear() or fault.stop()
        proxy.on(BULK, answer(429, headers={"Retry-After": "2"}), times=3)
        proxy.on(BULK, items({0: (400, "mapper_parsing_exception", "no"), 5: (503, "x", "y")}), times=1)
        proxy.on(BULK, too_few_items(1), times=1)
        proxy.on(anything, html())
        proxy.on(BULK, swallow_answer())       it is done, but the client never hears of it (connection closed)
        proxy.on(BULK, cut_answer(20))         the answer ends in mid-body
        proxy.on(BULK, silence())              it isn't done, and nothing is heard for ever
        proxy.on(BULK, drip())                 the answer goes on and on and never ends
        proxy.on(BULK, lengthened(7))          the answer is not as long as it says
        proxy.on(BULK, reordered()), proxy.on(BULK, other_ids())           items about other documents
        proxy.on(BULK, unflagged({0: …}))      as `items`, under the flag that all went well
        proxy.on(BULK, zipped()), proxy.on(BULK, slow(0.5)), proxy.on(BULK, reset())
        proxy.on(writes_to("-state"), answer(403))
        HttpProxy(opensearch_url, tls=context)     speaks TLS to the client, with what the context holds by then
        proxy.requests         [Seen(at, method, path, size, status)] of all, status 0 where none was sent

A fault is a callable `(request, forward) -> Reply | None`: `forward(body=None)` asks the real node (with another body
if given) and returns its Reply; None closes the connection without an answer. The first fault that matches and has
`times` left answers; without any the request passes. Items that `items` fails are not sent to the node.
"""

from __future__ import annotations

from tests.proxy.faults import (
    BULK,
    answer,
    anything,
    cut_answer,
    drip,
    html,
    items,
    lengthened,
    other_ids,
    path,
    reordered,
    reset,
    silence,
    slow,
    swallow_answer,
    too_few_items,
    unflagged,
    writes_to,
    zipped,
)
from tests.proxy.http import Asked, Fault, Forward, HttpProxy, Installed, Match, Reply, Seen
from tests.proxy.tcp import TcpProxy

__all__ = [
    "BULK",
    "Asked",
    "Fault",
    "Forward",
    "HttpProxy",
    "Installed",
    "Match",
    "Reply",
    "Seen",
    "TcpProxy",
    "answer",
    "anything",
    "cut_answer",
    "drip",
    "html",
    "items",
    "lengthened",
    "other_ids",
    "path",
    "reordered",
    "reset",
    "silence",
    "slow",
    "swallow_answer",
    "too_few_items",
    "unflagged",
    "writes_to",
    "zipped",
]
