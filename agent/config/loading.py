"""From files to settings: one function for each file that agent.yml names, and one for all four at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from agent.config.alerts import AlertSettings
from agent.config.context_fields import ContextFields
from agent.config.problems import InvalidFile, Problem
from agent.config.retention import RetentionSettings
from agent.config.section import Section
from agent.config.settings import Settings
from agent.config.translation import validate
from agent.config.yaml_tree import Tree, read_tree

S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Hold what all four files say; a file that is not named stands with its defaults."""

    settings: Settings
    retention: RetentionSettings
    context_fields: ContextFields
    alerts: AlertSettings


def load_retention(path: Path, environ: Mapping[str, str] | None = None) -> RetentionSettings:
    """Read config/retention.yml; raise InvalidFile."""
    return _load(RetentionSettings, path, environ)


def load_context_fields(path: Path, environ: Mapping[str, str] | None = None) -> ContextFields:
    """Read config/context_fields.yml; raise InvalidFile."""
    return _load(ContextFields, path, environ)


def load_alerts(path: Path, environ: Mapping[str, str] | None = None) -> AlertSettings:
    """Read config/alerts.yml; raise InvalidFile."""
    return _load(AlertSettings, path, environ)


def load_all(path: Path, environ: Mapping[str, str] | None = None) -> Configuration:
    """Read config/agent.yml and the files it names; raise one InvalidFile with the problems of all of them."""
    environ = os.environ if environ is None else environ
    tree = read_tree(path, environ)
    settings = validate(Settings, tree, path.resolve().parent)
    files = settings.files
    problems: list[Problem] = []

    def named(model: type[S], file: Path | None, key: tuple[str, str], load_file: Callable[..., S]) -> S:
        if file is None:
            return model()
        if not file.is_file():
            problems.append(_no_such_file(tree, key, file))
            return model()
        try:
            return load_file(file, environ)
        except InvalidFile as error:
            problems.extend(error.problems)
            return model()

    configuration = Configuration(
        settings=settings,
        retention=named(RetentionSettings, files.retention, ("retention", "file"), load_retention),
        context_fields=named(ContextFields, files.context_fields, ("context", "fields_file"), load_context_fields),
        alerts=named(AlertSettings, files.alerts, ("alerts", "file"), load_alerts),
    )
    if problems:
        raise InvalidFile(str(path), problems)
    return configuration


def _load(model: type[S], path: Path, environ: Mapping[str, str] | None) -> S:
    return validate(model, read_tree(path, os.environ if environ is None else environ), path.resolve().parent)


def _no_such_file(tree: Tree, key: tuple[str, str], file: Path) -> Problem:
    remedy = "create it, correct the path, or leave the key out"
    return Problem(
        file=tree.file, line=tree.line_of(key), path=".".join(key), what=f"no such file: {file}", remedy=remedy
    )
