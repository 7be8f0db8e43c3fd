"""What readers answer has a type that is there at run time: answers are held against it."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import cacheadmin
from cacheadmin.readers.plain_data import decoder

PACKAGE = Path(cacheadmin.__file__).parent


def _answers() -> Iterator[tuple[str, str]]:
    """Yield (module, type of the answers) of each question in the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(("cacheadmin", *path.relative_to(PACKAGE).with_suffix("").parts))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Question":
                yield module, ast.unparse(node.args[1])


@pytest.mark.parametrize(("module", "answers"), sorted(set(_answers())))
def test_answers_of_each_kind_can_be_taken(module: str, answers: str) -> None:
    # An import for types alone, at any depth, would end every look at its first answer.
    shape = eval(answers, vars(importlib.import_module(module)))
    assert callable(decoder(shape))
