"""What can't be looked at may be there, and may be a folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cacheadmin.fs.presence import may_be_folder, may_be_there


def test_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nothing")
    folders = {tmp_path, tmp_path / "link"}
    there = {*folders, tmp_path / "file", tmp_path / "loop", tmp_path / "dangling"}
    absent = {tmp_path / "nothing", tmp_path / "file" / "x", tmp_path / ("x" * 300)}
    for path in there | absent:
        assert may_be_folder(str(path)) is (path in folders), path
        assert may_be_there(str(path)) is (path in there), path
    assert not may_be_folder("/\0")
    assert not may_be_there("/\0")


@pytest.mark.parametrize("error", [errno.ESTALE, errno.EIO, errno.EACCES, errno.ENOTCONN])
def test_what_cant_be_looked_at(error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: str) -> os.stat_result:
        raise OSError(error, os.strerror(error), path)

    monkeypatch.setattr(os, "stat", fail)
    monkeypatch.setattr(os, "lstat", fail)
    assert may_be_folder("/srv/stale")
    assert may_be_there("/srv/stale")
