"""The agent's own indices, created from their templates before the first document: none is born by accident."""

from __future__ import annotations

from agent.opensearch.answers import translated
from agent.opensearch.client import Cluster, url_path
from agent.opensearch.names import Names
from agent.opensearch.templates import Templates


def ensure_agent_indices(cluster: Cluster, names: Names, templates: Templates) -> list[str]:
    """Create the state, dead-letter and journal indices that are missing; return their names. Idempotent."""
    created = []
    for index in (names.state, names.dead_letters, names.journal):
        if cluster.answer("GET", url_path(index, "_alias"), accept=(404,)).status == 200:
            continue
        templates.ensure()
        answer = cluster.answer("PUT", url_path(index), accept=(400,), body={})
        if answer.status == 200:
            created.append(index)
        elif answer.fault_type != "resource_already_exists_exception":
            raise translated(400, answer.body, where=f"PUT /{index}")
    return created
