"""Mount a folder elsewhere so that it shows the ids of some accounts alone.

    python3 idmapped_mount.py FOLDER SEEN_AT FIRST COUNT

`systemd-nspawn --bind=FOLDER::rootidmap` shows one, a container with a range of its own
65,536. Needs root; the mount is made in the namespace of the caller.
"""

from __future__ import annotations

import ctypes
import os
import sys

_CLONE_NEWUSER = 0x1000_0000
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_MOUNT_ATTR_IDMAP = 0x0010_0000
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns_fd")]


def _call(number: int, *arguments: object) -> int:
    done = int(_libc.syscall(number, *arguments))
    if done < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return done


def _namespace_of(first: int, count: int) -> int:
    """Return a descriptor of a user namespace that knows these accounts and groups."""
    ready, made = os.pipe()
    wait, end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end)
        if _libc.unshare(_CLONE_NEWUSER) == 0:
            os.write(made, b"1")
        os.read(wait, 1)
        os._exit(0)
    os.read(ready, 1)
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{child}/{name}", "w", encoding="ascii") as file:
            file.write(f"{first} {first} {count}\n")
    namespace = os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    os.close(end)
    os.waitpid(child, 0)
    return namespace


def mount(folder: str, seen_at: str, first: int, count: int) -> None:
    """Mount it. Raises OSError where the kernel, or the filesystem, can't."""
    path = os.fsencode(folder)
    tree = _call(_OPEN_TREE, _AT_FDCWD, path, _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC)
    wanted = _MountAttributes(_MOUNT_ATTR_IDMAP, 0, 0, _namespace_of(first, count))
    size = ctypes.sizeof(wanted)
    _call(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, ctypes.byref(wanted), size)
    _call(_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(seen_at), _MOVE_MOUNT_F_EMPTY_PATH)


if __name__ == "__main__":
    mount(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
