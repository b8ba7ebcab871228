"""What holds for every integration test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.mysql_source import OPENED


@pytest.fixture(autouse=True)
def _pools_are_closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()
