"""The tables of ImpulseCore that matter here, in the shapes they are met in the field.

No `CREATE TABLE` is published, so the agent must take any of these:

    timestamp   INT ids, TIMESTAMP, LONGTEXT context: what Laravel migrations of that age produce; the default
    datetime    BIGINT ids, nullable DATETIME with microseconds, ENUMs
    json        a real JSON column, which refuses what is no JSON
    legacy      three-byte utf8, TEXT, everything nullable, zero dates allowed
    extra       further columns of later versions: project_id, updated_at, a decimal, a blob
    minimal     only what the agent cannot do without, plus the action
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

TABLE = "mod_impulsecore_audit_log"
SETTINGS_TABLE = "mod_impulsecore_settings"


class Kind(StrEnum):
    """Name a shape of the audit table."""

    TIMESTAMP = "timestamp"
    DATETIME = "datetime"
    JSON = "json"
    LEGACY = "legacy"
    EXTRA = "extra"
    MINIMAL = "minimal"


_IDENTITIES = """
  service_id INT UNSIGNED NULL,
  admin_id INT UNSIGNED NULL,
  client_id INT UNSIGNED NULL,
  ip_address VARCHAR(45) NULL,"""

_NAMES = """
  module_slug VARCHAR(100) NOT NULL,
  source VARCHAR(20) NOT NULL,
  action VARCHAR(100) NOT NULL,
  severity VARCHAR(10) NOT NULL DEFAULT 'info',"""

_KEYS = """
  PRIMARY KEY (id),
  KEY created_at (created_at),
  KEY module_action (module_slug, action),
  KEY client_id (client_id)"""

_BODIES = {
    Kind.TIMESTAMP: f"""
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,{_NAMES}{_IDENTITIES}
  detail TEXT NULL,
  context LONGTEXT NULL,{_KEYS}""",
    Kind.DATETIME: f"""
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  created_at DATETIME(6) NULL,
  module_slug VARCHAR(50) NOT NULL,
  source ENUM('admin','cron','customer','system') NOT NULL,
  action VARCHAR(100) NOT NULL,
  severity ENUM('info','warn','error') NOT NULL DEFAULT 'info',{_IDENTITIES}
  detail VARCHAR(255) NULL,
  context LONGTEXT NULL,{_KEYS}""",
    Kind.JSON: f"""
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  created_at TIMESTAMP NULL DEFAULT NULL,{_NAMES}{_IDENTITIES}
  detail TEXT NULL,
  context JSON NULL,{_KEYS}""",
    Kind.LEGACY: """
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  created_at DATETIME NULL,
  module_slug VARCHAR(50) NULL,
  source VARCHAR(20) NULL,
  action VARCHAR(64) NULL,
  severity VARCHAR(10) NULL DEFAULT 'info',
  service_id INT NULL,
  admin_id INT NULL,
  client_id INT NULL,
  ip_address VARCHAR(45) NULL,
  detail TEXT NULL,
  context TEXT NULL,
  PRIMARY KEY (id),
  KEY created_at (created_at)""",
    Kind.EXTRA: f"""
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,{_NAMES}{_IDENTITIES}
  detail TEXT NULL,
  context LONGTEXT NULL,
  project_id INT UNSIGNED NULL DEFAULT 7,
  updated_at TIMESTAMP NULL DEFAULT NULL,
  cost DECIMAL(20,6) NULL DEFAULT 12.5,
  fingerprint VARBINARY(64) NULL DEFAULT 0x00ff41,{_KEYS}""",
    Kind.MINIMAL: """
  id INT UNSIGNED NOT NULL AUTO_INCREMENT,
  created_at TIMESTAMP NULL DEFAULT NULL,
  action VARCHAR(100) NULL,
  PRIMARY KEY (id)""",
}


def create_table_sql(kind: Kind | str = Kind.TIMESTAMP, *, table: str = TABLE) -> str:
    """Return the CREATE TABLE of one shape."""
    charset = "utf8mb3" if kind == Kind.LEGACY else "utf8mb4"
    return f"CREATE TABLE `{table}` ({_BODIES[Kind(kind)]}\n) ENGINE=InnoDB DEFAULT CHARSET={charset}"


def create_table(connection: Connection[Cursor], kind: Kind | str = Kind.TIMESTAMP, *, table: str = TABLE) -> None:
    """Create the audit table in the connection's database."""
    with connection.cursor() as cursor:
        cursor.execute(create_table_sql(kind, table=table))


def create_settings(connection: Connection[Cursor], values: Mapping[str, str | None] | None = None) -> None:
    """Create Core's settings table, with the retention key at its default unless `values` says otherwise."""
    chosen = {"audit_retention_days": "90"} if values is None else values
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE `{SETTINGS_TABLE}` (setting_key VARCHAR(100) NOT NULL PRIMARY KEY, setting_value TEXT NULL,"
            " created_at TIMESTAMP NULL DEFAULT NULL, updated_at TIMESTAMP NULL DEFAULT NULL) ENGINE=InnoDB"
        )
        for key, value in chosen.items():
            cursor.execute(f"INSERT INTO `{SETTINGS_TABLE}` (setting_key, setting_value) VALUES (%s, %s)", (key, value))
