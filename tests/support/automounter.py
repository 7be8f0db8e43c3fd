"""An automounter whose server is down: names below its folder are there on demand, or not.

with automounter(folder): ...     # a name that was not mounted is ENOENT, as autofs(5) has it
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Speaks the kernel's protocol 5 (linux/auto_fs.h): each request is refused by its token.
_DAEMON = """
import ctypes, fcntl, os, struct, sys
folder = os.fsencode(sys.argv[1])
requests, answers = os.pipe()
options = f"fd={answers},pgrp={os.getpgrp()},minproto=5,maxproto=5,indirect".encode()
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"automounter", folder, b"autofs", 0, options):
    sys.exit(os.strerror(ctypes.get_errno()))
root = os.open(folder, os.O_RDONLY)
os.mkdir(folder + b"/other")
print("up", flush=True)
while request := os.read(requests, 4096):
    (token,) = struct.unpack_from("=I", request, 8)
    fcntl.ioctl(root, 0x9361, token)
"""


@contextmanager
def automounter(folder: Path) -> Iterator[None]:
    """Have an automounter that mounts nothing serve a folder; in it is a folder ``other``."""
    daemon = subprocess.Popen(
        [sys.executable, "-c", _DAEMON, folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert daemon.stdout is not None and daemon.stderr is not None
        if daemon.stdout.readline() != b"up\n":
            pytest.skip(f"no autofs here: {daemon.stderr.read().decode().strip()}")
        yield
    finally:
        daemon.kill()
        daemon.wait()
        subprocess.run(["umount", folder], check=False, capture_output=True)
