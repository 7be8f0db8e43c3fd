"""Path patterns match what the shell's do, and tell of folders that hide matches."""

from __future__ import annotations

import glob
from pathlib import Path

import pytest

from cacheadmin.evidence.patterns import expand


def expanded(pattern: str) -> tuple[list[str], list[str]]:
    closed: list[str] = []
    return list(expand(pattern, lambda folder, _: closed.append(folder))), closed


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "*/*",
        "a/*",
        "a/.venv",
        "*/.venv",
        "*/.v*",
        "[ab]/?",
        "none/*",
        "a/none",
        "l/*",
        "d",
        "d/*",
    ],
)
def test_patterns_match_as_the_standard_library_has_it(tmp_path: Path, pattern: str) -> None:
    for name in ("a/.venv", "a/x", "b/y", "b/.hidden/z"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "b" / "file").write_text("")
    (tmp_path / "l").symlink_to("a")
    (tmp_path / "d").symlink_to("nowhere")
    matches, closed = expanded(f"{tmp_path}/{pattern}")
    assert sorted(matches) == sorted(glob.glob(f"{tmp_path}/{pattern}", include_hidden=True))
    assert closed == []
