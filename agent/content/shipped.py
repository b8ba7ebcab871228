"""The dashboards file as shipped: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from agent.errors import PermanentError

_NAME = "impulse-audit.ndjson"


def dashboards_text() -> str:
    """Return the saved objects of this version. Raises PermanentError when the package lacks them."""
    packaged = files("agent") / "_data" / "dashboards" / _NAME
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    checkout = Path(__file__).resolve().parents[2] / "dashboards" / _NAME
    if not checkout.is_file():
        raise PermanentError(
            "the dashboards are not installed", where=str(packaged), remedy="install the package again"
        )
    return checkout.read_text(encoding="utf-8")
