"""Where a memory is kept: a file beside the state, replaced as a whole.

It belongs to one host (device numbers), also where the state is a database of
several. What it says decides what is not looked at, so it is read only where
no user but root and the caller can have written it, and only whole: a file that
is damaged, foreign or of another release is no memory, and costs a look.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgpack

from cacheadmin import __version__
from cacheadmin.errors import CacheadminError
from cacheadmin.evidence.memory import Written, context, from_plain, to_plain
from cacheadmin.evidence.searched_folders import about_searches
from cacheadmin.fs.atomic_file import write_atomically
from cacheadmin.state.location import default_url, sqlite_path

if TYPE_CHECKING:
    from cacheadmin.inventory.entries import CacheIdentity, Inventory

_MAGIC = b"cacheadmin memory\n"
_SUM_BYTES = 16

# 200,000 environments have less, and so has a cache of a million archives.
_MAX_BYTES = 512 * 1024 * 1024

_FOLDER = "memory"


class CheckedFile:
    """One file of plain data beside the state; ``about`` is what it depends on as a whole."""

    def __init__(self, url: str, name: str, about: list[Any]) -> None:
        file = sqlite_path(url) or sqlite_path(default_url()) or ""
        self.path = os.path.join(os.path.dirname(os.path.abspath(file)), _FOLDER, name)
        """Where it is kept."""
        self.about = about
        """What has to be the same for it to be of use."""

    def read_plain(self) -> dict[str, Any] | None:
        """Return what was written; None where there is nothing that can be trusted."""
        content = self._trusted_content()
        if content is None or not content.startswith(_MAGIC):
            return None
        head = len(_MAGIC) + _SUM_BYTES
        body = memoryview(content)[head:]
        if blake2b(body, digest_size=_SUM_BYTES).digest() != content[len(_MAGIC) : head]:
            return None
        try:
            data = msgpack.unpackb(
                body, raw=False, strict_map_key=False, unicode_errors="surrogateescape"
            )
        except (msgpack.UnpackException, ValueError, TypeError, RecursionError):
            return None
        return data if isinstance(data, dict) and data.get("about") == self.about else None

    def write_plain(self, data: Mapping[str, Any]) -> bool:
        """Replace it; False where it can't be written, which costs the next look time."""
        body = msgpack.packb(
            {**data, "about": self.about}, use_bin_type=True, unicode_errors="surrogateescape"
        )
        content = _MAGIC + blake2b(body, digest_size=_SUM_BYTES).digest() + body
        folder = os.path.dirname(self.path)
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            write_atomically(self.path, content, 0o600)
        except (OSError, CacheadminError):
            return False
        return True

    def _trusted_content(self) -> bytes | None:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        try:
            fd = os.open(self.path, flags)
        except OSError:
            return None
        try:
            status = os.fstat(fd)
            trusted = _is_trusted(status) and _is_trusted(os.stat(os.path.dirname(self.path)))
            if not (trusted and stat.S_ISREG(status.st_mode) and status.st_size <= _MAX_BYTES):
                return None
            with open(fd, "rb", closefd=False) as file:
                # Not as much as it may have: Python would make room for all of that first.
                return file.read(status.st_size)
        except OSError:
            return None
        finally:
            os.close(fd)


class MemoryFile(CheckedFile):
    """What is remembered of the environments of one cache, as one policy reaches it."""

    def __init__(self, url: str, inventory: Inventory, aliases: tuple[str, ...]) -> None:
        about = context(inventory, aliases)
        super().__init__(url, name_of(about[-2:]), about)

    def read(self) -> Written | None:
        """Return what is remembered; None where there is nothing that can be trusted."""
        data = self.read_plain()
        return None if data is None else from_plain(data, self.about)

    def write(self, written: Written) -> bool:
        """Replace it; False where it can't be written, which costs the next look time."""
        return self.write_plain(to_plain(written, self.about))


class SearchMemoryFile(CheckedFile):
    """What is remembered of the trees that are searched for the environments of one cache."""

    def __init__(self, url: str, cache: CacheIdentity) -> None:
        identity = [cache.path, cache.device, cache.inode]
        about = ["search", __version__, about_searches(), identity]
        super().__init__(url, f"{name_of(identity)}-searches", about)


def name_of(key: Any) -> str:
    """Return the name of a file that is about something."""
    packed = msgpack.packb(key, unicode_errors="surrogateescape")
    return blake2b(packed, digest_size=10).hexdigest()


def _is_trusted(status: os.stat_result) -> bool:
    """Whether no user but root and the caller can have written it."""
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022
