"""A YAML file as plain values that still know their lines.

It promises that reading is harmless: no tags (so no objects), no duplicate or merge keys, and bounds on size, depth
and on the number of values after aliases are followed, so that a YAML bomb is refused before it grows. Scalars are
read by the small rules of YAML 1.2: `yes` and `13:20` are text, `true` and `42` are not. A message never quotes the
file, because the line at fault may hold a password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from agent.config.environment import expand
from agent.config.problems import InvalidFile, KeyPath, Problem, dotted

MAX_FILE_BYTES = 1 << 20  # thousands of rules and holds fit; a pipe or a log given by mistake does not
MAX_VALUES = 50_000  # after aliases are followed
MAX_DEPTH = 20  # the deepest key we have is at 5

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INTEGER = re.compile(r"[-+]?[0-9](_?[0-9])*\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+)([eE][-+]?[0-9]+)?\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")  # no such text can be written as UTF-8: not to a file, not to a wire
_MAX_DIGITS = 40  # beyond any id; longer digit strings stay text and are refused by whatever wanted a number


@dataclass(slots=True, kw_only=True)
class Tree:
    """Hold the value of a file and, by path: its line, the variables it was taken from, a number as it was written."""

    file: str
    value: object = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    variables: dict[KeyPath, tuple[str, ...]] = field(default_factory=dict)
    written: dict[KeyPath, str] = field(default_factory=dict)

    def line_of(self, path: KeyPath) -> int:
        """Return the line of the path, or of the nearest parent that stands in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_tree(path: Path, environ: Mapping[str, str]) -> Tree:
    """Read and expand one file; raise InvalidFile with every problem met on the way."""
    return parse_tree(str(path), read_bytes(path), environ)


def parse_tree(file: str, content: bytes, environ: Mapping[str, str]) -> Tree:
    """Do the same with content already read; `file` only names it in messages."""
    tree = Tree(file=file)
    builder = _Builder(tree, environ)
    try:
        text = content.decode("utf-8-sig")
        node = _compose(text)
        if node is not None:
            tree.value = builder.build(node, ())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _invalid(file, line, f"byte 0x{content[error.start]:02x} is no UTF-8", "save the file as UTF-8") from None
    except _RefusedError as refused:
        raise _invalid(file, refused.line, refused.what, refused.remedy) from None
    except yaml.MarkedYAMLError as error:
        raise _from_yaml(file, text, error) from None
    except yaml.YAMLError:
        raise _invalid(file, 1, "a character that YAML does not allow", "remove control characters") from None
    if builder.problems:
        raise InvalidFile(file, builder.problems)
    return tree


def read_bytes(path: Path) -> bytes:
    """Return the content of a file of reasonable size; raise InvalidFile."""
    try:
        if path.is_dir():
            raise _invalid(str(path), 0, "is a directory", "name the file")
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise _invalid(str(path), 0, "no such file", "create it or correct the path that names it") from None
    except OSError as error:
        raise _invalid(str(path), 0, f"cannot be read ({error.strerror})", "check owner and mode") from None
    if len(content) > MAX_FILE_BYTES:
        raise _invalid(str(path), 0, f"is larger than {MAX_FILE_BYTES} bytes", "this is no configuration file")
    return content


def _invalid(file: str, line: int, what: str, remedy: str) -> InvalidFile:
    return InvalidFile(file, [Problem(file=file, line=line, path="", what=what, remedy=remedy)])


class _RefusedError(Exception):
    def __init__(self, line: int, what: str, remedy: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what
        self.remedy = remedy


class _Loader(yaml.SafeLoader):
    """Compose nodes only; tags are refused on sight and depth is counted before Python's own stack runs out."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's parser is untyped
        line = event.start_mark.line + 1
        if getattr(event, "tag", None) is not None:
            raise _RefusedError(line, "a YAML tag (!…)", "put a value that starts with ! in quotes")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _RefusedError(line, f"nested deeper than {MAX_DEPTH} levels", "no key lies that deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _compose(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


class _Builder:
    """Turn nodes into values; undefined variables are gathered so that all are reported at once."""

    def __init__(self, tree: Tree, environ: Mapping[str, str]) -> None:
        self._tree = tree
        self._environ = environ
        self._values = 0
        self.problems: list[Problem] = []

    def build(self, node: yaml.Node, path: KeyPath) -> object:
        self._values += 1
        line = node.start_mark.line + 1
        if self._values > MAX_VALUES or len(path) > MAX_DEPTH:
            raise _RefusedError(line, "aliases (*) that unfold without end", "write the values out")
        self._tree.lines.setdefault(path, line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, position)) for position, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise _RefusedError(line, "a key that is a list or a mapping", "keys are plain words")
            key = str(key_node.value)
            if key == "<<" and key_node.style is None:
                raise _RefusedError(line, "a merge key (<<)", "write the keys out")
            if key in mapping:
                self._report_twice((*path, key), line)
                continue
            self._tree.lines[(*path, key)] = line
            mapping[key] = self.build(value_node, (*path, key))
        return mapping

    def _scalar(self, node: yaml.Node, path: KeyPath) -> object:
        text = str(node.value)
        expansion = expand(text, self._environ)
        if expansion.missing or expansion.malformed:
            self._report_reference(path, expansion.missing)
            return None
        if _SURROGATE.search(expansion.text):
            self._report(path, self._tree.line_of(path), "holds half a character", "write the character itself")
            return None
        if expansion.taken or expansion.text != text:
            self._tree.variables[path] = expansion.taken
            return expansion.text
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        value = _resolve(text) if plain else text
        if isinstance(value, float):
            self._tree.written[path] = text
        return value

    def _report_twice(self, path: KeyPath, line: int) -> None:
        remedy = f"the first is in line {self._tree.lines[path]}; keep one"
        self._report(path, line, "is given twice", remedy)

    def _report_reference(self, path: KeyPath, missing: tuple[str, ...]) -> None:
        line = self._tree.line_of(path)
        for name in missing:
            self._report(path, line, f"${{{name}}} is not set", f"set {name} or write ${{{name}:-default}}")
        if not missing:
            remedy = "write ${NAME} or ${NAME:-default}; $${ stands for ${ itself"
            self._report(path, line, "${ without a name and a closing }", remedy)

    def _report(self, path: KeyPath, line: int, what: str, remedy: str) -> None:
        self.problems.append(Problem(file=self._tree.file, line=line, path=dotted(path), what=what, remedy=remedy))


def _resolve(text: str) -> object:
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.match(text) and len(text) <= _MAX_DIGITS:
        return int(text)
    return float(text) if _FLOAT.match(text) else text


def _from_yaml(file: str, text: str, error: yaml.MarkedYAMLError) -> InvalidFile:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    if isinstance(error, yaml.composer.ComposerError):
        return _invalid(
            file,
            line,
            "an alias (*) without its anchor (&), or a second document",
            "put a value that starts with * or & in quotes",
        )
    lines = text.splitlines()
    faulty = lines[line - 1] if line <= len(lines) else ""
    remedy = "look at indentation, colons, brackets and quotes here and in the line before"
    if "${" in faulty:
        remedy = "inside [ ] or { } put ${…} in quotes"
    elif "\t" in faulty:
        remedy = "indent with spaces, not with tabs"
    # The parser's own words may quote the value at fault; single characters and tokens are all that is let through.
    what = re.sub(r"'[^']{4,}'", "…", error.problem or "no valid YAML")
    return _invalid(file, line, f"no valid YAML: {what}", remedy)
