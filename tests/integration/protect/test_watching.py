"""What a guard notices, with the kernel's notices and without them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cacheadmin.inventory.cache_folder import OpenCache, open_cache
from cacheadmin.inventory.entries import ArchiveId
from cacheadmin.protect.bucket_watch import News, Watches, fingerprint
from cacheadmin.protect.planted_roots import plant
from cacheadmin.protect.roots import WantedRoots, root_buckets
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.waiting import let_clocks_tick, until

WANTED = WantedRoots(root_buckets(1), frozenset({ArchiveId("one"), ArchiveId("two")}))


@pytest.fixture
def cache(open_folder: Path) -> Iterator[OpenCache]:
    folder = open_folder / "cache"
    for name in WANTED.archives:
        (folder / "archive-v0" / name / "pkg-1.0.dist-info").mkdir(parents=True)
        (folder / "archive-v0" / name / "pkg-1.0.dist-info" / "METADATA").touch()
    (folder / "CACHEDIR.TAG").touch()
    (folder / ".gitignore").touch()
    with open_cache(str(folder)) as opened:
        plant(opened.fd, WANTED, removable=())
        yield opened


@pytest.fixture
def watches(cache: OpenCache) -> Iterator[Watches]:
    found = Watches()
    found.renew(cache.fd, WANTED.buckets)
    assert found.read() == frozenset()
    yield found
    found.close()


def test_each_kind_of_loss_is_told(cache: OpenCache, watches: Watches) -> None:
    path = Path(cache.identity.path)
    next((path / "sdists-v9" / "cacheadmin").glob("root*")).unlink()
    assert watches.read() == {News.ROOTS}
    shutil.rmtree(path / "sdists-v8")
    assert watches.read() == {News.ROOTS, News.BUCKET}
    (path / "archive-v0" / "three").mkdir()
    assert watches.read() == {News.ARCHIVES}
    shutil.rmtree(path / "archive-v0")
    assert watches.read() == {News.ARCHIVES, News.BUCKET}


def test_a_root_that_is_renamed_over_is_told(cache: OpenCache, watches: Watches) -> None:
    folder = Path(cache.identity.path) / "sdists-v9" / "cacheadmin"
    (folder / "other").symlink_to("/nowhere")
    watches.read()
    (folder / "other").rename(sorted(folder.iterdir())[-1])
    assert watches.read() == {News.ROOTS}


def test_what_every_installation_does_is_no_news(cache: OpenCache, watches: Watches) -> None:
    path = Path(cache.identity.path)
    (path / ".tmpABCDEF").mkdir()
    (path / ".tmpABCDEF").rmdir()
    (path / "wheels-v7").mkdir()
    (path / "sdists-v9" / "pypi").mkdir()
    assert watches.read() == frozenset()


def test_what_is_made_anew_is_watched_after_renewing(cache: OpenCache, watches: Watches) -> None:
    path = Path(cache.identity.path)
    shutil.rmtree(path / "sdists-v9")
    plant(cache.fd, WANTED, removable=())
    watches.renew(cache.fd, WANTED.buckets)
    watches.read()
    next((path / "sdists-v9" / "cacheadmin").glob("root*")).unlink()
    assert watches.read() == {News.ROOTS}


def test_a_bucket_that_is_a_link_is_not_watched(
    cache: OpenCache, watches: Watches, tmp_path: Path
) -> None:
    bucket = Path(cache.identity.path) / "sdists-v9"
    shutil.rmtree(bucket)
    (tmp_path / "cacheadmin").mkdir()
    bucket.symlink_to(tmp_path)
    watches.renew(cache.fd, WANTED.buckets)
    watches.read()
    (tmp_path / "cacheadmin" / "diary").touch()
    (tmp_path / "cacheadmin" / "diary").unlink()
    assert watches.read() == frozenset()


def test_the_comparison_sees_every_change_and_nothing_else(cache: OpenCache) -> None:
    path = Path(cache.identity.path)
    before = fingerprint(cache.fd, WANTED.buckets)
    assert fingerprint(cache.fd, WANTED.buckets) == before
    link = next((path / "sdists-v9" / "cacheadmin").glob("root*"))
    text = os.readlink(link)
    times = (link.parent.stat().st_atime_ns, link.parent.stat().st_mtime_ns)
    let_clocks_tick()
    link.unlink()
    link.symlink_to(text)
    # Whoever owns the folder may set its times back, but not the change time.
    os.utime(link.parent, ns=times)
    assert fingerprint(cache.fd, WANTED.buckets)[:-1] != before[:-1]
    seen = fingerprint(cache.fd, WANTED.buckets)
    (path / "archive-v0" / "three").mkdir()
    assert fingerprint(cache.fd, WANTED.buckets)[:-1] == seen[:-1]
    assert fingerprint(cache.fd, WANTED.buckets)[-1] != seen[-1]


_WITHOUT_INOTIFY = """
import errno, sys
from cacheadmin.protect import guard

def no_inotify():
    raise OSError(errno.EMFILE, "Too many open files")

guard.Watches = no_inotify
def say(words):
    print(words, flush=True)

guard.guard(sys.argv[1], hold=False, insecure_policy=False, say=say)
"""


def test_without_notices_a_guard_compares(cache: OpenCache, cacheadmin: Cacheadmin) -> None:
    """The fault is the kernel's: no more inotify instances for this user."""
    path = Path(cache.identity.path)
    policy = cacheadmin.policy(path, "prune:\n  keep: ['pkg']\n")
    environment = cacheadmin.environment()
    process = subprocess.Popen(
        [sys.executable, "-c", _WITHOUT_INOTIFY, policy],
        env=environment,
        cwd=cacheadmin.folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "comparing instead" in process.stdout.readline()
        assert "2 archives in use" in process.stdout.readline()
        shutil.rmtree(path / "sdists-v9")
        shutil.rmtree(path / "sdists-v8" / "cacheadmin")
        for bucket in ("sdists-v9", "sdists-v8"):
            folder = path / bucket / "cacheadmin"
            until(lambda folder=folder: folder.is_dir() and len(list(folder.glob("root*"))) == 2)
        process.terminate()
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()
