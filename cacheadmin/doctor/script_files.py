"""Put scripts where no other user can have prepared anything, or can change them.

Often root writes them, and a user, or root through ``su``, runs them: a
script that another user could replace would be run by its victim.
"""

from __future__ import annotations

import os
import re
import stat

from cacheadmin.errors import Refused
from cacheadmin.fs.free_space import not_written
from cacheadmin.fs.small_files import open_directory
from cacheadmin.text.escapes import shell_word

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def script_name(owner: str, uid: int) -> str:
    """Return ``fix-ana.sh``; ``fix-1001.sh`` for a name that is none for a file."""
    return f"fix-{owner if _PLAIN.fullmatch(owner) else uid}.sh"


def write_scripts(folder: str, scripts: dict[str, str]) -> list[str]:
    """Write scripts by file name into a folder, made if missing; return their paths.

    Each gets mode 0700 and belongs to the caller. An older one of the caller's
    is replaced. Raises Refused for a folder or file that is not the caller's
    to trust, NotPermitted where rights are missing.
    """
    folder = os.path.abspath(folder)
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise not_written(f"can't make {folder}", error) from None
    try:
        fd = open_directory(folder)
    except OSError as error:
        raise Refused(
            f"{folder} is not a folder that can be written to: {error.strerror}",
            hint="links are not followed here: name the folder itself",
        ) from None
    try:
        _require_own(folder, os.fstat(fd))
        return [_write(folder, fd, name, text) for name, text in scripts.items()]
    finally:
        os.close(fd)


def _require_own(folder: str, status: os.stat_result) -> None:
    others = stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH)
    if status.st_uid not in (0, os.geteuid()):
        raise Refused(
            f"{folder} belongs to uid {status.st_uid}, who could replace the scripts",
            hint="name a folder of yours, or one that does not exist yet",
        )
    if others and not status.st_mode & stat.S_ISVTX:
        raise Refused(
            f"{folder} can be written by others, who could replace the scripts",
            hint=f"chmod go-w {shell_word(folder)}, or name a folder that does not exist yet",
        )


def _write(folder: str, fd: int, name: str, text: str) -> str:
    path = f"{folder}/{name}"
    try:
        try:
            file = os.open(name, _FLAGS, 0o700, dir_fd=fd)
        except FileExistsError:
            old = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if old.st_uid != os.geteuid() or not stat.S_ISREG(old.st_mode):
                raise Refused(
                    f"{path} exists and is no script of yours", hint="remove it first"
                ) from None
            os.unlink(name, dir_fd=fd)
            file = os.open(name, _FLAGS, 0o700, dir_fd=fd)
        try:
            os.fchmod(file, 0o700)
            data = os.fsencode(text)
            while data:
                data = data[os.write(file, data) :]
        finally:
            os.close(file)
    except OSError as error:
        raise not_written(f"can't write {path}", error) from None
    return path
