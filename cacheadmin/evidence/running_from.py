"""Where a process has its packages from, by what it was started as, and with.

No table of the kernel tells ``sys.prefix``. These do:

- ``VIRTUAL_ENV``;
- what was called: Python looks for ``pyvenv.cfg`` beside it. It may be a path
  relative to a working directory that the process has left since, or a bare name
  that ``PATH`` leads to, as in uv's own recipe for containers
  (``ENV PATH="/app/.venv/bin:$PATH"``, ``CMD ["python", "-m", "app"]``);
- what was executed, by the kernel's own copy, where the program has written a title
  over its arguments and variables (``setproctitle``);
- the executable, where that is a Python with packages of its own
  (``uv pip install --system``);
- ``PYTHONPATH`` (``uv pip install --target``);
- its arguments, where a server is told of an environment (``uwsgi --virtualenv``).

The variables are those it was started with, and their owner's to write: who names
another's environment keeps what that links to, and nothing else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import EnvironmentKind, RunsFrom
from cacheadmin.evidence.kinds import kind_of
from cacheadmin.evidence.reach import can_not_reach
from cacheadmin.evidence.site_packages import (
    PACKAGES,
    PYTHONS,
    find_package_folders,
    prefix_of,
)
from cacheadmin.fs.mounts import mount_of, read_mounts

if TYPE_CHECKING:
    from cacheadmin.evidence.proc_files import ProcessFiles
    from cacheadmin.fs.mounts import Mount

# What a server is told stands among the first; others are given whole lists of files.
_MOST_ARGUMENTS = 100

# What an environment is called, or the way to its Python.
_ENVIRONMENT = re.compile(r"venv|/bin/python", re.IGNORECASE)

# How a process sees a path: what to put before it, and the path.
_Place = tuple[str, str]


class PackagePlaces:
    """Tells where processes have their packages from; remembers what Pythons have of their own."""

    def __init__(self, cache: str) -> None:
        self._cache = cache
        self._of_pythons: dict[str, tuple[str, ...]] = {}
        # Whose mounts were read last, and these; none where no other machine or program serves one.
        self._mounts: tuple[str, tuple[Mount, ...]] | None = None

    def of(self, found: ProcessFiles) -> tuple[RunsFrom, ...]:
        """Return the environments, and folders of packages, that a process runs from."""
        prefixes = _prefixes(found, partial(self._may_hang, found))
        venvs = (_place(prefix) for prefix in prefixes if _is_venv(prefix))
        places = [RunsFrom(path, EnvironmentKind.VENV) for path in venvs]
        named = [path for path in found.variable("PYTHONPATH").split(":") if path.startswith("/")]
        executable = found.executable
        is_python = os.path.basename(executable).startswith(PYTHONS)
        # Most containers have a Python, and no way to the cache: what these have is nobody's loss.
        apart = found.root_for_itself and (named or is_python)
        if not (apart and can_not_reach(found.pid, self._cache)):
            places += chain.from_iterable(
                _packages_at(f"{found.root_for_itself}{os.path.normpath(path)}") for path in named
            )
            if is_python:
                prefix = os.path.dirname(os.path.dirname(executable))
                own = self._packages_of(f"{found.root_for_kernel}{prefix}")
                places += [RunsFrom(path, EnvironmentKind.TARGET) for path in own]
        return tuple(dict.fromkeys(places))

    def _may_hang(self, found: ProcessFiles, path: str) -> bool:
        """Whether a path of a process lies on what another machine, or a program, serves."""
        process = str(found.pid) if found.root_for_itself else "self"
        try:
            if self._mounts is None or self._mounts[0] != process:
                mounts = read_mounts(process)
                served = any(mount.is_network for mount in mounts)
                self._mounts = process, mounts if served else ()
            mounts = self._mounts[1]
            return bool(mounts) and mount_of(os.path.normpath(path), mounts).is_network
        except (OSError, ValueError, IndexError):
            # It has ended.
            return True

    def _packages_of(self, prefix: str) -> tuple[str, ...]:
        """Return the folders of packages that a Python has below its prefix."""
        known = self._of_pythons.get(prefix)
        if known is None:
            found = find_package_folders(prefix, target=False).paths
            # Where there are none, the prefix itself is named: that is no Python's.
            known = tuple(path for path in found if os.path.basename(path) in PACKAGES)
            self._of_pythons[prefix] = known
        return known


def _prefixes(found: ProcessFiles, may_hang: Callable[[str], bool]) -> Iterator[_Place]:
    """Yield what may be the prefix of the Python that a process is, as it names it.

    ``may_hang`` tells of a path whether it lies on what a server serves.
    """
    active = found.variable("VIRTUAL_ENV")
    if active.startswith("/"):
        yield found.place_of(active)
    for root, program in _called_as(found):
        if "/bin/" in program:
            yield root, os.path.dirname(os.path.dirname(program))
    for argument in islice(found.arguments, 1, _MOST_ARGUMENTS):
        if "/" not in argument:
            continue
        path = argument[argument.index("/") :]
        # Who serves a mount, or works there, waits when that hangs; so would who looks there.
        if _ENVIRONMENT.search(path) or not may_hang(path):
            yield found.root_for_itself, path
            yield found.root_for_itself, path.rpartition("/bin/")[0]


def _called_as(found: ProcessFiles) -> Iterator[_Place]:
    """Yield the paths that may be meant by the name under which a process was called."""
    if found.started_as:
        yield found.place_of(found.started_as)
    called = os.fsdecode(found.command_line.partition(b"\0")[0])
    if not called:
        return
    if "/" in called:
        yield found.place_of(called)
        started_in = found.variable("PWD")
        if not called.startswith("/") and started_in.startswith("/"):
            # It may have gone elsewhere since, as daemons do.
            yield found.root_for_itself, f"{started_in}/{called}"
        return
    root = found.root_for_itself
    for folder in found.variable("PATH").split(":"):
        if folder.startswith("/") and os.path.lexists(f"{root}{folder}/{called}"):
            yield root, f"{folder}/{called}"
            return


def _is_venv(place: _Place) -> bool:
    root, path = place
    return path.startswith("/") and os.path.lexists(f"{root}{path}/pyvenv.cfg")


def _place(place: _Place) -> str:
    root, path = place
    return root + os.path.normpath(path)


def _packages_at(path: str) -> Iterator[RunsFrom]:
    """Yield what a folder that is searched for packages is: an environment's, or its own."""
    if kind_of(path) is not EnvironmentKind.TARGET:
        # Most are people's own sources.
        return
    prefix = prefix_of(path)
    if prefix is not None and os.path.lexists(f"{prefix}/pyvenv.cfg"):
        yield RunsFrom(prefix, EnvironmentKind.VENV)
    else:
        yield RunsFrom(path, EnvironmentKind.TARGET)
