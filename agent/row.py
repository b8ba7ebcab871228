"""The row: one tuple as MySQL's text protocol gives it, and the shape that says which value is which.

Values are not converted on the way in: numbers of integer columns are `int`, everything else is `str` (dates as
`YYYY-MM-DD HH:MM:SS[.ffffff]`, zero dates as `0000-00-00 00:00:00`, decimals as digits), binary is decoded with
replacement, NULL is None. The last value is always the row's CRC (unsigned 32-bit int).
"""

from __future__ import annotations

from dataclasses import dataclass

Value = int | str | None
Row = tuple[Value, ...]

KNOWN_FIELDS = (
    "id",
    "created_at",
    "module_slug",
    "source",
    "action",
    "severity",
    "service_id",
    "admin_id",
    "client_id",
    "ip_address",
    "detail",
    "context",
)


@dataclass(frozen=True, slots=True)
class RowShape:
    """Name the values of a row tuple, in order: known fields first, then the table's extra columns, then the CRC.

    `fields` holds the document's field names that the table really has, in KNOWN_FIELDS order, so `id` is at 0
    and `created_at` at 1; `extra` holds the names of further columns, which follow.
    """

    fields: tuple[str, ...]
    extra: tuple[str, ...] = ()

    def position(self, field: str) -> int | None:
        """Return where a known field stands in the tuple, or None when the table has no such column."""
        return self.fields.index(field) if field in self.fields else None
