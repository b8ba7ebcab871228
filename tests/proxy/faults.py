"""What a cluster, or something in front of it, answers instead of what it should; and which requests it is done to."""

from __future__ import annotations

import gzip
import json
import random
import re
import threading
import time
from collections.abc import Mapping

from tests.proxy.http import RESET, Asked, Fault, Forward, Match, Reply

_JSON = {"content-type": "application/json; charset=UTF-8"}


def anything(_asked: Asked) -> bool:
    """Match every request."""
    return True


def writes_to(part: str) -> Match:
    """Match requests that may write and whose path holds `part`."""
    return lambda asked: asked.method in ("PUT", "POST", "DELETE") and part in asked.path


def path(pattern: str) -> Match:
    """Match by a regular expression on the path."""
    return lambda asked: re.search(pattern, asked.path) is not None


BULK = path(r"^/_bulk")
"""The bulk requests that carry documents."""


def answer(status: int, body: object = None, *, headers: Mapping[str, str] | None = None) -> Fault:
    """Answer a status at once; nothing is done. A body that is bytes is sent as it is."""
    text = {"error": {"type": f"fault_{status}", "reason": "by the test"}, "status": status} if body is None else body
    data = text if isinstance(text, bytes) else json.dumps(text).encode()
    return lambda _asked, _forward: Reply(status, data, {**_JSON, **(headers or {})})


def html(status: int = 200) -> Fault:
    """Answer a web page, as login portals and load balancers do."""
    page = b"<!DOCTYPE html><html><body>Sign in</body></html>"
    return lambda _asked, _forward: Reply(status, page, {"content-type": "text/html"})


def swallow_answer() -> Fault:
    """Do it, and close the connection without a word."""

    def fault(_asked: Asked, forward: Forward) -> None:
        forward()

    return fault


def cut_answer(after_bytes: int) -> Fault:
    """Do it, and break the answer off in mid-body."""

    def fault(_asked: Asked, forward: Forward) -> Reply:
        reply = forward()
        return Reply(reply.status, reply.body[:after_bytes], reply.headers, promised=len(reply.body) + 1)

    return fault


def drip(seconds: float = 0.1) -> Fault:
    """Do it, and send an answer that goes on and on, a byte at a time, and never ends."""

    def fault(_asked: Asked, forward: Forward) -> Reply:
        reply = forward()
        return Reply(reply.status, reply.body[:-1], reply.headers, promised=1 << 20, drip_seconds=seconds)

    return fault


def lengthened(by: int) -> Fault:
    """Do it, and promise a body longer (or shorter) than what is sent, on a connection that stays open."""

    def fault(_asked: Asked, forward: Forward) -> Reply:
        reply = forward()
        return Reply(reply.status, reply.body, reply.headers, promised=len(reply.body) + by)

    return fault


def zipped(*, damaged: bool = False) -> Fault:
    """Do it, and answer in gzip, though nobody said it may."""

    def fault(_asked: Asked, forward: Forward) -> Reply:
        reply = forward()
        data = gzip.compress(reply.body)
        return Reply(
            reply.status, data[: len(data) // 2] if damaged else data, {**reply.headers, "content-encoding": "gzip"}
        )

    return fault


def reordered(seed: int | None = None) -> Fault:
    """Do it all, but answer for the items in another order: shuffled by a seed, else backwards."""

    def fault(_asked: Asked, forward: Forward) -> Reply:
        reply = forward()
        told = json.loads(reply.body)
        if seed is None:
            told["items"].reverse()
        else:
            random.Random(seed).shuffle(told["items"])
        return Reply(reply.status, json.dumps(told).encode(), _JSON)

    return fault


def other_ids() -> Fault:
    """Do nothing, and answer as if other documents had been sent."""

    def fault(asked: Asked, _forward: Forward) -> Reply:
        told = [{"index": {"_id": f"other:{n}", "result": "created", "status": 201}} for n in range(_count(asked.body))]
        return Reply(200, json.dumps({"errors": False, "items": told}).encode(), _JSON)

    return fault


def unflagged(failures: Mapping[int, tuple[int, str, str]]) -> Fault:
    """Fail single items, but say above them that there are no errors."""

    def fault(asked: Asked, forward: Forward) -> Reply | None:
        reply = items(failures)(asked, forward)
        assert reply
        return Reply(200, reply.body.replace(b'"errors": true', b'"errors": false'), _JSON)

    return fault


def silence(seconds: float = 3600) -> Fault:
    """Do nothing and say nothing for so long."""

    def fault(_asked: Asked, _forward: Forward) -> None:
        threading.Event().wait(seconds)

    return fault


def slow(seconds: float) -> Fault:
    """Do it, later."""

    def fault(_asked: Asked, forward: Forward) -> Reply:
        time.sleep(seconds)
        reply: Reply = forward()
        return reply

    return fault


def reset(*, done: bool = False) -> Fault:
    """Reset the connection; with `done`, after the request was carried out."""

    def fault(_asked: Asked, forward: Forward) -> Reply:
        if done:
            forward()
        return Reply(RESET, b"")

    return fault


def items(failures: Mapping[int, tuple[int, str, str]]) -> Fault:
    """Fail single items of a bulk request, by position: (status, error type, reason). The others are done."""

    def fault(asked: Asked, forward: Forward) -> Reply:
        actions = _actions(asked.body)
        passing = [lines for position, lines in enumerate(actions) if position not in failures]
        done = iter(json.loads(forward(b"".join(passing)).body)["items"] if passing else ())
        told = [
            _failed(*failures[position]) if position in failures else next(done) for position in range(len(actions))
        ]
        return Reply(200, json.dumps({"errors": bool(failures), "items": told}).encode(), _JSON)

    return fault


def too_few_items(missing: int = 1) -> Fault:
    """Do it all, but answer for fewer items than were sent."""

    def fault(_asked: Asked, forward: Forward) -> Reply:
        reply = forward()
        told = json.loads(reply.body)
        told["items"] = told["items"][:-missing]
        return Reply(reply.status, json.dumps(told).encode(), _JSON)

    return fault


def _count(body: bytes) -> int:
    return len(_actions(body))


def _actions(body: bytes) -> list[bytes]:
    """Cut a bulk body of index actions into its pairs of lines."""
    lines = body.split(b"\n")[:-1]
    return [lines[n] + b"\n" + lines[n + 1] + b"\n" for n in range(0, len(lines), 2)]


def _failed(status: int, error_type: str, reason: str) -> dict[str, object]:
    result: dict[str, object] = {"status": status}
    if status >= 300:
        result["error"] = {"type": error_type, "reason": reason}
    return {"index": result}
