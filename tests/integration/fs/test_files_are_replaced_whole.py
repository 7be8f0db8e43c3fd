"""Files that others read are replaced as a whole, and nothing prepared by others is followed."""

from __future__ import annotations

import os
import resource
import signal
import stat
from pathlib import Path

import pytest

from cacheadmin.errors import CacheadminError, NotPermitted
from cacheadmin.fs.atomic_file import write_atomically
from tests.support.users import User

PAGE = b"<!doctype html>"


def test_a_file_gets_its_content_and_exactly_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    previous = os.umask(0o077)
    try:
        write_atomically(str(target), PAGE, 0o644)
    finally:
        os.umask(previous)
    assert target.read_bytes() == PAGE
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_whoever_has_the_old_file_open_keeps_reading_it(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    target.write_bytes(b"old")
    with target.open("rb") as reader:
        write_atomically(str(target), PAGE, 0o600)
        assert reader.read() == b"old"
    assert target.read_bytes() == PAGE
    assert os.listdir(tmp_path) == ["page.html"]


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_only_a_plain_file_is_replaced(tmp_path: Path, kind: str) -> None:
    secret, target = tmp_path / "secret", tmp_path / "page.html"
    secret.write_bytes(b"secret")
    if kind == "link":
        target.symlink_to(secret)
    elif kind == "fifo":
        os.mkfifo(target)
    else:
        target.mkdir()
    before = target.lstat()
    with pytest.raises(CacheadminError, match="only a plain file is replaced"):
        write_atomically(str(target), PAGE, 0o644)
    assert (target.lstat().st_ino, target.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert secret.read_bytes() == b"secret"
    assert sorted(os.listdir(tmp_path)) == ["page.html", "secret"]


def test_a_missing_folder_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(CacheadminError, match="can't be written: No such file") as caught:
        write_atomically(str(tmp_path / "none" / "page.html"), PAGE, 0o644)
    assert caught.value.hint == "make its folder first"


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    target.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(CacheadminError, match="File too large"):
            write_atomically(str(target), b"x" * 100_000, 0o644)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["page.html"]


@pytest.mark.root
def test_a_folder_of_others_is_refused_in_one_line(
    open_folder: Path, three_users: list[User]
) -> None:
    os.seteuid(three_users[0].uid)
    try:
        with pytest.raises(NotPermitted, match="can't be written: Permission denied"):
            write_atomically(str(open_folder / "page.html"), PAGE, 0o644)
    finally:
        os.seteuid(0)
    assert os.listdir(open_folder) == []
