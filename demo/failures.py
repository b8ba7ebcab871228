"""Cron tasks that throw: the exceptions Core writes under the owning module's slug, as PHP words them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from demo.install import Install


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Describe one way a task fails; `{n}` in the message becomes a number."""

    module_slug: str
    task: str
    exception: str
    message: str


TIMED_OUT = Failure(
    module_slug="impulseminio",
    task="impulseminio_usage_sync",
    exception="GuzzleHttp\\Exception\\ConnectException",
    message="cURL error 28: Operation timed out after 10001 milliseconds with 0 bytes received (see "
    "https://curl.haxx.se/libcurl/c/libcurl-errors.html) for https://node-{n}.example.net:9099/v1/usage",
)

FAILURES = (
    TIMED_OUT,
    Failure(
        module_slug="impulseminio",
        task="impulseminio_alerts",
        exception="GuzzleHttp\\Exception\\ConnectException",
        message="cURL error 7: Failed to connect to node-{n}.example.net port 9099: Connection refused",
    ),
    Failure(
        module_slug="impulsedb-postgres",
        task="impulsepostgres_usage",
        exception="PDOException",
        message="SQLSTATE[08006] [7] connection to server at pg-{n}.example.net failed: FATAL: password authentication "
        "failed for user impulse\nDSN: pgsql://impulse:hunter2-{n}@pg-{n}.example.net:5432/postgres",
    ),
    Failure(
        module_slug="impulsecache",
        task="impulsecache_memory",
        exception="Impulse\\Cache\\ResizeException",
        message="422 invalid size: instance {n} asks for 96 MB, plan allows 64 MB",
    ),
    Failure(
        module_slug="impulsesearch",
        task="impulsesearch_health",
        exception="JsonException",
        message="Syntax error, malformed JSON in answer of index products_{n} – “überlang”",
    ),
    Failure(
        module_slug="impulseauth",
        task="impulseauth_tokens",
        exception="Impulse\\Auth\\TokenException",
        message="token rejected: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ7bn0ifQ.c2lnbmF0dXJlLWlzLW5vdC1yZWFs issued in {n}",
    ),
    Failure(
        module_slug="impulsecore",
        task="security_collect",
        exception="RuntimeException",
        message="collector of impulseminio took longer than 300 seconds on host {n}",
    ),
)


def context_of(failure: Failure, install: Install, *, attempt: int) -> dict[str, Any]:
    """Return the context of a cron.task_failed row; one in three carries the whole stack trace."""
    node = install.server()
    context = {
        "task": failure.task,
        "exception": failure.exception,
        "message": failure.message.replace("{n}", str(node)),
        "attempt": attempt if attempt % 2 else str(attempt),
        "duration_ms": 10_000 + install.number(500),
        "server": {"id": node},
        "file": f"/var/www/whmcs/modules/addons/{failure.module_slug}/lib/Cron/CronHandler.php",
        "line": 40 + install.number(300),
    }
    if install.rng.random() < 1 / 3:
        context["trace"] = _trace(failure, install)
    return context


def _trace(failure: Failure, install: Install) -> str:
    root = f"/var/www/whmcs/modules/addons/{failure.module_slug}"
    frames = [
        f"#{depth} {root}/lib/Step{depth}.php({20 + install.number(400)}): Impulse\\Service\\Step{depth}->run(Array)"
        for depth in range(8 + install.number(12))
    ]
    return "\n".join([*frames, f"#{len(frames)} {{main}}", "  thrown"])
