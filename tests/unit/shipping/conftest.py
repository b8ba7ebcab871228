"""Fixtures of these tests."""

from __future__ import annotations

from tests.unit.shipping.daemon import running
from tests.unit.shipping.outage import make_line

__all__ = ["make_line", "running"]
