"""Tests that every other test on this machine would notice run while no other does.

Evidence is of the whole machine: a process that hangs whoever looks at it, or that can't
be looked at, keeps everything in every cache, also in that of the test next door. A test
that makes such a thing is marked ``alone``. It waits until no other test runs, and none
begins before it has ended: of this run's workers, and of other runs on the machine.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Where runs meet; the folder for temporary files may be a run's own (`own_disk`).
FOLDER = "CACHEADMIN_TESTS_MEET_IN"


@contextmanager
def turn(*, alone: bool) -> Iterator[None]:
    """Run beside others, or ``alone``."""
    operation = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    # Who waits to be alone holds the gate: tests that others begin meanwhile wait behind it.
    with _locked("gate", fcntl.LOCK_EX) as gate, _locked("tests", operation):
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield


@contextmanager
def _locked(name: str, operation: int) -> Iterator[int]:
    folder = Path(os.environ.get(FOLDER) or tempfile.gettempdir())
    file = folder / f"cacheadmin-tests-of-{os.geteuid()}.{name}"
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise PermissionError(f"{file} is not ours")
        fcntl.flock(fd, operation)
        yield fd
    finally:
        # Not by closing it alone: a child that was forked may still have it.
        fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)
