"""Judge the database: its version and mode, the table's shape, its zone, and what retention needs of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from agent.checking.finding import Finding, fail, ok, warn
from agent.mysql.facts import ServerFacts
from agent.mysql.lag import as_instant
from agent.mysql.schema import Table
from agent.mysql.source_identity import SourceIdentity

# The oldest the statements are written for: CRC32 over CONVERT, max_statement_time, utf8mb4 with long keys.
OLDEST = {"mysql": (5, 7), "mariadb": (10, 3)}
FUTURE_SECONDS = 120.0
_IDS_LEFT_SHARE = 0.2
_HIGHEST_IDS = {"tinyint": 7, "smallint": 15, "mediumint": 23, "int": 31, "integer": 31, "bigint": 63}
_PACKET_SLACK_BYTES = 1 << 20


def server(identity: SourceIdentity, where: str, *, deletes: bool) -> Iterator[Finding]:
    """Judge version and mode of the server that answered."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", identity.version)[:2])
    oldest = OLDEST[identity.vendor]
    if numbers < oldest:
        wanted = ".".join(map(str, oldest))
        yield warn("mysql version", f"{identity.version} is older than {wanted}", f"upgrade to {wanted} or newer")
    else:
        yield ok("mysql version", f"{identity.version} at {where}")
    if identity.is_galera:
        yield ok("mysql role", "a Galera node: ids come in steps and evidence is grace")
    elif identity.is_replica:
        yield _reader("a replica", deletes=deletes)
    elif identity.is_read_only:
        yield _reader("read_only is on", deletes=deletes)
    else:
        yield ok("mysql role", "writable")


def tls(facts: ServerFacts, where: str, *, is_verified: bool) -> Finding:
    """Judge whether the connection is encrypted and the server is who it says; on one machine nobody is in between."""
    if facts.tls_cipher and is_verified:
        return ok("mysql TLS", f"encrypted, {facts.tls_cipher}")
    host = where.removeprefix("mysql://").partition("/")[0].rpartition(":")[0].strip("[]")
    if host in ("localhost", "::1") or re.fullmatch(r"127(\.\d+){3}", host):
        return ok("mysql TLS", f"{facts.tls_cipher or 'not encrypted'}, on this machine")
    if facts.tls_cipher:
        told = f"encrypted, but nobody checks that {host} is {host}: whoever is in between reads rows and password"
        return warn("mysql TLS", told, "set source.tls with its ca_file, and leave verify at true")
    return warn("mysql TLS", f"rows and password travel unencrypted to {host}", "set source.tls with its ca_file")


def table(found: Table, facts: ServerFacts, *, expires: bool) -> Iterator[Finding]:
    """Judge the table's shape."""
    columns = ", ".join(column.field for column in found.columns[: found.known])
    extra = [column.name for column in found.columns[found.known :]]
    beside = f"; as extra: {', '.join(extra)}" if extra else ""
    yield ok("table", f"{found.schema}.{found.name} with {columns}{beside}")
    if facts.is_id_auto_increment and found.id_index == "PRIMARY":
        yield ok("table id", f"{found.id.name} {facts.id_type}, auto-increment primary key")
    else:
        lacks = "not AUTO_INCREMENT" if not facts.is_id_auto_increment else "not the primary key"
        name = found.id.name
        yield fail(
            "table id",
            f"{name} is {lacks}: nothing says that a new row has a higher id",
            f"ALTER TABLE {found.name} MODIFY {name} {facts.id_type} NOT NULL AUTO_INCREMENT PRIMARY KEY, "
            "or set source.columns.id",
        )
    if facts.engine.lower() != "innodb":
        yield warn("table engine", f"{facts.engine} has no transactions", f"ALTER TABLE {found.name} ENGINE=InnoDB")
    if facts.has_created_at_index:
        yield ok("index on created_at", f"{found.created_at_index}")
    elif expires:
        remedy = f"CREATE INDEX created_at ON {found.name} ({found.created_at.name})"
        yield warn("index on created_at", "none: each retention plan reads the whole table", remedy)
    else:
        yield ok("index on created_at", "none, and none needed: no rows expire")


def ids_left(facts: ServerFacts, max_id: int | None) -> Finding:
    """Judge how far the id column is from its end, where every INSERT of every module fails."""
    kind = facts.id_type.split("(")[0].split(" ")[0].lower()
    bits = _HIGHEST_IDS.get(kind, 63) + ("unsigned" in facts.id_type.lower())
    share = 1 - (max_id or 0) / (2**bits - 1)
    finding = f"highest {max_id or 0}, {share:.0%} of {facts.id_type} left"
    if share >= _IDS_LEFT_SHARE:
        return ok("table ids", finding)
    return warn("table ids", finding, "widen the column to BIGINT UNSIGNED before it ends")


def newest_row(facts: ServerFacts, zone: str) -> Finding:
    """Judge the zone `created_at` is read in by the newest row, which cannot be of the future."""
    name = "time zone"
    created = as_instant(facts.newest_created_at, ZoneInfo(zone))
    if created is None:
        return ok(name, f"created_at is read as {zone}; no dated row to judge it by")
    ahead = (created - server_now(facts)).total_seconds()
    if ahead > FUTURE_SECONDS:
        server_zone = facts.time_zone
        return warn(
            name,
            f"the newest row lies {_hours(ahead)} in the future when read as {zone}",
            f"set source.time_zone to the zone rows are written in (the server's own is {server_zone})",
        )
    return ok(name, f"created_at is read as {zone}, newest row {_hours(-ahead)} ago")


def packets(facts: ServerFacts, *, max_bytes: int) -> Finding:
    """Judge whether the largest row that is read fits into one packet."""
    name = "max_allowed_packet"
    # `detail` and `context` are both cut at max_bytes, in characters of up to four bytes at worst.
    wanted = 2 * max_bytes + _PACKET_SLACK_BYTES
    found = f"{facts.max_allowed_packet >> 10} KiB"
    if facts.max_allowed_packet < wanted:
        return warn(
            name,
            f"{found}, a row may take {wanted >> 10} KiB: longer values would arrive as NULL",
            f"SET GLOBAL max_allowed_packet = {max(wanted, 16 << 20)}, or lower context.max_bytes",
        )
    return ok(name, found)


def server_now(facts: ServerFacts) -> datetime:
    """Return the server's own time."""
    return datetime.fromisoformat(facts.now).replace(tzinfo=UTC)


def _reader(what: str, *, deletes: bool) -> Finding:
    name, remedy = "mysql role", "name the writer in source.url"
    if deletes:
        return fail(name, f"{what}: retention cannot delete here", remedy)
    return warn(name, f"{what}: gaps cannot be proven dead here, and two agents could not exclude each other", remedy)


def _hours(seconds: float) -> str:
    seconds = max(0.0, seconds)
    return f"{seconds:.0f} s" if seconds < 7200 else f"{seconds / 3600:.1f} h"
