"""Ways back: links at the place on trial of what has come back from there.

The problem. A program that resolves a path while an entry is on trial learns where
the entry lies then: ``Path(__file__).resolve()`` in thousands of packages, the folder
of a script that Python puts on ``sys.path``, what a build writes into a binary, a link
that a user makes. The tripwire springs at that very lookup, and the entry comes back
within a minute; from then on such a path would lead nowhere, in a program that runs.

So what comes back leaves a link at its place on trial that leads to where it lies
now, for as long as it lies there. It appears in one rename; between the exchange
and that rename the place leads nowhere, for some microseconds. On trial again, the
entry lies there itself, and the path holds once more; but who has it springs nothing then.
So before that the link has to be silent as long as a tripwire (``Trials.used_since``).

The link is a tripwire too: who has such a path is seen by it alone. A lookup through
it counts as a use of the entry. A decoy beside these links, whose name can't be known,
tells of a walk through our folder (a backup): it proves no use, and the time in which it
came does not count.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from cacheadmin.fs.server_questions import ask_server
from cacheadmin.fs.small_files import open_directory
from cacheadmin.trial.folder import PAST_NS
from cacheadmin.uv.layout import entry_on_trial, trial_name, way_back_text
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.trial.folder import TrialFolder

_READY = ".back-"
_DECOY = ".walk-"


@frozen
class SeenWaysBack:
    """What a look at all ways back found."""

    used: dict[str, int]
    """Entries that were looked up by their place on trial, each with when (ns since the epoch)."""

    doubtful: frozenset[str]
    """Entries of which that is not known: something walked through our folder."""


def make_decoy_of_ways_back(folder: TrialFolder) -> None:
    """Make the link that tells of walks, where there is none; before the first way back."""
    with suppress(OSError):
        if not any(name.startswith(_DECOY) for name in os.listdir(folder.fd)):
            _make_link(folder, os.pardir, f"{_DECOY}{os.urandom(16).hex()}")


def make_way_back(folder: TrialFolder, entry: str) -> None:
    """Get an entry's way back ready. Where there is no room for it, there will be none."""
    text = way_back_text(entry)
    if text is None:
        return
    with suppress(OSError):
        discard_ready(folder, entry)
        _make_link(folder, text, f"{_READY}{trial_name(entry)}")


def place_way_back(folder: TrialFolder, entry: str) -> bool:
    """Put an entry's way back, which is ready, in its place; whether it is there."""
    place = trial_name(entry)
    try:
        # Over a link that lies there; over the entry itself it fails.
        os.rename(f"{_READY}{place}", f"{place}", src_dir_fd=folder.fd, dst_dir_fd=folder.fd)
    except OSError:
        return False
    return True


def discard_ready(folder: TrialFolder, entry: str) -> None:
    """Remove a way back that was made ready and is not needed."""
    with suppress(OSError):
        os.unlink(f"{_READY}{trial_name(entry)}", dir_fd=folder.fd)


def has_way_back(folder: TrialFolder, entry: str) -> bool:
    """Whether a way back lies at an entry's place on trial."""
    return _way_back(folder, entry) is not None


def is_used_by_its_way_back(folder: TrialFolder, entry: str) -> bool:
    """Whether an entry has a way back that was looked through since the last look at all."""
    status = _way_back(folder, entry, ask=True)
    return status is not None and _is_touched(status)


def ways_back(folder: TrialFolder) -> list[str]:
    """Return the entries that have a way back. Raises OSError."""
    return [entry for entry, _ in _ways_back(folder)]


def look_at_ways_back(folder: TrialFolder) -> SeenWaysBack:
    """Look at all ways back, and set those back that were looked through. Raises OSError."""
    touched = {entry: status for entry, status in _ways_back(folder) if _is_touched(status)}
    decoys = [name for name in os.listdir(folder.fd) if name.startswith(_DECOY)]
    walked = False
    for decoy in decoys:
        status = os.stat(decoy, dir_fd=folder.fd, follow_symlinks=False)
        if _is_touched(status):
            walked = True
            _set_back(folder, decoy, status)
    for entry, status in touched.items():
        _set_back(folder, trial_name(entry) or "", status)
    if walked:
        return SeenWaysBack({}, frozenset(touched))
    return SeenWaysBack({one: status.st_atime_ns for one, status in touched.items()}, frozenset())


def mend_ways_back(folder: TrialFolder) -> None:
    """Finish what a kill left half done; remove ways back to what is there no longer."""
    for name in sorted(os.listdir(folder.fd)):
        if name.startswith(_READY):
            entry = entry_on_trial(name.removeprefix(_READY))
            if entry is not None and _stands(folder, entry):
                place_way_back(folder, entry)
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder.fd)
    left = 0
    for entry, _ in _ways_back(folder):
        if _stands(folder, entry):
            left += 1
        else:
            os.unlink(trial_name(entry) or "", dir_fd=folder.fd)
    if not left:
        for name in os.listdir(folder.fd):
            if name.startswith(_DECOY):
                os.unlink(name, dir_fd=folder.fd)


def _ways_back(folder: TrialFolder) -> Iterator[tuple[str, os.stat_result]]:
    for name in sorted(os.listdir(folder.fd)):
        entry = entry_on_trial(name)
        status = None if entry is None else _way_back(folder, entry, ask=True)
        if entry is not None and status is not None:
            yield entry, status


def _way_back(folder: TrialFolder, entry: str, *, ask: bool = False) -> os.stat_result | None:
    """Return the status of an entry's way back; by its size, since to read it would be a use.

    ``ask``: also when it was looked through on another host.
    """
    name, text = trial_name(entry), way_back_text(entry)
    if name is None or text is None:
        return None
    try:
        if ask:
            ask_server(name, folder.fd)
        status = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    # What is prepared as a tripwire has a longer text.
    is_one = stat.S_ISLNK(status.st_mode) and status.st_size == len(os.fsencode(text))
    return status if is_one else None


def _stands(folder: TrialFolder, entry: str) -> bool:
    """Whether an entry lies in its own place. What can't be looked at may."""
    bucket, _, name = entry.partition("/")
    try:
        fd = open_directory(bucket, folder.cache_fd)
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        finally:
            os.close(fd)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return stat.S_ISDIR(status.st_mode)


def _make_link(folder: TrialFolder, text: str, name: str) -> None:
    os.symlink(text, name, dir_fd=folder.fd)
    status = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
    _set_back(folder, name, status)


def _set_back(folder: TrialFolder, name: str, status: os.stat_result) -> None:
    times = (PAST_NS, status.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=folder.fd, follow_symlinks=False)


def _is_touched(status: os.stat_result) -> bool:
    return status.st_atime_ns != PAST_NS
