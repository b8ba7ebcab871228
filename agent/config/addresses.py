"""Rules for names, URLs, files and secrets: values that end up in index names, URLs, SQL or on a wire.

A name that passes here is safe inside an index name, a URL path, a lock name, a metric label and a file name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from agent.config.problems import mask_url, printable
from agent.config.values import Rule, Text, refuse

HIGHEST_PORT = 65_535
_NAME_SHAPE = "lower-case letters, digits, - and _, starting with a letter or digit, at most 40 characters"
_DATABASE_SCHEMES = frozenset({"mysql", "mariadb"})
_DATABASE_DRIVERS = frozenset({"", "pymysql", "mysqldb"})
# Any other is an option of the driver: among them are SQL to run at connect, files to read, and TLS switched off.
_DATABASE_OPTIONS = frozenset({"unix_socket", "charset"})


class Name(Rule):
    """Take a name that is safe everywhere; upper case is refused rather than folded, so two names stay two."""

    @property
    def allowed(self) -> str:
        return _NAME_SHAPE

    def read(self, value: object) -> str:
        hint = "; put it in quotes if it is meant as text" if isinstance(value, int | float) else ""
        if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", value):
            folded = (
                re.sub(r"[^a-z0-9_-]+", "-", value.strip().lower()).strip("-_")[:40] if isinstance(value, str) else ""
            )
            refuse(self.allowed, hint=f"; did you mean «{folded}»?" if folded else hint)
        return value


class SecretUrl(SecretStr):
    """Hold a URL that may carry a password; printed, it shows everything but that."""

    def _display(self) -> str:
        return mask_url(self._secret_value)

    @property
    def password(self) -> str | None:
        """Return the password inside the URL, decoded, or None."""
        secret = urlsplit(self._secret_value).password
        return None if secret is None else unquote(secret)


class DatabaseUrl(Rule):
    """Take a SQLAlchemy URL of a MySQL or MariaDB database."""

    @property
    def allowed(self) -> str:
        return "a URL as mysql+pymysql://user@host:3306/database"

    def read(self, value: object) -> SecretUrl:
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if not isinstance(value, str) or "://" not in value:
            refuse(self.allowed, got="something that is no URL")
        fault = _database_fault(value)
        if fault:
            refuse(self.allowed, hint=f"; {fault}", got=f'"{printable(mask_url(value))}"')
        return SecretUrl(value)

    def show(self, value: Any) -> object:
        return str(value)


class HttpUrl(Rule):
    """Take the http(s) URL of one OpenSearch node, without user, query or fragment; a trailing slash goes."""

    @property
    def allowed(self) -> str:
        return "a URL as https://host:9200"

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            refuse(self.allowed)
        text = value.strip()
        fault = _http_fault(text)
        if fault:
            refuse(self.allowed, hint=f"; {fault}", got=f'"{printable(mask_url(text))}"')
        return text.rstrip("/")


class ListenAddress(Rule):
    """Take `host:port`; port 0 takes a free one, an empty value switches the listener off."""

    @property
    def allowed(self) -> str:
        return 'host:port as 127.0.0.1:9465 (port 0: a free one), or "" for none'

    def read(self, value: object) -> str:
        if value == "":
            return ""
        match = (
            re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})", value)
            if isinstance(value, str)
            else None
        )
        if not match or int(match[2]) > HIGHEST_PORT:
            refuse(self.allowed)
        return str(value)


class FilePath(Rule):
    """Take a path; a relative one counts from the folder of the file that names it."""

    @property
    def allowed(self) -> str:
        return "a path, relative to this file"

    def read(self, value: object) -> Path:
        if isinstance(value, Path):
            return value
        if not isinstance(value, str) or not value or "\0" in value:
            refuse(self.allowed)
        return Path(value).expanduser()

    def show(self, value: Any) -> object:
        return str(value) if isinstance(value, Path) else value


class Secret(Rule):
    """Take a password; no message and no dump ever shows it."""

    @property
    def allowed(self) -> str:
        return "text (better: ${NAME}, or the key with _file)"

    def read(self, value: object) -> SecretStr:
        if isinstance(value, SecretStr):
            return value
        if not isinstance(value, str) or not value:
            refuse(self.allowed, hint="; put it in quotes", got="a value that is not shown")
        return SecretStr(value)

    def show(self, value: Any) -> object:
        return None if value is None else "***"


COLUMN = Text("a column name", r"[^\x00-\x1f`]{1,64}")
TABLE = Text("the name of a table in the database of the URL", r"[^\x00-\x1f`./\\]{1,64}")


def _database_fault(text: str) -> str:
    encode = "encode special characters of the password (@ as %40, / as %2F), or use password_file"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return encode
    scheme, _, driver = parts.scheme.partition("+")
    faults = {
        "the scheme is mysql+pymysql, mysql+mysqldb or mysql": scheme not in _DATABASE_SCHEMES
        or driver not in _DATABASE_DRIVERS,
        "no spaces or control characters": re.search(r"[\s\x00-\x1f]", text) is not None,
        encode: parts.netloc.count("@") > 1 or "@" in parts.path + parts.query + parts.fragment,
        "the host is missing": not parts.hostname and "unix_socket" not in dict(parse_qsl(parts.query)),
        "the port is a number from 1 to 65535": port == 0,
        "the database is missing": not re.fullmatch(r"/[^/]+", parts.path),
        "only unix_socket and charset may stand behind «?»; TLS goes to source.tls": not _DATABASE_OPTIONS.issuperset(
            option for option, _ in parse_qsl(parts.query, keep_blank_values=True)
        )
        or parts.fragment,
    }
    return next((fault for fault, found in faults.items() if found), "")


def _http_fault(text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return "the port is a number from 1 to 65535"
    if parts.scheme not in {"http", "https"}:
        return "http:// or https:// comes first"
    if re.search(r"[\s\x00-\x1f\\]", text) or not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9a-fA-F:.]+", parts.hostname or ""):
        return "the host is missing or holds a character no host has"
    if port == 0:
        return "no port 0"
    return "no query and no fragment" if parts.query or parts.fragment else ""
