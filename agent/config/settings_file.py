"""config/agent.yml alone: who only asks the index must not wait for the three files it names, nor stumble over them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from agent.config.settings import Settings
from agent.config.translation import validate
from agent.config.yaml_tree import read_tree


def load(path: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Read config/agent.yml; raise InvalidFile (a ConfigError) that states every problem with its line."""
    return validate(Settings, read_tree(path, os.environ if environ is None else environ), path.resolve().parent)
