"""config/retention.yml: how long rows and documents are kept, what is held, and how gently the rest goes.

Whatever is missing keeps: no file, no section, no `days`, or `days: 0` delete nothing. Whether a row is expired, and
what Core's own setting means for it, is decided in `agent.retention`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from agent.config.addresses import COLUMN, TABLE, DatabaseUrl, FilePath, Name, SecretUrl
from agent.config.match import Match, MatchValue
from agent.config.section import Section
from agent.config.times import TIME_OF_DAY, Date
from agent.config.values import Flag, Number, OneOf, Text, WholeNumber, not_empty, refuse, split_commas

KEEP_FOR_EVER = 0
LONGEST_DAYS = 36_500  # a century; a larger figure is a slip of the hand, and date arithmetic ends at year 9999


class Keep(Section):
    """Say how long one side is kept."""

    days: Annotated[int, WholeNumber(0, LONGEST_DAYS, " (0: for ever)")] = Field(
        default=KEEP_FOR_EVER, description="days since `created_at`; 0 or left out: for ever"
    )


class CoreSetting(Section):
    """Say where Core keeps its own retention."""

    key: Annotated[tuple[Annotated[str, Text()], ...], BeforeValidator(split_commas), AfterValidator(not_empty)] = (
        Field(
            default=("audit_retention_days", "audit.retention_days", "retention_days"),
            description="names the setting may have, the first one found counts; the vendor does not publish it",
        )
    )
    table: Annotated[str, TABLE] = Field(
        default="mod_impulsecore_settings", description="table of the settings; needs its own SELECT grant"
    )
    key_column: Annotated[str, COLUMN] = Field(
        default="setting_key", description="its column of names; left as it is, other likely names are tried too"
    )
    value_column: Annotated[str, COLUMN] = Field(default="setting_value", description="its column of values; the same")


class RetentionRule(Section):
    """Keep some rows for another time than the others."""

    name: Annotated[str, Name()] = Field(description="its name in plans, journal and metrics")
    match: Annotated[dict[str, tuple[MatchValue, ...]], Match()] = Field(description="which rows it is about")
    rows: Keep | None = Field(default=None, description="how long the table keeps them; left out: the default above")
    documents: Keep | None = Field(default=None, description="the same for the index")


class Hold(Section):
    """Exempt rows from expiry on both sides, whatever the rules say."""

    name: Annotated[str, Name()] = Field(description="its name in plans and journal")
    match: Annotated[dict[str, tuple[MatchValue, ...]], Match(empty=True)] = Field(
        description="which rows it is about; `{}` holds everything"
    )
    until: Annotated[dt.date | None, Date()] = Field(
        default=None, description="first day it no longer holds (00:00 UTC); left out: until it is removed"
    )
    reason: Annotated[str, Text("a sentence that says why", r"(?s).*\S.*")] = Field(
        description="why, for whoever reads the journal in three years"
    )


class ArchiveSettings(Section):
    """Say whether expired rows are written to a file before they go."""

    enabled: Annotated[bool, Flag()] = Field(default=False, description="no row goes before its archive is sealed")
    directory: Annotated[Path, FilePath()] = Field(default=Path("archive"), description="where the files go")
    format: Annotated[str, OneOf("ndjson", "csv")] = Field(default="ndjson", description="both gzip-compressed")


class Brakes(Section):
    """Say which plans are too large to be meant."""

    max_share: Annotated[float, Number(0.0001, 1)] = Field(
        default=0.25, description="largest part of a side that one run may delete; 1 switches this brake off"
    )
    max_rows: Annotated[int, WholeNumber(1, 10**12)] = Field(
        default=5_000_000, description="most rows, and most documents, that one run may delete"
    )
    shorten_wait: Annotated[str, OneOf("next_run", "none")] = Field(
        default="next_run", description="a shortened retention is announced, and deletes one `at` cycle later"
    )


class Pace(Section):
    """Say how gently rows go."""

    rows_per_second: Annotated[int, WholeNumber(1, 1_000_000)] = Field(
        default=2000, description="most rows deleted a second, so that billing does not feel it"
    )
    chunk_rows: Annotated[int, WholeNumber(1, 10_000)] = Field(
        default=1000, description="rows written down before they go together, in transactions of 100 at most"
    )
    replicas: Annotated[tuple[Annotated[SecretUrl, DatabaseUrl()], ...], BeforeValidator(split_commas)] = Field(
        default=(),
        description="URLs of replicas to wait for; one without a password takes the password of `source`",
    )
    max_replica_lag_seconds: Annotated[float, Number(0.1, 86_400)] = Field(
        default=10, description="a replica further behind, or of unknown lag, pauses the run"
    )


class ExportSettings(Section):
    """Say whether the table is exported regularly, for installs that keep everything and want copies."""

    enabled: Annotated[bool, Flag()] = Field(default=False, description="write yesterday's rows to a file every day")
    directory: Annotated[Path, FilePath()] = Field(default=Path("export"), description="where the files go")
    format: Annotated[str, OneOf("csv", "ndjson")] = Field(default="csv", description="both gzip-compressed")
    at: Annotated[str, TIME_OF_DAY] = Field(default="02:40", description="when, HH:MM in UTC")


class RetentionSettings(Section):
    """Hold everything config/retention.yml says."""

    mode: Annotated[str, OneOf("preview", "enforce")] = Field(
        default="preview", description="preview says what would go; enforce lets the daemon delete at `at`"
    )
    at: Annotated[str, TIME_OF_DAY] = Field(default="03:20", description="when the daily run starts, HH:MM in UTC")
    rows: Keep = Field(default=Keep(), description="the table")
    documents: Keep = Field(default=Keep(), description="the index; as long as rows, or longer")
    follow_core_setting: CoreSetting | None = Field(
        default=None, description="true, or where to look: `rows.days` becomes what Core itself uses, if readable"
    )
    on_source_delete: Annotated[str, OneOf("keep", "mirror")] = Field(
        default="keep", description="documents of rows that Core deleted early: keep till they expire, or remove too"
    )
    rules: tuple[RetentionRule, ...] = Field(default=(), description="exceptions; the first that matches wins")
    holds: tuple[Hold, ...] = Field(default=(), description="rows that must not go (legal hold)")
    archive: ArchiveSettings = Field(default=ArchiveSettings(), description="files that expired rows go to")
    brakes: Brakes = Field(default=Brakes(), description="a plan above either stops until a person releases it")
    pace: Pace = Field(default=Pace(), description="how gently rows go")
    export: ExportSettings = Field(default=ExportSettings(), description="scheduled copies, independent of expiry")

    @model_validator(mode="before")
    @classmethod
    def _switch_for_core(cls, value: object) -> object:
        if isinstance(value, dict) and "follow_core_setting" in value:
            switch = _switch(value["follow_core_setting"])
            return value | {"follow_core_setting": switch}
        return value

    @model_validator(mode="after")
    def _rows_never_longer_than_documents(self) -> Self:
        self._check_sides(None, ())
        for position, rule in enumerate(self.rules):
            self._check_sides(rule, ("rules", position))
        unique_names(self.rules, "rules")
        unique_names(self.holds, "holds")
        return self

    def days_of(self, rule: RetentionRule | None) -> tuple[int, int]:
        """Return the days of rows and of documents under a rule, or by default; 0 is for ever."""
        rows = rule.rows if rule and rule.rows else self.rows
        documents = rule.documents if rule and rule.documents else self.documents
        return rows.days, documents.days

    def _check_sides(self, rule: RetentionRule | None, at: tuple[str | int, ...]) -> None:
        rows, documents = self.days_of(rule)
        if documents == KEEP_FOR_EVER or KEEP_FOR_EVER < rows <= documents:
            return
        blames_rows = rule.rows is not None if rule else rows != KEEP_FOR_EVER
        side = "rows" if blames_rows else "documents"
        rows_text = "for ever" if rows == KEEP_FOR_EVER else f"{rows} days"
        refuse(
            f"documents.days of at least rows.days, or 0: the index never forgets before the table{_inherited(rule)}",
            got=f"rows kept {rows_text} and documents {documents} days",
            at=(*at, side, "days"),
        )


def _switch(value: object) -> object:
    """Read `true`, `false` and their spellings as sections, so that one attribute says it all."""
    word = value.lower() if isinstance(value, str) else value
    if word in (True, "true", "yes", "on"):
        return {}
    if word in (False, "false", "no", "off"):
        return None
    return value


def _inherited(rule: RetentionRule | None) -> str:
    if rule is None or (rule.rows and rule.documents):
        return ""
    return "; documents.days is the default of the file" if rule.rows else "; rows.days is the default of the file"


def unique_names(entries: Sequence[RetentionRule | Hold], section: str) -> None:
    """Refuse a second entry of the same name, and the name that stands for «no rule» in plans and metrics."""
    seen = {"default"}
    for position, entry in enumerate(entries):
        if entry.name in seen:
            refuse(
                "a name of its own for each (and not «default»)", got=f'"{entry.name}"', at=(section, position, "name")
            )
        seen.add(entry.name)
