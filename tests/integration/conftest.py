"""What holds for every integration test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.content_seed import Corner
from tests.integration.mysql_source import OPENED


@pytest.fixture(autouse=True)
def _pools_are_closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


@pytest.fixture(scope="module")
def shared_corner(opensearch: str) -> Iterator[Corner]:
    made = Corner(opensearch)
    yield made
    made.remove()


@pytest.fixture
def corner(shared_corner: Corner) -> Corner:
    shared_corner.clear()
    return shared_corner
