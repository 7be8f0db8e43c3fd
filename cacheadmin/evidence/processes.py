"""Running processes as roots: what they run, map, hold open and name.

A process started from a cached environment shows it in different places
(facts section 7): ``uvx`` in ``PATH`` only, ``uv run`` in ``VIRTUAL_ENV``,
compiled modules in ``maps``, and nothing at all in ``exe``, which is the base
interpreter. So every path a process names is looked at, in its own view of
the mounts (``/proc/PID/root``), because a container has other names for the
same folders.

What rights do not let us see is said once for each user: it could be anything.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import Process, Unseen, UseOfEntry, UvProcess
from cacheadmin.evidence.owners import owner_of_process
from cacheadmin.evidence.proc_files import (
    DELETED,
    ProcessFiles,
    children_of,
    device_in_maps,
    mapped_files,
    own_mount_namespace,
    process_ids,
    read_process,
    start_of,
)
from cacheadmin.evidence.reach import can_not_reach
from cacheadmin.evidence.running_from import PackagePlaces
from cacheadmin.evidence.site_packages import PYTHONS
from cacheadmin.evidence.targets import CacheLocator, TargetPlace
from cacheadmin.evidence.unknown_environments import MAPPED
from cacheadmin.evidence.uv_binaries import ReadBinary, UvBinaries
from cacheadmin.evidence.uv_processes import (
    is_called_uv,
    is_parked,
    names_another_cache,
    release_of,
)
from cacheadmin.readers import Question, Readers, Unreadable
from cacheadmin.rights.acting import is_called_by_root
from cacheadmin.text.accounts import account_name
from cacheadmin.text.numbers import format_count, verb
from cacheadmin.text.timestamps import NANOSECONDS
from cacheadmin.uv.releases import takes_cache_lock
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# What a path into a cache has in it; `.tmp` for folders in the cache's root.
_MARKS = (b"/archive-v", b"/environments-v", b"/builds-v", b"/.tmp")

# Paths remembered while the processes are read: mapped libraries, mostly.
_MAX_REMEMBERED = 65_536
_NAMED = ("VIRTUAL_ENV", "PATH", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT", "PYTHONHOME")


@frozen
class SeenProcess:
    """What a reader saw of one process."""

    process: Process | None = None
    """The process, if it uses the cache, runs from an environment or is a uv; else None."""
    denied: int | None = None
    """The account of a process that rights do not let us look into; else None."""
    passed_over: int | None = None
    """The account of a process whose program was one too many to be read; else None."""
    binaries: tuple[ReadBinary, ...] = ()
    """What was read of programs, for later looks to know."""
    untold: int | None = None
    """The account of a Python that does not show what it was started as; else None."""


class ProcessReader:
    """Reads one process after the other; in a reader, since each may be any user's."""

    def __init__(self, locator: Callable[[], CacheLocator], binaries: UvBinaries) -> None:
        self._locator = locator
        self._binaries = binaries

    @cached_property
    def _machine(self) -> _Machine:
        locator = self._locator()
        mapped = mapped_files(device_in_maps(locator.identity.path))
        places = PackagePlaces(locator.identity.path)
        return _Machine(_Uses(locator), places, boot_ns(), own_mount_namespace(), mapped)

    def forget(self) -> None:
        """Drop what was noted from one process to the next."""
        self.__dict__.pop("_machine", None)

    def read(self, pid: int) -> SeenProcess:
        """Return what can be seen of a process; nothing of one that is gone."""
        machine = self._machine
        found = read_process(pid, machine.own_mounts, machine.mapped)
        if found is None:
            return SeenProcess()
        before = self._binaries.passed_over[found.uid]
        process = _process(found, machine, self._binaries)
        return SeenProcess(
            process,
            # Some machines shield their init even from root: it runs from no environment.
            found.uid if found.denied and not (pid == 1 and is_called_by_root()) else None,
            found.uid if self._binaries.passed_over[found.uid] > before else None,
            self._binaries.take_new(),
            found.uid if _hides_its_start(found) else None,
        )


@frozen
class _Machine:
    """What all processes of one look have in common."""

    uses: _Uses
    places: PackagePlaces
    boot: int
    own_mounts: str
    mapped: re.Pattern[bytes]


ProcessQuestion = Question[int, SeenProcess]


def process_question(
    locator: Callable[[], CacheLocator], binaries: UvBinaries
) -> Question[int, SeenProcess]:
    """Return what asks readers for one process."""
    reader = ProcessReader(locator, binaries)
    return Question(
        reader.read, SeenProcess, blame=owner_of_process, forget=reader.forget, together=64
    )


def read_processes(
    locator: CacheLocator,
    *,
    known: frozenset[tuple[int, int]] = frozenset(),
    binaries: UvBinaries | None = None,
    with_traces: frozenset[int] | None = None,
) -> tuple[tuple[Process, ...], tuple[Unseen, ...]]:
    """Return processes that use the cache or are uv, and what could not be seen.

    As ``ask_for_processes``, with readers of its own.
    """
    binaries = UvBinaries() if binaries is None else binaries
    with Readers() as readers:
        question = process_question(lambda: locator, binaries)
        return ask_for_processes(readers, question, binaries, known=known, with_traces=with_traces)


def ask_for_processes(
    readers: Readers,
    question: ProcessQuestion,
    binaries: UvBinaries,
    *,
    known: frozenset[tuple[int, int]] = frozenset(),
    with_traces: frozenset[int] | None = None,
    deadline_seconds: float | None = None,
) -> tuple[tuple[Process, ...], tuple[Unseen, ...]]:
    """Return processes that use the cache or are uv, and what could not be seen.

    ``known`` holds (pid, start in ns) of processes to leave out: those of an
    earlier look; ``binaries`` which executables were found to be uv there;
    ``with_traces`` the accounts that left something in the cache (None: any may
    have). Also returned are processes that run from an environment somewhere else
    (``Process.environments``), for the scan.
    """
    pids = [pid for pid in _to_look_at(known) if pid not in readers.pids]
    answers = readers.ask_all(question, pids, deadline_seconds=deadline_seconds)
    processes = []
    denied: Counter[int] = Counter()
    untold: Counter[int] = Counter()
    unread: list[Unseen] = []
    for pid, answer in zip(pids, answers, strict=True):
        if isinstance(answer, Unreadable):
            if start_of(pid) is not None:
                unread.append(_unread(pid, answer))
            continue
        binaries.learn(answer.binaries)
        if answer.denied is not None:
            denied[answer.denied] += 1
        if answer.untold is not None:
            untold[answer.untold] += 1
        if answer.passed_over is not None:
            binaries.passed_over[answer.passed_over] += 1
        if answer.process is not None:
            uid = answer.denied
            stranger = uid is not None and with_traces is not None and uid not in with_traces
            processes.append(replace(answer.process, is_stranger=stranger))
    processes += _possible_uv(unread)
    return tuple(processes), (*_unseen(denied), *_untold(untold), *_passed_over(binaries), *unread)


def _possible_uv(unseen: Iterable[Unseen]) -> Iterator[Process]:
    """Yield the processes that no reader could look at, each as a uv of unknown release at work."""
    for one in unseen:
        name = one.path.removeprefix("/proc/")
        started = start_of(int(name)) if name.isdecimal() else None
        if started is not None:
            moment = started_ns(started[1], boot_ns())
            uid = -1 if one.uid is None else one.uid
            words = "it could not be looked at"
            yield Process(int(name), uid, moment, words, uv=UvProcess(), start_ticks=started[1])


def _to_look_at(known: frozenset[tuple[int, int]]) -> Iterator[int]:
    """Yield the processes there are, but for this one and those that are known."""
    boot = boot_ns()
    for pid in process_ids():
        if pid == os.getpid():
            continue
        if known:
            started = start_of(pid)
            if started is None or (pid, started_ns(started[1], boot)) in known:
                continue
        yield pid


def _unread(pid: int, failed: Unreadable) -> Unseen:
    whose = f"process {pid} of {account_name(failed.uid)}"
    reason = f"{whose} could not be looked at: {failed.reason}"
    return Unseen("process", f"/proc/{pid}", reason, hides_archives=True, uid=failed.uid)


def program_of(pid: int) -> str | None:
    """Return what a process runs as: its short name, which ``exec`` changes; None: it ended."""
    try:
        with open(f"/proc/{pid}/comm", "rb", buffering=0) as file:
            return file.read(64).decode("utf-8", "surrogateescape")
    except OSError:
        return None


def known_processes() -> frozenset[tuple[int, int]]:
    """Return (pid, start in ns) of every process there is now."""
    boot = boot_ns()
    found = ((pid, start_of(pid)) for pid in process_ids())
    return frozenset(
        (pid, started_ns(started[1], boot)) for pid, started in found if started is not None
    )


def _process(found: ProcessFiles, machine: _Machine, binaries: UvBinaries) -> Process | None:
    used = machine.uses.of(found)
    cache = machine.uses.locator.identity
    version = release_of(found, binaries)
    is_uv = (
        (version is not None or is_called_uv(found))
        and not names_another_cache(found, (cache.device, cache.inode))
        and not (found.root_for_itself and can_not_reach(found.pid, cache.path))
    )
    environments = machine.places.of(found)
    if not used and not is_uv and not environments:
        return None
    started = start_of(found.pid)
    if started is None:
        return None
    uv = None
    if is_uv:
        locks = takes_cache_lock(version) if version else None
        uv = UvProcess(version, locks, parked=is_parked(found, _children(found.pid)))
    return Process(
        pid=found.pid,
        uid=found.uid,
        started_ns=started_ns(started[1], machine.boot),
        command=found.command or found.executable,
        uses=tuple(UseOfEntry(entry, through) for entry, through in sorted(used.items())),
        uv=uv,
        environments=environments,
        start_ticks=started[1],
    )


def _hides_its_start(found: ProcessFiles) -> bool:
    """Whether a Python has overwritten what it was started with, and all that would tell of it."""
    is_python = os.path.basename(found.executable).startswith(PYTHONS)
    return is_python and found.has_overwritten and not found.started_as.startswith("/")


def _children(pid: int) -> list[ProcessFiles]:
    found = (read_process(child, "") for child in children_of(pid))
    return [child for child in found if child is not None]


class _Uses:
    """Tells which entries of one cache a process uses; remembers what leads nowhere there."""

    def __init__(self, locator: CacheLocator) -> None:
        self.locator = locator
        self._elsewhere: set[str] = set()
        self._mapped_elsewhere: set[bytes] = set()

    def of(self, found: ProcessFiles) -> dict[str, str]:
        """Return the entries, each with what in the process shows its use."""
        uses: dict[str, str] = {}
        root = found.root_for_kernel
        for path, through in _named_by_kernel(found):
            self._note(path, root, through, uses)
        # Hundreds of libraries a process, the same ones in most of them.
        for mapped in found.mapped if root else found.mapped - self._mapped_elsewhere:
            path = os.fsdecode(mapped).removesuffix(DELETED)
            if not self._note(path, root, MAPPED, uses) and not root:
                self._mapped_elsewhere.add(mapped)
        root = found.root_for_itself
        for path, through in _named_by_itself(found):
            located = self.locator.locate(path, found.folder or "/")
            if located.place is not TargetPlace.INSIDE and root:
                located = self.locator.locate(root + path, "/")
            if located.entry is not None:
                uses.setdefault(located.entry, through)
        return uses

    def _note(self, path: str, root: str, through: str, uses: dict[str, str]) -> bool:
        path = root + path
        if path in self._elsewhere:
            return False
        entry = self.locator.locate_file(path).entry
        if entry is None:
            if len(self._elsewhere) < _MAX_REMEMBERED:
                self._elsewhere.add(path)
            return False
        uses.setdefault(entry, through)
        return True


def _named_by_kernel(found: ProcessFiles) -> Iterator[tuple[str, str]]:
    """Yield paths that the kernel tells: resolved, and right for sure."""
    if found.executable:
        yield found.executable, "executable"
    if found.folder:
        yield found.folder, "working directory"
    for path in found.descriptors:
        if not path.startswith(("/dev/", "/proc/", "/sys/")):
            yield path, "open file"


def _named_by_itself(found: ProcessFiles) -> Iterator[tuple[str, str]]:
    """Yield paths that a process was told, and which could lie in a cache."""
    if found.started_as.startswith("/") and _marked(os.fsencode(found.started_as)):
        yield found.started_as, "program"
    if _marked(found.command_line):
        for argument in found.arguments:
            if "/" in argument and _marked(os.fsencode(argument)):
                yield argument[argument.index("/") :], "argument"
    if _marked(found.environ):
        for name in _NAMED:
            for path in found.variable(name).split(":"):
                if path.startswith("/") and _marked(os.fsencode(path) + b"/"):
                    yield path, f"variable {name}"


def _marked(text: bytes) -> bool:
    return any(mark in text for mark in _MARKS)


def _unseen(denied: Mapping[int, int]) -> Iterator[Unseen]:
    for uid, count in sorted(denied.items()):
        reason = f"{count} of {account_name(uid)}'s processes may only be looked at by root"
        yield Unseen("process", "/proc", reason, True, uid, trial_suffices=True)


def _untold(untold: Mapping[int, int]) -> Iterator[Unseen]:
    for uid, count in sorted(untold.items()):
        programs = f"{format_count(count, 'Python program')} of {account_name(uid)}"
        reason = f"{programs} {verb(count, 'shows', 'show')} a title, and no path of an environment"
        fix = "run cacheadmin as root; or have the program started by its whole path"
        yield Unseen("process", "/proc", reason, True, uid, trial_suffices=True, fix=fix)


def _passed_over(binaries: UvBinaries) -> Iterator[Unseen]:
    for uid, count in sorted(binaries.passed_over.items()):
        reason = (
            f"{format_count(count, 'large program')} that {account_name(uid)} runs "
            f"{verb(count, 'was', 'were')} not read: it may be a uv under another name"
        )
        yield Unseen("process", "/proc", reason, hides_archives=True, uid=uid)


def boot_ns() -> int:
    """Return when the machine started, in ns since the epoch, by its present clock."""
    with open("/proc/stat", "rb") as file:
        for line in file:
            if line.startswith(b"btime "):
                return int(line.split()[1]) * NANOSECONDS
    return 0


def started_ns(ticks: int, boot: int) -> int:
    """Return a start in clock ticks since boot as ns since the epoch."""
    return boot + ticks * NANOSECONDS // os.sysconf("SC_CLK_TCK")
