"""What a filesystem charges for a file beyond its blocks, and whether files may share some.

ext4 makes all inodes when it is made, and a file takes only its blocks. XFS
makes inodes as files come and gives them back when files go: with a cache's many
small files that is some percent of all that comes back. btrfs and bcachefs
keep inodes and small files in trees of their own; what those give back can't
be told before.
"""

from __future__ import annotations

import fcntl
import struct

from cacheadmin.values import frozen

_XFS_IOC_FSGEOMETRY_V1 = 0x80705864
_GEOMETRY_BYTES = 112
_INODE_SIZE_AT = 24

# Filesystems that can share extents between files and say so. On every other
# one the question would cost an open and a call a file, for nothing.
_SHARING = frozenset({"xfs", "btrfs", "bcachefs", "ocfs2", "overlay"})


@frozen
class FilesystemCosts:
    """What a filesystem charges for a file beyond its blocks."""

    clones: bool = False
    """Whether files may share extents, so that each file has to be asked."""
    inode_bytes: int = 0
    """Bytes that an inode takes, and gives back when it is removed; 0 where none are counted."""


PLAIN = FilesystemCosts()


def charges_of(fd: int, filesystem_kind: str) -> FilesystemCosts:
    """Return what the filesystem of an open folder charges; its kind is that of the mount table."""
    return FilesystemCosts(
        clones=filesystem_kind in _SHARING,
        inode_bytes=_xfs_inode_bytes(fd) if filesystem_kind == "xfs" else 0,
    )


def _xfs_inode_bytes(fd: int) -> int:
    """Return the size of an inode as the filesystem was made (ioctl_xfs_fsgeometry(2))."""
    geometry = bytearray(_GEOMETRY_BYTES)
    try:
        fcntl.ioctl(fd, _XFS_IOC_FSGEOMETRY_V1, geometry, True)
    except OSError:
        return 0
    (size,) = struct.unpack_from("=I", geometry, _INODE_SIZE_AT)
    return int(size) if 256 <= size <= 2048 else 0
