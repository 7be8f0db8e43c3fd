"""uv executables in usual places, and the release each is: by metadata, else by bytes.

A user who has an executable can run that release tomorrow; one who replaced it
by a newer one has upgraded. Nothing found is run.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

from cacheadmin.fs.resolution import resolve
from cacheadmin.uv.releases import parse_release
from cacheadmin.values import frozen

SYSTEM_PLACES = ("/usr/local/bin/uv", "/usr/bin/uv", "/opt/uv/uv", "/opt/uv/bin/uv")
_HOME_PLACES = (".local/bin/uv", ".cargo/bin/uv", "bin/uv", ".pyenv/shims/uv")

# uv writes its version right before one of these keys of `pyvenv.cfg` (see
# ``binaries``); searching for them is much quicker than for any number.
_ANCHORS = (b"include-system-site-packages", b"version_info")
_NUMBER = re.compile(rb"(?<![0-9.])(\d{1,3}\.\d{1,3}\.\d{1,3})$")
_BEFORE_ANCHOR = 12
_PIECE_BYTES = 1024 * 1024

# Real ones have a dozen; a file of nothing else would take minutes.
_MAX_ANCHORS = 1000

# No uv binary is smaller (scripts and shims of that name are), and none larger:
# a user could put a terabyte of zeros there.
_SMALLEST = 1024 * 1024
LARGEST = 1024 * 1024 * 1024


@frozen
class Executable:
    """One uv executable in a usual place."""

    path: str
    """Absolute path of that place; a link there was followed."""
    version: str
    """Its release, by metadata beside it, else by its bytes."""
    installed_ns: int
    """The newer of its file's modification and change times, in ns since the epoch."""


def executables_in_home(home: str) -> Iterator[Executable]:
    """Yield the uv executables in a home folder's usual places."""
    for place in _HOME_PLACES:
        found = executable_at(f"{home}/{place}")
        if found is not None:
            yield found


def system_executables() -> Iterator[Executable]:
    """Yield the uv executables that all users of this host can run."""
    for place in SYSTEM_PLACES:
        found = executable_at(place)
        if found is not None:
            yield found


def executable_at(path: str) -> Executable | None:
    """Return the uv executable at a path, links followed; None when there is none."""
    real = resolve(path)
    try:
        fd = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        version = release_beside(real) or version_in(fd)
        if version is None:
            return None
        # The time it came here: unpacking keeps the build's modification time.
        installed = max(status.st_mtime_ns, status.st_ctime_ns)
        return Executable(path, version, installed)
    finally:
        os.close(fd)


def version_in(fd: int) -> str | None:
    """Return the release in an open binary's bytes; None when it does not tell clearly."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or not _SMALLEST <= status.st_size <= LARGEST:
        return None
    try:
        versions = _versions_in(fd)
    except OSError:
        return None
    return versions.pop() if len(versions) == 1 else None


def _versions_in(fd: int) -> set[str]:
    """Return every version at an anchor; none for a file of too many. Raises OSError."""
    versions: set[str] = set()
    anchors = 0
    # One piece of memory for all of it: a new one for each piece would cost more than reading.
    kept = _BEFORE_ANCHOR + max(map(len, _ANCHORS)) - 1
    content = bytearray(kept + _PIECE_BYTES)
    fresh = memoryview(content)[kept:]
    # Read, not mapped: a file that its owner cuts short meanwhile would kill us (SIGBUS).
    for offset in range(0, LARGEST, _PIECE_BYTES):
        count = os.preadv(fd, [fresh], offset)
        for anchor in _ANCHORS:
            # One that ends before the fresh part was found in the piece before.
            position = content.find(anchor, kept - len(anchor) + 1, kept + count)
            while position >= 0:
                anchors += 1
                if anchors > _MAX_ANCHORS:
                    return set()
                found = _NUMBER.search(content[max(0, position - _BEFORE_ANCHOR) : position])
                if found is not None:
                    versions.add(found[1].decode())
                position = content.find(anchor, position + 1, kept + count)
        if count < _PIECE_BYTES:
            break
        content[:kept] = content[-kept:]
    return versions


def release_beside(executable: str, root: str = "") -> str | None:
    """Return the release that metadata beside a uv executable names.

    ``PREFIX/bin/uv`` with ``PREFIX/lib/python*/site-packages/uv-X.dist-info``
    (pip, pipx, uv tool), or ``DIR/bin/uv`` with ``DIR/uv-X.dist-info``
    (``pip install --target``). ``root`` is put before the path, for processes
    that see other mounts.
    """
    prefix = root + os.path.dirname(os.path.dirname(executable))
    folders = [prefix]
    try:
        libraries = os.listdir(f"{prefix}/lib")
    except OSError:
        libraries = []
    for name in libraries:
        if name.startswith(("python", "pypy")):
            kinds = ("site-packages", "dist-packages")
            folders += [f"{prefix}/lib/{name}/{kind}" for kind in kinds]
    for folder in folders:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            if name.startswith("uv-") and name.endswith(".dist-info"):
                version = name[3:].removesuffix(".dist-info")
                if parse_release(version) is not None:
                    return version
    return None
