"""What a reader answers is made by the annotations of its class: each name in them is there."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import cacheadmin
from cacheadmin.readers.plain_data import decoder

PACKAGE = Path(cacheadmin.__file__).parent


def answers() -> Iterator[tuple[str, str]]:
    """Yield the module and the expression of each answer that a question asks for."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(("cacheadmin", *path.relative_to(PACKAGE).with_suffix("").parts))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Question":
                yield module, ast.unparse(node.args[1])


ANSWERS = sorted(set(answers()))


def test_there_are_questions() -> None:
    assert len(ANSWERS) > 15


@pytest.mark.parametrize(("module", "answer"), ANSWERS)
def test_every_answer_can_be_read(module: str, answer: str) -> None:
    shape = eval(answer, dict(vars(importlib.import_module(module))))
    assert callable(decoder(shape))
