"""Follow the table's columns under a running daemon: an upgrade of Core may add or drop one at any time."""

from __future__ import annotations

from agent.cli.app import Application
from agent.mysql.schema import look_up

# What is made of the columns, and is made anew when first asked for.
_MADE_OF_COLUMNS = ("table", "rows", "builder")


def look_again(app: Application) -> bool:
    """Look the table up as it is now; say whether rows must be read in another way. Raises ConfigError."""
    if look_up(app.database, app.configuration.settings.source) == app.table:
        return False
    for part in _MADE_OF_COLUMNS:
        app.__dict__.pop(part, None)
    return True
