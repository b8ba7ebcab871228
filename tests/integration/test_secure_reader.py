"""The reader's account searches and does nothing else, asked directly or through any verb."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.integration.secure_install import READER, Install
from tests.integration.secured import Account, asked, call, secured

pytestmark = [pytest.mark.integration, pytest.mark.secured]


@pytest.fixture(scope="module", autouse=True)
def _node() -> None:
    secured()


def test_the_reader_searches_and_nothing_else(standing: Install) -> None:
    """Its account asks the cluster directly: what a person could try with curl."""
    index = f"impulse-audit-{standing.world.instance}"
    standing.world.refresh()
    reader = Account("reader-under-test", READER)
    try:
        assert asked("POST", f"/{index}/_search", {"query": {"match_all": {}}}, user=reader.name)[0] == 200
        assert call("POST", f"/{index}/_count", user=reader.name)["count"] > 0
        searched_as(standing, reader)
        refusals = {
            f"{method} {path}": asked(method, path, body, user=reader.name)[0]
            for method, path, body in forbidden_to_readers(index, standing.world.instance)
        }
    finally:
        reader.remove()
    assert set(refusals.values()) == {403}, refusals
    assert standing.in_process("verify")[0] == 0


# Each verb that changes something, somewhere, for whoever may.
CHANGING = [
    ["setup"],
    ["sync"],
    ["sync", "--restart"],
    ["retain", "--execute", "--release-brake"],
    ["verify", "--repair", "--delete-orphans"],
    ["backfill"],
    ["rebuild", "--all"],
    ["pause", "tail", "--why", "a test"],
    ["resume", "tail"],
    ["dead-letters", "replay"],
    ["dead-letters", "drop", "70", "--reason", "a test"],
    ["checkpoint", "rewind", "--to-id", "1", "--yes"],
]


@pytest.mark.slow
def test_with_the_readers_account_no_verb_changes_anything_on_either_side(
    standing: Install,
) -> None:
    world = standing.world
    reader = Account("reader-of-verbs", READER)
    before = kept(standing)
    told = {}
    try:
        world.write({"opensearch.username": reader.name})
        for verb in CHANGING:
            outcome = world.run(*verb)
            told[" ".join(verb)] = (outcome.code, outcome.stderr.strip().splitlines()[-1:])
        daemon = world.start("run")
        time.sleep(5)
        daemon.terminate()
        daemon.communicate(timeout=60)
    finally:
        world.write({"opensearch.username": standing.account.name})
        reader.remove()
    assert kept(standing) == before
    wrong = {verb: said for verb, said in told.items() if said[0] == 0 or "OpenSearch denies" not in "".join(said[1])}
    assert wrong == {}


def kept(install: Install) -> dict[str, Any]:
    """Return all that an agent could change: the rows, the documents, the state, the journal, the templates."""
    world = install.world
    world.refresh()
    found = call("POST", "/impulse-*/_search?size=1000&version=true", {"query": {"match_all": {}}})["hits"]["hits"]
    return {
        "rows": world.database.count(),
        "documents": sorted((hit["_index"], hit["_id"], hit["_version"]) for hit in found),
        "indices": sorted(call("GET", "/impulse-*")),
        "templates": call("GET", "/_index_template/impulse-*"),
    }


def searched_as(install: Install, reader: Account) -> None:
    """Search with the command line on the reader's account; what that account cannot know is said."""
    install.world.write({"opensearch.username": reader.name})
    try:
        for verb in (["search", "--text", "d"], ["top", "--by", "action"], ["actions"]):
            code, output, error = install.in_process(*verb, "--last", "60d", "--json")
            assert code == 0, (verb, error)
        assert json.loads(output)["actions"]
        assert install.in_process("status")[2].count("indices:data/read/get") == 1
    finally:
        install.world.write({"opensearch.username": install.account.name})


def forbidden_to_readers(index: str, instance: str) -> list[tuple[str, str, Any]]:
    """Return what a reader may not do: write, delete, look into the agent's own indices, administrate."""
    everything_: dict[str, Any] = {"query": {"match_all": {}}}
    month = f"{index}-{datetime.now(UTC):%Y.%m}"
    return [
        ("PUT", f"/{month}/_doc/x", {"id": 1}),
        ("POST", f"/{month}/_update/{instance}:70", {"doc": {"id": 1}}),
        ("DELETE", f"/{month}/_doc/{instance}:70", None),
        ("POST", "/_bulk", f'{{"delete":{{"_index":"{month}","_id":"{instance}:70"}}}}\n'.encode()),
        ("POST", f"/{index}-*/_delete_by_query", everything_),
        ("POST", f"/{index}-*/_update_by_query", everything_),
        ("POST", "/_reindex", {"source": {"index": month}, "dest": {"index": "impulse-audit-copy"}}),
        ("DELETE", f"/{month}-000001", None),
        ("PUT", "/impulse-audit-new", None),
        ("PUT", f"/{month}/_mapping", {"properties": {"x": {"type": "long"}}}),
        ("PUT", f"/{month}/_settings", {"index.blocks.write": True}),
        ("POST", "/_aliases", {"actions": [{"add": {"index": f"{month}-000001", "alias": "impulse-audit-x"}}]}),
        ("GET", f"/{month}/_mapping", None),
        ("GET", "/impulse-agent-state/_search", None),
        ("GET", "/impulse-agent-dead-letters/_search", None),
        ("GET", "/impulse-agent-journal/_search", None),
        ("GET", f"/impulse-agent-state/_doc/{instance}", None),
        ("GET", "/_all/_search", None),
        ("GET", "/_cluster/state", None),
        ("GET", "/_index_template/impulse-audit", None),
        ("PUT", "/_index_template/evil", {"index_patterns": ["x"]}),
        ("GET", "/_nodes", None),
        ("GET", "/_plugins/_security/api/internalusers", None),
        ("PUT", "/_plugins/_security/api/rolesmapping/all_access", {"users": ["reader-under-test"]}),
        ("PUT", "/_snapshot/x", {"type": "fs", "settings": {"location": "/"}}),
    ]
