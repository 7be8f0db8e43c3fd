"""A uv binary tells its release and buckets by its bytes; it is never started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from cacheadmin.errors import CacheadminError
from cacheadmin.uv.binaries import read_binary
from cacheadmin.uv.executables import executable_at, executables_in_home, version_in
from cacheadmin.uv.prune_words import EXPECTED, prune_changed
from cacheadmin.uv.releases import buckets_of
from tests.scenarios.test_simulate_differential import RELEASES
from tests.support.uv_releases import NEWEST, uv_binary


def a_binary(path: Path, *words: bytes, prune: Iterable[str] = EXPECTED) -> Path:
    """Write a file in which the words, and those of its prune, lie as literals do in a binary."""
    said = (f"{one}: ".encode() for one in sorted(prune))
    content = b"\0".join((*words, *said))
    path.write_bytes(b"\x7fELF" + b"\0" * 2**20 + content + b"\0" * 64)
    return path


@pytest.mark.parametrize("release", RELEASES)
def test_table_agrees_with_real_binaries(release: str) -> None:
    found = read_binary(str(uv_binary(release)))
    assert (found.version, found.problem) == (release, "")
    assert found.buckets == buckets_of(release)
    if release.startswith("0.13."):
        assert found.prune == EXPECTED
        assert prune_changed(found.prune) == ""
    else:
        # Every step that was added later has brought a sentence.
        assert (found.prune == EXPECTED) is (release == "0.12.24")
    executable = executable_at(str(uv_binary(release)))
    assert executable is not None
    assert executable.version == release
    fd = os.open(uv_binary(release), os.O_RDONLY)
    try:
        assert version_in(fd) == release
    finally:
        os.close(fd)


def test_a_program_of_that_name_is_not_run(tmp_path: Path) -> None:
    folder = tmp_path / ".local" / "bin"
    folder.mkdir(parents=True)
    (folder / "uv").write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\necho uv 0.9.0\n")
    (folder / "uv").chmod(0o755)
    assert list(executables_in_home(str(tmp_path))) == []
    with pytest.raises(CacheadminError):
        _checked(folder / "uv")
    assert not (tmp_path / "was-run").exists()


def test_an_executable_in_a_home_is_found_through_a_link(tmp_path: Path) -> None:
    folder = tmp_path / ".local" / "bin"
    folder.mkdir(parents=True)
    (folder / "uv").symlink_to(uv_binary(NEWEST))
    (found,) = executables_in_home(str(tmp_path))
    assert found.version == NEWEST


def _checked(path: Path) -> None:
    found = read_binary(str(path))
    if found.problem:
        raise CacheadminError(found.problem)


@pytest.mark.parametrize("kind", ["fifo", "folder", "empty", "missing", "text", "terabyte"])
def test_what_is_no_binary_is_said_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "uv"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("not a binary at all")
    elif kind == "terabyte":
        with path.open("wb") as file:
            file.truncate(2**40)
    if kind == "terabyte":
        # Sparse zeros are read as fast as memory, but a terabyte is no uv.
        with pytest.raises(CacheadminError, match="larger than"):
            _checked(path)
        assert executable_at(str(path)) is None
        return
    with pytest.raises(CacheadminError):
        _checked(path)


def test_what_is_ambiguous_is_not_guessed(tmp_path: Path) -> None:
    buckets = (b"archive-v0", b"sdists-v9", b"wheels-v5", b"wheels-v6")
    path = a_binary(tmp_path / "uv", b"0.9.1version_info", b"0.9.2version_info", *buckets)
    found = read_binary(str(path))
    assert found.version is None
    assert "several (0.9.1, 0.9.2)" in found.problem
    assert "wheels-v5, wheels-v6" in found.problem


@pytest.mark.parametrize("cut", range(1, 45, 4))
def test_a_version_is_found_wherever_it_lies(tmp_path: Path, cut: int) -> None:
    """A binary is read in pieces of 1 MiB: the words may lie across two of them."""
    path = tmp_path / "uv"
    words = b"10.12.13include-system-site-packages"
    path.write_bytes(b"\0" * (2**20 - cut) + words + b"\0" * 2**20)
    found = executable_at(str(path))
    assert found is not None
    assert found.version == "10.12.13"


def test_a_binary_cut_short_while_it_is_read_kills_nobody(tmp_path: Path) -> None:
    path = tmp_path / "uv"
    path.touch()
    cutter = (
        "import os, sys, time\n"
        "while True:\n"
        "    os.truncate(sys.argv[1], 2**28); time.sleep(0.002); os.truncate(sys.argv[1], 2**10)\n"
    )
    reader = (
        "import sys; from cacheadmin.uv.executables import executable_at\n"
        "for _ in range(50): executable_at(sys.argv[1])\n"
    )
    cutting = subprocess.Popen([sys.executable, "-c", cutter, path])
    try:
        assert subprocess.run([sys.executable, "-c", reader, path], check=False).returncode == 0
    finally:
        cutting.kill()
        cutting.wait()


def test_a_file_of_nothing_but_the_words_is_given_up(tmp_path: Path) -> None:
    path = a_binary(tmp_path / "uv", b"0.9.1version_info", *[b"version_info"] * 2000)
    assert executable_at(str(path)) is None


def test_a_prune_that_says_something_else_is_told_by_its_words() -> None:
    assert "Removing stale wheel" in prune_changed(EXPECTED | {"Removing stale wheel"})
    gone = prune_changed(EXPECTED - {"Removing cached environment"})
    assert "does not say" in gone
    assert "Removing cached environment" in gone
    assert prune_changed(frozenset())
