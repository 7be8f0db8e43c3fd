"""Where a path leads, link by link, with bounds.

``os.path.realpath`` calls itself for each link and stops at none: a chain of
1,100 links, which any user can make, ends the program with a RecursionError.
The kernel follows 40 links in one path and no more, so a longer chain leads
nowhere for every user; here it is followed as far as the kernel would, and its
rest stays text. A linter rule forbids ``realpath`` in this package.
"""

from __future__ import annotations

import errno
import os
import stat

from cacheadmin.fs.held_folder import below_unfollowed, holds_folder

# The kernel's own limit (path_resolution(7)).
MAX_LINKS = 40

# Names looked at for one path: real ones have a few dozen, links and all. Each costs the
# kernel the whole way to it, and an account may have thousands of such paths looked at.
_MAX_STEPS = 500


def resolve(path: str, *, strict: bool = False) -> str:
    """Return an absolute path without links, dots and double slashes.

    What can't be followed stays as text: names that don't exist or can't be
    looked at, and all that comes after 40 links or 500 names. With
    ``strict`` that raises OSError as ``stat`` would (ENOENT, EACCES, ELOOP).
    A magic link of ``/proc`` is read like any other link.
    """
    ahead = (path if path.startswith("/") else f"{os.getcwd()}/{path}").split("/")[::-1]
    here: list[str] = []
    # So many names of ``here`` may lead to something; below what is not there nothing is,
    # but for what lies in a held folder.
    there = 0
    held = holds_folder()
    links = steps = 0
    while ahead:
        name = ahead.pop()
        steps += 1
        if name in ("", "."):
            continue
        if name == "..":
            del here[-1:]
            there = min(there, len(here))
            continue
        if there < len(here) and not held:
            here.append(name)
            continue
        if steps > _MAX_STEPS:
            if strict:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            return os.path.normpath("/".join(("", *here, name, *reversed(ahead))))
        target = _target("/".join(("", *here, name)), strict=strict)
        if not isinstance(target, str):
            here.append(name)
            there += target
        elif links < MAX_LINKS:
            links += 1
            if target.startswith("/"):
                here.clear()
                there = 0
            ahead += target.split("/")[::-1]
        elif strict:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        else:
            return os.path.normpath("/".join(("", *here, name, *reversed(ahead))))
    return "/" + "/".join(here)


def _target(path: str, *, strict: bool) -> str | bool:
    """Return the text of a link; of what is none, or can't be looked at, if it may be there."""
    try:
        place = below_unfollowed(path)
        if stat.S_ISLNK(os.lstat(place).st_mode):
            return os.readlink(place)
    except (FileNotFoundError, NotADirectoryError):
        if strict:
            raise
        return False
    except (OSError, ValueError):
        if strict:
            raise
    return True
