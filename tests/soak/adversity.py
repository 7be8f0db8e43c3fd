"""What goes wrong around a soak: clocks that jump, and a disk that fills.

A command gets another clock by a small library of ours (``another_clock.c``), which a C
compiler makes: its wall clock is days or hours off, while the kernel goes on giving files
their true times. So whatever the product takes from the wall clock alone is wrong there.
The disk is a filesystem of its own, without blocks kept for root; a file takes all of its
room for some seconds now and then.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.soak.site import Site

#: So many of a hundred commands have another clock.
CLOCKS_IN_100 = 12

_HOUR, _DAY = 3600, 86_400
_JUMPS = (40 * _DAY, 3 * _DAY, 2 * _HOUR, -2 * _HOUR, -40 * _DAY)

#: What is left free while the disk is full (bytes).
_LEFT_FREE = (0, 0, 64 * 1024, 1024 * 1024)


def another_clock(site: Site, chance: random.Random) -> dict[str, str]:
    """Return variables by which a command's clock has jumped; now and then, and where that can be.

    Not while the soak is young: the first runs have to tell what the true time is.
    """
    library = compiled_clock(site.folder)
    if library is None or not site.knows_the_time or chance.random() * 100 >= CLOCKS_IN_100:
        return {}
    site.count("commands whose clock had jumped")
    return {"LD_PRELOAD": str(library), "ANOTHER_CLOCK": str(chance.choice(_JUMPS))}


@cache
def compiled_clock(folder: Path) -> Path | None:
    """Return the library, made in a folder of everybody's; None without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    made = folder / "another_clock.so"
    source = Path(__file__).with_name("another_clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, source], check=True)
    made.chmod(0o755)
    return made


@dataclass
class FullDisk:
    """A file that takes all room now and then."""

    site: Site

    @property
    def path(self) -> Path:
        """The file."""
        return self.site.disk / "somebody-elses-data"

    def run(self) -> None:
        """Fill the disk for some seconds in every minute."""
        chance = self.site.chance("disk")
        while not self.site.stopping.wait(30.0 + chance.random() * 40.0):
            self.site.full_from_now_on()
            try:
                self._fill(chance.choice(_LEFT_FREE))
                self.site.count("times that the disk was full")
                self.site.stopping.wait(4.0 + chance.random() * 12.0)
            finally:
                self.path.unlink(missing_ok=True)
                self.site.full_no_more()

    def _fill(self, left: int) -> None:
        """Take all room but so much; others take and free some meanwhile."""
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size, step = 0, 64 * 2**20
            while step >= 4096:
                status = os.fstatvfs(fd)
                free = status.f_bavail * status.f_frsize - left
                length = min(step, free // 4096 * 4096)
                try:
                    if length <= 0:
                        return
                    os.posix_fallocate(fd, size, length)
                    size += length
                except OSError as error:
                    if error.errno not in FULL:
                        raise
                    step //= 2
        finally:
            os.close(fd)


FULL: Mapping[int, str] = {errno.ENOSPC: "No space left", errno.EDQUOT: "quota"}
