"""YAML to plain values, with the line and column of every key and value.

PyYAML composes the nodes; the values are made here, by the rules of YAML 1.2
(``off``, ``no`` and ``on`` are words), without tags and objects. Aliases are
allowed, but what they expand to is counted: a file of a kilobyte can mean a
billion values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cacheadmin.errors import PolicyInvalid
from cacheadmin.policy.messages import describe_yaml

if TYPE_CHECKING:
    import yaml

_MAX_NODES = 50_000
_MAX_DEPTH = 32

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")

# The styles in which a word stays a word; the C parser calls plain ones ''.
_QUOTED = ("'", '"', "|", ">")

# What PyYAML resolves plain text to by itself; any other tag was written.
_PLAIN_TAGS = frozenset(
    {"str", "int", "float", "bool", "null", "timestamp", "value", "merge", "map", "seq"}
)

Key = tuple[str | int, ...]


@dataclass(slots=True)
class Positioned:
    """The values of a file, and where each stands."""

    value: Any
    """The document as dicts, lists and plain values."""
    positions: dict[Key, tuple[int, int]] = field(default_factory=dict)
    """(line, column), from 1, of every key and value, by the keys that lead to it."""

    def position(self, key: Key) -> tuple[int, int]:
        """Return where a key stands, or the nearest one above it."""
        while key and key not in self.positions:
            key = key[:-1]
        return self.positions.get(key, (1, 1))


def read_yaml(text: str, name: str) -> Positioned:
    """Parse one document; ``name`` is the file's, for errors.

    Raises PolicyInvalid with ``name:line:column`` for anything that is not
    plain, finite YAML.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        node = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        raise PolicyInvalid(_yaml_error(name, text, error)) from None
    except RecursionError:
        raise PolicyInvalid(f"{name}: nested deeper than {_MAX_DEPTH} levels") from None
    if node is None:
        raise PolicyInvalid(
            f"{name}: the file is empty", hint="write one with `cacheadmin policy init`"
        )
    builder = _Builder(name)
    return Positioned(builder.value(node, ()), builder.positions)


def _yaml_error(name: str, text: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or str(error).splitlines()[0])
    context = str(getattr(error, "context", None) or "")
    lines = text.split("\n")
    opened = getattr(error, "context_mark", None)
    if opened is not None and ("end of stream" in problem or "expected ',' or" in problem):
        mark = opened
    if mark is None:
        return f"{name}: not valid YAML: {problem}"
    line = lines[mark.line] if mark.line < len(lines) else ""
    words = describe_yaml(problem, context, line, mark.column)
    return f"{name}:{mark.line + 1}:{mark.column + 1}: not valid YAML: {words}"


class _Builder:
    def __init__(self, name: str) -> None:
        self.name = name
        self.positions: dict[Key, tuple[int, int]] = {}
        self._nodes = 0
        self._open: list[int] = []

    def value(self, node: yaml.Node, key: Key) -> Any:
        import yaml

        self._nodes += 1
        if self._nodes > _MAX_NODES:
            self._fail(node, f"expands to more than {_MAX_NODES} values")
        if len(key) > _MAX_DEPTH:
            self._fail(node, f"nested deeper than {_MAX_DEPTH} levels")
        if id(node) in self._open:
            self._fail(node, "an alias leads back to itself")
        self.positions.setdefault(key, (node.start_mark.line + 1, node.start_mark.column + 1))
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _PLAIN_TAGS:
            self._fail(node, f"tags such as {node.tag} are not allowed")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._open.append(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*key, n)) for n, item in enumerate(node.value)]
            return dict(self._pairs(node, key))
        finally:
            self._open.pop()

    def _pairs(self, node: yaml.Node, key: Key) -> Iterator[tuple[str, Any]]:
        import yaml

        seen: set[str] = set()
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._fail(key_node, "a key must be a word")
            word = str(key_node.value)
            if word in seen:
                self._fail(key_node, f"the key {word!r} stands there twice")
            seen.add(word)
            inner = (*key, word)
            mark = key_node.start_mark
            self.positions[inner] = (mark.line + 1, mark.column + 1)
            yield word, self.value(value_node, inner)

    def _scalar(self, node: yaml.ScalarNode) -> str | int | float | bool | None:
        text = str(node.value)
        if node.style in _QUOTED:
            return text
        if text in ("", "~", "null", "Null", "NULL"):
            return None
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        if _INTEGER.fullmatch(text):
            return int(text)
        return float(text) if _FLOAT.fullmatch(text) else text

    def _fail(self, node: yaml.Node, problem: str) -> None:
        mark = node.start_mark
        raise PolicyInvalid(f"{self.name}:{mark.line + 1}:{mark.column + 1}: {problem}")
