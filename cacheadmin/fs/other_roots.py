"""Look at paths as a process with another root means them: in a container, in a chroot.

The kernel would follow an absolute link from *our* root, which may be another
file, or none.
"""

from __future__ import annotations

import errno
import os
import stat

# The kernel's own limit on links in a path.
_MAX_LINKS = 40


def status_in_root(root: str, path: str) -> os.stat_result:
    """Return the status of what an absolute path means below ``root``, links followed there.

    ``root`` is a folder such as ``/proc/PID/root``. Raises OSError as ``stat``
    does, and with EXDEV for paths below ``/proc``, whose links depend on who reads them.
    """
    way: list[str] = []
    ahead = path.split("/")[::-1]
    links = 0
    while ahead:
        name = ahead.pop()
        if name in ("", "."):
            continue
        if name == "..":
            way[-1:] = []
            continue
        if not way and name == "proc":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
        here = "/".join((root, *way, name))
        if not stat.S_ISLNK(os.lstat(here).st_mode):
            way.append(name)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = os.readlink(here)
        if target.startswith("/"):
            way.clear()
        ahead += target.split("/")[::-1]
    return os.stat("/".join((root, *way)))
