"""Which past runs still hold what environments miss.

Only a run of ours can be undone. What any uv's own prune deleted is gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cacheadmin.errors import CacheadminError
from cacheadmin.fs.small_files import open_directory
from cacheadmin.prune.moves import ENTRIES
from cacheadmin.prune.quarantine import existing_quarantine
from cacheadmin.prune.runs import list_runs
from cacheadmin.trial.trials import trials_or_none
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.policy.model import Policy


@frozen
class RestorableRun:
    """A run that can be restored."""

    run_id: str
    """The run's id."""
    begun_at: str
    """When it began (RFC 3339)."""
    entries: frozenset[str]
    """Which of the missed entries it holds, relative to the cache."""


def holdings(
    policy: Policy, cache: OpenCache, missed: Iterable[str]
) -> tuple[tuple[RestorableRun, ...], str]:
    """Return the runs that hold some of ``missed`` (relative paths), and what kept us from looking.

    The newest run first. A quarantine that the caller may not enter is no
    error: the reason is returned, else "".
    """
    wanted = frozenset(missed)
    if not wanted:
        return (), ""
    found = []
    try:
        with existing_quarantine(policy, cache) as quarantine:
            if quarantine is None:
                return (), ""
            with trials_or_none(cache) as trials:
                runs = list(list_runs(quarantine, cache.identity, trials))
            for run in runs:
                if not run.restorable:
                    continue
                run_fd = quarantine.open_run(run.run_id)
                try:
                    held = _held(run_fd, wanted)
                finally:
                    os.close(run_fd)
                # On trial, and a user removed its tripwire.
                held |= wanted.intersection(trial.entry for trial in run.on_trial)
                if held:
                    found.append(RestorableRun(run.run_id, run.begun_at, held))
    except CacheadminError as error:
        return (), error.message
    except OSError as error:
        return (), error.strerror or type(error).__name__
    return tuple(reversed(found)), ""


def _held(run_fd: int, wanted: frozenset[str]) -> frozenset[str]:
    try:
        fd = open_directory(ENTRIES, run_fd)
    except OSError:
        return frozenset()
    try:
        return frozenset(entry for entry in wanted if _is_folder(entry, fd))
    finally:
        os.close(fd)


def _is_folder(entry: str, fd: int) -> bool:
    try:
        os.stat(f"{entry}/.", dir_fd=fd)
    except OSError:
        return False
    return True
