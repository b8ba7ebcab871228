"""On a secured node: with the writer's role nothing is missing, and each permission taken away is named, it alone."""

from __future__ import annotations

import copy
import json
import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from agent.config.connections import OpenSearchSettings
from agent.opensearch.agent_indices import ensure_agent_indices
from agent.opensearch.client import Cluster, open_cluster
from agent.opensearch.names import Names
from agent.opensearch.permissions import tried_permissions
from agent.opensearch.templates import Templates

pytestmark = [pytest.mark.integration, pytest.mark.secured]

URL = os.environ.get("AUDIT_TEST_SECURE_OPENSEARCH_URL", "")
CERTS = Path(os.environ.get("AUDIT_TEST_SECURE_OPENSEARCH_CERTS", "/nonexistent"))
PASSWORD = "Correct-horse-7-battery"
ROLE = json.loads((Path(__file__).parents[2] / "deploy" / "opensearch" / "role-writer.json").read_text())
USER = "check-permissions"
NAMES = Names("checked")
Security = Callable[[str, str, Any], Any]


@pytest.fixture(scope="module")
def security() -> Security:
    if not URL:
        pytest.skip("no secured node: AUDIT_TEST_SECURE_OPENSEARCH_URL is not set")
    context = ssl.create_default_context(cafile=str(CERTS / "ca.pem"))
    context.load_cert_chain(CERTS / "admin.pem", CERTS / "admin-key.pem")

    def call(method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(URL + path, data=data, method=method, headers={"content-type": "application/json"})
        with urlopen(request, context=context, timeout=30) as response:
            return json.load(response)

    return call


@pytest.fixture(scope="module")
def writer(security: Security) -> Iterator[Cluster]:
    grant(security, ROLE)
    security("PUT", f"/_plugins/_security/api/internalusers/{USER}", {"password": PASSWORD})
    security("PUT", f"/_plugins/_security/api/rolesmapping/{USER}", {"users": [USER]})
    settings = OpenSearchSettings(hosts=(URL,), username=USER, password=PASSWORD, ca_file=CERTS / "ca.pem")
    cluster = open_cluster(settings)
    templates = Templates(cluster, NAMES)
    templates.ensure()
    ensure_agent_indices(cluster, NAMES, templates)
    yield cluster
    cluster.close()
    for kind in ("rolesmapping", "internalusers", "roles"):
        security("DELETE", f"/_plugins/_security/api/{kind}/{USER}", None)


def grant(security: Security, role: dict[str, Any]) -> None:
    security("PUT", f"/_plugins/_security/api/roles/{USER}", role)


def missing(cluster: Cluster) -> set[str]:
    return {tried.action for tried in tried_permissions(cluster, NAMES) if not tried.is_held}


def test_the_writers_role_lacks_nothing(writer: Cluster, security: Security) -> None:
    grant(security, ROLE)
    assert missing(writer) == set()


def test_each_permission_taken_away_is_named_alone(writer: Cluster, security: Security) -> None:
    wrong = {}
    for action in ROLE["cluster_permissions"]:
        role = copy.deepcopy(ROLE)
        role["cluster_permissions"].remove(action)
        grant(security, role)
        found = missing(writer)
        if found != {action}:
            wrong[action] = found
    for action in ROLE["index_permissions"][0]["allowed_actions"]:
        role = copy.deepcopy(ROLE)
        role["index_permissions"][0]["allowed_actions"].remove(action)
        grant(security, role)
        found = missing(writer)
        if found != {action}:
            wrong[f"{action} on indices"] = found
    grant(security, ROLE)
    assert wrong == {}


@pytest.mark.parametrize("pattern", ["impulse-audit-*", "impulse-agent-*"])
def test_a_forgotten_index_pattern_is_named(writer: Cluster, security: Security, pattern: str) -> None:
    role = copy.deepcopy(ROLE)
    role["index_permissions"][0]["index_patterns"].remove(pattern)
    grant(security, role)
    patterns = {tried.pattern for tried in tried_permissions(writer, NAMES) if not tried.is_held}
    grant(security, ROLE)
    assert patterns == {pattern}
