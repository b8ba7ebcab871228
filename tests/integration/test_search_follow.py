"""Following: each row once, as it comes in, late ones too, until somebody interrupts."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.cli.app import Application
from agent.searching.follow import Follow
from tests.integration.searched import row
from tests.world import World

pytestmark = pytest.mark.integration


def test_following_returns_each_new_row_once(world: World) -> None:
    world.database.fill(50)
    assert world.run("setup").code == world.run("sync").code == 0
    world.refresh()
    _stamp(world, row_id=40, seconds=-3600)
    app = Application(world.config)
    query: dict[str, Any] = {"match_all": {}}
    following = Follow(app.search, query, watermark=50, row_of=lambda source: source)
    assert list(following.new_rows()) == []
    _ship(world, row(), row())
    assert sorted(each["id"] for each in following.new_rows()) == [51, 52]
    assert list(following.new_rows()) == []
    _stamp(world, row_id=20, seconds=5)
    assert list(following.new_rows()) == [], "an old row that is shipped again is not new"
    late = _document(world, 52) | {"id": 49_000}
    world.request("PUT", f"/{world.index}-2026.11/_doc/{world.instance}:49000?refresh=true", late)
    assert [each["id"] for each in following.new_rows()] == [49_000]


def test_follow_prints_rows_as_they_come_and_ends_with_ctrl_c(world: World) -> None:
    world.database.fill(30)
    assert world.run("setup").code == world.run("sync").code == 0
    world.refresh()
    process = world.start("search", "--follow", "--format", "ndjson", "--limit", "2")
    assert process.stdout is not None
    assert [json.loads(process.stdout.readline())["id"] for _ in range(2)] == [29, 30]
    _ship(world, row(detail="seen live"))
    assert json.loads(process.stdout.readline())["detail"] == "seen live"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in stderr


def _ship(world: World, *content: Any) -> None:
    world.database.insert(content)
    outcome = world.run("sync")
    assert outcome.code == 0, outcome.stderr
    world.refresh()


def _document(world: World, row_id: int) -> dict[str, Any]:
    (document,) = world.documents({"term": {"id": row_id}})
    return document


def _stamp(world: World, *, row_id: int, seconds: float) -> None:
    """Ship a row again, as far as the index can tell."""
    document = _document(world, row_id)
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    document["agent"]["indexed_at"] = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    partition = document["created_at"][:7].replace("-", ".")
    world.request("PUT", f"/{world.index}-{partition}/_doc/{world.instance}:{row_id}?refresh=true", document)
