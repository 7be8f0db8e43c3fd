"""Tell an environment that is gone from one that only is not there tonight.

An encrypted home, an automount, a disk that is not plugged in: the whole place
is absent, not the environment alone. Nothing of that is certain, so whatever
points to an absent place counts.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, islice

from cacheadmin.evidence.kinds import NamedFolder, probably_names, who_names
from cacheadmin.evidence.owners import owner_by_name
from cacheadmin.fs.encryption import is_locked
from cacheadmin.fs.fstab import fstab_mount_points
from cacheadmin.fs.mounts import is_mount_point, mount_of
from cacheadmin.fs.resolution import resolve
from cacheadmin.readers import Question
from cacheadmin.values import frozen

# Permission bits of group and others.
_OTHERS_WRITE = 0o022

# All that stands in a home that eCryptfs encrypts, while it is not mounted.
# Source: ecryptfs-setup-private(1) of ecryptfs-utils, which makes these.
_ENCRYPTED = ".Private"
_BESIDE_ENCRYPTED = {_ENCRYPTED, ".ecryptfs", "README.txt", "Access-Your-Private-Data.desktop"}


@frozen
class Absent:
    """An environment that is named and not there."""

    path: str
    """Its absolute path."""
    seen_ns: int
    """The newest moment at which it was there; 0 where unknown."""
    uid: int | None = None
    """The account that named it; None where unknown."""
    mount_point: str = ""
    """Where what it lay on was mounted when it was there; "" for the root, or unknown."""


def read_absent(absent: Absent) -> str:
    """Return why it may be there again, as ``away_because`` does; for readers to be asked."""
    return away_because(absent.path, absent.seen_ns, absent.mount_point)


def _owner(absent: Absent) -> int | None:
    return absent.uid if absent.uid is not None else owner_by_name(absent.path)


def _closed(absent: Absent, parts: Sequence[str]) -> Iterable[str]:
    # What lies on the way may only be closed.
    return (absent.path,) if parts and parts[0] else ()


AWAY: Question[Absent, str] = Question(read_absent, str, blame=_owner, together=32, closed=_closed)


def why_nothing_shows(home: NamedFolder) -> str:
    """Return why what is in a home may not be there now, "" where it is; for readers to be asked.

    One that can't be listed is searched, and fails.
    """
    try:
        with os.scandir(home.path) as entries:
            names = {entry.name for entry in islice(entries, len(_BESIDE_ENCRYPTED) + 1)}
    except OSError:
        return ""
    if not names:
        return "is empty, as one is that is mounted or decrypted when its user logs in"
    if _ENCRYPTED in names and names <= _BESIDE_ENCRYPTED:
        return "is encrypted by eCryptfs, and not mounted"
    return ""


NOTHING_SHOWS: Question[NamedFolder, str] = Question(
    why_nothing_shows, str, whose=who_names, blame=probably_names, together=64
)


def away_because(path: str, seen_ns: int = 0, mount_point: str = "") -> str:
    """Return why a path that is not there may be there again; empty for one that is gone.

    A clause: ``its first folder /scratch is absent too``. ``seen_ns`` is the newest
    moment at which it was there: an empty folder that was changed after that
    is no mount point: a user emptied it. ``mount_point``: where its filesystem was mounted then.
    """
    reasons = _reasons(path, seen_ns, mount_point)
    if os.path.islink(path) and (target := resolve(path)) != path:
        # A project's `.venv` that leads to a scratch disk.
        reasons = chain(reasons, _reasons(target, seen_ns, ""))
    return next(reasons, "")


def why_registry_is_empty(folder: str) -> str:
    """Return why an empty registry may not show what users put there; "" where they put nothing.

    A clause. Nothing on disk tells an empty folder from the mount point of one that is full, but
    what /etc/fstab and the kernel say, and that no user can have written here at all.
    """
    path = resolve(folder)
    if why := next(_unmounted(f"{path}/"), ""):
        return why
    if mount_of(path).kind == "autofs":
        return "an automounter has nothing mounted there"
    if is_locked(path):
        return "it is encrypted, and its key is not there"
    try:
        status = os.stat(path)
    except OSError as error:
        return error.strerror or type(error).__name__
    if status.st_uid == 0 and not status.st_mode & _OTHERS_WRITE:
        return "it is empty, and only root can write to it, as where its filesystem is not mounted"
    return ""


def _reasons(path: str, seen_ns: int, mount_point: str) -> Iterator[str]:
    if mount_point and not is_mount_point(mount_point):
        yield f"nothing is mounted on {mount_point}, where the filesystem was that it lay on"
    there = _nearest(path)
    if there == "/":
        yield f"its first folder /{path.split('/')[1]} is absent too"
    yield from _unmounted(path)
    for home in _homes():
        if _lies_in(path, home) and not os.path.isdir(home):
            yield f"the home {home} is absent too"
    if mount_of(there).kind == "autofs":
        yield f"an automounter has nothing mounted below {there} where it lay"
    if is_locked(there):
        yield f"{there} is encrypted, and its key is not there"
    if _is_empty(there) and not _changed_since(there, seen_ns):
        yield f"{there} is empty, as a mount point is on which nothing is mounted"


def _unmounted(path: str) -> Iterator[str]:
    for point, _ in fstab_mount_points():
        if _lies_in(path, point) and not is_mount_point(point):
            yield f"nothing is mounted on {point}, where /etc/fstab has a filesystem"


def _nearest(path: str) -> str:
    """Return the innermost folder on the way to a path that is there.

    Looked for by halves: a name may have two thousand folders on its way, and its owner
    ten thousand such names.
    """
    names = os.path.dirname(path.rstrip("/")).split("/")
    there, absent = 1, len(names) + 1
    while absent - there > 1:
        middle = (there + absent) // 2
        if os.path.isdir("/".join(names[:middle])):
            there = middle
        else:
            absent = middle
    return "/".join(names[:there]) or "/"


def _lies_in(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")


def _is_empty(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        # What can't be listed is not known to be whole.
        return True


def _changed_since(folder: str, seen_ns: int) -> bool:
    try:
        return 0 < seen_ns < os.stat(folder).st_mtime_ns
    except OSError:
        return False


@cache
def _homes() -> tuple[str, ...]:
    return tuple({entry.pw_dir for entry in pwd.getpwall() if entry.pw_dir.count("/") > 1})
