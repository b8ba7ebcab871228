"""A node with TLS, users and roles: each failure of trust is named, temporary, and shows no secret."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.config.connections import OpenSearchSettings
from agent.errors import TemporaryError
from agent.opensearch.bulk import Verdict
from agent.opensearch.client import Cluster, open_cluster, url_path
from agent.opensearch.facts import Facts
from tests.corner import Corner

pytestmark = [pytest.mark.integration, pytest.mark.secured]

URL = os.environ.get("AUDIT_TEST_SECURE_OPENSEARCH_URL", "")
CERTS = Path(os.environ.get("AUDIT_TEST_SECURE_OPENSEARCH_CERTS", "/nonexistent"))
ADMIN = os.environ.get("AUDIT_TEST_SECURE_OPENSEARCH_ADMIN", ":")
PASSWORD = "Correct-horse-7-battery"


@pytest.fixture(autouse=True)
def _secured() -> None:
    if not URL:
        pytest.skip("no secured node: AUDIT_TEST_SECURE_OPENSEARCH_URL is not set")


def door(**settings: Any) -> Cluster:
    username, password = ADMIN.split(":", 1)
    given = {"hosts": (URL,), "username": username, "password": password, "ca_file": CERTS / "ca.pem", **settings}
    return open_cluster(OpenSearchSettings(**given))


def failure_of(call: Callable[[], object]) -> TemporaryError:
    with pytest.raises(TemporaryError) as failure:
        call()
    return failure.value


@pytest.fixture
def corner() -> Iterator[Corner]:
    made = Corner(door())
    yield made
    made.remove()


def test_the_right_authority_and_password_get_in() -> None:
    cluster = door()
    assert cluster.call("GET", "/")["version"]["distribution"] == "opensearch"
    user = Facts(cluster, Corner(cluster).names).user()
    assert user is not None
    assert user["name"] == ADMIN.split(":")[0]


def test_a_wrong_password_names_the_keys_to_correct() -> None:
    failure = failure_of(lambda: door(password="wrong-Secret-1").call("GET", "/"))
    assert failure.kind == "forbidden"
    assert "opensearch.password_file" in failure.remedy
    assert "wrong-Secret-1" not in str(failure)


@pytest.mark.parametrize("ca_file", [None, CERTS / "bad" / "other-ca.pem"])
def test_an_unknown_authority_names_ca_file(ca_file: Path | None) -> None:
    failure = failure_of(lambda: door(ca_file=ca_file).call("GET", "/"))
    assert failure.kind == "tls"
    assert "opensearch.ca_file" in failure.remedy


def test_unverified_tls_is_possible_on_request() -> None:
    assert door(ca_file=None, verify=False).call("GET", "/")["version"]


def test_plain_http_to_the_tls_port_hints_at_https() -> None:
    failure = failure_of(lambda: door(hosts=(URL.replace("https:", "http:"),), ca_file=None).call("GET", "/"))
    assert failure.kind == "unreachable"
    assert "https://" in failure.remedy


def test_a_client_certificate_is_enough() -> None:
    cluster = door(username=None, password=None, client_cert=CERTS / "admin.pem", client_key=CERTS / "admin-key.pem")
    assert cluster.call("GET", "/")["version"]


@pytest.fixture
def admin() -> Cluster:
    return door(username=None, password=None, client_cert=CERTS / "admin.pem", client_key=CERTS / "admin-key.pem")


def make_user(admin: Cluster, name: str, password: str, permissions: list[str], pattern: str) -> None:
    role = {
        "cluster_permissions": ["cluster:monitor/main", "indices:data/write/bulk"],
        "index_permissions": [{"index_patterns": [pattern], "allowed_actions": permissions}],
    }
    admin.call("PUT", url_path("_plugins", "_security", "api", "roles", name), body=role)
    admin.call("PUT", url_path("_plugins", "_security", "api", "internalusers", name), body={"password": password})
    admin.call("PUT", url_path("_plugins", "_security", "api", "rolesmapping", name), body={"users": [name]})


def test_a_missing_permission_is_named_and_defers_the_document(admin: Cluster, corner: Corner) -> None:
    corner.partitions.ensure("2026.11", {})
    make_user(admin, "t-nowrite", PASSWORD, ["indices:data/read/search"], f"{corner.names.prefix}*")
    limited = Corner(door(username="t-nowrite", password=PASSWORD), mark=corner.mark)
    (outcome,) = limited.bulk.send(limited.body([limited.document(1)]), limited.keys(1)).values()
    assert (outcome.verdict, outcome.kind) == (Verdict.DEFERRED, "forbidden")
    failure = failure_of(lambda: limited.partitions.put_mapping("2026.11", {"extra": {"type": "object"}}))
    assert failure.kind == "forbidden"
    assert failure.got.startswith("indices:admin/mapping/put")
    assert failure_of(limited.search.refresh).kind == "forbidden"


def test_a_rotated_password_is_picked_up_in_mid_work(admin: Cluster, corner: Corner, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    make_user(admin, "t-rotated", PASSWORD, ["*"], f"{corner.names.prefix}*")
    cluster = door(username="t-rotated", password=None, password_file=file)
    assert cluster.call("GET", "/")
    file.write_text("Another-horse-8-battery")
    body = {"password": "Another-horse-8-battery"}
    admin.call("PUT", url_path("_plugins", "_security", "api", "internalusers", "t-rotated"), body=body)
    assert cluster.call("GET", "/")
