"""From pydantic's errors to problems a person can act on: file, line, path, what was got, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from agent.config.problems import InvalidFile, KeyPath, Problem, dotted, near, shown
from agent.config.yaml_tree import Tree

S = TypeVar("S", bound=BaseModel)

_MANY = 12  # more keys than this are not listed in one line
_WORD = re.compile(r"[\w.-]{1,64}")
_SECRET_NAME = re.compile(r"(?i)passw|pwd|secret|token|credential|_key$|^key$")


def validate(model: type[S], tree: Tree, folder: Path) -> S:
    """Build the model from a file's values; raise InvalidFile with one problem per error."""
    try:
        return model.model_validate({} if tree.value is None else tree.value, context={"folder": folder})
    except ValidationError as error:
        details = error.errors(include_url=False)
        problems = [problem for detail in details for problem in _problems(model, tree, detail)]
        raise InvalidFile(tree.file, problems) from None


def keys_of(model: type[BaseModel], parents: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every key that a file of this model may have, sections before their keys."""
    for name, field in model.model_fields.items():
        yield (*parents, name)
        for section in sections_in(field.annotation):
            yield from keys_of(section, (*parents, name))


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models an annotation holds: itself, the items of a list, the alternatives of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in getattr(annotation, "__args__", ()) for found in sections_in(part)]


def _problems(model: type[BaseModel], tree: Tree, detail: ErrorDetails) -> Iterator[Problem]:
    path = cast("KeyPath", tuple(detail["loc"]))
    kind = detail["type"]
    if kind == "refused":
        context = detail.get("ctx", {})
        for refusal in context.get("several", (context,)):
            yield _refused(tree, (*path, *refusal["at"]), detail["input"], refusal)
        return
    if kind == "extra_forbidden" and not _WORD.fullmatch(str(path[-1])):
        # The rest of a value that ended too early, perhaps of a password.
        line, parent = tree.line_of(path), path[:-1]
        yield Problem(file=tree.file, line=line, path=dotted(parent), what="holds a key that is no word")
        return
    if kind == "extra_forbidden":
        what = _unknown_key(model, path)
    elif kind == "missing":
        what = "is missing" + _misspelt(tree, path)
    else:
        shape = _shape(model, path, detail)
        # Words that stand where keys belong may be one of them with its value: `opensearch: password …`.
        are_words = shape.startswith("a mapping") and len(str(detail["input"]).split()) > 1
        got = "text" if are_words and isinstance(detail["input"], str) else _shown(tree, path, detail["input"])
        what = f"got {got}, allowed {shape}"
    yield _problem(tree, path, what)


def _refused(tree: Tree, path: KeyPath, value: object, refusal: dict[str, Any]) -> Problem:
    got, hint = refusal["got"] or _shown(tree, path, value), refusal["hint"]
    if _hidden(tree, path):
        got = _shown(tree, path, value)
        hint = "" if "did you mean" in hint else hint  # what was probably meant is built from the value
    return _problem(tree, path, f"got {got}, allowed {refusal['allowed']}{hint}")


def _problem(tree: Tree, path: KeyPath, what: str) -> Problem:
    return Problem(file=tree.file, line=tree.line_of(path), path=dotted(path), what=what)


def _unknown_key(model: type[BaseModel], path: KeyPath) -> str:
    names = tuple(part for part in path if isinstance(part, str))
    known = list(keys_of(model))
    siblings = [key[-1] for key in known if key[:-1] == names[:-1]]
    candidate = near(names[-1], siblings)
    if not candidate:
        elsewhere = [".".join(key) for key in known if key[-1] == names[-1]]
        candidate = elsewhere[0] if elsewhere else ""
    if candidate:
        return f"unknown key; did you mean «{candidate}»?"
    listed = ", ".join(siblings) if len(siblings) <= _MANY else ", ".join(siblings[:_MANY]) + ", …"
    return f"unknown key, allowed {listed}"


def _misspelt(tree: Tree, path: KeyPath) -> str:
    """Point at a misspelt neighbour only when the key it should have been is missing too: most likely the same one."""
    parent = tree.value
    for part in path[:-1]:
        parent = parent[part] if isinstance(parent, dict | list) else None  # type: ignore[index]  # str keys of dicts
    written = [str(key) for key in parent] if isinstance(parent, dict) else []
    candidate = near(str(path[-1]), [key for key in written if key != path[-1]])
    return f"; is «{candidate}» meant to be it?" if candidate else ""


def _hidden(tree: Tree, path: KeyPath) -> bool:
    """Say whether the value may be a secret, by the name of its key or of the variable it was taken from."""
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    return any(_SECRET_NAME.search(name) for name in (*_variables(tree, path), key))


def _variables(tree: Tree, path: KeyPath) -> tuple[str, ...]:
    """Return the variables a value was taken from, also as one of several in a line that was split."""
    return next((found for end in range(len(path), 0, -1) if (found := tree.variables.get(path[:end]))), ())


def _shown(tree: Tree, path: KeyPath, value: object) -> str:
    variables = ", ".join(_variables(tree, path))
    if _hidden(tree, path):
        return f"the value of {variables}" if variables else "a value that is not shown"
    return tree.written.get(path, shown(value)) + (f" (from {variables})" if variables else "")


def _shape(model: type[BaseModel], path: KeyPath, detail: ErrorDetails) -> str:
    kind = detail["type"]
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        names = tuple(part for part in path if isinstance(part, str))
        inside = [key[-1] for key in keys_of(model) if key[:-1] == names]
        return "a mapping" + (f" with the keys {', '.join(inside[:_MANY])}" if inside else "")
    if kind in {"tuple_type", "list_type"}:
        return "a list"
    return detail["msg"]
