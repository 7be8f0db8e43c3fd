"""Fail one system call of real work, or kill the process there: the kernel asks us about each.

    done = supervised(work, [folder], decide)
    done.code, done.stderr, done.calls

``work`` runs in a child that may call what it likes. Calls that name a file are
held by the kernel (seccomp's user notification) until this process has answered;
``decide`` is asked about those that touch one of the folders, in their order, and
says nothing, an errno, or KILL. So faults come to Python, to SQLite and to plain C
alike, and no index of a call depends on what else the machine does. Readers, the
child's own children, go on undisturbed unless ``children`` is set. Linux on x86_64,
as root.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

KILL = -1

# Names by number (x86_64), and which arguments are (descriptor of a folder, path) or descriptors.
# AT: pairs of argument numbers; None for the descriptor means the working folder.
_Pairs = tuple[tuple[int | None, int | None], ...]
_CALLS: dict[int, tuple[str, _Pairs]] = {
    0: ("read", ((0, None),)),
    1: ("write", ((0, None),)),
    2: ("open", ((None, 0),)),
    4: ("stat", ((None, 0),)),
    5: ("fstat", ((0, None),)),
    6: ("lstat", ((None, 0),)),
    17: ("pread64", ((0, None),)),
    18: ("pwrite64", ((0, None),)),
    21: ("access", ((None, 0),)),
    73: ("flock", ((0, None),)),
    74: ("fsync", ((0, None),)),
    75: ("fdatasync", ((0, None),)),
    77: ("ftruncate", ((0, None),)),
    82: ("rename", ((None, 0), (None, 1))),
    83: ("mkdir", ((None, 0),)),
    84: ("rmdir", ((None, 0),)),
    86: ("link", ((None, 0), (None, 1))),
    87: ("unlink", ((None, 0),)),
    88: ("symlink", ((None, 1),)),
    89: ("readlink", ((None, 0),)),
    90: ("chmod", ((None, 0),)),
    91: ("fchmod", ((0, None),)),
    92: ("chown", ((None, 0),)),
    93: ("fchown", ((0, None),)),
    137: ("statfs", ((None, 0),)),
    138: ("fstatfs", ((0, None),)),
    188: ("setxattr", ((None, 0),)),
    190: ("fsetxattr", ((0, None),)),
    191: ("getxattr", ((None, 0),)),
    193: ("fgetxattr", ((0, None),)),
    217: ("getdents64", ((0, None),)),
    257: ("openat", ((0, 1),)),
    258: ("mkdirat", ((0, 1),)),
    260: ("fchownat", ((0, 1),)),
    262: ("newfstatat", ((0, 1),)),
    263: ("unlinkat", ((0, 1),)),
    264: ("renameat", ((0, 1), (2, 3))),
    265: ("linkat", ((0, 1), (2, 3))),
    266: ("symlinkat", ((1, 2),)),
    267: ("readlinkat", ((0, 1),)),
    268: ("fchmodat", ((0, 1),)),
    269: ("faccessat", ((0, 1),)),
    280: ("utimensat", ((0, 1),)),
    316: ("renameat2", ((0, 1), (2, 3))),
    332: ("statx", ((0, 1),)),
    437: ("openat2", ((0, 1),)),
    439: ("faccessat2", ((0, 1),)),
}

_SECCOMP, _SET_MODE_FILTER, _NEW_LISTENER = 317, 1, 8
_ALLOW, _ASK = 0x7FFF0000, 0x7FC00000
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_RECEIVE, _SEND, _SET_FLAGS, _CONTINUE = 0xC0502100, 0xC0182101, 0x40082104, 1
# Since Linux 6.6: whoever asks and whoever answers take turns on one processor.
_WAKE_UP_AT_ONCE = 1
_NOTICE_BYTES = 80
_AT_WORKING_FOLDER = -100
_PATH_BYTES = 4096
_CREATING = os.O_CREAT


def is_possible() -> bool:
    """Whether this machine can do it."""
    return platform.machine() == "x86_64" and os.geteuid() == 0


@dataclass(frozen=True)
class Call:
    """One call that touches a folder of interest."""

    number: int
    """How many came before it, and 1."""

    name: str
    paths: tuple[str, ...]
    creates: bool = False
    """Whether it opens a file that it may make."""

    def __str__(self) -> str:
        return f"{self.number} {self.name}({', '.join(self.paths)})"


Decide = Callable[[Call], int | None]


@dataclass
class Done:
    """What came of it: the exit code (negative: the signal), and what was said."""

    code: int
    stdout: str
    stderr: str
    calls: list[Call] = field(default_factory=list)


def supervised(
    work: Callable[[], int],
    folders: Sequence[Path],
    decide: Decide,
    *,
    children: bool = False,
    once: bool = False,
) -> Done:
    """Do ``work`` in a child, whose calls are decided upon; return what came of it.

    ``once``: after the first fault no call is decided upon, or noted.
    """
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            _be_child(work, out.fileno(), err.fileno(), lambda: _hand_over_listener(theirs))
        theirs.close()
        _, parts, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(4))
        ours.close()
        listener = array.array("i", parts[0][2])[0] if parts else -1
        prefixes = tuple(f"{folder}/" for folder in folders)
        calls = _answer_all(listener, pid, prefixes, decide, children=children, once=once)
        _, status = os.waitpid(pid, 0)
        return _done(status, out, err, calls)


def unsupervised(work: Callable[[], int]) -> Done:
    """Do ``work`` in a child that is asked about nothing: many times as fast."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            _be_child(work, out.fileno(), err.fileno(), lambda: None)
        _, status = os.waitpid(pid, 0)
        return _done(status, out, err, [])


def _done(status: int, out: IO[bytes], err: IO[bytes], calls: list[Call]) -> Done:
    texts = []
    for file in (out, err):
        file.seek(0)
        texts.append(file.read().decode(errors="replace"))
    return Done(os.waitstatus_to_exitcode(status), texts[0], texts[1], calls)


def _hand_over_listener(theirs: socket.socket) -> None:
    listener = _install()
    theirs.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))])
    os.close(listener)
    theirs.close()


def _be_child(work: Callable[[], int], out: int, err: int, begin: Callable[[], None]) -> None:
    code = 99
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        # Not those of a test's own runner.
        sys.stdout, sys.stderr = (open(fd, "w", closefd=False) for fd in (1, 2))  # noqa: SIM115
        begin()
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _install() -> int:
    program = [struct.pack("=HBBI", _LOAD, 0, 0, 0)]
    for place, number in enumerate(_CALLS):
        program.append(struct.pack("=HBBI", _EQUAL, len(_CALLS) - place, 0, number))
    program.append(struct.pack("=HBBI", _RETURN, 0, 0, _ALLOW))
    program.append(struct.pack("=HBBI", _RETURN, 0, 0, _ASK))
    code = ctypes.create_string_buffer(b"".join(program))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    listener: int = libc.syscall(_SECCOMP, _SET_MODE_FILTER, _NEW_LISTENER, head)
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return listener


def _answer_all(
    listener: int,
    pid: int,
    prefixes: tuple[str, ...],
    decide: Decide,
    *,
    children: bool,
    once: bool,
) -> list[Call]:
    calls: list[Call] = []
    is_done = False
    with contextlib.suppress(OSError):
        fcntl.ioctl(listener, _SET_FLAGS, _WAKE_UP_AT_ONCE)
    try:
        while True:
            notice = bytearray(_NOTICE_BYTES)
            try:
                fcntl.ioctl(listener, _RECEIVE, notice)
            except OSError as error:
                # A signal may end a call while we are being told of it (ENOENT).
                if error.errno == errno.EINTR or not _is_over(listener):
                    continue
                return calls
            asked, process, _ = struct.unpack_from("=QII", notice, 0)
            number, _, _, *arguments = struct.unpack_from("=iIQ6Q", notice, 16)
            decision = None
            if not is_done and (children or process == pid):
                call = _understood(process, number, arguments, prefixes, len(calls) + 1)
                if call is not None:
                    calls.append(call)
                    decision = decide(call)
                    is_done = once and decision is not None
            if decision == KILL:
                os.kill(pid, signal.SIGKILL)
                continue
            error_code, flags = (-decision, 0) if decision else (0, _CONTINUE)
            try:
                fcntl.ioctl(listener, _SEND, struct.pack("=QqiI", asked, 0, error_code, flags))
            except OSError:
                # It was killed while it waited.
                continue
    finally:
        if listener >= 0:
            os.close(listener)


def _is_over(listener: int) -> bool:
    """Whether no process is left that could ask."""
    poll = select.poll()
    poll.register(listener, 0)
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))


def _understood(
    pid: int, number: int, arguments: list[int], prefixes: tuple[str, ...], place: int
) -> Call | None:
    name, pairs = _CALLS[number]
    paths = tuple(_path(pid, arguments, *pair) for pair in pairs)
    if not any(f"{path}/".startswith(prefixes) for path in paths):
        return None
    creates = name == "openat" and bool(arguments[2] & _CREATING)
    creates |= name == "open" and bool(arguments[1] & _CREATING)
    return Call(place, name, paths, creates)


def _path(pid: int, arguments: list[int], fd_at: int | None, path_at: int | None) -> str:
    text = _text(pid, arguments[path_at]) if path_at is not None else ""
    if text.startswith("/"):
        return text
    fd = _AT_WORKING_FOLDER if fd_at is None else _signed(arguments[fd_at])
    where = f"/proc/{pid}/cwd" if fd == _AT_WORKING_FOLDER else f"/proc/{pid}/fd/{fd}"
    try:
        folder = os.readlink(where)
    except OSError:
        return text
    return f"{folder}/{text}" if text else folder


def _signed(value: int) -> int:
    low = value & 0xFFFFFFFF
    return low - (1 << 32) if low >= 1 << 31 else low


def _text(pid: int, address: int) -> str:
    if not address:
        return ""
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            content = memory.read(min(_PATH_BYTES, 4096 - address % 4096)) or b""
            if b"\0" not in content:
                content += memory.read(_PATH_BYTES) or b""
    except OSError:
        return ""
    return os.fsdecode(content.partition(b"\0")[0])
