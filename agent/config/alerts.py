"""config/alerts.yml: what people want to be told about, declared once for OpenSearch monitors and Prometheus.

Each alert has exactly one kind of condition: `threshold`, `factor` over a `baseline`, `absent_for` (a dead man's
switch), `first_ever`, or `stalled_for` (the agent itself). What becomes of it is left to `agent.content`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from agent.config.addresses import Name
from agent.config.match import MATCH_COLUMNS, Match, MatchValue, is_context_path
from agent.config.problems import did_you_mean, shown
from agent.config.section import Section
from agent.config.times import Duration
from agent.config.values import Checked, Flag, Number, OneOf, Text, WholeNumber, refuse, split_commas

COUNTED_COLUMNS = ("module_slug", "severity", "source")  # the labels of audit_agent_events_total
KINDS = ("threshold", "factor", "absent_for", "first_ever", "stalled_for")
_COLUMN = "a column or context.PATH"


def _group_column(value: object) -> str:
    if not isinstance(value, str) or not (value in MATCH_COLUMNS or is_context_path(value)):
        refuse(f"one of {', '.join(MATCH_COLUMNS)}, or context.PATH", hint=did_you_mean(str(value), MATCH_COLUMNS))
    return value


def _texts(match: Mapping[str, tuple[MatchValue, ...]]) -> list[MatchValue]:
    return [*match, *(value for values in match.values() for value in values)]


def _no_template(texts: Iterable[object], at: str) -> None:
    """Refuse what the Alerting plugin would take for a template, or Prometheus for the end of a line."""
    for text in texts:
        if isinstance(text, str) and ("{{" in text or not text.isprintable()):
            refuse("text without {{ and control characters", got=shown(text), at=(at,))


def _context_path(value: object) -> str:
    if not isinstance(value, str) or not is_context_path(value):
        refuse("context.PATH")
    return value


class Lowered(Section):
    """Say which context fields hold a number before and after a change; only changes downwards count."""

    before: Annotated[str, Checked("context.PATH", _context_path)] = Field(description="path of the old value")
    after: Annotated[str, Checked("context.PATH", _context_path)] = Field(description="path of the new value")


class NearestRule(Section):
    """Say what Prometheus can watch where the agent's counters do not carry what the alert asks for."""

    match: Annotated[dict[str, tuple[MatchValue, ...]], Match()] = Field(
        description=f"which events are counted; only {', '.join(COUNTED_COLUMNS)} are labels of the counter"
    )
    threshold: Annotated[int, WholeNumber(1, 10**9)] = Field(default=1, description="fires from this count on")

    @model_validator(mode="after")
    def _only_counted_columns(self) -> Self:
        for column in self.match:
            if column not in COUNTED_COLUMNS:
                refuse(f"the columns {', '.join(COUNTED_COLUMNS)}", got=f"key «{column}»", at=("match", column))
        _no_template(_texts(self.match), "match")
        return self


class AlertRule(Section):
    """Declare one alert."""

    name: Annotated[str, Name()] = Field(description="its name in monitors, Prometheus rules and `alerts test`")
    description: Annotated[str, Text("a sentence", r"(?s).*\S.*")] = Field(
        description="what it means and what to do, for whoever is woken by it"
    )
    match: Annotated[dict[str, tuple[MatchValue, ...]], Match(context=True, empty=True)] = Field(
        default={}, description="which rows it is about; `{}` or left out: all"
    )
    group_by: Annotated[tuple[Annotated[str, Checked(_COLUMN, _group_column)], ...], BeforeValidator(split_commas)] = (
        Field(default=(), description="counted apart for each combination of these columns")
    )
    over: Annotated[dt.timedelta, Duration("1m", "31d")] = Field(
        default=dt.timedelta(minutes=15), description="the window that is counted, up to now minus the lag"
    )
    threshold: Annotated[int | None, WholeNumber(1, 10**9)] = Field(
        default=None, description="fires from this count on; beside `factor`: the count below which it stays silent"
    )
    factor: Annotated[float | None, Number(1.1, 1000)] = Field(
        default=None, description="fires from this multiple of the usual count on"
    )
    baseline: Annotated[dt.timedelta | None, Duration("1h", "366d")] = Field(
        default=None, description="with factor: the time whose average is usual; with first_ever: how far to look back"
    )
    absent_for: Annotated[dt.timedelta | None, Duration("1m", "366d")] = Field(
        default=None, description="fires when no such row came for this long"
    )
    first_ever: Annotated[bool, Flag()] = Field(
        default=False, description="fires when a combination of `group_by` appears that `baseline` has not seen"
    )
    stalled_for: Annotated[dt.timedelta | None, Duration("1m", "7d")] = Field(
        default=None, description="fires when the agent gave no sign of life, or lags, for this long"
    )
    lowered: Lowered | None = Field(
        default=None, description="beside threshold: counts only changes to a lower number, or to an unreadable one"
    )
    prometheus: NearestRule | None = Field(
        default=None, description="the nearest rule for Prometheus, where its counters cannot express this alert"
    )
    severity: Annotated[str, OneOf("critical", "warning", "info", instead={"error": "critical", "warn": "warning"})] = (
        Field(default="warning", description="how urgent: critical wakes somebody, info is read next morning")
    )
    notify: Annotated[
        tuple[Annotated[str, Text("the id of a notification channel", r"[A-Za-z0-9_.-]{1,100}")], ...],
        BeforeValidator(split_commas),
    ] = Field(default=(), description="ids of notification channels in OpenSearch; the label `notify` in Prometheus")

    @property
    def kind(self) -> str:
        """Return which of KINDS the alert is."""
        return self._kinds()[0]

    @model_validator(mode="after")
    def _one_kind_with_what_it_needs(self) -> Self:
        kinds = self._kinds()
        if len(kinds) != 1:
            got = " and ".join(kinds) if kinds else "no condition"
            refuse(f"exactly one of {', '.join(KINDS)} (threshold may stand beside factor)", got=got)
        kind = kinds[0]
        if (self.baseline is None) != (kind not in {"factor", "first_ever"}):
            refuse("baseline with factor and first_ever, and only there", got=f"baseline={self.baseline} with {kind}")
        if kind in {"factor", "first_ever"} and self.baseline is not None and self.baseline <= self.over:
            refuse("a baseline longer than over", got="one that is not", at=("baseline",))
        if kind == "first_ever" and not self.group_by:
            refuse("group_by beside first_ever", got="first_ever without it", at=("first_ever",))
        if kind in {"absent_for", "stalled_for"} and self.group_by:
            refuse(f"no group_by beside {kind}: what is absent has no groups", got="both", at=("group_by",))
        if kind != "threshold" and self.lowered is not None:
            refuse("lowered beside threshold only", got=f"lowered beside {kind}", at=("lowered",))
        _no_template(_texts(self.match), "match")
        _no_template(self.group_by, "group_by")
        _no_template([self.lowered.before, self.lowered.after] if self.lowered else [], "lowered")
        if kind == "stalled_for" and self.match:
            refuse("no match beside stalled_for: it is about the agent, not about rows", got="both", at=("match",))
        return self

    def _kinds(self) -> list[str]:
        given = [kind for kind in KINDS if getattr(self, kind) not in (None, False)]
        return [kind for kind in given if kind != "threshold" or "factor" not in given]


class AlertSettings(Section):
    """Hold everything config/alerts.yml says."""

    alerts: tuple[AlertRule, ...] = Field(default=(), description="the alerts")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [alert.name for alert in self.alerts]
        for position, name in enumerate(names):
            if name in names[:position]:
                refuse("a name of its own for each", got=f'"{name}"', at=("alerts", position, "name"))
        return self
