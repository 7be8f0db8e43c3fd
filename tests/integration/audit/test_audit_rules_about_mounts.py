"""Audit rules about the cache's filesystem, on real mounts (what can't be mounted: tests/unit)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cacheadmin.findings import Severity
from tests.support.auditing import Audited, make_cache, mounted, remount
from tests.support.filesystems import fuse, sshfs

pytestmark = pytest.mark.root


@pytest.fixture
def audited(open_folder: Path) -> Audited:
    """A cache ``open_folder/fs/cache`` that is not there yet."""
    (open_folder / "policies").mkdir(mode=0o755)
    return Audited(open_folder / "policies", open_folder / "fs" / "cache")


def test_locks_of_sshfs_are_known_to_stay_at_home(open_folder: Path, audited: Audited) -> None:
    make_cache(open_folder / "served" / "cache")
    with sshfs(open_folder / "served", open_folder / "fs"):
        (found,) = audited.findings("locks-unreliable")
        assert found.severity is Severity.ERROR
        assert found.subject == str(audited.cache)
        assert "do not reach other hosts on fuse.sshfs" in found.detail
        assert "sshfs has no locks of its own" in found.detail


def test_locks_of_an_unknown_fuse_filesystem_are_a_warning(
    open_folder: Path, audited: Audited
) -> None:
    make_cache(open_folder / "lower" / "cache")
    with _fuse_overlayfs(open_folder / "lower", open_folder / "fs"):
        (found,) = audited.findings("locks-unreliable")
        assert found.severity is Severity.WARNING
        assert "may not reach other hosts on fuse.fuse-overlayfs" in found.detail


def test_a_local_filesystem_is_fine_as_it_is(audited: Audited) -> None:
    with mounted("tmpfs", audited.cache.parent, "rw,relatime"):
        make_cache(audited.cache)
        for rule in ("locks-unreliable", "access-times", "read-only-cache", "no-user-xattrs"):
            assert audited.findings(rule) == []


def test_no_access_times_are_good_to_know(audited: Audited) -> None:
    with mounted("tmpfs", audited.cache.parent, "rw,noatime"):
        make_cache(audited.cache)
        (found,) = audited.findings("access-times")
        assert found.severity is Severity.INFO
        assert f"{audited.cache.parent} is mounted with noatime" in found.detail
        remount(audited.cache.parent, "strictatime")
        assert audited.findings("access-times") == []


def test_a_read_only_mount_is_an_error_until_it_is_writable(audited: Audited) -> None:
    with mounted("tmpfs", audited.cache.parent):
        make_cache(audited.cache)
        remount(audited.cache.parent, "ro")
        (found,) = audited.findings("read-only-cache")
        assert found.severity is Severity.ERROR
        assert f"mounted read-only at {audited.cache.parent}" in found.detail
        remount(audited.cache.parent, "rw")
        assert audited.findings("read-only-cache") == []


def test_attributes_are_missed_only_by_a_policy_that_records_use(audited: Audited) -> None:
    budget = "prune: {budget: {max_size: 1GiB}}\n"
    with mounted("ramfs", audited.cache.parent):
        make_cache(audited.cache)
        assert audited.findings("no-user-xattrs") == []
        (found,) = audited.findings("no-user-xattrs", budget)
        assert found.severity is Severity.WARNING
        assert "ramfs" in found.detail
        assert "prune.budget would record use there" in found.detail
        (found,) = audited.findings("no-user-xattrs", "prune: {unused: {after: 90d}}\n")
        assert "prune.unused.after" in found.detail


def test_a_filesystem_with_attributes_serves_any_policy(audited: Audited) -> None:
    make_cache(audited.cache)
    try:
        os.setxattr(audited.cache, "user.test", b"1")
    except OSError:
        pytest.skip("the filesystem of the temporary folder keeps no user attributes")
    assert audited.findings("no-user-xattrs", "prune: {unused: {after: 90d}}\n") == []


@contextmanager
def _fuse_overlayfs(lower: Path, place: Path) -> Iterator[None]:
    program = shutil.which("fuse-overlayfs")
    if program is None:
        pytest.skip("fuse-overlayfs is not installed")
    with fuse(place, [program, "-f", "-o", f"lowerdir={lower}"]):
        yield
