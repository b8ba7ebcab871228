"""What the configuration must say about the source: the attributes of `source:` that this package reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Secret(Protocol):
    """Hold a value whose repr never shows it."""

    def get_secret_value(self) -> str: ...


class TlsSettings(Protocol):
    """Say how to speak TLS. `enabled` False means plain on purpose; `verify` False is announced by the caller."""

    @property
    def enabled(self) -> bool: ...
    @property
    def ca_file(self) -> Path | None: ...
    @property
    def client_cert(self) -> Path | None: ...
    @property
    def client_key(self) -> Path | None: ...
    @property
    def verify(self) -> bool: ...


class SourceSettings(Protocol):
    """Say where the table is and how long to wait for it. `columns` maps a field to the column that holds it."""

    @property
    def url(self) -> Secret: ...
    @property
    def password_file(self) -> Path | None: ...
    @property
    def table(self) -> str: ...
    @property
    def columns(self) -> Mapping[str, str]: ...
    @property
    def time_zone(self) -> str: ...
    @property
    def connect_timeout_seconds(self) -> float: ...
    @property
    def read_timeout_seconds(self) -> float: ...
    @property
    def tls(self) -> TlsSettings | None: ...
