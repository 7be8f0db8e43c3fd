"""What a line of the mount table says of locks: kinds that can't be mounted in a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from cacheadmin.evidence.filesystem import describe_mount
from cacheadmin.fs.mounts import parse_mount

_REACHING = [
    "nfs4 srv:/uv rw,vers=4.2,local_lock=none,addr=10.0.0.1",
    "nfs srv:/uv rw,vers=3,mountvers=3,local_lock=none",
    "nfs srv:/uv rw,vers=3,local_lock=posix",
    "lustre 10.0.0.1@tcp:/scratch rw,flock,lazystatfs",
    "ceph 10.0.0.1:/ rw,name=uv",
    "gpfs /dev/fs1 rw,relatime",
    "ocfs2 /dev/sdb rw,heartbeat=local",
]
_AT_HOME = [
    ("nfs srv:/uv rw,vers=3,nolock,local_lock=all", "mount option local_lock=all"),
    ("nfs srv:/uv rw,vers=3,nolock", "mount option nolock"),
    ("nfs4 srv:/uv rw,vers=4.0,local_lock=flock", "mount option local_lock=flock"),
    ("lustre 10.0.0.1@tcp:/scratch rw,lazystatfs", "without the option flock"),
    ("lustre 10.0.0.1@tcp:/scratch rw,localflock", "mount option localflock"),
    ("cifs //srv/uv rw,vers=3.1.1,nobrl", "mount option nobrl"),
    ("smb3 //srv/uv rw,nobrl", "mount option nobrl"),
    ("ocfs2 /dev/sdb rw,localflocks", "mount option localflocks"),
    ("gfs2 /dev/sdb rw,lockproto=lock_nolock", "lockproto=lock_nolock"),
    ("fuse.sshfs ana@srv:/uv rw,user_id=0", "sshfs has no locks of its own"),
]
_UNKNOWN = [
    ("cifs //srv/uv rw,vers=3.1.1", "may not honour it"),
    ("9p share rw,trans=virtio,version=9p2000.L", "9p servers"),
    ("virtiofs share rw", "virtiofsd leaves flock to each guest"),
    ("beegfs beegfs_nodev rw,cfgFile=/etc/beegfs.conf", "tuneUseGlobalFileLocks"),
    ("vboxsf share rw", "nothing is known of locks on vboxsf"),
    ("fuse.something srv rw,user_id=0", "nothing is known of locks on fuse.something"),
]
_LOCAL = ["ext4 /dev/vda rw", "xfs /dev/vda rw", "tmpfs none rw", "fuse.bindfs /srv rw"]


@pytest.mark.parametrize("line", _REACHING)
def test_locks_reach_where_the_filesystem_sends_them(line: str, tmp_path: Path) -> None:
    found = describe_mount(_mount(line), str(tmp_path))
    assert found.network
    assert found.locks_reach_other_hosts is True
    assert found.lock_note == ""


@pytest.mark.parametrize(("line", "note"), _AT_HOME)
def test_locks_stay_at_home_where_the_mount_says_so(line: str, note: str, tmp_path: Path) -> None:
    found = describe_mount(_mount(line), str(tmp_path))
    assert found.network
    assert found.locks_reach_other_hosts is False
    assert note in found.lock_note


@pytest.mark.parametrize(("line", "note"), _UNKNOWN)
def test_what_is_not_known_is_not_claimed(line: str, note: str, tmp_path: Path) -> None:
    found = describe_mount(_mount(line), str(tmp_path))
    assert found.network
    assert found.locks_reach_other_hosts is None
    assert note in found.lock_note


@pytest.mark.parametrize("line", _LOCAL)
def test_no_other_host_matters_on_a_local_filesystem(line: str, tmp_path: Path) -> None:
    found = describe_mount(_mount(line), str(tmp_path))
    assert not found.network
    assert found.locks_reach_other_hosts is None
    assert found.lock_note == ""


def _mount(line: str):
    kind, source, options = line.split(" ")
    text = f"99 1 0:50 / /srv/uv rw,relatime shared:1 - {kind} {source} {options}\n"
    return parse_mount(text.encode())
