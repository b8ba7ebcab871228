"""Files of one test, and the lines an error consists of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config.problems import InvalidFile

AGENT = """\
instance: shop
source:
  url: mysql+pymysql://audit@127.0.0.1:3306/whmcs
opensearch:
  hosts: http://127.0.0.1:9200
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file of the test and return its path."""

    def _write(text: str | bytes, name: str = "agent.yml") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return _write


def problems(call: Callable[[], object]) -> list[str]:
    """Return the lines of the InvalidFile that the call raises, without the folder of the test."""
    with pytest.raises(InvalidFile) as caught:
        call()
    folder = str(Path(caught.value.file).parent) + "/"
    return [str(problem).replace(folder, "") for problem in caught.value.problems]
