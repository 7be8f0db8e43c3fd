"""What a run of hours needs: figures that outlive it, an even choice, and a second try in peace.

    figures = FiguresOfRun(options.json)
    one = figures.of("prune", {"faults": 0, "wrong": []})
    one["faults"] += 1
    figures.write()

A run that is ended at any moment leaves the figures of all it has tried, and the next one
with the same file goes on where it was, as long as neither the product nor the file's
form has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.uv_releases import REPOSITORY

_GOLDEN = 0.6180339887498949


class FiguresOfRun:
    """The figures of one tool, in a file or only in memory."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.code = code_of_product()
        self.all: dict[str, dict[str, Any]] = {}
        if file is not None and file.exists():
            self.all = json.loads(file.read_text())

    def of(self, name: str, empty: dict[str, Any]) -> dict[str, Any]:
        """Return the figures of one part, to be added to; ``empty`` where there are none yet."""
        known = self.all.get(name)
        if known is None or known.get("code") != self.code:
            known = self.all[name] = {**empty, "code": self.code}
        return known

    def write(self) -> None:
        """Leave them in the file, whole at any moment."""
        today = time.strftime("%Y-%m-%d", time.gmtime())
        for one in self.all.values():
            if one.get("code") == self.code:
                one["until"] = today
        if self.file is not None:
            new = self.file.with_name(f".{self.file.name}.new")
            new.write_text(json.dumps(self.all, indent=1) + "\n")
            new.replace(self.file)


def code_of_product() -> str:
    """Return what tells one state of the product's code from any other."""
    digest = hashlib.sha256()
    for file in sorted((REPOSITORY / "cacheadmin").rglob("*.py")):
        digest.update(f"{file.relative_to(REPOSITORY)}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def spread(number: int) -> list[int]:
    """Return the numbers below ``number`` so that those of any beginning lie evenly among them.

    Which ones come first depends little on how many there are.
    """
    return sorted(range(number), key=lambda one: one * _GOLDEN % 1)


@contextlib.contextmanager
def at_normal_priority() -> Iterator[None]:
    """Let this process, and those it starts, be scheduled as any other.

    A run of hours gives way to all other work (``chrt -i 0``, ``nice``). What has a
    deadline may then fail for want of a processor, and is tried again like this.
    """
    policy, nice = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
    _schedule(os.SCHED_OTHER, 0, "2")
    try:
        yield
    finally:
        _schedule(policy, nice, "3" if policy == os.SCHED_IDLE else "2")


def _schedule(policy: int, nice: int, disk: str) -> None:
    os.sched_setscheduler(0, policy, os.sched_param(0))
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    if shutil.which("ionice"):
        subprocess.run(["ionice", "-c", disk, "-p", str(os.getpid())], check=False)
