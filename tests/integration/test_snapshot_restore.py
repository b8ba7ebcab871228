"""A cluster snapshot, everything wiped, the snapshot restored: the agent goes on and loses and doubles nothing.

Snapshot and restore are done with the very requests that docs/operations.md tells people to send.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.table import TABLE
from tests.integration.tailing import Watched, insert, until
from tests.integration.test_dead_letters_verbs import rejected
from tests.integration.test_tail_two_agents import versions
from tests.world import World

pytestmark = pytest.mark.integration
PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
REQUEST = re.compile(r"^ *(PUT|POST|DELETE) (/\S+)\n *(\{.*\})?", re.MULTILINE)


class Backup:
    """Snapshots of one world's corner of the cluster."""

    def __init__(self, world: World, repository: str) -> None:
        self.world = world
        self._repository = repository
        section = PAGE.read_text().partition("## What is backed up, and how is it restored?\n")[2].partition("\n## ")[0]
        self._requests = REQUEST.findall(section)
        assert [method for method, _, _ in self._requests] == ["PUT", "DELETE", "POST"]

    def take(self, name: str, indices: str | None = None) -> None:
        assert self._send(0, name, indices)["snapshot"]["state"] == "SUCCESS"

    def wipe(self) -> None:
        """Delete every index of the instance, and its templates too: a new cluster has none."""
        self._send(1, "", None)
        assert self.world.request("GET", f"/{self.world.index_prefix}*,{self.world.agent_prefix}*") == {}
        for prefix in (self.world.index_prefix, self.world.agent_prefix):
            self.world.request("DELETE", f"/_index_template/{prefix}*")
            self.world.request("DELETE", f"/_component_template/{prefix}*")

    def restore(self, name: str, indices: str | None = None) -> None:
        answer = self._send(2, name, indices)["snapshot"]
        assert answer["shards"]["failed"] == 0 < answer["shards"]["total"]

    def _send(self, number: int, name: str, indices: str | None) -> Any:
        method, path, body = self._requests[number]
        path = self._ours(path.replace("REPOSITORY", self._repository).replace("NAME", name))
        content: Any = json.loads(self._ours(body)) if body else None
        if indices is not None:
            assert content["indices"]
            content["indices"] = indices
        return self.world.request(method, path, content)

    def _ours(self, text: str) -> str:
        text = text.replace("impulse-audit", self.world.index_prefix)
        return text.replace("impulse-agent", self.world.agent_prefix)


@pytest.fixture
def backup(world: World) -> Iterator[Backup]:
    """Give a repository of the test's own in the folder the node may write snapshots to."""
    nodes = world.request("GET", "/_nodes/settings")["nodes"].values()
    folders = {folder for node in nodes for folder in node["settings"]["path"].get("repo", [])}
    if not folders:
        pytest.skip("the node has no path.repo")
    repository = f"repository-{world.instance}"
    location = str(Path(folders.pop()) / repository)
    world.request("PUT", f"/_snapshot/{repository}", {"type": "fs", "settings": {"location": location}})
    yield Backup(world, repository)
    world.remove()
    world.request("DELETE", f"/_snapshot/{repository}/*")
    world.request("DELETE", f"/_snapshot/{repository}")


def run(world: World, *arguments: str) -> Any:
    outcome = world.run(*arguments, "--json")
    assert outcome.code == 0, outcome.stdout + outcome.stderr
    return outcome.json


def goes_on(watched: Watched, verb: str) -> str:
    """Ship what there is with a daemon or a `sync`; return what was logged."""
    if verb == "sync":
        outcome = watched.world.run("sync")
        assert outcome.code == 0, outcome.stderr
        return outcome.stderr
    watched.start()
    watched.caught_up()
    return watched.stop()


def agree(watched: Watched) -> None:
    """Every row is one document, in one index, and says the same."""
    assert watched.ids() == watched.table_ids()
    assert watched.world.count() == watched.world.database.count()
    verified = run(watched.world, "verify", "--deep")
    assert {kind: verified[kind] for kind in ("missing", "orphan", "different")} == dict.fromkeys(
        ("missing", "orphan", "different"), 0
    )


@pytest.mark.parametrize("verb", [pytest.param("run", marks=pytest.mark.slow), "sync"])
def test_after_a_wipe_and_a_restore_the_agent_continues_without_loss_or_doubling(
    world: World, backup: Backup, verb: str
) -> None:
    watched = Watched(world)
    world.database.fill(300)
    world.database.execute(f"DELETE FROM {TABLE} WHERE id BETWEEN 100 AND 120")
    goes_on(watched, verb)
    backup.take("before")
    indices = set(world.request("GET", f"/{world.index}-*"))
    journaled = run(world, "journal", "--verify")
    insert(world.database, 50)
    goes_on(watched, verb)
    assert world.count() == 329
    backup.wipe()
    insert(world.database, 7)

    backup.restore("before")
    assert world.count() == 279
    assert {template["action"] for template in run(world, "setup")["templates"]} == {"created"}
    said = goes_on(watched, verb)

    agree(watched)
    assert "tail.rows_lost" not in said
    # What the snapshot held was not sent again, and what it did not hold was sent once.
    assert set(versions(world).values()) == {1}
    assert watched.state()["indexed_total"] == 336
    assert set(world.request("GET", f"/{world.index}-*")) == indices
    assert run(world, "journal", "--verify")["entries"] == journaled["entries"]
    # Restored partitions still take their part: the write aliases came back, and the rules of new fields with them.
    world.database.execute(f'UPDATE {TABLE} SET context = \'{{"unheard_of": {{"deep": 1}}}}\' WHERE id = 1')
    assert run(world, "backfill", "--from-id", "1", "--to-id", "1")["indexed"] == 1
    assert world.count({"term": {"context.unheard_of.deep": "1"}}) == 1
    agree(watched)


@pytest.mark.parametrize("verb", ["run", pytest.param("sync", marks=pytest.mark.slow)])
def test_a_state_that_goes_back_sends_rows_again_onto_their_own_documents(
    world: World, backup: Backup, verb: str
) -> None:
    watched = Watched(world)
    world.database.fill(100)
    goes_on(watched, verb)
    backup.take("before")
    insert(world.database, 40)
    goes_on(watched, verb)
    world.request("DELETE", f"/{world.agent_prefix}-*?expand_wildcards=all")

    backup.restore("before", f"{world.agent_prefix}-*")
    assert watched.progress().watermark == 100
    goes_on(watched, verb)

    agree(watched)
    assert versions(world) == {**dict.fromkeys(range(1, 101), 1), **dict.fromkeys(range(101, 141), 2)}


@pytest.mark.slow
def test_a_state_newer_than_the_documents_is_repaired_by_verify(world: World, backup: Backup) -> None:
    watched = Watched(world)
    world.database.fill(100)
    goes_on(watched, "sync")
    backup.take("documents")
    insert(world.database, 40)
    goes_on(watched, "sync")
    backup.take("state")
    backup.wipe()
    backup.restore("documents", f"{world.index_prefix}-*")
    backup.restore("state", f"{world.agent_prefix}-*")
    run(world, "setup")
    insert(world.database, 5)

    goes_on(watched, "run")

    assert watched.table_ids() - watched.ids() == set(range(101, 141))
    drift = world.run("verify", "--json")
    assert (drift.code, drift.json["missing"]) == (3, 40)
    run(world, "verify", "--repair")
    agree(watched)
    assert set(versions(world).values()) == {1}


@pytest.mark.slow
def test_a_snapshot_of_a_running_agent_is_whole_after_verify(world: World, backup: Backup) -> None:
    watched = Watched(world)
    world.write({"tail.batch_rows": 20})
    world.database.fill(3000)
    watched.start()
    until(lambda: watched.progress().frontier > 200, "it ships", told=watched.state)
    backup.take("meanwhile")
    behind = watched.progress().frontier < 3000
    watched.caught_up()
    watched.stop()
    backup.wipe()
    backup.restore("meanwhile")
    run(world, "setup")
    if not behind:
        print("the agent was done before the snapshot was: this run proves little")

    goes_on(watched, "run")

    run(world, "verify", "--repair")
    agree(watched)


@pytest.mark.slow
def test_a_pause_that_was_in_force_at_the_snapshot_is_in_force_after_it(world: World, backup: Backup) -> None:
    watched = Watched(world)
    watched.start()
    insert(world.database, 10)
    watched.caught_up()
    run(world, "pause", "tail", "--why", "snapshot")
    until(lambda: "snapshot" in watched.state()["reason"], "the daemon obeys", told=watched.state)
    backup.take("paused")
    run(world, "resume", "tail")
    insert(world.database, 5)
    watched.caught_up()
    watched.stop()
    backup.wipe()
    backup.restore("paused")
    run(world, "setup")

    watched.start()
    until(lambda: "snapshot" in str(watched.state().get("reason")), "it says why it waits", told=watched.state)
    watched.polls(5)
    assert watched.progress().frontier == 10
    run(world, "resume", "tail")
    watched.caught_up()
    watched.stop()

    agree(watched)
    assert set(versions(world).values()) == {1}


@pytest.mark.slow
def test_dead_letters_come_back_and_explain_what_the_index_lacks(world: World, backup: Backup) -> None:
    rejected(world, "UTC_TIMESTAMP()")
    backup.take("before")
    run(world, "dead-letters", "drop", "2", "--reason", "a test row")
    backup.wipe()
    backup.restore("before")
    run(world, "setup")

    goes_on(Watched(world), "sync")

    assert [letter["id"] for letter in run(world, "dead-letters", "list")["dead_letters"]] == [1, 2]
    assert run(world, "verify")["explained"] == {"dead_letter": 2}
    assert world.count() == 1
