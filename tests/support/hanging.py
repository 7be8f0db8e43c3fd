"""A filesystem that answers nothing: FUSE, whose server is stopped.

with hanging_folder(folder) as place:
    place.below("proj")     # whoever looks at it now waits until it is killed
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.waiting import until


@contextmanager
def hanging_folder(folder: Path) -> Iterator[Path]:
    """Mount a copy-on-write view of ``folder/below`` at ``folder/hangs``, and stop its server.

    Skips where this machine can't: FUSE, fuse-overlayfs and root are needed.
    """
    program = shutil.which("fuse-overlayfs")
    if program is None or not os.access("/dev/fuse", os.R_OK) or os.geteuid() != 0:
        pytest.skip("needs root, /dev/fuse and fuse-overlayfs")
    below, place = folder / "below", folder / "hangs"
    for one in (below, place):
        one.mkdir(exist_ok=True)
    server = subprocess.Popen(
        [program, "-f", "-o", f"lowerdir={below}", place],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _mounted(place, server)
        server.send_signal(signal.SIGSTOP)
        yield place
    finally:
        server.send_signal(signal.SIGCONT)
        subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)
        server.kill()
        server.wait()


def _mounted(place: Path, server: subprocess.Popen[bytes]) -> None:
    until(lambda: os.path.ismount(place) or server.poll() is not None)
    if os.path.ismount(place):
        return
    pytest.skip("fuse-overlayfs mounts nothing here")
