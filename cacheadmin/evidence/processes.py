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
import pwd
from collections import defaultdict
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import Process, Unseen, UseOfEntry
from cacheadmin.evidence.locating import CacheLocator, Place
from cacheadmin.evidence.proc_reading import (
    MARKS,
    ProcessFiles,
    process_ids,
    read_process,
    start_of,
)
from cacheadmin.evidence.uv_processes import is_parked, is_uv, names_another_cache, release_of
from cacheadmin.timestamps import NANOSECONDS
from cacheadmin.uv.releases import takes_cache_lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_COMMAND_LENGTH = 120
_NAMED = ("VIRTUAL_ENV", "PATH", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT", "PYTHONHOME")


def read_processes(
    locator: CacheLocator, *, known: frozenset[tuple[int, int]] = frozenset()
) -> tuple[tuple[Process, ...], tuple[Unseen, ...]]:
    """Return processes that use the cache or are uv, and what could not be seen.

    ``known`` holds (pid, start in ns) of processes to leave out: those of an
    earlier look. Also returned are processes that run from an environment
    somewhere else (``Process.environments``), for the scan.
    """
    boot_ns = _boot_ns()
    own_mounts = os.readlink("/proc/self/ns/mnt")
    files: dict[int, ProcessFiles] = {}
    for pid in process_ids():
        if pid == os.getpid():
            continue
        if known:
            started = start_of(pid)
            if started is None or (pid, _started_ns(started[1], boot_ns)) in known:
                continue
        found = read_process(pid, own_mounts)
        if found is not None:
            files[pid] = found
    children: dict[int, list[ProcessFiles]] = defaultdict(list)
    for found in files.values():
        children[found.parent].append(found)
    processes = [
        process
        for found in files.values()
        if (process := _process(found, children[found.pid], locator, boot_ns)) is not None
    ]
    return tuple(processes), tuple(_unseen(files.values()))


def known_processes() -> frozenset[tuple[int, int]]:
    """Return (pid, start in ns) of every process there is now."""
    boot_ns = _boot_ns()
    found = ((pid, start_of(pid)) for pid in process_ids())
    return frozenset(
        (pid, _started_ns(started[1], boot_ns)) for pid, started in found if started is not None
    )


def _process(
    found: ProcessFiles, children: list[ProcessFiles], locator: CacheLocator, boot_ns: int
) -> Process | None:
    # Seen through the process's own root, a container's names resolve.
    root = f"/proc/{found.pid}/root" if found.other_mounts else ""
    uses: dict[str, str] = {}
    for path, through in _paths(found):
        located = locator.locate(path, found.folder or "/")
        if located.place is not Place.INSIDE and root:
            located = locator.locate(root + path, "/")
        if located.entry is not None:
            uses.setdefault(located.entry, through)
    identity = (locator.identity.device, locator.identity.inode)
    uv = is_uv(found) and not names_another_cache(found, root, identity)
    environments = _environments(found, root)
    if not uses and not uv and not environments:
        return None
    version = release_of(found, root) if uv else None
    return Process(
        pid=found.pid,
        uid=found.uid,
        started_ns=_started_ns(found.start_ticks, boot_ns),
        command=" ".join(found.arguments)[:_COMMAND_LENGTH] or found.executable,
        uses=tuple(UseOfEntry(entry, through) for entry, through in sorted(uses.items())),
        is_uv=uv,
        uv_version=version,
        takes_cache_lock=takes_cache_lock(version) if version else None,
        parked=uv and is_parked(found, children),
        environments=environments,
    )


def _paths(found: ProcessFiles) -> Iterator[tuple[str, str]]:
    """Yield every path a process names that could lie in a cache, and where it does."""
    if _marked(found.executable):
        yield found.executable, "executable"
    if _marked(found.folder + "/"):
        yield found.folder, "working directory"
    for path in found.mapped:
        yield path, "mapped file"
    for path in found.descriptors:
        if _marked(path):
            yield path, "open file"
    for argument in found.arguments:
        if _marked(argument):
            yield argument[argument.index("/") :], "argument"
    for name in _NAMED:
        for path in found.environment.get(name, "").split(":"):
            if path.startswith("/") and _marked(path + "/"):
                yield path, f"variable {name}"


def _marked(path: str) -> bool:
    text = os.fsencode(path)
    return b"/" in text and any(mark in text for mark in MARKS)


def _environments(found: ProcessFiles, root: str) -> tuple[str, ...]:
    """Return folders with a ``pyvenv.cfg`` that a process runs from."""
    candidates = [found.environment.get("VIRTUAL_ENV", "")]
    interpreter = found.arguments[0] if found.arguments else ""
    if "/bin/" in interpreter:
        path = interpreter if interpreter.startswith("/") else f"{found.folder}/{interpreter}"
        candidates.append(os.path.dirname(os.path.dirname(path)))
    return tuple(
        dict.fromkeys(
            root + os.path.normpath(path)
            for path in candidates
            if path.startswith("/") and os.path.lexists(f"{root}{path}/pyvenv.cfg")
        )
    )


def _unseen(files: Iterable[ProcessFiles]) -> Iterator[Unseen]:
    denied: dict[int, int] = defaultdict(int)
    for found in files:
        # Some machines shield their init even from root: it runs from no environment.
        if found.denied and not (found.pid == 1 and os.geteuid() == 0):
            denied[found.uid] += 1
    for uid, count in sorted(denied.items()):
        reason = f"{count} of {_user(uid)}'s processes may only be looked at by root"
        yield Unseen("process", "/proc", reason, hides_archives=True, uid=uid)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _boot_ns() -> int:
    with open("/proc/stat", "rb") as file:
        for line in file:
            if line.startswith(b"btime "):
                return int(line.split()[1]) * NANOSECONDS
    return 0


def _started_ns(ticks: int, boot_ns: int) -> int:
    return boot_ns + ticks * NANOSECONDS // os.sysconf("SC_CLK_TCK")
