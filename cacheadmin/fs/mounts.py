"""The mount table: which filesystem a path lies on, and with which options."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

_ESCAPE = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of ``/proc/self/mountinfo``; ``options`` are those of mount and filesystem."""

    mount_point: str
    device: int
    kind: str
    source: str
    options: tuple[str, ...]


def read_mounts() -> tuple[Mount, ...]:
    """Return the mounts this process sees, in the order they were made."""
    with open("/proc/self/mountinfo", "rb") as file:
        return tuple(parse_mount(line) for line in file)


def parse_mount(line: bytes) -> Mount:
    """Parse one line (see proc_pid_mountinfo(5)); names carry octal escapes."""
    left, _, right = line.partition(b" - ")
    fields = left.split()
    major, _, minor = fields[2].partition(b":")
    kind, source, *super_options = right.split()
    options = [*fields[5].split(b","), *(super_options[0].split(b",") if super_options else ())]
    return Mount(
        mount_point=_text(fields[4]),
        device=os.makedev(int(major), int(minor)),
        kind=_text(kind),
        source=_text(source),
        options=tuple(dict.fromkeys(_text(option) for option in options)),
    )


def _text(field: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), field))


def mount_of(path: str, mounts: tuple[Mount, ...] | None = None) -> Mount:
    """Return the mount that a resolved absolute path lies on.

    The longest mount point that is a parent wins, the latest among equals
    (one mount hides another on the same point).
    """
    best: Mount | None = None
    for mount in read_mounts() if mounts is None else mounts:
        point = mount.mount_point.rstrip("/") + "/"
        if (path.rstrip("/") + "/").startswith(point) and (
            best is None or len(mount.mount_point) >= len(best.mount_point)
        ):
            best = mount
    if best is None:
        # A chroot without its root in the table: nothing better is known.
        return Mount("/", os.stat(path).st_dev, "unknown", "unknown", ())
    return best


def is_mount_point(path: str) -> bool:
    """Whether something, a bind mount included, is mounted on a resolved path."""
    return path == "/" or mount_of(path).mount_point == path.rstrip("/")
