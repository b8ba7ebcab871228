"""A process that dies at any effect of a run, on real servers: the next run ends as an undisturbed one would have."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.cli.app import Application
from agent.cli.line import Line
from agent.cli.retaining import Retaining
from agent.config.retention import RetentionSettings
from agent.opensearch.journal import ClusterJournal
from agent.opensearch.state import ClusterState
from agent.retention.journal import Journal, verify
from agent.retention.ledger import LedgerStore, ledger_name
from agent.retention.run import Retention
from agent.retention.slices import drive
from demo.table import TABLE
from tests.fakes.retention import Crash, CrashAt
from tests.integration.retention_world import aged, ids, insert_raw
from tests.unit.retention.test_run import archived_ids
from tests.unit.retention.world import counted
from tests.world import World

pytestmark = [pytest.mark.integration, pytest.mark.slow]

POLICY = RetentionSettings.model_validate(
    {
        "rows": {"days": 45},
        "documents": {"days": 45},
        "rules": [
            {"name": "errors", "match": {"severity": "error"}, "rows": {"days": 105}, "documents": {"days": 105}}
        ],
        "brakes": {"max_share": 1},
        "on_source_delete": "mirror",
    }
)
ROWS = 12


class Dying:
    """A store of which some calls are effects, and places to die at: before them and after them."""

    def __init__(self, store: Any, effect: Callable[[str], None], *effects: str) -> None:
        self._store = store
        self._effect = effect
        self._effects = effects

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)
        if name not in self._effects:
            return call

        def dying(*arguments: Any, **options: Any) -> Any:
            self._effect(name)
            result = call(*arguments, **options)
            self._effect(f"{name} done")
            return result

        return dying


class Place:
    """Twelve rows of 120 to 10 days, indexed; the youngest was purged by Core."""

    def __init__(self, world: World, crash: CrashAt) -> None:
        self.world = world
        self._forget()
        world.database.execute(f"TRUNCATE TABLE `{TABLE}`")
        severities = ["error" if number % 4 == 0 else "info" for number in range(ROWS)]
        insert_raw(world.database, [aged(120 - 10 * n, severity=kind) for n, kind in enumerate(severities)])
        self.app = Application(world.config)
        self.app.make_ready()
        line = Line(self.app)
        line.shipper.ship(self.app.rows.after(0, 100).rows, 1 << 20)
        world.refresh()
        world.database.execute(f"DELETE FROM `{TABLE}` WHERE id = {ROWS}")
        self._crash = crash

    def _forget(self) -> None:
        """Take away what the last run wrote down; its documents are written over."""
        path = f"/{self.world.agent_prefix}-*/_delete_by_query?refresh=true&conflicts=proceed&allow_no_indices=true"
        self.world.request("POST", path, {"query": {"match_all": {}}})
        shutil.rmtree(self.world.folder / self.world.instance, ignore_errors=True)

    def execute(self) -> None:
        """Run as a process would that has just been started."""
        app, crash = self.app, self._crash
        archive = {"enabled": True, "directory": str(self.world.folder), "format": "ndjson"}
        settings = POLICY.model_copy(update={"archive": POLICY.archive.model_validate(archive)})
        retaining = Retaining(app, settings, "")
        state = ClusterState(app.cluster, app.names.state, ledger_name(app.instance))
        journal = ClusterJournal(app.cluster, app.names.journal, app.instance)
        retention: Retention = replace(
            retaining.retention,
            rows=Dying(retaining.rows, crash, "delete"),
            documents=Dying(retaining.documents, crash, "drop", "delete", "delete_ids"),
            ledger=LedgerStore(Dying(state, crash, "write")),  # type: ignore[arg-type]
            journal=Journal(Dying(journal, crash, "append"), instance=app.instance),  # type: ignore[arg-type]
            chunk_rows=2,
            lease_held=lambda: True,
        )
        drive(
            retention.execute(
                retaining.rules(), watermark=ROWS, who="test", config_digest="", by_person=True, release_brake=True
            ),
            lambda _seconds: False,
        )

    def outcome(self) -> dict[str, Any]:
        """Return everything that must not depend on where a process died."""
        entries = [entry for entry in self.app.journal.entries() if entry["kind"] == "retention"]
        totals: dict[str, int] = {}
        for what in (entry["what"] for entry in entries):
            for side in ("rows", "documents"):
                for rule, each in what[side].items():
                    totals[f"{side} {rule}"] = totals.get(f"{side} {rule}", 0) + each["deleted"]
            totals["mirrored"] = totals.get("mirrored", 0) + what["mirrored"]
        archived = archived_ids_of(self.world)
        return {
            "rows": ids(self.world.database),
            "documents": {document["id"] for document in self.world.documents()},
            "archived": archived,
            "counted": totals,
            "dropped": sorted(name for entry in entries for name in entry["what"]["dropped_partitions"]),
            "chain": verify(self.app.journal.entries()).intact,
            "left behind": [
                path.name for path in self.world.folder.rglob("*") if path.suffix in (".undeleted", ".part")
            ],
        }


def archived_ids_of(world: World) -> list[int]:
    link = world.folder / "whmcs"
    if not link.exists():
        link.symlink_to(world.folder / world.instance)
    return archived_ids(world.folder)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the dead leave their files open
def test_a_crash_at_any_effect_on_real_servers_converges(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    crash = CrashAt()
    for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink")):
        monkeypatch.setattr(owner, name, counted(getattr(owner, name), crash, name))
    quiet = Place(world, crash)
    crash.names = []
    quiet.execute()
    names, expected = list(crash.names), quiet.outcome()
    assert expected["archived"] == [1, 2, 3, 4, 6, 7, 8] and expected["counted"]["mirrored"] == 1
    assert {"delete done", "drop done", "delete_ids done", "append done", "fsync done"} < set(names)

    for number in range(1, len(names) + 1):
        place = Place(world, crash)
        crash.number, crash.names = number, []
        with pytest.raises(Crash):
            place.execute()
        crash.number = None
        place.execute()
        assert place.outcome() == expected, f"{number}: {names[number - 1]}"
