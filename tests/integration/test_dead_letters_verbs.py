"""Dead letters: kept with their reason, replayed after the fix, dropped with a word; an expired row is not replayed."""

from __future__ import annotations

import pytest

from tests.world import World

pytestmark = pytest.mark.integration
TABLE = "mod_impulsecore_audit_log"


def strict(world: World, *, yes: bool) -> None:
    """Make the template refuse what these rows hold, and have the indices created anew."""
    name = f"{world.index_prefix}-mappings"
    template = world.request("GET", f"/_component_template/{name}")["component_templates"][0]["component_template"]
    action = {"type": "long"} if yes else {"type": "keyword", "ignore_above": 1024}
    template["template"]["mappings"]["properties"]["action"] = action
    world.request("PUT", f"/_component_template/{name}", template)
    world.request("DELETE", f"/{world.index}-*")


def rejected(world: World, created_at: str) -> None:
    """Leave rows 1 and 2 as dead letters: the index takes numbers where they have words."""
    assert world.run("setup").code == 0
    strict(world, yes=True)
    for action in ("'word'", "'words'", "'17'"):
        world.database.execute(
            f"INSERT INTO {TABLE} (created_at, module_slug, source, action, severity) VALUES ({created_at}, 'm', 'cron', {action}, 'info')"
        )
    outcome = world.run("sync", "--json")
    assert outcome.code == 0, outcome.stderr
    assert (outcome.json["dead_letters"], outcome.json["indexed"]) == (2, 1)


def test_a_refused_row_is_kept_explained_replayed_and_cleared(world: World) -> None:
    rejected(world, "UTC_TIMESTAMP()")

    listed = world.run("dead-letters", "list", "--json").json
    assert listed["count"] == 2
    assert [letter["id"] for letter in listed["dead_letters"]] == [1, 2]
    shown = world.run("dead-letters", "show", "1", "--json").json
    assert shown["row"]["action"] == "word"
    assert "mapper_parsing_exception" in shown["reason"] or "failed to parse" in shown["reason"]
    assert world.run("explain", "1", "--json").json["state"] == "dead_letter"
    verified = world.run("verify", "--json")
    assert verified.code == 0, verified.stdout
    assert verified.json["explained"] == {"dead_letter": 2}

    again = world.run("dead-letters", "replay", "1", "--json")
    assert again.code == 1
    assert list(again.json["rejected"]) == ["1"]
    assert world.run("dead-letters", "show", "1", "--json").json["attempts"] > shown["attempts"]

    strict(world, yes=False)
    assert world.run("verify", "--repair").code == 0  # row 3 went with the index
    replayed = world.run("dead-letters", "replay", "--json")
    assert replayed.code == 0, replayed.stdout
    assert replayed.json["replayed"] == [1, 2]
    assert world.run("dead-letters", "list", "--json").json["count"] == 0
    assert world.run("verify", "--deep", "--json").json["explained"] == {}
    assert world.count() == 3


@pytest.mark.parametrize("again", ["backfill", "rewind"])
def test_a_refused_row_that_is_read_again_after_the_fix_is_a_dead_letter_no_longer(world: World, again: str) -> None:
    rejected(world, "UTC_TIMESTAMP()")
    strict(world, yes=False)
    if again == "backfill":
        assert world.run("backfill", "--from-id", "1", "--to-id", "3").code == 0
    else:
        assert world.run("checkpoint", "rewind", "--to-id", "0", "--yes").code == 0
        assert world.run("sync").code == 0

    assert world.run("status", "--json").json["dead_letters"] == 0
    assert [world.run("explain", str(row_id), "--json").json["state"] for row_id in (1, 2)] == ["indexed"] * 2
    assert world.run("verify", "--json").json["explained"] == {}
    assert world.count() == 3


def test_a_dropped_letter_is_journaled_and_explained(world: World) -> None:
    rejected(world, "UTC_TIMESTAMP()")
    assert world.run("dead-letters", "drop", "2").code == 2
    assert world.run("dead-letters", "drop", "2", "--reason", " ").code == 2

    dropped = world.run("dead-letters", "drop", "2", "--reason", "a test row", "--json")

    assert dropped.code == 0, dropped.stderr
    [entry] = [each for each in world.run("journal", "--json").json["entries"] if each["kind"] == "dead_letter_dropped"]
    assert (entry["what"]["id"], entry["what"]["reason"]) == (2, "a test row")
    assert world.run("dead-letters", "show", "2").code == 1
    world.database.execute(f"DELETE FROM {TABLE} WHERE id = 2")
    assert world.run("explain", "2", "--json").json["state"] == "dropped"


def test_an_expired_row_is_not_replayed(world: World) -> None:
    world.retention |= {"rows": {"days": 30}, "documents": {"days": 30}, "brakes": {"max_share": 1}}
    world.write()
    rejected(world, "UTC_TIMESTAMP() - INTERVAL 40 DAY")
    outcome = world.run("retain", "--execute")
    assert outcome.code == 0, outcome.stdout + outcome.stderr
    assert world.database.count() == 2, "dead letters keep their rows"
    strict(world, yes=False)

    replayed = world.run("dead-letters", "replay", "--json")

    assert replayed.code == 1
    assert sorted(replayed.json["refused"]) == ["1", "2"]
    assert "expired" in replayed.json["refused"]["1"]
    assert world.run("dead-letters", "list", "--json").json["count"] == 2
    assert world.count() == 0
