"""Owner, group, mode and access lists of a folder, read and given as a whole.

The user who makes a folder in a shared cache decides who can work in it. Mode bits
alone do not tell: where the cache's root has a default access list, everything
below gets its rights from there, and a folder moved in from elsewhere, or made
with ``mkdir`` and ``chmod``, has none of them (facts section 11).
"""

from __future__ import annotations

import os
import stat
from typing import Any

from cacheadmin.fs.access_lists import ACCESS, DEFAULT
from cacheadmin.fs.attributes import attribute, set_attribute
from cacheadmin.values import frozen

# Set user id means nothing on a folder. Below the cache's root, a sticky one breaks uv's
# renames, and lets no user but its owner's links be followed (fs.protected_symlinks).
_OF_NEW_FOLDERS = 0o2777


@frozen
class Rights:
    """What a folder should have."""

    uid: int
    """Uid of the owner; only root can give a folder to another owner."""

    gid: int
    """Gid of the group."""

    mode: int
    """Permission bits, with setgid and sticky."""

    access: bytes | None = None
    """The access list as the kernel keeps it; None where mode bits say everything."""

    default: bytes | None = None
    """The default list, which everything made inside gets; None without one."""

    def to_json(self) -> dict[str, Any]:
        """Return the rights as a journal keeps them."""
        lists = (self.access, self.default)
        access, default = (None if one is None else one.hex() for one in lists)
        found = {"uid": self.uid, "gid": self.gid, "mode": self.mode}
        return {**found, "access": access, "default": default}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Rights:
        """Return the rights of ``to_json``. Raises KeyError, TypeError, ValueError."""
        lists = (row.get("access"), row.get("default"))
        access, default = (None if one is None else bytes.fromhex(one) for one in lists)
        return cls(int(row["uid"]), int(row["gid"]), int(row["mode"]), access, default)


def read_rights(fd: int) -> Rights:
    """Return the rights of an open folder. Raises OSError where its lists can't be read."""
    status = os.fstat(fd)
    mode = stat.S_IMODE(status.st_mode)
    return Rights(status.st_uid, status.st_gid, mode, attribute(fd, ACCESS), attribute(fd, DEFAULT))


def rights_below(fd: int) -> Rights:
    """Return what a folder made in an open one should have, so that the same users can use it.

    Owner, group and mode of the open folder; its default list for both lists,
    as the kernel gives them to what uv makes there. Without one, its own access list.
    """
    above = read_rights(fd)
    mode = above.mode & _OF_NEW_FOLDERS | stat.S_IRWXU
    access = above.default if above.default is not None else above.access
    return Rights(above.uid, above.gid, mode, access, above.default)


def give_rights(fd: int, rights: Rights) -> None:
    """Give a folder that we made these rights, whatever it inherited. Raises OSError."""
    status = os.fstat(fd)
    # Only root gives away; a member of the group shares what they make.
    uid = rights.uid if os.geteuid() == 0 else status.st_uid
    if (status.st_uid, status.st_gid) != (uid, rights.gid):
        os.fchown(fd, uid, rights.gid)
    if rights.access is None:
        set_attribute(fd, ACCESS, None)
    if stat.S_IMODE(os.fstat(fd).st_mode) != rights.mode:
        os.fchmod(fd, rights.mode)
    if rights.access is not None:
        # After the mode: changing that changes the list's mask.
        set_attribute(fd, ACCESS, rights.access)
    set_attribute(fd, DEFAULT, rights.default)
