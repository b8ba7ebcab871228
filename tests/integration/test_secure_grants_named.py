"""Each grant and permission taken away is named by `check`, it alone, with the remedy."""

from __future__ import annotations

import pytest

from tests.integration.secure_install import PERMISSIONS, WRITER, Install
from tests.integration.secured import secured, without

pytestmark = [pytest.mark.integration, pytest.mark.secured]

# One of each kind for the fast run: of the cluster, of an index, of a shard, of a template, of a task.
SAMPLED = {
    ("indices:data/write/bulk", "cluster"),
    ("cluster:admin/component_template/put", "cluster"),
    ("indices:admin/mapping/put", "index"),
    ("indices:data/write/bulk[s]", "index"),
    ("indices:data/read/point_in_time/create", "index"),
}


@pytest.fixture(scope="module", autouse=True)
def _node() -> None:
    secured()


def is_about_accounts(name: str) -> bool:
    return name.startswith(("grant", "permission", "needless", "mysql", "table"))


@pytest.mark.parametrize("server", ["standing", "standing_on_mysql9"])
@pytest.mark.parametrize("number", range(5))
def test_a_grant_taken_away_is_named_alone(request: pytest.FixtureRequest, server: str, number: int) -> None:
    install: Install = request.getfixturevalue(server)
    grants = install.database_account.grants
    assert len(grants) == 5
    install.database_account.revoke(grants[number])
    try:
        found = install.complaints()
    finally:
        install.database_account.run(grants[number])
    remedies = {remedy for name, remedy in found.items() if is_about_accounts(name)}
    assert {tuple(part.split()) for part in named(remedies)} == {tuple(without_backticks(grants[number]).split())}
    assert not [name for name in install.complaints() if is_about_accounts(name)]


def without_backticks(statement: str) -> str:
    return statement.replace("`", "")


def named(remedies: set[str]) -> set[str]:
    """Return the grants that remedies tell to give."""
    return {without_backticks(remedy) for remedy in remedies}


def test_process_for_innodb_trx_is_named_alone(standing: Install) -> None:
    standing.world.write({"tail.gaps.evidence": "innodb_trx"})
    try:
        found = standing.complaints()
    finally:
        standing.world.write({"tail.gaps.evidence": "metadata_locks"})
    assert [name for name in found if is_about_accounts(name)] == ["grant PROCESS ON *.*"]
    assert f"GRANT PROCESS ON *.* TO '{standing.database_account.user}'" in found["grant PROCESS ON *.*"]


@pytest.mark.parametrize(
    ("action", "kind"),
    [pytest.param(*each, marks=[] if each in SAMPLED else [pytest.mark.slow]) for each in PERMISSIONS],
)
def test_a_permission_taken_away_is_named_alone(standing: Install, action: str, kind: str) -> None:
    standing.account.permit(without(WRITER, action, kind))
    try:
        found = standing.complaints()
    finally:
        standing.account.permit(WRITER)
    assert [name for name in found if name.startswith("permission ")] == [f"permission {action}"]
