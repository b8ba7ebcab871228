"""What expires: boundaries, and the policy against an oracle that is too simple to be wrong."""

from __future__ import annotations

import fnmatch
import random
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.retention import RetentionSettings
from agent.retention.condition import holds
from agent.retention.expired import Expiry
from agent.retention.policy import Side, fixed, policy_from_json
from agent.retention.rules import CoreDays, Hold, Rule, RuleSet, rule_set, rule_set_from_json
from agent.row import RowShape
from tests.unit.retention.world import NOW, at, rules

SLUGS = ["impulsecore", "impulseminio", "ImpulseCore", "impulsecore ", "", "*", "a?c", "abc", "a\\c", "a.c", "ünï"]
GLOBS = [*SLUGS, "impulse*", "*core", "?mpulsecore", "*", "a?c", "a*", "a.*", "\\*", "[a]*"]


@pytest.mark.parametrize("days", [1, 90, 365])
@pytest.mark.parametrize(("seconds", "expired"), [(-1, False), (0, False), (1, True)])
def test_a_row_exactly_as_old_as_its_rule_is_kept_and_one_second_older_is_not(
    days: int, seconds: int, expired: bool
) -> None:
    policy = fixed(rules(rows={"days": days}, documents={"days": days}), NOW)
    fields = {"created_at": at(timedelta(days=days, seconds=seconds))}

    assert [policy.decide(side, fields).expired for side in Side] == [expired, expired]


@pytest.mark.parametrize(
    ("now", "days", "cutoff"),
    [
        (datetime(2024, 3, 1, tzinfo=UTC), 1, "2024-02-29T00:00:00.000Z"),
        (datetime(2023, 3, 1, tzinfo=UTC), 1, "2023-02-28T00:00:00.000Z"),
        (datetime(2026, 3, 31, 12, tzinfo=UTC), 31, "2026-02-28T12:00:00.000Z"),
        (datetime(2026, 1, 1, 0, 0, 0, 999_999, tzinfo=UTC), 1, "2025-12-31T00:00:00.000Z"),
        (datetime(2024, 2, 29, tzinfo=UTC), 365, "2023-03-01T00:00:00.000Z"),
    ],
)
def test_days_are_twenty_four_hours_in_utc_over_month_ends_and_leap_days(now: datetime, days: int, cutoff: str) -> None:
    policy = fixed(rules(rows={"days": days}, documents={"days": days}), now)

    assert policy.cutoffs["default"].rows == cutoff


@pytest.mark.parametrize(
    "created_at", [None, "", "0000-00-00 00:00:00", "2020-02-30 00:00:00", "2020-00-10 00:00:00", "0024-01-01 00:00:00"]
)
def test_a_row_without_a_usable_date_never_expires(created_at: str | None) -> None:
    policy = fixed(rules(rows={"days": 1}, documents={"days": 1}), NOW)

    assert not policy.decide(Side.ROWS, {"created_at": created_at}).expired


def test_a_row_of_the_future_never_expires() -> None:
    policy = fixed(rules(rows={"days": 1}, documents={"days": 1}), NOW)

    assert not policy.decide(Side.ROWS, {"created_at": at(-timedelta(days=400))}).expired


@pytest.mark.parametrize("days", [0, -1, 10**9])
def test_days_that_make_no_sense_keep_for_ever(days: int) -> None:
    chosen = RuleSet(rules=(Rule(name="default", match={}, rows_days=days, documents_days=days),))
    policy = fixed(chosen, NOW)

    assert not policy.decide(Side.ROWS, {"created_at": at(timedelta(days=10_000))}).expired


def test_nothing_configured_deletes_nothing() -> None:
    policy = fixed(rules(), NOW)

    assert policy.latest_cutoff(Side.ROWS) is None
    assert not policy.decide(Side.ROWS, {"created_at": at(timedelta(days=10_000))}).expired


def test_the_first_matching_rule_wins_and_a_side_it_leaves_out_follows_the_default() -> None:
    policy = fixed(
        rules(
            rows={"days": 90},
            documents={"days": 90},
            rules=[
                {"name": "licences", "match": {"action": "license.*"}, "documents": {"days": 0}},
                {"name": "errors", "match": {"severity": "error"}, "rows": {"days": 180}, "documents": {"days": 400}},
            ],
        ),
        NOW,
    )
    fields = {"created_at": at(timedelta(days=100)), "action": "license.check", "severity": "error"}

    assert (policy.decide(Side.ROWS, fields).rule, policy.decide(Side.ROWS, fields).expired) == ("licences", True)
    assert not policy.decide(Side.DOCUMENTS, fields).expired


@pytest.mark.parametrize(("until", "held"), [(None, True), (date(2026, 11, 24), True), (date(2026, 11, 23), False)])
def test_a_hold_exempts_until_its_day_begins(until: date | None, held: bool) -> None:
    hold = {"name": "dispute", "match": {"client_id": 7}, "until": until, "reason": "chargeback"}
    policy = fixed(rules(rows={"days": 1}, documents={"days": 1}, holds=[hold]), NOW)
    decision = policy.decide(Side.ROWS, {"created_at": at(timedelta(days=30)), "client_id": 7})

    assert decision.expired is not held
    assert ("chargeback" in decision.reason) is held


def test_unreadable_core_setting_keeps_both_sides_and_says_why() -> None:
    chosen = rule_set(
        RetentionSettings.model_validate({"rows": {"days": 9}, "documents": {"days": 9}}),
        CoreDays(days=None, reason="no grant"),
    )

    assert (chosen.rules[-1].rows_days, chosen.rules[-1].documents_days) == (0, 0)
    assert "no grant" in chosen.notes[0]


def test_documents_are_never_kept_shorter_than_rows_whatever_core_says() -> None:
    chosen = rule_set(
        RetentionSettings.model_validate({"rows": {"days": 9}, "documents": {"days": 90}}),
        CoreDays(days=365, reason="Core"),
    )

    assert (chosen.rules[-1].rows_days, chosen.rules[-1].documents_days) == (365, 365)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_in_another_zone_wall_time_and_instants_agree_at_both_clock_changes(zone: str) -> None:
    info = ZoneInfo(zone)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for hour in range(0, 24 * 365, 7):
        now = start + timedelta(hours=hour, days=1)
        cutoff = fixed(rules(rows={"days": 1}, documents={"days": 1}), now, info).cutoffs["default"].rows
        assert cutoff is not None
        instant = datetime.fromisoformat(cutoff)
        wall = instant.astimezone(info).replace(tzinfo=None)
        for minutes in (-130, -61, -1, 0, 1, 61, 130):
            other = instant + timedelta(minutes=minutes)
            assert (other.astimezone(info).replace(tzinfo=None) < wall) == (other < instant)
        assert instant <= now - timedelta(days=1)
        assert now - timedelta(days=1) - instant <= timedelta(hours=7)


def test_rules_and_policies_survive_being_written() -> None:
    chosen = rules(
        rows={"days": 5},
        documents={"days": 6},
        rules=[{"name": "e", "match": {"severity": ["error"], "client_id": [1]}, "rows": {"days": 2}}],
        holds=[{"name": "h", "match": {}, "until": date(2027, 1, 1), "reason": "r"}],
    )
    policy = fixed(chosen, NOW, bound=rules(rows={"days": 50}, documents={"days": 50}))

    assert rule_set_from_json(chosen.as_json()).digest == chosen.digest
    assert policy_from_json(policy.as_json()).as_json() == policy.as_json()


class TestExpiry:
    """Rows that a run has expired are not indexed again."""

    short = rules(rows={"days": 30}, documents={"days": 30})
    old: ClassVar[dict[str, str]] = {"created_at": at(timedelta(days=40))}

    def test_nothing_is_refused_before_a_run_was_executed(self) -> None:
        assert Expiry(current=fixed(self.short, NOW), executed=None).refuses(self.old) is None

    def test_an_expired_row_is_refused_after_the_run(self) -> None:
        expiry = Expiry(current=fixed(self.short, NOW), executed=fixed(self.short, NOW))

        assert "default" in str(expiry.refuses(self.old))

    def test_a_row_that_expired_since_the_run_is_not_refused(self) -> None:
        expiry = Expiry(current=fixed(self.short, NOW), executed=fixed(self.short, NOW - timedelta(days=11)))

        assert expiry.refuses(self.old) is None

    def test_a_lengthened_policy_refuses_less(self) -> None:
        longer = fixed(rules(rows={"days": 30}, documents={"days": 60}), NOW)

        assert Expiry(current=longer, executed=fixed(self.short, NOW)).refuses(self.old) is None

    def test_rows_of_a_batch_are_refused_by_id(self) -> None:
        expiry = Expiry(current=fixed(self.short, NOW), executed=fixed(self.short, NOW))
        shape = RowShape(("id", "created_at", "severity"))
        ages = [29, 30, 30.001, 40]
        rows = [(number, at(timedelta(days=age)), "info", 7) for number, age in enumerate(ages)]

        assert sorted(expiry.refused_rows([*rows, (9, None, "info", 7)], shape)) == [2, 3]

    def test_no_row_is_refused_at_or_after_the_announced_instant(self) -> None:
        expiry = Expiry(current=fixed(self.short, NOW), executed=fixed(self.short, NOW))

        assert expiry.refused_before() == fixed(self.short, NOW).cutoffs["default"].documents


def values(texts: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(texts), min_size=1, max_size=2).map(tuple)


MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "module_slug": values(GLOBS),
        "severity": values(["info", "warn", "error", "*r*"]),
        "client_id": st.lists(st.integers(0, 3), min_size=1, max_size=2).map(tuple),
    },
)
DAYS = st.sampled_from([0, 1, 2, 30, 59, 90])
RULES = st.builds(
    lambda match, rows, more: (match, rows, 0 if rows == 0 else rows + more), MATCHES, DAYS, st.sampled_from([0, 30])
)
ROWS = st.fixed_dictionaries(
    {
        "created_at": st.one_of(
            st.none(),
            st.just("0000-00-00 00:00:00"),
            st.builds(
                lambda days, seconds: at(timedelta(days=days, seconds=seconds)),
                st.sampled_from([0, 1, 2, 30, 32, 59, 60, 89, 90, 120, -5]),
                st.sampled_from([-86_400, -1, 0, 1, 86_400]),
            ),
        ),
        "module_slug": st.sampled_from([None, *SLUGS]),
        "severity": st.sampled_from(["info", "warn", "error", "Error", None]),
        "client_id": st.sampled_from([None, 0, 1, 2, 3]),
    }
)


def a_rule_set(found: list[tuple[dict[str, Any], int, int]], held: list[tuple[dict[str, Any], date | None]]) -> RuleSet:
    return RuleSet(
        rules=tuple(
            Rule(name=f"r{number}", match=match, rows_days=rows, documents_days=documents)
            for number, (match, rows, documents) in enumerate([*found[1:], ({}, *found[0][1:])])
        ),
        holds=tuple(
            Hold(name=f"h{number}", match=match, until=until, reason="x") for number, (match, until) in enumerate(held)
        ),
    )


RULE_SETS = st.builds(
    a_rule_set,
    st.lists(RULES, min_size=1, max_size=4),
    st.lists(st.tuples(MATCHES, st.sampled_from([None, date(2026, 11, 23), date(2026, 11, 24)])), max_size=2),
)


def oracle_matches(match: dict[str, Any], row: dict[str, Any]) -> bool:
    for field, wanted in match.items():
        value = row[field]
        if value is None:
            return False
        if isinstance(value, int):
            if value not in wanted:
                return False
        elif not any(re.fullmatch(fnmatch.translate(glob.replace("[", "[[]")), value) for glob in wanted):
            return False
    return True


def oracle_expired(chosen: RuleSet, side: Side, row: dict[str, Any], now: datetime = NOW) -> bool:
    if row["created_at"] is None or row["created_at"].startswith("0000"):
        return False
    for hold in chosen.holds:
        if (hold.until is None or hold.until > now.date()) and oracle_matches(dict(hold.match), row):
            return False
    for rule in chosen.rules:
        if oracle_matches(dict(rule.match), row):
            days = rule.rows_days if side is Side.ROWS else rule.documents_days
            age = now.replace(microsecond=0, tzinfo=None) - datetime.fromisoformat(row["created_at"])
            return days > 0 and age > timedelta(days=days)
    raise AssertionError("the default matches everything")


@settings(max_examples=300, deadline=None)
@given(chosen=RULE_SETS, row=ROWS)
def test_policy_decides_as_the_oracle_does_and_its_condition_says_the_same(
    chosen: RuleSet, row: dict[str, Any]
) -> None:
    policy = fixed(chosen, NOW)
    facts = policy.facts(row)
    for side in Side:
        expected = oracle_expired(chosen, side, row)

        assert policy.decide(side, row).expired == expected
        assert holds(policy.expired(side), facts) == expected
        by_rule = [rule.name for rule in chosen.rules if holds(policy.expired(side, rule), facts)]
        assert by_rule == ([policy.decide(side, row).rule] if expected else [])


@settings(max_examples=150, deadline=None)
@given(new=RULE_SETS, old=RULE_SETS, row=ROWS)
def test_a_bound_policy_expires_what_both_expire(new: RuleSet, old: RuleSet, row: dict[str, Any]) -> None:
    policy = fixed(new, NOW, bound=old)
    for side in Side:
        expected = oracle_expired(new, side, row) and oracle_expired(old, side, row)

        assert policy.decide(side, row).expired == expected
        assert holds(policy.expired(side), policy.facts(row)) == expected


@settings(max_examples=200, deadline=None)
@given(chosen=RULE_SETS, row=ROWS)
def test_a_document_never_expires_before_its_row(chosen: RuleSet, row: dict[str, Any]) -> None:
    policy = fixed(chosen, NOW)

    assert policy.decide(Side.ROWS, row).expired or not policy.decide(Side.DOCUMENTS, row).expired


def test_random_clocks_never_expire_a_row_younger_than_its_rule() -> None:
    draw = random.Random(7)
    chosen = rules(rows={"days": 30}, documents={"days": 30})
    for _ in range(500):
        now = NOW + timedelta(seconds=draw.randint(-86_400, 86_400), microseconds=draw.randint(0, 999_999))
        created = NOW - timedelta(days=30) + timedelta(seconds=draw.randint(-172_800, 172_800))
        expired = fixed(chosen, now).decide(Side.ROWS, {"created_at": created.strftime("%Y-%m-%d %H:%M:%S")}).expired

        assert expired == (created.replace(microsecond=0) < now.replace(microsecond=0) - timedelta(days=30))
