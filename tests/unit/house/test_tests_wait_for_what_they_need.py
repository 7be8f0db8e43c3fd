"""Tests wait for conditions; a pause for a fixed time has its reason beside it."""

from __future__ import annotations

import ast

import pytest

from tests.support.uv_releases import REPOSITORY

# What runs on guests has nothing of ours beside it.
FILES = sorted(
    path for path in (REPOSITORY / "tests").rglob("*.py") if path.parent.name != "nfs_guest"
)


def pauses_without_reason(text: str) -> list[int]:
    """Return the lines that call ``time.sleep`` with no comment there or right above."""
    lines = text.splitlines()
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("time.sleep", "sleep")
        and not any("# " in line for line in lines[max(0, node.lineno - 2) : node.lineno])
    ]


def test_each_pause_says_why_time_itself_must_pass() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}"
        for path in FILES
        for line in pauses_without_reason(path.read_text(encoding="utf-8"))
    ]
    assert found == [], "wait with tests.support.waiting.until, or say above why time must pass"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("import time\ntime.sleep(1)\n", [2]),
        ("def test():\n    # The lease lasts a second.\n    time.sleep(1)\n", []),
        ("time.sleep(1)  # the lease lasts a second\n", []),
        ("until(lambda: not time.sleep(3) and done())\n", [1]),
        ("run([python, '-c', 'import time; time.sleep(9)'])\n", []),
    ],
)
def test_a_pause_without_a_reason_is_found(text: str, lines: list[int]) -> None:
    assert pauses_without_reason(text) == lines
