"""Mutants of one module: each differs from it by one operator, constant or statement."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.Mult: ast.FloorDiv,
}


@dataclass(frozen=True)
class Mutant:
    """One change."""

    line: int
    words: str
    source: str


def count_mutants(source: str) -> int:
    """Return how many mutants a module has."""
    return sum(1 for _ in _places(ast.parse(source)))


def make_mutant(source: str, number: int) -> Mutant:
    """Return one of them, by its number from 0."""
    tree = ast.parse(source)
    place = next(islice(_places(tree), number, None))
    before = ast.unparse(place.node)[:70]
    place.change()
    after = ast.unparse(ast.fix_missing_locations(tree))
    return Mutant(place.line, f"{place.what}: {before}".replace("\n", " "), after + "\n")


@dataclass
class _Place:
    node: ast.AST
    what: str
    field: str = ""
    value: object = None
    index: int | None = None
    line: int = 0

    def __post_init__(self) -> None:
        self.line = self.line or getattr(self.node, "lineno", 0)

    def change(self) -> None:
        if self.index is not None:
            getattr(self.node, self.field)[self.index] = self.value
        else:
            setattr(self.node, self.field, self.value)


def _places(tree: ast.AST) -> Iterator[_Place]:
    for node in ast.walk(tree):
        yield from _operators_of(node)
        yield from _conditions_of(node)
        if isinstance(node, ast.If | ast.For | ast.With | ast.FunctionDef):
            for index, statement in enumerate(node.body):
                if _can_go(statement):
                    what = f"without {ast.unparse(statement)[:60]}; in"
                    yield _Place(node, what, "body", ast.Pass(), index)


def _operators_of(node: ast.AST) -> Iterator[_Place]:
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            other = _COMPARISONS.get(type(operator))
            if other is not None:
                yield _Place(node, "another comparison", "ops", other(), index)
    elif isinstance(node, ast.BoolOp):
        swapped = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield _Place(node, "and for or", "op", swapped)
        for index in range(len(node.values)):
            constant = ast.Constant(isinstance(node.op, ast.And))
            yield _Place(node, f"without part {index + 1}", "values", constant, index)
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS and not _is_type(node):
        yield _Place(node, "another operator", "op", _OPERATORS[type(node.op)]())


def _is_type(node: ast.BinOp) -> bool:
    """Whether it says a type: ``str | None``."""
    return isinstance(node.right, ast.Constant) and node.right.value is None


def _conditions_of(node: ast.AST) -> Iterator[_Place]:
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return
        yield _Place(node, "the contrary", "test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.comprehension):
        for index in range(len(node.ifs)):
            line = node.ifs[index].lineno
            yield _Place(node, "no condition", "ifs", ast.Constant(True), index, line)


def _can_go(statement: ast.stmt) -> bool:
    """Whether a statement does something by itself: a call, or a change of what is held."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Call)
    if isinstance(statement, ast.AugAssign | ast.Continue | ast.Raise):
        return True
    return isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Attribute)
