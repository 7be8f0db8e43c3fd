"""Make a folder where others can write, and be sure that it is the one that was made.

Between ``mkdir`` and ``open`` in a folder that others can write to, any of
them can put another folder in its place, a victim's private one: a process that then
gives it owner and mode gives that away. So a folder is made where no other user
can come, gets its rights there, and appears under its name in one rename that
replaces nothing. Nothing that was found is ever given other rights.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cacheadmin.fs.removal import remove_tree
from cacheadmin.fs.rename import move_to_free_name
from cacheadmin.fs.rights import Rights, give_rights
from cacheadmin.fs.small_files import open_directory


def make_folder(
    parent_fd: int,
    name: str,
    rights: Rights,
    *,
    workshop_fd: int | None = None,
    furnish: Callable[[int], None] | None = None,
) -> int:
    """Make a folder with these rights in an open one; return its descriptor.

    ``workshop_fd`` is a folder where no other user can write, on the same
    filesystem: what is unfinished is seen by no user then. Without it, and
    across a project quota, a private folder for a moment stands beside the
    name. ``furnish`` puts in what should be there from the first moment.
    Raises FileExistsError when the name is taken, and OSError.
    """
    if workshop_fd is not None:
        try:
            return _make_in(workshop_fd, parent_fd, name, rights, furnish)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
    with _private_folder(parent_fd) as fd:
        return _make_in(fd, parent_fd, name, rights, furnish)


def _make_in(
    workshop_fd: int,
    parent_fd: int,
    name: str,
    rights: Rights,
    furnish: Callable[[int], None] | None,
) -> int:
    made = _unused_name()
    os.mkdir(made, 0o700, dir_fd=workshop_fd)
    fd = open_directory(made, workshop_fd)
    try:
        give_rights(fd, rights)
        if furnish is not None:
            furnish(fd)
        move_to_free_name(made, workshop_fd, name, parent_fd)
    except BaseException:
        os.close(fd)
        remove_tree(workshop_fd, made, device=os.fstat(workshop_fd).st_dev)
        raise
    return fd


@contextmanager
def _private_folder(parent_fd: int) -> Iterator[int]:
    """Make a folder in which no other user can write, for as long as it is needed.

    Whatever others put in its place, it is only used while it is ours and
    closed to them, and nothing is done to it itself.
    """
    name = _unused_name()
    os.mkdir(name, 0o700, dir_fd=parent_fd)
    try:
        fd = open_directory(name, parent_fd)
        try:
            status = os.fstat(fd)
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
                raise OSError(errno.EBUSY, "others put something else in its place", name)
            yield fd
        finally:
            os.close(fd)
    finally:
        try:
            os.rmdir(name, dir_fd=parent_fd)
        except OSError:
            # Taken away, or replaced by what is not ours to remove.
            pass


def _unused_name() -> str:
    return f".cacheadmin-{os.urandom(8).hex()}"
