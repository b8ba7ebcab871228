"""config/agent.yml as frozen settings whose attribute names are exactly the keys of the file."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

import orjson
from pydantic import Field, model_validator

from agent.config.addresses import FilePath, ListenAddress, Name
from agent.config.connections import OpenSearchSettings, SourceSettings
from agent.config.section import Section
from agent.config.times import WEEKLY_TIME
from agent.config.values import Flag, Number, OneOf, Size, WholeNumber, refuse

_LIKE_A_PARTITION = re.compile(r".*-(?:undated|(?:19|20|21)\d\d|(?:undated|\d{4})-\d{6,})")


class GapSettings(Section):
    """Say how a missing id is proven dead, or waited for."""

    evidence: Annotated[str, OneOf("auto", "metadata_locks", "metadata_lock_info", "innodb_trx", "grace")] = Field(
        default="auto", description="proof that a missing id will never come: auto takes the first that works"
    )
    grace_seconds: Annotated[float, Number(1, 86_400)] = Field(
        default=60, description="with evidence grace: how long a gap may hold back the watermark"
    )
    watch_hours: Annotated[float, Number(0, 8760)] = Field(
        default=24, description="with evidence grace: how long skipped ids are still re-read"
    )
    max_ranges: Annotated[int, WholeNumber(10, 1_000_000)] = Field(
        default=10_000, description="open gaps kept apart; beyond this neighbours merge, so memory stays flat"
    )


class TailSettings(Section):
    """Say how the table is read and shipped."""

    poll_seconds: Annotated[float, Number(0.05, 3600)] = Field(
        default=1, description="pause between two looks at the table when nothing is new"
    )
    batch_rows: Annotated[int, WholeNumber(1, 100_000)] = Field(
        default=2000, description="most rows of one step; memory grows with it"
    )
    bulk_bytes: Annotated[int, Size(64 << 10, 90 << 20)] = Field(
        default=5 << 20, description="most bytes of one bulk request; clusters refuse requests over 100 MB"
    )
    bulk_concurrency: Annotated[int, WholeNumber(1, 32)] = Field(
        default=2, description="bulk requests in flight; two keep both sides busy, more only help remote clusters"
    )
    gaps: GapSettings = Field(default=GapSettings(), description="missing ids")


class ContextSettings(Section):
    """Bound what the JSON in `context` may add to the index."""

    fields_file: Annotated[Path | None, FilePath()] = Field(
        default=None, description="native types, keys to drop and redaction; without it, redaction by its defaults"
    )
    max_fields: Annotated[int, WholeNumber(0, 10_000)] = Field(
        default=500, description="paths that become fields of their own; the rest is searchable as overflow"
    )
    max_depth: Annotated[int, WholeNumber(1, 20)] = Field(
        default=10, description="deepest path that becomes a field; OpenSearch itself stops at 20"
    )
    max_bytes: Annotated[int, Size(1 << 10, 32 << 20)] = Field(
        default=1 << 20, description="longest context that is taken apart; of a longer one the beginning is searchable"
    )


class RetentionFileSettings(Section):
    """Name the retention rules."""

    file: Annotated[Path | None, FilePath()] = Field(
        default=None, description="the rules (`retention.yml`); without it everything is kept for ever"
    )


class AlertsFileSettings(Section):
    """Name the alert declarations."""

    file: Annotated[Path | None, FilePath()] = Field(
        default=None, description="the alerts (`alerts.yml`); without it there are none"
    )


class VerifySettings(Section):
    """Say when table and index are compared by themselves."""

    at: Annotated[str, WEEKLY_TIME] = Field(
        default="sunday 04:20", description="weekly comparison: weekday and time, UTC; an empty value switches it off"
    )
    window_rows: Annotated[int, WholeNumber(100, 1_000_000)] = Field(
        default=10_000, description="ids summed up at once; smaller finds a difference faster, larger asks less"
    )
    repair: Annotated[bool, Flag()] = Field(
        default=False, description="ship missing and different rows again after the weekly comparison"
    )

    @property
    def weekday(self) -> str:
        """Return the day of the weekly comparison, or an empty string when it is off."""
        return self.at.partition(" ")[0]

    @property
    def time(self) -> str:
        """Return HH:MM of the weekly comparison, or an empty string when it is off."""
        return self.at.partition(" ")[2]


class HttpSettings(Section):
    """Say where metrics and health are served."""

    listen: Annotated[str, ListenAddress()] = Field(
        default="127.0.0.1:9465",
        description="`/metrics`, `/healthz`, `/readyz`; loopback because nothing asks for a password",
    )

    @property
    def address(self) -> tuple[str, int] | None:
        """Return host and port, or None when the listener is switched off."""
        if not self.listen:
            return None
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class LogSettings(Section):
    """Say how the log looks; it goes to stderr."""

    format: Annotated[str, OneOf("text", "json")] = Field(
        default="text", description="text for people and journald, json for collectors"
    )
    level: Annotated[str, OneOf("debug", "info", "warning", "error", instead={"warn": "warning"})] = Field(
        default="info", description="info speaks when something changed and is silent when idle"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Hold the paths of the other three files, resolved; None where the key is left out."""

    retention: Path | None
    context_fields: Path | None
    alerts: Path | None


class Settings(Section):
    """Hold everything config/agent.yml says."""

    instance: Annotated[str, Name()] = Field(
        default="whmcs",
        description="name of this install; part of every `_id`, so installs that share a cluster need one each",
    )
    source: SourceSettings = Field(description="the database")
    opensearch: OpenSearchSettings = Field(description="the cluster")
    tail: TailSettings = Field(default=TailSettings(), description="reading and shipping")
    context: ContextSettings = Field(default=ContextSettings(), description="the JSON of each row")
    retention: RetentionFileSettings = Field(default=RetentionFileSettings(), description="how long what is kept")
    alerts: AlertsFileSettings = Field(default=AlertsFileSettings(), description="monitors and Prometheus rules")
    verify: VerifySettings = Field(default=VerifySettings(), description="the weekly proof that both sides agree")
    http: HttpSettings = Field(default=HttpSettings(), description="metrics and health")
    log: LogSettings = Field(default=LogSettings(), description="the log")

    @model_validator(mode="after")
    def _instance_is_no_partition(self) -> Self:
        if _LIKE_A_PARTITION.fullmatch(self.instance):
            # The read alias of this instance would be the write alias, or an index, of another one's partition.
            allowed = "a name that does not end as a partition does (-undated, a year, either with a number)"
            refuse(allowed, got=f'"{self.instance}"', at=("instance",))
        return self

    @property
    def files(self) -> Files:
        """Return where the other three files are."""
        return Files(retention=self.retention.file, context_fields=self.context.fields_file, alerts=self.alerts.file)

    def masked(self) -> dict[str, Any]:
        """Return all settings as plain JSON values without any secret, for `status`, `check` and the digest."""
        return self.model_dump(mode="json")

    def weaknesses(self) -> tuple[str, ...]:
        """Return what weakens security on purpose, one sentence each, to be said at every start."""
        tls, opensearch, address = self.source.tls, self.opensearch, self.http.address
        database = urlsplit(self.source.url.get_secret_value()).hostname
        is_remote = bool(database) and not _is_loopback(database)
        has_tls, verified = bool(tls and tls.enabled), bool(tls and tls.verify)
        plain = [
            host
            for host in opensearch.hosts
            if host.startswith("http://") and not _is_loopback(urlsplit(host).hostname)
        ]
        found = {
            "source.tls is left out: anyone in between can read and change rows": is_remote and not has_tls,
            "source.tls.verify is false: anyone in between can read and change rows": has_tls and not verified,
            "opensearch.verify is false: anyone in between can read and change documents": not opensearch.verify,
            "opensearch.hosts: the password travels unencrypted over http://": plain and opensearch.username,
            "http.listen: metrics are open to the network": address and not _is_loopback(address[0]),
        }
        return tuple(sentence for sentence, weak in found.items() if weak)

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the masked settings, from which no secret can be guessed."""
        return hashlib.sha256(orjson.dumps(self.masked(), option=orjson.OPT_SORT_KEYS)).hexdigest()


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False
