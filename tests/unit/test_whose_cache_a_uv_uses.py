"""A uv that was told of another cache is no user of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from cacheadmin.evidence.proc_reading import ProcessFiles
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
    environment = {} if variable is None else {"UV_CACHE_DIR": str(tmp_path / variable)}
    process = ProcessFiles(
        1, 0, 1, 0, ("uv", *arguments), folder=str(tmp_path), environment=environment
    )
    identity = (status.st_dev, status.st_ino)
    assert names_another_cache(process, "", identity) is another
