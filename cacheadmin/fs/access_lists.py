"""POSIX access control lists, and what they grant to a group or a user.

Mode bits alone deceive where a list is set: the group bits of ``st_mode`` then
show the list's *mask*, the most that any but owner and others may have,
not what the owning group has. To judge rights, the list has to be read.

The kernel hands a list out as an extended attribute: a version number, then
entries of tag, rights and id, all little-endian (``linux/posix_acl_xattr.h``;
the rules of evaluation are those of acl(5)). An attribute of another shape is
no list: `parse_access_list` says None, and so does a file that has none.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import TYPE_CHECKING

from cacheadmin.fs.attributes import attribute, attribute_names, keeps_attribute
from cacheadmin.values import frozen

if TYPE_CHECKING:
    import os

READ, WRITE, ENTER = 4, 2, 1
ALL = READ | WRITE | ENTER

ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"

_HEADER = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
_VERSION = 2
_OWNER, _USER, _GROUP, _NAMED_GROUP, _MASK, _OTHERS = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20

_EMPTY: Mapping[int, int] = MappingProxyType({})


@frozen
class AccessList:
    """Who may do what with an entry: rights are sums of READ, WRITE and ENTER."""

    owner: int
    """Rights of the entry's owner."""
    group: int
    """Rights of the entry's group, before the mask."""
    others: int
    """Rights of every other user."""
    mask: int | None = None
    """The most that named users, named groups and the entry's group may have; None: no limit."""
    users: Mapping[int, int] = field(default_factory=lambda: _EMPTY)
    """Rights of named users, by uid, before the mask."""
    groups: Mapping[int, int] = field(default_factory=lambda: _EMPTY)
    """Rights of named groups, by gid, before the mask."""

    def limited(self, rights: int) -> int:
        """Return what the mask leaves of some rights."""
        return rights if self.mask is None else rights & self.mask


@frozen
class Access:
    """Who may do what with an entry: its owner and group, and the list that decides."""

    uid: int
    """Owner of the entry."""
    gid: int
    """Group of the entry."""
    rules: AccessList
    """The entry's own access list; without one, its mode bits as a list."""

    def group_may(self, gid: int, wanted: int) -> bool:
        """Whether a user who is in this group, and nothing else here, may do all of it.

        By acl(5), one entry that matches has to grant it all.
        """
        granted = self._granted_to((gid,))
        if not granted:
            return _has(self.rules.others, wanted)
        return any(_has(self.rules.limited(rights), wanted) for rights in granted)

    def user_may(self, uid: int, gids: Collection[int], wanted: int) -> bool:
        """Whether a user who is in exactly these groups may do all of it."""
        rules = self.rules
        if uid == 0:
            return True
        if uid == self.uid:
            return _has(rules.owner, wanted)
        if uid in rules.users:
            return _has(rules.limited(rules.users[uid]), wanted)
        granted = self._granted_to(gids)
        if not granted:
            return _has(rules.others, wanted)
        return any(_has(rules.limited(rights), wanted) for rights in granted)

    def _granted_to(self, gids: Collection[int]) -> list[int]:
        granted = [self.rules.groups[gid] for gid in gids if gid in self.rules.groups]
        if self.gid in gids:
            granted.append(self.rules.group)
        return granted


def keeps_access_lists(fd: int) -> bool:
    """Whether the filesystem of an open folder keeps access lists, set or not."""
    try:
        return keeps_attribute(fd, DEFAULT)
    except OSError:
        return False


def _has(rights: int, wanted: int) -> bool:
    return rights & wanted == wanted


def access_of(status: os.stat_result, listed: AccessList | None) -> Access:
    """Return the access to an entry from its status, and its list where it has one."""
    return Access(status.st_uid, status.st_gid, listed or rules_of_mode(status.st_mode))


def rules_of_mode(mode: int) -> AccessList:
    """Return mode bits as the list that they stand for."""
    return AccessList((mode >> 6) & 7, (mode >> 3) & 7, mode & 7)


def read_access_lists(fd: int) -> tuple[AccessList | None, AccessList | None]:
    """Return the access list and the default list of an open folder, None for what it lacks.

    Raises OSError where they can't be read.
    """
    # One question instead of two that mostly fail.
    names = attribute_names(fd)
    access = _read(fd, ACCESS) if ACCESS in names else None
    default = _read(fd, DEFAULT) if DEFAULT in names else None
    return access, default


def read_access_list_at(folder_fd: int, name: str) -> AccessList | None:
    """Return the access list of an entry in an open folder; a link is not followed.

    Raises OSError where it can't be read.
    """
    # There is no getxattrat(2) before Linux 6.13: the folder is what is open.
    return _read(f"/proc/self/fd/{folder_fd}/{name}", ACCESS, follow=False)


def parse_access_list(content: bytes) -> AccessList | None:
    """Return the list in an attribute's bytes; None where they are none."""
    if len(content) < _HEADER.size or _HEADER.unpack_from(content)[0] != _VERSION:
        return None
    if (len(content) - _HEADER.size) % _ENTRY.size:
        return None
    single: dict[int, int] = {}
    users: dict[int, int] = {}
    groups: dict[int, int] = {}
    for tag, rights, identity in _ENTRY.iter_unpack(content[_HEADER.size :]):
        if tag == _USER:
            users[identity] = rights & ALL
        elif tag == _NAMED_GROUP:
            groups[identity] = rights & ALL
        else:
            single[tag] = rights & ALL
    if not {_OWNER, _GROUP, _OTHERS} <= single.keys():
        return None
    return AccessList(
        single[_OWNER], single[_GROUP], single[_OTHERS], single.get(_MASK), users, groups
    )


def _read(place: int | str, name: str, *, follow: bool = True) -> AccessList | None:
    content = attribute(place, name, follow=follow)
    return None if content is None else parse_access_list(content)
