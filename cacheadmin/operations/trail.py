"""The audit trail: who changed what on a shared cache, one JSON object a line.

Each line is written with one ``write`` to a file opened for appending, so
lines of several runs never mix (on a local filesystem), and opened again for
each, so that logrotate may move it away at any time. The file may lie where
root alone should write, but need not: a link, a device, a file with a second
name or of another owner is never written to.

Keys are public: add freely, never rename. ``login_uid`` is the kernel's
(``/proc/self/loginuid``): who logged in, whatever ``su`` and ``sudo`` made of
them since. ``sudo_user`` is only what the environment says.
"""

from __future__ import annotations

import json
import os
import pwd
import socket
import stat
import sys
import time
from typing import TYPE_CHECKING, Any

from cacheadmin.errors import CacheadminError
from cacheadmin.fs.small_files import failure, kind_words
from cacheadmin.text.timestamps import rfc3339

if TYPE_CHECKING:
    from cacheadmin.operations.account import Account
    from cacheadmin.policy.loaded import LoadedPolicy

SYSTEM_TRAIL = "/var/log/cacheadmin/trail.jsonl"
_SYSTEM_POLICIES = "/etc/cacheadmin/"
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_MODE = 0o640
_NOBODY = 0xFFFFFFFF
# What a command line may add to a line: arguments are the caller's to choose.
_MAX_ARGUMENTS = 64
_MAX_ARGUMENT = 1024

# Looks at a line that may be in the midst of being written; seconds between two.
_LOOKS = 20
_BETWEEN_LOOKS = 0.01


def trail_file(loaded: LoadedPolicy) -> str | None:
    """Return the file that a policy's trail goes to; None: there is none.

    Left out, it is the system's for policies of the system that root runs,
    where its folder is there.
    """
    named = loaded.policy.log.trail
    if named == "off":
        return None
    if named is not None:
        return named
    of_the_system = (loaded.path or "").startswith(_SYSTEM_POLICIES) and os.geteuid() == 0
    there = of_the_system and os.path.isdir(os.path.dirname(SYSTEM_TRAIL))
    return SYSTEM_TRAIL if there else None


def trail_entry(account: Account) -> dict[str, Any]:
    """Return what is said of one command."""
    return {
        "schema": "cacheadmin/trail/1",
        "time": rfc3339(account.ended_ns),
        "host": socket.gethostname(),
        **_who(),
        "command": account.command,
        "policy": {"name": account.policy, "path": account.loaded and account.loaded.path},
        "cache": account.cache,
        "subject": account.subject or None,
        "run_id": account.run_id,
        "outcome": account.outcome,
        "counts": account.counts,
        "exit_code": account.exit_code,
        "error": account.error or None,
        "duration_seconds": round(account.duration_seconds, 6),
        "argv": [argument[:_MAX_ARGUMENT] for argument in sys.argv[1 : _MAX_ARGUMENTS + 1]],
    }


def append_to_trail(path: str, entry: dict[str, Any]) -> None:
    """Add one line. Raises CacheadminError where that can't be done, or is not safe."""
    line = json.dumps(entry, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
    try:
        fd = _open(path)
    except OSError as error:
        raise CacheadminError(f"{path} can't be written: {failure(path, error).reason}") from error
    try:
        _check(path, os.fstat(fd))
        if _ends_in_half_a_line(fd):
            line = b"\n" + line
        written = os.write(fd, line)
    except OSError as error:
        raise CacheadminError(f"{path} can't be written: {failure(path, error).reason}") from error
    finally:
        os.close(fd)
    if written < len(line):
        raise CacheadminError(f"{path}: only {written} of {len(line)} bytes were written")


def _open(path: str) -> int:
    folder, name = os.path.split(path)
    folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _check_folder(folder, folder_fd)
        # Twice: logrotate may take it away between the two attempts.
        for _ in range(2):
            try:
                return os.open(name, _FLAGS, dir_fd=folder_fd)
            except FileNotFoundError:
                pass
            try:
                fd = os.open(name, _FLAGS | os.O_CREAT | os.O_EXCL, _MODE, dir_fd=folder_fd)
            except FileExistsError:
                continue
            os.fchmod(fd, _MODE)
            return fd
        raise FileNotFoundError(2, "it comes and goes", path)
    finally:
        os.close(folder_fd)


def _check_folder(path: str, fd: int) -> None:
    """Refuse a folder where any user but root and the caller could replace the trail."""
    status = os.fstat(fd)
    # A named user's or group's right shows in the group's bits: they are the list's mask.
    # A sticky one keeps them from replacing it, but not from being there first.
    if status.st_mode & (stat.S_IWOTH | stat.S_IWGRP) or status.st_uid not in (0, os.geteuid()):
        raise CacheadminError(
            f"{path}: others could replace a trail in this folder",
            hint="keep it in a folder that root alone may write to, such as /var/log/cacheadmin",
        )


def _check(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise CacheadminError(f"{path} is {kind_words(status.st_mode)}, no file to add lines to")
    if status.st_nlink != 1 or status.st_uid not in (0, os.geteuid()):
        raise CacheadminError(f"{path} is not ours alone: it has another owner, or a second name")


def _ends_in_half_a_line(fd: int) -> bool:
    """Whether a full disk cut the last line short: glued to it, the next would be lost too.

    The line of another writer is seen in half as well while it is written: then the file grows.
    """
    try:
        reading = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        # One that may be written and not read.
        return False
    try:
        before = -1
        for _ in range(_LOOKS):
            size = os.fstat(fd).st_size
            if size == 0 or os.pread(reading, 1, size - 1) == b"\n":
                return False
            if size == before:
                return True
            before = size
            time.sleep(_BETWEEN_LOOKS)
        return False
    finally:
        os.close(reading)


def _who() -> dict[str, Any]:
    uid = os.getuid()
    try:
        user: str | None = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = None
    return {
        "pid": os.getpid(),
        "uid": uid,
        "user": user,
        "sudo_user": os.environ.get("SUDO_USER"),
        "login_uid": _login_uid(),
    }


def _login_uid() -> int | None:
    try:
        with open("/proc/self/loginuid", encoding="ascii") as file:
            number = int(file.read(32))
    except (OSError, ValueError):
        # A kernel without auditing.
        return None
    return None if number == _NOBODY else number
