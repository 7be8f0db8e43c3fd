"""Other people: real users that tests run programs as.

    ana, ben = other_users(2)          # needs root; use the ``root`` marker
    subprocess.run(..., **ana.process_arguments())

Users are unused uids without an account, all in one shared group, so that
nothing on the machine is theirs. Each worker of pytest has uids of its own: what
is limited for each account, or blamed on one, is not that of another test. They
can enter only folders that are open to everyone: pytest's ``tmp_path`` is not; use
the ``open_folder`` fixture.
"""

from __future__ import annotations

import os
import pwd
import stat
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.small_python import small_python

SHARED_GROUP = 61000
_FIRST_UID = 61001
_UIDS_OF_A_WORKER = 250


@dataclass(frozen=True)
class User:
    """A user to run programs as; ``umask`` is that of the programs."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    umask: int = 0o002

    def process_arguments(self) -> dict[str, Any]:
        """Return arguments for ``subprocess`` that make the child this user."""
        if self.uid == os.geteuid():
            return {"umask": self.umask}
        return {
            "user": self.uid,
            "group": self.gid,
            "extra_groups": list(self.groups),
            "umask": self.umask,
        }


def me() -> User:
    """Return the user who runs the tests."""
    return User("me", os.geteuid(), os.getegid(), tuple(os.getgroups()))


def other_users(count: int, *, umask: int = 0o002) -> list[User]:
    """Return so many users who are nobody else, all in ``SHARED_GROUP``."""
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    first = _FIRST_UID + _UIDS_OF_A_WORKER * worker_number()
    free = [uid for uid in range(first, first + _UIDS_OF_A_WORKER) if uid not in taken]
    names = ("ana", "ben", "eve", *(f"user{uid}" for uid in free[3:]))
    return [
        User(name, uid, SHARED_GROUP, (SHARED_GROUP,), umask)
        for name, uid in list(zip(names, free, strict=True))[:count]
    ]


def worker_number() -> int:
    """Return which of pytest's workers this process is, 0 for the only one."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def reachable_by_everyone(path: str | os.PathLike[str]) -> bool:
    """Return whether every folder down to the resolved path is open to all."""
    resolved = Path(path).resolve()
    parents_open = all(parent.stat().st_mode & stat.S_IXOTH for parent in resolved.parents)
    return parents_open and bool(resolved.stat().st_mode & stat.S_IROTH)


def open_temporary_folder(prefix: str) -> Path:
    """Create an empty folder that every user can enter, even if TMPDIR is private."""
    place = tempfile.gettempdir()
    if not reachable_by_everyone(place):
        place = "/tmp"
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place)).resolve()
    folder.chmod(0o755)
    return folder


@cache
def python_for_everyone() -> str | None:
    """Return a Python that other users can start, of this Python's own version.

    None where there is none: a Python below a private home folder can't be
    started by anybody else, however the test asks.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"]
    for candidate in candidates:
        if Path(candidate).exists() and reachable_by_everyone(candidate):
            copied = small_python(candidate)
            return copied if reachable_by_everyone(copied) else candidate
    return None


def with_account(name: str, home: Path, uid: int, folder: Path) -> list[str]:
    """Return the words that run a command where an account of that number has that home.

    The list of accounts that it sees is written to ``folder``. Needs root.
    """
    accounts = folder / "passwd"
    lines = Path("/etc/passwd").read_text().splitlines()
    accounts.write_text("\n".join([*lines, f"{name}:x:{uid}:{uid}::{home}:/bin/sh"]) + "\n")
    inside = 'mount --bind "$0" /etc/passwd && exec "$@"'
    return ["unshare", "--mount", "sh", "-ec", inside, str(accounts)]
