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


def test_a_made_user_has_only_its_grants(database: Database) -> None:
    url = database.create_user("SELECT ON {database}.mod_impulsecore_audit_log")
    assert url.endswith(f"/{database.name}")
    user = url.split("//")[1].split(":")[0]
    grants = " ".join(grant for (grant,) in database.execute(f"SHOW GRANTS FOR `{user}`@`%`"))
    assert "SELECT" in grants
    assert "INSERT" not in grants
