"""uv's own lock: taken as uv takes it, given back quickly, never a stale one."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cacheadmin.errors import CacheBusy, Refused
from cacheadmin.evidence.lock_holders import lock_holders
from cacheadmin.uv.cache_lock import ExclusiveLock


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd, tmp_path
    os.close(fd)


def test_a_missing_lock_is_made_for_everybody_whatever_the_umask(cache) -> None:
    fd, path = cache
    before = os.umask(0o077)
    try:
        lock = ExclusiveLock(fd, str(path))
        lock.acquire(1)
        lock.release()
    finally:
        os.umask(before)
    assert stat.S_IMODE((path / ".lock").stat().st_mode) == 0o666


def test_the_mode_of_an_existing_lock_is_left_alone(cache) -> None:
    fd, path = cache
    (path / ".lock").touch(mode=0o640)
    (path / ".lock").chmod(0o640)
    lock = ExclusiveLock(fd, str(path))
    lock.acquire(1)
    lock.release()
    assert stat.S_IMODE((path / ".lock").stat().st_mode) == 0o640


def test_a_held_lock_is_waited_for_so_long_and_its_holders_are_named(cache) -> None:
    fd, path = cache
    (path / ".lock").touch()
    holder = os.open(path / ".lock", os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_SH)
    lock = ExclusiveLock(fd, str(path))
    with pytest.raises(CacheBusy) as caught:
        lock.acquire(0.2, lambda: ("held by process 1 of ana",))
    assert caught.value.details == ("held by process 1 of ana",)
    threading.Timer(0.2, os.close, [holder]).start()
    lock.acquire(5)
    assert 0.1 < lock.wait_seconds < 4
    # What is measured.
    time.sleep(0.05)
    lock.release()
    assert 0.04 < lock.held_seconds < 4


def test_a_lock_that_an_older_uv_deleted_meanwhile_is_not_mistaken_for_the_lock(cache) -> None:
    fd, path = cache
    (path / ".lock").touch()
    holder = os.open(path / ".lock", os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_SH)
    lock = ExclusiveLock(fd, str(path))
    waiting = threading.Thread(target=lock.acquire, args=(10,))
    waiting.start()
    # So that it most likely waits already; nothing tells.
    time.sleep(0.1)
    # What `uv cache prune` before 0.8.19 does; then a newer uv makes it anew.
    (path / ".lock").unlink()
    (path / ".lock").touch()
    newer = os.open(path / ".lock", os.O_RDWR)
    fcntl.flock(newer, fcntl.LOCK_SH)
    os.close(holder)
    # Long enough to take it by mistake.
    time.sleep(0.2)
    assert waiting.is_alive()
    os.close(newer)
    waiting.join(5)
    assert lock.is_current()
    lock.release()


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_a_lock_that_is_no_file_is_refused(cache, kind: str, tmp_path_factory) -> None:
    fd, path = cache
    if kind == "link":
        (path / ".lock").symlink_to(tmp_path_factory.mktemp("outside") / "target")
    elif kind == "folder":
        (path / ".lock").mkdir()
    else:
        os.mkfifo(path / ".lock")
    with pytest.raises(Refused, match="is not a file"):
        ExclusiveLock(fd, str(path)).acquire(1)


@contextmanager
def client_of_our_nfs_server(lock: Path, kind: str) -> Iterator[None]:
    """Hold what an NFS server holds for a client: a lock of fcntl(2), no flock."""
    program = f"import fcntl,sys; f=open({str(lock)!r},'r+'); fcntl.lockf(f, fcntl.{kind})"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{program}; print('held', flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    try:
        yield
    finally:
        holder.communicate()


@pytest.mark.parametrize("kind", ["LOCK_SH", "LOCK_EX"])
def test_on_a_server_the_lock_of_a_client_is_met(cache, kind: str) -> None:
    fd, path = cache
    (path / ".lock").touch()
    lock = ExclusiveLock(fd, str(path))
    with client_of_our_nfs_server(path / ".lock", kind):
        with pytest.raises(CacheBusy):
            lock.acquire(0.1)
        assert [holder.exclusive for holder in lock_holders(str(path))] == [kind == "LOCK_EX"]
    lock.acquire(0.1)
    lock.release()


def test_on_a_server_a_client_meets_our_lock_and_not_one_that_was_given_back(cache) -> None:
    fd, path = cache
    (path / ".lock").touch()
    program = f"import fcntl; f=open({str(path / '.lock')!r},'r+'); fcntl.lockf(f, 6)"
    taking = [sys.executable, "-c", program]
    lock = ExclusiveLock(fd, str(path))
    lock.acquire(0.1)
    assert b"BlockingIOError" in subprocess.run(taking, capture_output=True, check=False).stderr
    # A child that was forked meanwhile has the descriptor, and must not keep the lock.
    child = subprocess.Popen(["sleep", "30"], close_fds=False)
    os.set_inheritable(fd, True)
    lock.release()
    assert subprocess.run(taking, check=False).returncode == 0
    child.kill()
    child.wait()
