"""Why deleted files are still there on NFS: who has them open, in words that can be acted on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cacheadmin.evidence.open_files import opened_by
from cacheadmin.text.accounts import account_name
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.fs.removal import Removed, StillOpen

_GOES_ON = "it goes when it is closed and this is purged again, by hand or by a later prune"
_UNKNOWN = (
    "a process of this host has it open, and can't be seen by this account (root sees it); "
    + _GOES_ON
)


def undeleted(removed: Removed) -> list[tuple[str, str]]:
    """Return (path, why) of everything that a removal left, also what is still open."""
    return [*removed.failures, *kept_open(removed.still_open)]


def kept_open(left: Sequence[StillOpen]) -> list[tuple[str, str]]:
    """Return (path, why it is still there), one for each process that has files open."""
    if not left:
        return []
    paths = {one.identity: one.path for one in left}
    told: list[tuple[str, str]] = []
    explained: set[str] = set()
    for process in opened_by(list(paths)):
        mine = sorted(paths[identity] for identity in process.files)
        explained.update(mine)
        who = f"process {process.pid} of {account_name(process.uid)} on this host"
        why = f"{who} has it open ({process.command}); {_GOES_ON}"
        told.append((_named(mine), why))
    others = sorted(set(paths.values()) - explained)
    return [*told, (_named(others), _UNKNOWN)] if others else told


def _named(paths: Sequence[str]) -> str:
    first, *more = paths
    return f"{first} and {format_count(len(more), 'other file')}" if more else first
