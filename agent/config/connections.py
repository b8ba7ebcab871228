"""The two ends of the line, as config/agent.yml names them: `source` (the table) and `opensearch` (the index)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from agent.config.addresses import (
    COLUMN,
    TABLE,
    DatabaseUrl,
    FilePath,
    HttpUrl,
    Name,
    Secret,
    SecretUrl,
)
from agent.config.problems import did_you_mean
from agent.config.secrets import read_secret_file
from agent.config.section import Section
from agent.config.times import TimeZone
from agent.config.values import Flag, Number, OneOf, Text, WholeNumber, not_empty, refuse, split_commas
from agent.row import KNOWN_FIELDS


def _known_columns(columns: dict[str, str]) -> dict[str, str]:
    for name in columns:
        if name not in KNOWN_FIELDS:
            refuse(
                f"one of {', '.join(KNOWN_FIELDS)} as key", hint=did_you_mean(name, KNOWN_FIELDS), got=f"key «{name}»"
            )
    if len(set(columns.values())) < len(columns):
        refuse("each column named once", got="one column for two fields")
    return columns


class TlsSettings(Section):
    """Say how the connection to the database is encrypted; the section being there switches TLS on."""

    enabled: Annotated[bool, Flag()] = Field(
        default=True, description="false: as if the section were left out; for a switch through `${NAME}`"
    )
    ca_file: Annotated[Path | None, FilePath()] = Field(
        default=None, description="PEM of the authorities to trust; without it, those of the machine"
    )
    client_cert: Annotated[Path | None, FilePath()] = Field(
        default=None, description="PEM of the client certificate, for accounts made with REQUIRE X509"
    )
    client_key: Annotated[Path | None, FilePath()] = Field(
        default=None, description="PEM of its private key, without a passphrase"
    )
    verify: Annotated[bool, Flag()] = Field(
        default=True, description="check certificate and host name; false warns at every start"
    )

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        _check_pair(self.client_cert, self.client_key)
        return self


class SourceSettings(Section):
    """Name the database and the table that is tailed."""

    url: Annotated[SecretUrl, DatabaseUrl()] = Field(
        description="the database as a URL; the account needs SELECT on the table, see `deploy/grants.sql`"
    )
    password_file: Annotated[Path | None, FilePath()] = Field(
        default=None,
        description="file that holds the password, read at each connect so it can be rotated; wins over one in the URL",
    )
    table: Annotated[str, TABLE] = Field(
        default="mod_impulsecore_audit_log", description="the audit table, checked against information_schema"
    )
    columns: Annotated[dict[str, Annotated[str, COLUMN]], AfterValidator(_known_columns)] = Field(
        default={}, description="field name → column name, for columns that are called otherwise in this table"
    )
    time_zone: Annotated[str, TimeZone()] = Field(
        default="UTC", description="the zone `created_at` is written in; `check` warns when rows lie in the future"
    )
    connect_timeout_seconds: Annotated[float, Number(0.1, 300)] = Field(
        default=10, description="how long a new connection may take"
    )
    read_timeout_seconds: Annotated[float, Number(0.1, 3600)] = Field(
        default=60, description="how long one answer may take; a connection that died silently is noticed after this"
    )
    tls: TlsSettings | None = Field(default=None, description="TLS towards the database; leave out on a local socket")

    def read_password(self) -> str | None:
        """Return the password now: of the file, else the one inside the URL; None when there is none."""
        if self.password_file is not None:
            return read_secret_file(self.password_file, "source.password_file")
        return self.url.password


def _without_credentials(hosts: object) -> object:
    # Before anything is split or shown: a comma may be part of a password.
    for position, host in enumerate(hosts if isinstance(hosts, list) else [hosts]):
        if "@" in str(host):
            remedy = "; credentials go to opensearch.username and opensearch.password_file"
            at = (position,) if isinstance(hosts, list) else ()
            refuse("a URL as https://host:9200", hint=remedy, got="one with an @", at=at)
    return split_commas(hosts)


class OpenSearchSettings(Section):
    """Name the cluster, the account, and what its indices are called and made of."""

    hosts: Annotated[
        tuple[Annotated[str, HttpUrl()], ...], BeforeValidator(_without_credentials), AfterValidator(not_empty)
    ] = Field(description="URLs of the nodes, a list or comma-separated; the next one is tried when one is gone")
    username: Annotated[str | None, Text("a name without a colon", r"[^:\x00-\x1f\x7f]+")] = Field(
        default=None, description="account, see `deploy/` for its role"
    )
    password: Annotated[SecretStr | None, Secret()] = Field(default=None, description="its password")
    password_file: Annotated[Path | None, FilePath()] = Field(
        default=None, description="file that holds the password, read again when the cluster refuses the old one"
    )
    ca_file: Annotated[Path | None, FilePath()] = Field(
        default=None, description="PEM of the authorities to trust; without it, those of the machine"
    )
    client_cert: Annotated[Path | None, FilePath()] = Field(default=None, description="PEM of a client certificate")
    client_key: Annotated[Path | None, FilePath()] = Field(
        default=None, description="PEM of its private key, without a passphrase"
    )
    verify: Annotated[bool, Flag()] = Field(
        default=True, description="check certificate and host name; false warns at every start"
    )
    aws_region: Annotated[str | None, Text("an AWS region as eu-central-1", r"[a-z0-9-]{4,32}")] = Field(
        default=None, description="sign requests for Amazon OpenSearch Service in this region; needs the extra `aws`"
    )
    index_prefix: Annotated[str, Name()] = Field(
        default="impulse-audit", description="partitions are `<index_prefix>-<instance>-YYYY.MM`"
    )
    agent_prefix: Annotated[str, Name()] = Field(
        default="impulse-agent",
        description="the agent's own indices: `<agent_prefix>-state`, `-dead-letters`, `-journal`",
    )
    partition: Annotated[str, OneOf("month", "day", "year")] = Field(
        default="month",
        description="period one index covers: month suits 10³–10⁶ rows a month, day more, year a small install",
    )
    shards: Annotated[int, WholeNumber(1, 1024)] = Field(
        default=1, description="primary shards of a new partition; one holds 30–50 GB"
    )
    replicas: Annotated[int, WholeNumber(0, 20)] = Field(
        default=1, description="copies of a new partition; 0 on a single node, which could not place one"
    )
    timeout_seconds: Annotated[float, Number(0.1, 3600)] = Field(
        default=30, description="the client's own limit for one request: a stuck cluster may never answer"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_one_password(self.password, self.password_file)
        _check_pair(self.client_cert, self.client_key)
        if f"{self.index_prefix}-".startswith(f"{self.agent_prefix}-") or f"{self.agent_prefix}-".startswith(
            f"{self.index_prefix}-"
        ):
            # Templates and roles match `<prefix>-*`: one inside the other would catch both kinds of index.
            refuse("index_prefix and agent_prefix of which neither begins with the other", got="two that overlap")
        has_password = self.password is not None or self.password_file is not None
        if has_password and self.username is None:
            refuse("username beside password or password_file", got="a password without username")
        if self.username is not None and not has_password:
            refuse("password_file (or password) beside username", got="a username without password")
        return self

    def read_password(self) -> str | None:
        """Return the password now: of the file, else of the key; None when there is none."""
        if self.password_file is not None:
            return read_secret_file(self.password_file, "opensearch.password_file")
        return self.password.get_secret_value() if self.password else None


def _check_one_password(password: SecretStr | None, password_file: Path | None) -> None:
    if password is not None and password_file is not None:
        refuse("one of the two", got="password and password_file")


def _check_pair(certificate: Path | None, key: Path | None) -> None:
    if (certificate is None) != (key is None):
        refuse("client_cert and client_key together, or neither", got="one of client_cert and client_key")
