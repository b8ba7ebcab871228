"""The world of the integration tests: complete, on its own, and gone afterwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.world import Database, World

pytestmark = pytest.mark.integration


def test_a_world_ships_its_rows_into_its_own_corner(world: World, make_world: Callable[..., World]) -> None:
    world.database.fill(300)
    neighbour = make_world(world.database)
    setup = world.run("setup")
    assert setup.code == 0, setup.stderr
    assert world.count() == 0
    sync = world.run("sync", "--json")
    assert sync.code == 0, sync.stderr
    assert sync.json["indexed"] == 300
    assert world.count() == 300
    assert [document["id"] for document in world.documents(size=3)] == [1, 2, 3]
    assert neighbour.count() == 0
    world.remove()
    assert world.request("GET", f"/{world.index_prefix}*") == {}


@pytest.mark.slow
def test_twenty_thousand_rows_are_as_many_documents_whatever_is_repeated_or_forgotten(world: World) -> None:
    world.database.fill(20_000, days=120)
    state = f"/{world.agent_prefix}-state/_doc/{world.instance}?refresh=true"
    for forgotten, indexed in ((False, 20_000), (False, 0), (True, 20_000)):
        if forgotten:
            world.request("DELETE", state)
        assert world.run("sync", "--json").json["indexed"] == indexed
        assert world.count() == 20_000
    compared = world.run("verify", "--json").json
    counts = ("rows", "documents", "missing", "orphan", "different")
    assert [compared[key] for key in counts] == [20_000, 20_000, 0, 0, 0]


def test_a_made_user_has_only_its_grants(database: Database) -> None:
    url = database.create_user("SELECT ON {database}.mod_impulsecore_audit_log")
    assert url.endswith(f"/{database.name}")
    user = url.split("//")[1].split(":")[0]
    grants = " ".join(grant for (grant,) in database.execute(f"SHOW GRANTS FOR `{user}`@`%`"))
    assert "SELECT" in grants
    assert "INSERT" not in grants
