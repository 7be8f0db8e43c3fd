"""What a reader gives up before it reads anything.

Rights: of root's it keeps reading (CAP_DAC_READ_SEARCH) and looking at other
processes (CAP_SYS_PTRACE), and can gain none again. It writes to no file:
its limit on what a file may grow to is zero. Descriptors: those of this
program, its locks among them, are closed, but for its own socket and those it
was told to keep. Readers that let files share their blocks keep the right to write
(CAP_DAC_OVERRIDE) and no limit on sizes, without which the kernel refuses that;
they open files for reading only.

A reader may become an account: the one that root acts as (``acting``), which
keeps the rights above, or the owner of what it reads, which has that account's
rights and no others. It does so for good, with all its ids; and since the kernel
takes it for no process of that account's own, the account can end it and not
trace it. No well-kept library does this with what Debian has (``prctl(2)``).
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cacheadmin.rights.acting import ActingAccount, acting_account
from cacheadmin.rights.capabilities import (
    IGNORING_RIGHTS,
    LOOKING_AT_PROCESSES,
    READING,
    checked,
    keep_only,
    permitted,
)

if TYPE_CHECKING:
    from cacheadmin.readers.questions import ReaderLimits

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>
_SET_DUMPABLE = 4
_SET_KEEP_CAPABILITIES = 8
_SET_NAME = 15
_SET_NO_NEW_PRIVILEGES = 38

_NAME = b"cacheadmin-read"
_OPEN_FILES = 512

# Who is asked to end with Ctrl-C or by a service manager is the parent; readers end with it.
_FOR_THE_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)


def load_system_calls() -> ctypes.CDLL:
    """Return the C library; loaded before the fork, since loading takes longer than forking."""
    return ctypes.CDLL(None, use_errno=True)


def confine(
    libc: ctypes.CDLL,
    limits: ReaderLimits,
    keep: Iterable[int],
    parent: int,
    owner: ActingAccount | None = None,
    *,
    shares: bool = False,
) -> None:
    """Make this process a reader: forked a moment ago by ``parent``. ``keep``: descriptors.

    ``owner`` is the account that it becomes, without any right of root's; None: it
    keeps the rights of reading. With ``shares`` it may let files share their blocks.
    Raises OSError where rights can't be given up; the
    reader must not go on then.
    """
    signal.set_wakeup_fd(-1)
    for number in _FOR_THE_PARENT:
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGXCPU, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    _close_all_but(keep)
    libc.prctl(_SET_NAME, _NAME, 0, 0, 0)
    acting = acting_account()
    if acting is not None:
        os.seteuid(0)
    _be_the_first_to_go()
    checked(libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    if owner is not None:
        _become(owner)
        keep_only(libc, 0)
    else:
        if acting is not None:
            checked(libc.prctl(_SET_KEEP_CAPABILITIES, 1, 0, 0, 0))
            _become(acting)
        # The kernel lets those share a file's blocks who may write to it (fs/remap_range.c).
        sharing = READING | IGNORING_RIGHTS
        keep_only(libc, sharing if shares else _rights_of_reading(libc))
    if owner is not None or acting is not None:
        # What this program knows (passwords in URLs) is not for that account.
        checked(libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0))
    # After the rights: a change of those takes the wish back.
    checked(libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent:
        os._exit(0)
    _limit(resource.RLIMIT_CORE, 0)
    if not shares:
        _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _limit(resource.RLIMIT_AS, _address_space() + limits.memory_bytes)


def allow_cpu_time(seconds: float) -> None:
    """Let this process use so much CPU time from now on; then the kernel ends it (SIGXCPU)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime + seconds)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(
        resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard)
    )


def _become(account: ActingAccount) -> None:
    os.setgroups(account.groups)
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)


def _rights_of_reading(libc: ctypes.CDLL) -> int:
    # Containers often have only the second of these two, and root reads by it there.
    reading = READING if permitted(libc) & READING else IGNORING_RIGHTS
    return reading | LOOKING_AT_PROCESSES


def _be_the_first_to_go() -> None:
    """Ask the kernel to end this process before others where memory runs out."""
    try:
        with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
            file.write(b"1000")
    except OSError:
        pass


def _close_all_but(keep: Iterable[int]) -> None:
    nothing = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    kept = sorted({fd for fd in keep if fd > 2})
    first = 3
    for fd in (*kept, resource.getrlimit(resource.RLIMIT_NOFILE)[0]):
        os.closerange(first, fd)
        first = fd + 1


def _limit(what: int, value: int) -> None:
    hard = resource.getrlimit(what)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (value, value))


def _address_space() -> int:
    """Return the bytes of address space this process has now."""
    with open("/proc/self/statm", "rb", buffering=0) as file:
        return int(file.read().split()[0]) * resource.getpagesize()
