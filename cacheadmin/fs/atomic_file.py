"""Replace a file as a whole, so that no reader ever sees half of one.

The content goes into a new file with a name that can't be guessed, in the same
folder, and is renamed over the old one when it is on the disk. A process that reads
at any moment gets the old content or the new; a kill or a full disk leaves
the old one alone (and at worst a hidden ``.cacheadmin-*.new`` beside it).

Reports and metrics are often written by root into folders that others may
write to. So nothing that others prepared is followed or replaced: the new
file is created exclusively, and a name that is a link, a device or anything
but a plain file is refused. ``/dev/stdout`` must not become a file.
"""

from __future__ import annotations

import os
import stat

from cacheadmin.errors import CacheadminError, NoRoom, NotPermitted
from cacheadmin.fs.free_space import is_full
from cacheadmin.fs.small_files import failure, kind_words

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_atomically(path: str, content: bytes, mode: int) -> None:
    """Replace the file at ``path``, or make it, with exactly this content and mode.

    The umask does not count. It is on the disk when this returns. Folders on
    the way are followed like any user's, the file itself never. Raises
    NotPermitted where the rights are missing, CacheadminError for whatever
    else keeps it from being written; the old file is untouched then.
    """
    folder, name = os.path.split(os.path.abspath(path))
    try:
        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _explained(path, error) from None
    try:
        _require_plain_file(path, name, folder_fd)
        _replace(name, content, mode, folder_fd)
    except OSError as error:
        raise _explained(path, error) from None
    finally:
        os.close(folder_fd)


def _require_plain_file(path: str, name: str, folder_fd: int) -> None:
    try:
        found = os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found):
        raise CacheadminError(
            f"{path} is {kind_words(found)}: only a plain file is replaced",
            hint="name a file in a folder of your own",
        )


def _replace(name: str, content: bytes, mode: int, folder_fd: int) -> None:
    new = f".cacheadmin-{os.urandom(8).hex()}.new"
    fd = os.open(new, _FLAGS, 0o600, dir_fd=folder_fd)
    try:
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(fd, mode)
            os.fsync(fd)
        os.rename(new, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
    except BaseException:
        _remove_if_there(new, folder_fd)
        raise
    # The rename is what readers see; without this a power cut may undo it.
    os.fsync(folder_fd)


def _remove_if_there(name: str, folder_fd: int) -> None:
    try:
        os.unlink(name, dir_fd=folder_fd)
    except OSError:
        return


def _explained(path: str, error: OSError) -> CacheadminError:
    what = failure(path, error)
    message = f"{path} can't be written: {what.reason}"
    if is_full(error):
        return NoRoom(message, hint="free some room there")
    if isinstance(error, PermissionError):
        return NotPermitted(message, hint="name a file in a folder that you may write to")
    if what.missing:
        return CacheadminError(message, hint="make its folder first")
    return CacheadminError(message)
