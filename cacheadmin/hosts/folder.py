"""Observations as files beside the cache, one a host: for sites without a database.

Believed is only what root or the owner of the cache has written, in a folder
that no other user can write to.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from cacheadmin.errors import NoRoom, NotPermitted
from cacheadmin.evidence.observations import Observation, Observations
from cacheadmin.fs.atomic_file import write_atomically
from cacheadmin.fs.free_space import is_full
from cacheadmin.fs.small_files import ReadFailure, failure, open_directory, read_file_and_status
from cacheadmin.hosts.documents import MOST_BYTES, Unbelievable, decode, encode
from cacheadmin.policy.host_names import MOST_HOSTS, name_problem

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache

_SUFFIX = ".json"
_OTHERS_WRITE = 0o022


class HostsFolder:
    """A folder beside the quarantine, with ``HOST.json`` of each host."""

    def __init__(self, path: str, cache: OpenCache) -> None:
        self.path = path
        self.place = path
        self._believed = {0, os.fstat(cache.fd).st_uid}

    def read(self) -> Observations:
        """Return what all hosts told."""
        try:
            fd = open_directory(self.path)
        except FileNotFoundError:
            return Observations()
        except OSError as error:
            return Observations(problems=(f"{self.path}: {failure('', error).reason}",))
        known: list[Observation] = []
        problems: list[str] = []
        try:
            why = self._distrust(os.fstat(fd))
            if why:
                return Observations(problems=(f"{self.path}: {why}",))
            names = [name for name in sorted(os.listdir(fd)) if name.endswith(_SUFFIX)]
            for name in names[:MOST_HOSTS]:
                try:
                    known.append(self._read_one(fd, name))
                except Unbelievable as error:
                    problems.append(f"{self.path}/{name}: {error}")
        finally:
            os.close(fd)
        return Observations(tuple(known), tuple(problems))

    def write(self, observation: Observation) -> None:
        """Keep an observation in place of the one that its host told before.

        Raises NotPermitted where the caller's word would not be believed, or
        can't be written, NoRoom where the disk is full.
        """
        if os.geteuid() not in self._believed:
            raise NotPermitted(
                f"observations in {self.path} are believed from root and the owner of the cache",
                hint="run it as one of them, or set state: postgresql+psycopg://... in the policy",
            )
        if name_problem(observation.host):
            raise NotPermitted(
                f"this host calls itself {observation.host!r}, which is no host name",
                hint="give it one with hostnamectl",
            )
        try:
            for folder in (os.path.dirname(self.path), self.path):
                self._make(folder)
        except OSError as error:
            raise _unwritten(self.path, error) from None
        write_atomically(f"{self.path}/{observation.host}{_SUFFIX}", encode(observation), 0o644)

    def forget(self, host: str) -> bool:
        """Drop what a host told; False when it told nothing."""
        if name_problem(host):
            return False
        try:
            os.unlink(f"{self.path}/{host}{_SUFFIX}")
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _unwritten(self.path, error) from None
        return True

    def _read_one(self, folder_fd: int, name: str) -> Observation:
        found = read_file_and_status(name, MOST_BYTES, dir_fd=folder_fd)
        if isinstance(found, ReadFailure):
            raise Unbelievable(found.reason)
        content, status = found
        why = self._distrust(status)
        if why:
            raise Unbelievable(why)
        observation = decode(content)
        if f"{observation.host}{_SUFFIX}" != name:
            raise Unbelievable(f"it speaks of host {observation.host!r}")
        return observation

    def _make(self, folder: str) -> None:
        """Make a folder where it is missing; refuse one that others could change."""
        try:
            os.mkdir(folder, 0o755)
        except FileExistsError:
            pass
        fd = open_directory(folder)
        try:
            why = self._distrust(os.fstat(fd))
        finally:
            os.close(fd)
        if why:
            raise NotPermitted(f"{folder}: {why}", hint="move it away; cacheadmin makes its own")

    def _distrust(self, status: os.stat_result) -> str:
        if status.st_uid not in self._believed:
            return f"it belongs to uid {status.st_uid}, neither root nor the owner of the cache"
        if stat.S_IMODE(status.st_mode) & _OTHERS_WRITE:
            return f"others can write to it (mode {stat.S_IMODE(status.st_mode):04o})"
        return ""


def _unwritten(path: str, error: OSError) -> NoRoom | NotPermitted:
    words = f"the observation can't be written to {path}: {error.strerror}"
    if is_full(error):
        return NoRoom(words, hint="free some room there; what this host told before stays")
    return NotPermitted(
        words,
        hint="run it as root or the owner of the cache, on a host that mounts it for writing, "
        "or set state: postgresql+psycopg://... in the policy",
    )
