"""Tables as `look_up` would describe them, for tests that need no server."""

from __future__ import annotations

from agent.mysql.schema import Column, Table

_TYPES = {
    "id": ("int", None),
    "created_at": ("datetime", None),
    "client_id": ("int", None),
    "context": ("json", None),
    "detail": ("text", "latin1"),
}


def column(name: str, data_type: str | None = None, charset: str | None = "utf8mb4") -> Column:
    if data_type is None:
        data_type, charset = _TYPES.get(name, ("varchar", "utf8mb4"))
    return Column(field=name, name=name, data_type=data_type, column_type=data_type, charset=charset)


def table(*names: str, extra: tuple[Column, ...] = (), is_case_sensitive: bool = True) -> Table:
    known = tuple(column(name) for name in ("id", "created_at", *names))
    return Table(
        schema="Whmcs",
        name="Audit",
        columns=(*known, *extra),
        known=len(known),
        id_index="PRIMARY",
        created_at_index=None,
        engine="InnoDB",
        is_case_sensitive=is_case_sensitive,
    )
