"""Stamps: what tells that an environment is as it was when it was looked at.

A stamp is a digest of what ``lstat`` says of the few folders and files whose
change would change a look's answer: the environment's folder, ``pyvenv.cfg``,
``bin``, ``lib``, each folder of packages, path files and what they name. A
name that comes, goes or is replaced moves its folder's times; the inode change
time can't be set back by any user but with the clock. Equal stamps mean: not
looked at again.

Times are trusted only as far as they go (``fs.precise_times``):
- A stamp is taken *after* the look, and only where all its times are older than
  the look's begin ("racily clean").
- What lies deeper (a file that was edited in place in a package) moves none of
  these times. That is what full looks, the check after the moves, and trials
  are for.
- Where the answer rests on anything outside of the environment that may change
  alone, there is no stamp (`Sightings.unsettled`).
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import EnvironmentKind
from cacheadmin.evidence.targets import CacheLocator, lies_in_another_root
from cacheadmin.fs.held_folder import below, below_unfollowed
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.sightings import Sightings
    from cacheadmin.fs.precise_times import Devices, LookTime

# Real environments have half a dozen. One that needs more is looked at every time.
_MAX_PATHS = 64

_STATUS = struct.Struct("<QQIIIqqq")

# Python takes no packages from beside `site-packages` in these.
_ONLY_SITE_PACKAGES = frozenset({EnvironmentKind.VENV, EnvironmentKind.TOOL})

# What a folder is that looks like no environment, or one that uv made and may remove.
_NEVER = frozenset({EnvironmentKind.FOLDER, EnvironmentKind.CACHED})


@frozen
class Stamp:
    """What has to be as it was for an answer to hold."""

    paths: tuple[str, ...]
    """What was looked at: "" is the environment's folder, relative paths lie below it."""
    digest: bytes
    """What the filesystem said of it."""
    spellings: tuple[str, ...]
    """How links spell the folder of the cache's archives; they must still lead there."""
    may_clone: bool = False
    """Whether files there can share blocks with others, which no time tells."""


def digest_of(home: str, paths: Iterable[str], status: os.stat_result | None = None) -> bytes:
    """Return what the filesystem says of paths now, as a digest.

    ``status``: what ``lstat`` said of the environment's own folder a moment ago.
    """
    return _Statuses(home, paths, status).digest


def leads_by_name(spelling: str, locator: CacheLocator) -> bool:
    """Whether a path is the folder of the bucket of this cache whose name it ends with."""
    return locator.bucket_at(spelling) == spelling.rpartition("/")[2]


def stamp_of(
    home: str, kind: EnvironmentKind, found: Sightings, begun: LookTime, devices: Devices
) -> Stamp | None:
    """Return the stamp of an environment that was just looked at; None where it can have none.

    ``begun`` is when the look began. For readers.
    """
    rests_on_more = found.unsettled or found.entries or lies_in_another_root(f"{home}/")
    if kind in _NEVER or rests_on_more or found.problems or found.broken:
        return None
    if not all(leads_by_name(one, found.locator) for one in found.spellings):
        return None
    below = f"{home}/"
    relative = ("", *(path.removeprefix(below) for path in found.stamped))
    paths = tuple(dict.fromkeys(path for path in relative if path != home))
    if len(paths) > _MAX_PATHS:
        return None
    statuses = _Statuses(home, paths)
    # What was looked at and is gone now changed meanwhile.
    changed = not statuses.missing.isdisjoint(found.watched) or any(
        not path.startswith("/") for path in statuses.missing
    )
    if changed or not statuses.are_precise(begun, devices) or begun.was_set():
        return None
    may_clone = any(devices.may_clone(device) for device in statuses.devices)
    return Stamp(paths, statuses.digest, tuple(sorted(found.spellings)), may_clone)


def stamped_folders(home: str, kind: EnvironmentKind, libraries: Iterable[str]) -> list[str]:
    """Return what is stamped of every environment, beside its folders of packages.

    ``libraries`` are the folders on the way to those, relative.
    """
    listed = [
        path
        for path in libraries
        if kind not in _ONLY_SITE_PACKAGES or path.rpartition("/")[2] in ("lib", "lib64")
    ]
    # What is not there comes with a change of the environment's own folder.
    there = [
        name
        for name in ("pyvenv.cfg", "bin", "local")
        if os.path.lexists(below_unfollowed(f"{home}/{name}"))
    ]
    return [*there, *listed]


class _Statuses:
    """What ``lstat`` says of some paths; of those that are named by path files, ``stat``."""

    def __init__(
        self, home: str, paths: Iterable[str], of_home: os.stat_result | None = None
    ) -> None:
        self._found: list[tuple[str, os.stat_result]] = []
        self.missing: set[str] = set()
        digest = blake2b(digest_size=16)
        for path in paths:
            try:
                if path.startswith("/"):
                    full, status = path, os.stat(below(path))
                elif path:
                    full = f"{home}/{path}"
                    status = os.lstat(below_unfollowed(full))
                else:
                    full = home
                    status = of_home if of_home is not None else os.lstat(below(home))
            except (OSError, ValueError) as error:
                self.missing.add(path)
                digest.update(f"{getattr(error, 'errno', None)}\0".encode())
                continue
            self._found.append((full, status))
            digest.update(
                _STATUS.pack(
                    status.st_dev,
                    status.st_ino,
                    status.st_mode,
                    status.st_uid,
                    status.st_gid,
                    status.st_size,
                    status.st_mtime_ns,
                    status.st_ctime_ns,
                )
            )
        self.digest = digest.digest()

    @property
    def devices(self) -> frozenset[int]:
        """The devices all of it lies on."""
        return frozenset(status.st_dev for _, status in self._found)

    def are_precise(self, begun: LookTime, devices: Devices) -> bool:
        """Whether all of these were as they are since before a look began."""
        return bool(self._found) and all(
            begun.tells(status.st_ctime_ns)
            and not stat.S_ISLNK(status.st_mode)
            and devices.is_precise(status.st_dev, full)
            for full, status in self._found
        )
