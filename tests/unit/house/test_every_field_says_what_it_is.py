"""Each field of a public class of values has a docstring of its own under it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import cacheadmin

PACKAGE = Path(cacheadmin.__file__).parent


def value_classes(tree: ast.Module) -> Iterator[ast.ClassDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            makers = [ast.unparse(one).partition("(")[0] for one in node.decorator_list]
            if {"frozen", "dataclass"} & set(makers):
                yield node


def undescribed(value_class: ast.ClassDef) -> Iterator[str]:
    for number, node in enumerate(value_class.body):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        following = value_class.body[number + 1 : number + 2]
        described = following and (
            isinstance(following[0], ast.Expr)
            and isinstance(following[0].value, ast.Constant)
            and isinstance(following[0].value.value, str)
        )
        if not described and not node.target.id.startswith("_"):
            yield f"{value_class.name}.{node.target.id}"


def test_each_field_of_a_value_is_described() -> None:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        missing = [name for one in value_classes(tree) for name in undescribed(one)]
        if missing:
            found[str(path.relative_to(PACKAGE))] = missing
    assert found == {}
