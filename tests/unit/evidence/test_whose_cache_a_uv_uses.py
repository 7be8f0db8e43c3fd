"""A uv that was told of another cache is no user of ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cacheadmin.evidence.proc_files import ProcessFiles
from cacheadmin.evidence.uv_processes import names_another_cache


@pytest.mark.parametrize(
    ("variable", "arguments", "another"),
    [
        (None, (), False),
        ("ours", (), False),
        ("lnk", (), False),
        ("other", (), True),
        # A uv that starts creates its cache in a moment.
        ("not-yet-there", (), True),
        ("ours", ("--cache-dir", "other"), True),
        ("other", ("--cache-dir=ours",), False),
        ("ours", ("run", "--", "x", "--cache-dir=other"), False),
    ],
)
def test_the_cache_a_uv_was_told_of(
    tmp_path: Path, variable: str | None, arguments: tuple[str, ...], another: bool
) -> None:
    for name in ("ours", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "lnk").symlink_to("ours")
    status = (tmp_path / "ours").stat()
    environ = (
        b"" if variable is None else os.fsencode(f"UV_CACHE_DIR={tmp_path / variable}") + b"\0"
    )
    command_line = b"".join(part.encode() + b"\0" for part in ("uv", *arguments))
    process = ProcessFiles(1, 0, command_line, folder=str(tmp_path), environ=environ)
    identity = (status.st_dev, status.st_ino)
    assert names_another_cache(process, identity) is another
