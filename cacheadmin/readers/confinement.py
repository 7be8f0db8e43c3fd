"""What a reader gives up before it reads anything.

Rights: of root's it keeps reading (CAP_DAC_READ_SEARCH) and looking at other
processes (CAP_SYS_PTRACE), and can gain none again. It writes to no file:
its limit on what a file may grow to is zero. Descriptors: those of this
program, its locks among them, are closed, but for its own socket and those it
was told to keep.

No well-kept library does this with what Debian has; the three system calls
are ``prctl(2)``, ``capget(2)`` and ``capset(2)``.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
from collections.abc import Iterable

from cacheadmin.readers.questions import ReaderLimits

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>
_SET_NAME = 15
_SET_NO_NEW_PRIVILEGES = 38
_CAPABILITIES_VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3 of <linux/capability.h>
_DAC_OVERRIDE = 1 << 1
_DAC_READ_SEARCH = 1 << 2
_SYS_PTRACE = 1 << 19

_NAME = b"cacheadmin-read"
_OPEN_FILES = 512

# Who is asked to end with Ctrl-C or by a service manager is the parent; readers end with it.
_FOR_THE_PARENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Set(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def load_system_calls() -> ctypes.CDLL:
    """Return the C library; loaded before the fork, since loading takes longer than forking."""
    return ctypes.CDLL(None, use_errno=True)


def confine(libc: ctypes.CDLL, limits: ReaderLimits, keep: Iterable[int], parent: int) -> None:
    """Make this process a reader: forked a moment ago by ``parent``. ``keep``: descriptors.

    Raises OSError where rights can't be given up; the reader must not go on then.
    """
    signal.set_wakeup_fd(-1)
    for number in _FOR_THE_PARENT:
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGXCPU, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    _close_all_but(keep)
    libc.prctl(_SET_NAME, _NAME, 0, 0, 0)
    _be_the_first_to_go()
    _checked(libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _give_up_capabilities(libc)
    # After the rights: a change of those takes the wish back.
    _checked(libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent:
        os._exit(0)
    _limit(resource.RLIMIT_CORE, 0)
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


def _give_up_capabilities(libc: ctypes.CDLL) -> None:
    header, sets = _Header(_CAPABILITIES_VERSION, 0), (_Set * 2)()
    _checked(libc.capget(ctypes.byref(header), ctypes.byref(sets)))
    permitted = sets[0].permitted
    # Containers often have only the second of these two, and root reads by it there.
    reading = _DAC_READ_SEARCH if permitted & _DAC_READ_SEARCH else _DAC_OVERRIDE
    kept = permitted & (reading | _SYS_PTRACE)
    sets[0] = _Set(kept, kept, 0)
    sets[1] = _Set(0, 0, 0)
    _checked(libc.capset(ctypes.byref(header), ctypes.byref(sets)))


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


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
