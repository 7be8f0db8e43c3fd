"""Whether something is there, where not being able to tell is no answer.

``os.path.isdir`` and its like say no also for what a stale server or a bad disk keeps
from being looked at. What decides whether a use of the cache is looked for asks here.
"""

from __future__ import annotations

import os
import stat

from cacheadmin.fs.small_files import failure


def may_be_folder(path: str) -> bool:
    """Whether a path leads to a folder, or to what can't be looked at."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        return failure(path, error).blocked
    except ValueError:
        return False


def may_be_there(path: str) -> bool:
    """Whether anything has a name, or that can't be looked at; a link is not followed."""
    try:
        os.lstat(path)
    except OSError as error:
        return failure(path, error).blocked
    except ValueError:
        return False
    return True
