"""What tells that two hosts speak of one cache: a random word in a folder of ours in it.

Paths, devices and inode numbers differ, or agree by chance, from mount to
mount. Who loses the word (another release's prune without roots) makes
another one: then every host counts as not heard of, until it observes again.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from cacheadmin.errors import NotPermitted
from cacheadmin.fs.small_files import ReadFailure, read_file_and_status
from cacheadmin.trial.folder import TrialFolder, existing_trial_folder, trial_folder

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache

_NAME = ".token"
_WORD = re.compile(r"[0-9a-f]{32}", re.ASCII)


def token_of(cache: OpenCache) -> str | None:
    """Return the cache's token; None where it has none yet, or none that is ours."""
    with existing_trial_folder(cache) as folder:
        return None if folder is None else _read(folder)


def make_token(cache: OpenCache) -> str:
    """Return the cache's token, made if it has none. Raises NotPermitted."""
    try:
        with trial_folder(cache) as folder:
            return _read(folder) or _write(folder)
    except OSError as error:
        raise NotPermitted(
            f"the cache can't be given a token: {error.strerror}",
            hint="run `cacheadmin observe POLICY` once as root or the owner of the cache, on a "
            "host that mounts it for writing",
        ) from None


def _read(folder: TrialFolder) -> str | None:
    found = read_file_and_status(_NAME, 100, folder.fd)
    if isinstance(found, ReadFailure):
        return None
    content, status = found
    word = content.decode("ascii", "replace").strip()
    return word if status.st_uid in folder.trusted and _WORD.fullmatch(word) else None


def _write(folder: TrialFolder) -> str:
    """Write a token whole; of two hosts that do so at once the first wins."""
    word, new = os.urandom(16).hex(), f".token.{os.urandom(8).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(new, flags, 0o644, dir_fd=folder.fd)
    try:
        os.fchmod(fd, 0o644)
        os.write(fd, f"{word}\n".encode())
        os.fsync(fd)
        os.link(new, _NAME, src_dir_fd=folder.fd, dst_dir_fd=folder.fd, follow_symlinks=False)
    except FileExistsError:
        pass
    finally:
        os.close(fd)
        os.unlink(new, dir_fd=folder.fd)
    return _read(folder) or word
