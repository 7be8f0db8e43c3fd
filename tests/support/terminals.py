"""Running the command line on a terminal of a given width.

    seen = on_terminal(cacheadmin, 80, "preflight", policy)
    seen.code, seen.lines

What it prints is what a person sees: both outputs, in lines.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
from dataclasses import dataclass

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.users import User


@dataclass(frozen=True)
class Seen:
    """What a person saw: the exit code, and the lines on the screen."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)


def on_terminal(
    cacheadmin: Cacheadmin,
    columns: int,
    *arguments: str | os.PathLike[str],
    user: User | None = None,
    environment: dict[str, str] | None = None,
) -> Seen:
    """Run one command on a terminal so many columns wide; colours off."""
    command = cacheadmin.command(*arguments, user=user)
    variables = cacheadmin.environment(user) | {"TERM": "xterm", "NO_COLOR": "1"}
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cacheadmin.home)
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        if user is not None:
            os.setgroups(user.groups)
            os.setgid(user.gid)
            os.setuid(user.uid)
        os.execve(command[0], command, variables | (environment or {}))
    screen = b""
    try:
        while piece := _read(terminal):
            screen += piece
    finally:
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    text = screen.decode("utf-8", "replace").replace("\r\n", "\n")
    # What a progress bar wrote, and took back: a busy machine is slow enough to show one.
    text = re.sub(r"[^\n]*\r\x1b\[K", "", text)
    return Seen(os.waitstatus_to_exitcode(status), tuple(text.rstrip("\n").split("\n")))


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        # The other end was closed: the command has ended.
        return b""
