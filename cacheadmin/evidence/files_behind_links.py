"""Files that links of users lead to, read only where the owner of the link may read them.

A process with root's rights that follows any link reads to an account what is closed
to it: the first line of a file, shown as a path in a report, is enough.
"""

from __future__ import annotations

import errno
import os
import stat

from cacheadmin.evidence.targets import root_of
from cacheadmin.fs.held_folder import below_unfollowed
from cacheadmin.fs.resolution import resolve
from cacheadmin.fs.small_files import ReadFailure, failure, open_directory, read_place

_PLACE = os.O_PATH | os.O_CLOEXEC
_FURTHER = "it leads through a link that is not followed"


def read_behind(link: str, limit: int) -> bytes | ReadFailure:
    """Return the content of the regular file that a link leads to, of at most ``limit`` bytes.

    It must be that of the link's owner, or one that every account may read by its mode;
    where it lies behind folders that the owner may not enter by theirs, the failure is
    ``blocked``. Of folders in which the link lies nothing is asked.
    """
    place = -1
    try:
        owner = os.lstat(below_unfollowed(link)).st_uid
        # Looked at before it is opened: the owner of a link chooses what it leads to.
        place = _place_behind(link, owner)
        status = os.fstat(place)
        if not stat.S_ISREG(status.st_mode) or not (
            status.st_uid == owner or status.st_mode & stat.S_IROTH
        ):
            return ReadFailure(link, "it leads to no file that its owner may read")
        return read_place(link, place, status, limit)
    except OSError as error:
        return failure(link, error)
    finally:
        if place >= 0:
            os.close(place)


def open_folder_of(path: str, home: str) -> int:
    """Return a descriptor of a folder of an account, links followed as far as that may go.

    ``home`` is the account's. Raises OSError.
    """
    owner = os.stat(home).st_uid
    if owner == 0:
        return open_directory(path, follow=True)
    way, own = resolve(path), resolve(home)
    place = _place(way, owner, own)
    try:
        _require_entry(os.fstat(place), owner, is_own=f"{own}/".startswith(f"{way}/"))
        return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(place)


def _place_behind(link: str, owner: int) -> int:
    """Return a descriptor (O_PATH) of what a link leads to, if its owner may go there.

    Raises OSError, also where a link has come into the way meanwhile.
    """
    folder = os.path.dirname(link)
    root = root_of(link)
    if not root:
        return _place(resolve(link), owner, resolve(folder))
    # Absolute links mean that root there; those behind the first are not followed.
    text = os.readlink(below_unfollowed(link))
    way = os.path.normpath(f"{root}{text}" if text.startswith("/") else f"{folder}/{text}")
    if not way.startswith(f"{root}/"):
        raise PermissionError(errno.EACCES, "it leads out of its root")
    return _place(way.removeprefix(root), owner, folder.removeprefix(root), root)


def _place(way: str, owner: int, own: str, root: str = "") -> int:
    """Return a descriptor (O_PATH) of what lies at a path, if an account may go there.

    The path is one without links.
    ``own``: a folder of that account's: on the way to it nothing is asked. Raises OSError.
    """
    *folders, name = way.removeprefix("/").split("/")
    fd = os.open(f"{root}/", _PLACE | os.O_DIRECTORY)
    try:
        here = ""
        for folder in folders:
            here = f"{here}/{folder}"
            inner = os.open(folder, _PLACE | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = inner
            _require_entry(os.fstat(fd), owner, is_own=f"{own}/".startswith(f"{here}/"))
        place = os.open(name or ".", _PLACE | os.O_NOFOLLOW, dir_fd=fd)
    finally:
        os.close(fd)
    if stat.S_ISLNK(os.fstat(place).st_mode):
        os.close(place)
        raise PermissionError(errno.EACCES, _FURTHER)
    return place


def _require_entry(folder: os.stat_result, owner: int, *, is_own: bool) -> None:
    """Raise PermissionError where an account may not enter a folder by its mode.

    Of a folder that is open to its group alone it is not known: neither may it.
    """
    if stat.S_ISLNK(folder.st_mode):
        raise PermissionError(errno.EACCES, _FURTHER)
    right = stat.S_IXUSR if folder.st_uid == owner else stat.S_IXOTH
    if not is_own and owner != 0 and not folder.st_mode & right:
        raise PermissionError(errno.EACCES, "it leads through a folder that is closed to its owner")
