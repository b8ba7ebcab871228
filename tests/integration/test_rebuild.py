"""Rebuild: old partitions get today's types while writers go on; interrupted anywhere, repeated, nothing is lost."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.cli.app import Application
from agent.cli.rebuild import _rebuilt
from agent.errors import TemporaryError
from agent.mysql.lease import Lease
from agent.opensearch.reindex import Rebuild
from tests.integration.drift import contents
from tests.world import World

pytestmark = pytest.mark.integration
TABLE = "mod_impulsecore_audit_log"
WITHIN_THE_BUDGET = 400
STATS = {"size": 0, "aggs": {"spent": {"stats": {"field": "context.spent_ms"}}}}


def with_durations(world: World, rows: int) -> str:
    """Ship rows whose `spent_ms` is text or number, of this month; return the partition's name."""
    values = ",".join(
        f"(UTC_TIMESTAMP(), 'm', 'cron', 'a.b', 'info', '{{\"spent_ms\": {number if number % 2 else chr(34) + str(number) + chr(34)}}}')"
        for number in range(1, rows + 1)
    )
    world.database.execute(
        f"INSERT INTO {TABLE} (created_at, module_slug, source, action, severity, context) VALUES {values}"
    )
    assert world.run("sync").code == 0
    return datetime.now(UTC).strftime("%Y.%m")


def typed(world: World) -> None:
    """Turn the field into a number, as a person would."""
    world.context_fields["types"]["spent_ms"] = "long"
    world.write()


def indices(world: World) -> list[str]:
    return sorted(world.request("GET", f"/{world.index}-*"))


def places(documents: dict[tuple[str, str], Any]) -> dict[str, Any]:
    """Return documents by `_id`, whatever index they are in."""
    return {key: document for (_, key), document in documents.items()}


def test_an_old_partition_answers_native_aggregations_afterwards(world: World) -> None:
    partition = with_durations(world, 400)
    before = contents(world)
    typed(world)

    outcome = world.run("rebuild", "--partition", partition, "--json")

    assert outcome.code == 0, outcome.stderr
    [done] = outcome.json["partitions"]
    assert (done["documents"], done["reshipped"], done["resumed"]) == (400, 0, False)
    assert indices(world) == [f"{world.index}-{partition}-000002"]
    assert places(contents(world)) == places(before)
    spent = world.request("POST", f"/{world.index}/_search", STATS)["aggregations"]["spent"]
    assert (spent["count"], spent["sum"]) == (400, 400 * 401 / 2)
    assert world.run("sync").code == 0
    assert world.run("verify", "--deep").code == 0
    field = next(each for each in world.run("fields", "--json").json["fields"] if each["path"] == "spent_ms")
    assert (field["type"], field["differs_in"]) == ("long", {})


@pytest.mark.slow
def test_all_partitions_are_rebuilt_one_after_the_other(world: World) -> None:
    world.database.fill(600)
    assert world.run("sync").code == 0
    old = indices(world)
    assert len(old) > 2

    outcome = world.run("rebuild", "--all")

    assert outcome.code == 0, outcome.stderr
    assert indices(world) == [index[:-1] + "2" for index in old]
    assert world.run("verify", "--deep").code == 0


def test_no_document_is_lost_while_a_writer_goes_on(world: World) -> None:
    partition = with_durations(world, 1500)
    typed(world)
    daemon = world.start("run")
    stop = threading.Event()
    written = []

    def write() -> None:
        other = world.database.connect()
        while not stop.is_set():
            with other.cursor() as cursor:
                values = ",".join([f"(UTC_TIMESTAMP(), 'm', 'cron', 'late', '{{\"k{len(written)}\": 1}}')"] * 50)
                cursor.execute(
                    f"INSERT INTO {TABLE} (created_at, module_slug, source, action, context) VALUES {values}"
                )
                other.commit()
            written.append(50)
            stop.wait(0.1)
        other.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        time.sleep(1)
        outcome = world.run("rebuild", "--partition", partition, "--json")
    finally:
        stop.set()
        writer.join()
    assert outcome.code == 0, outcome.stderr
    daemon.terminate()
    _, stderr = daemon.communicate(timeout=60)
    assert world.run("sync").code == 0, stderr

    report = world.run("verify", "--deep", "--json")
    assert report.code == 0, report.stdout
    assert report.json["documents"] == 1500 + sum(written) == world.database.count()
    # Paths that were mapped while the copy ran are searchable in the new index too, as far as there was room for them.
    for number in (0, min(len(written), WITHIN_THE_BUDGET) - 1):
        found = world.count({"term": {f"context.k{number}": "1"}})
        assert found == 50, number


class KilledError(Exception):
    """The process died here."""


@pytest.mark.parametrize(
    "at", ["swap", *(pytest.param(at, marks=pytest.mark.slow) for at in ("copy", "seal", "unequal", "drop"))]
)
def test_killed_anywhere_and_repeated_the_result_is_the_same(
    world: World, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = with_durations(world, 300)
    before = contents(world)
    typed(world)

    def killed(*_arguments: object, **_named: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Rebuild, at, killed)
        with pytest.raises(KilledError):
            _rebuilt(Application(world.config), partition, lambda _seconds: None)
    # Rows that come between the two runs are shipped to whichever index the alias names by then.
    world.database.execute(f"INSERT INTO {TABLE} (module_slug, source, action) VALUES ('m', 'cron', 'between')")
    assert world.run("sync").code == 0

    outcome = world.run("rebuild", "--partition", partition, "--json")

    assert outcome.code == 0, outcome.stderr
    assert indices(world) == [f"{world.index}-{partition}-000002"]
    after = places(contents(world))
    assert {key: after[key] for key in places(before)} == places(before)
    assert len(after) == 301
    assert world.run("verify", "--deep").code == 0


def test_the_copy_of_a_killed_run_cannot_make_the_new_index_without_its_fields(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy goes on in the cluster after its process is gone, and a write to an index that is dropped makes it again."""
    partition = with_durations(world, 100)
    typed(world)
    left_behind = f"{world.index}-{partition}-000002"
    app = Application(world.config)
    Rebuild(app.cluster, app.names, app.partitions).create_next(partition, app.partitions.listed()[0], {})
    original, writes = Rebuild.drop, iter(range(3))

    def drop(self: Rebuild, index: str) -> None:
        original(self, index)
        if index == left_behind and next(writes, None) is not None:
            world.request("PUT", f"/{left_behind}/_doc/{world.instance}:1", {"id": 1})

    monkeypatch.setattr(Rebuild, "drop", drop)
    done = _rebuilt(app, partition, lambda _seconds: None)

    assert (done.documents, done.index) == (100, left_behind)
    spent = world.request("POST", f"/{world.index}/_search", STATS)["aggregations"]["spent"]
    assert spent["sum"] == 100 * 101 / 2
    assert world.run("verify", "--deep").code == 0


def arrives_with_a_path_of_its_own(world: World) -> None:
    world.database.execute(
        f"INSERT INTO {TABLE} (created_at, module_slug, source, action, severity, context) "
        "VALUES (UTC_TIMESTAMP(), 'm', 'cron', 'a.b', 'info', '{\"met_late\": 7}')"
    )
    assert world.run("sync").code == 0


@pytest.mark.parametrize("cut_off", [False, True], ids=["at once", "after a run that was cut off"])
def test_a_path_first_met_while_the_copy_runs_is_searchable_in_the_new_index(
    world: World, monkeypatch: pytest.MonkeyPatch, cut_off: bool
) -> None:
    """Its document is copied before the new index maps the path, and mapping it afterwards alone would not find it."""
    partition = with_durations(world, 50)
    typed(world)
    create, seal, cuts = Rebuild.create_next, Rebuild.seal, iter([cut_off])

    def create_next(self: Rebuild, *arguments: Any) -> str:
        name = create(self, *arguments)
        arrives_with_a_path_of_its_own(world)
        return name

    def cut_off_once(self: Rebuild, index: str) -> None:
        if next(cuts, False):
            raise TemporaryError("cut off")
        seal(self, index)

    monkeypatch.setattr(Rebuild, "create_next", create_next)
    monkeypatch.setattr(Rebuild, "seal", cut_off_once)
    app = Application(world.config)
    if cut_off:
        with pytest.raises(TemporaryError, match="cut off"):
            _rebuilt(app, partition, lambda _seconds: None)
    done = _rebuilt(app, partition, lambda _seconds: None)

    assert (done.documents, done.resumed) == (51, cut_off)
    assert world.count({"term": {"context.met_late": "7"}}) == 1
    assert world.count({"range": {"context.met_late.number": {"gte": 7}}}) == 1
    assert world.run("verify", "--deep").code == 0


def test_what_the_old_index_lacks_is_shipped_from_the_table(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that silently leaves documents behind is noticed before the old index goes."""
    partition = with_durations(world, 200)

    monkeypatch.setattr(Rebuild, "copy", lambda *_arguments, **_named: None)
    done = _rebuilt(Application(world.config), partition, lambda _seconds: None)

    assert (done.documents, done.reshipped) == (200, 200)
    assert world.run("verify", "--deep").code == 0


def test_documents_without_a_row_keep_the_old_index_until_they_are_copied(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = with_durations(world, 50)
    world.database.execute(f"DELETE FROM {TABLE} WHERE id < 10")

    with monkeypatch.context() as patch:
        patch.setattr(Rebuild, "copy", lambda *_arguments, **_named: None)
        with pytest.raises(TemporaryError, match="lacks documents"):
            _rebuilt(Application(world.config), partition, lambda _seconds: None)
    assert len(indices(world)) == 2

    assert world.run("rebuild", "--partition", partition).code == 0
    assert world.count() == 50


def test_a_partition_that_does_not_exist_is_named(world: World) -> None:
    world.database.fill(5)
    assert world.run("sync").code == 0

    outcome = world.run("rebuild", "--partition", "1999.01")

    assert outcome.code == 1
    assert "1999.01" in outcome.stderr
    assert world.run("rebuild").code == 2
    assert world.run("rebuild", "--all", "--partition", "2026.01").code == 2


def test_two_rebuilds_at_once_are_refused(world: World) -> None:
    world.database.fill(5)
    assert world.run("sync").code == 0
    app = Application(world.config)
    lease = Lease(app.database, f"{app.instance}:rebuild")
    assert lease.acquire()

    outcome = world.run("rebuild", "--all")

    lease.release()
    assert outcome.code == 1
    assert "under way" in outcome.stderr
