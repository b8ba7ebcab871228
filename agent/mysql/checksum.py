"""The row's checksum as one SQL expression, so that MySQL computes it and nobody re-formats values on the way.

Version 1: the known fields in their fixed order, each as its own text (numbers, dates) or as the CRC32 of its bytes in
utf8mb4 (text, JSON) or as stored (binary), NULL as nothing; then each extra column that is not NULL, by name, as its
name's and its value's CRC32; all joined by commas, and the CRC32 of that. So

- NULL, '' and 'NULL' differ ('' is 0), and a value cannot leak into its neighbour: only digits, dates and commas join;
- a long value never meets max_allowed_packet, because what is concatenated is short;
- a column added to the table changes no checksum until a row has a value in it;
- the connection's character set, the client and the column's position don't matter.

Any change to what the expression yields needs a new CRC_VERSION: documents carry the version they were shipped with.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from agent.mysql.schema import INTEGER_TYPES, Column
from agent.row import KNOWN_FIELDS

CRC_VERSION = 1

_VERBATIM_TYPES = INTEGER_TYPES | {"decimal", "datetime", "timestamp", "date", "time"}
_BINARY_TYPES = frozenset(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"))
_STRUCTURED_TYPES = frozenset(("vector", "geometry", "point", "linestring", "polygon")) | frozenset(
    ("multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection")
)


def crc_expression(columns: Sequence[Column], known: int) -> str:
    """Return the expression for a table whose first `known` columns carry known fields and the rest are extra."""
    by_field = {column.field: column for column in columns[:known]}
    parts = [_known_part(by_field.get(field)) for field in KNOWN_FIELDS]
    parts += [_extra_part(column) for column in sorted(columns[known:], key=lambda column: column.name)]
    return f"CRC32(CONCAT_WS(',', {', '.join(parts)}))"


def is_binary(column: Column) -> bool:
    """Say whether the column holds bytes rather than text."""
    return column.data_type in _BINARY_TYPES


def is_structured(column: Column) -> bool:
    """Say whether the column holds something that has no text of its own, such as a geometry."""
    return column.data_type in _STRUCTURED_TYPES


def _known_part(column: Column | None) -> str:
    return "''" if column is None else f"IFNULL({_value(column)}, '')"


def _extra_part(column: Column) -> str:
    # CONCAT is NULL when the value is, and CONCAT_WS leaves NULLs out
    return f"CONCAT({zlib.crc32(column.name.encode())}, ':', {_value(column)})"


def _value(column: Column) -> str:
    if column.data_type in _VERBATIM_TYPES:
        return column.quoted
    if column.data_type == "bit":
        return f"CAST({column.quoted} AS UNSIGNED)"
    return _crc_of_text(column)


def _crc_of_text(column: Column) -> str:
    if column.data_type in ("float", "double"):
        return f"CRC32(CONCAT({column.quoted}))"
    if is_structured(column):
        return f"CRC32(HEX({column.quoted}))"
    if is_binary(column) or column.charset in ("utf8mb4", "binary"):
        return f"CRC32({column.quoted})"
    converted = f"CRC32(CONVERT({column.quoted} USING utf8mb4))"
    # conversion of a value near max_allowed_packet yields NULL, which must not look like a missing value;
    # JSON, UUID and INET6 have no character set and become text by conversion only
    return converted if column.charset is None else f"IFNULL({converted}, CRC32({column.quoted}))"
