"""A guard that runs in its own process while a test does something.

with guarding(cacheadmin, policy, "--hold") as guard:
    ...
    guard.log()          # what it has said so far
    guard.memory_kib()   # its largest resident size
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.users import User
from tests.support.waiting import until


@dataclass
class Guard:
    """A guard at work."""

    process: subprocess.Popen[bytes]
    output: Path

    def log(self) -> str:
        """Return what it has said."""
        return self.output.read_text()

    def memory_kib(self) -> int:
        """Return its largest resident size so far, in KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        assert found
        return int(found[1])

    def hang_up(self) -> None:
        """Make it look again."""
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        """End it as a service manager does; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


@contextmanager
def guarding(
    cacheadmin: Cacheadmin, policy: Path, *options: str, user: User | None = None
) -> Iterator[Guard]:
    """Start a guard, wait until it has had its first look, and end it in the end."""
    process = cacheadmin.start("guard", policy, *options, user=user)
    guard = Guard(process, cacheadmin.folder / "started.log")
    try:
        until(lambda: "guarding" in guard.log() or process.poll() is not None)
        assert process.poll() is None, guard.log()
        yield guard
        assert process.poll() is not None or guard.stop() == 0, guard.log()
    finally:
        process.kill()
        process.wait()
