"""What a process was executed as, where it has overwritten its arguments and variables.

Programs show a title in the list of processes (``setproctitle``: gunicorn, celery, ray) by
writing it where the kernel has put their arguments and variables; what it leaves of
both is filled with zeros. The path that was executed stands above them, where no title
reaches, and processes that are forked later have it too (facts section 7).
"""

from __future__ import annotations

import os
import struct

# AT_EXECFN of getauxval(3): where in a process's memory the kernel has put that path.
_AT_EXECFN = 31

# The kernel tells some twenty such values; no path is longer.
_MAX_VALUES = 4096
_MAX_PATH = 4096

# Of a program of 64 bits, or of 32.
_FORMS = ("@LL", "=II")


def is_overwritten(environ: bytes) -> bool:
    """Whether these are no variables that a program was started with."""
    variables = environ.removesuffix(b"\0").split(b"\0") if environ else []
    return not all(b"=" in one for one in variables)


def executed_path(process: str) -> str:
    """Return what was executed, as the process's parent named it; ``process``: ``/proc/PID``.

    Of a script its own path, not that of its interpreter. Empty where it may not be read.
    """
    try:
        values = _read(f"{process}/auxv", _MAX_VALUES, 0)
        for form in _FORMS:
            whole = len(values) - len(values) % struct.calcsize(form)
            address = dict(struct.iter_unpack(form, values[:whole])).get(_AT_EXECFN)
            if address is not None:
                text = _read(f"{process}/mem", _MAX_PATH, address)
                return os.fsdecode(text.partition(b"\0")[0])
    except (OSError, OverflowError):
        # It has ended, or only root may trace it.
        pass
    return ""


def _read(path: str, limit: int, offset: int) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, limit, offset)
    finally:
        os.close(fd)
