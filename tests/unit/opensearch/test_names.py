"""Names: every index belongs to exactly one instance."""

from __future__ import annotations

import pytest

from agent.errors import ConfigError
from agent.opensearch.names import Concrete, Names


def test_names_are_those_people_know() -> None:
    names = Names("whmcs")
    assert names.alias("2026.11") == "impulse-audit-whmcs-2026.11"
    assert names.concrete("2026.11", 1) == "impulse-audit-whmcs-2026.11-000001"
    assert (names.read, names.read_all) == ("impulse-audit-whmcs", "impulse-audit")
    assert (names.state, names.dead_letters, names.journal) == (
        "impulse-agent-state",
        "impulse-agent-dead-letters",
        "impulse-agent-journal",
    )


@pytest.mark.parametrize("partition", ["2026", "2026.11", "2026.11.23", "undated"])
@pytest.mark.parametrize("number", [1, 999_999, 1_000_000])
def test_a_concrete_name_is_read_back(partition: str, number: int) -> None:
    names = Names("whmcs")
    assert names.parse(names.concrete(partition, number)) == Concrete(partition, number)


@pytest.mark.parametrize("instance", ["whmcs-2", "whmcs-1234", "whmcs-x", "whmcs_2"])
def test_an_index_of_an_instance_with_a_longer_name_is_not_ours(instance: str) -> None:
    assert Names("whmcs").parse(Names(instance).concrete("2026.11", 1)) is None
    assert Names(instance).parse(Names("whmcs").concrete("2026.11", 1)) is None


@pytest.mark.parametrize(
    "index",
    [
        "impulse-audit-whmcs-2026.11",
        "impulse-audit-whmcs-2026.11-1",
        "impulse-audit-whmcs-2026.11-000001-x",
        "ximpulse-audit-whmcs-2026.11-000001",
        "impulse-auditxwhmcs-2026.11-000001",
        "impulse-audit-whmcs-2026.1-000001",
        "",
    ],
)
def test_other_shapes_are_nobodys(index: str) -> None:
    assert Names("whmcs").parse(index) is None


@pytest.mark.parametrize(
    "instance",
    ["", "a/b", "a,b", "*", "../x", "A", "a b", "-a", "_a", "a?x=1", "a#", "é", "a%2f", "a\n", "_all"],
)
def test_a_name_that_could_reach_elsewhere_is_refused(instance: str) -> None:
    with pytest.raises(ConfigError):
        Names(instance)
    with pytest.raises(ConfigError):
        Names("ok", index_prefix=instance)


@pytest.mark.parametrize(
    "instance",
    [
        "shop-undated",
        "shop-2026",
        "shop-1970",
        "shop-2199",
        "shop-2026.11",
        "shop-2026-000001",
        "shop-2026.11.23-000001",
    ],
)
def test_an_instance_that_looks_like_a_partition_of_another_is_refused(instance: str) -> None:
    with pytest.raises(ConfigError):
        Names(instance)


@pytest.mark.parametrize(
    "instance",
    ["shop-2", "shop-1234", "shop-2200", "shop2026", "shop_2026", "test-000001", "undated", "2026", "2026.11"],
)
def test_ordinary_numbers_in_an_instance_are_fine(instance: str) -> None:
    Names(instance)
