"""Which accounts left traces in a cache: owners of what lies in it.

A container of an account's own writes with numbers that were given to that account
for its containers (subuid(5)): those are traces of the account.
"""

from __future__ import annotations

import pwd
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cacheadmin.fs.small_files import ReadFailure, read_file_and_status

if TYPE_CHECKING:
    from cacheadmin.evidence.look import Look

_SUBUID = "/etc/subuid"
_SUBUID_BYTES = 1024 * 1024


def accounts_with_traces(look: Look) -> frozenset[int]:
    """Return the uids that own archives, pointers, records, or temporary folders.

    What is on trial counts: else the home of its owner would not be looked for any more.
    So do those that registered an environment, run a program from the cache, or
    had an environment when it was last seen. A program that runs from an
    environment without an owner knows of no cache: what that links to tells. Files
    that any user may own (locks) tell as little as the root folder.
    """
    inventory = look.inventory
    uids = {archive.uid for archive in inventory.archives.values()}
    uids |= {one.uid for one in inventory.on_trial.values()}
    uids |= {write.uid for bucket in inventory.buckets for write in bucket.writes}
    uids |= {build.uid for build in inventory.builds}
    uids |= {environment.uid for environment in inventory.environments}
    uids |= {stray.uid for stray in inventory.strays}
    uids |= {
        one.registrant
        for one in look.found
        if one.registrant is not None and one.sources != ("process",)
    }
    uids |= {process.uid for process in look.processes if process.uses}
    uids |= {memory.uid for memory in look.known if memory.uid is not None}
    return frozenset(uid for uid in uids if uid >= 0)


def holders_of_traces(look: Look) -> frozenset[int]:
    """Return the same, numbers that accounts have for their containers as those accounts."""
    ranges = tuple(_subordinate_ranges())
    return frozenset(_account(uid, ranges) for uid in accounts_with_traces(look))


def _account(uid: int, ranges: tuple[tuple[range, int], ...]) -> int:
    """Return the account that a number was given to; the number itself where it has a name."""
    if ranges and not _has_name(uid):
        return next((owner for numbers, owner in ranges if uid in numbers), uid)
    return uid


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except (KeyError, OverflowError):
        return False
    return True


def _subordinate_ranges() -> Iterator[tuple[range, int]]:
    """Yield the numbers that accounts of this host have for their containers."""
    found = read_file_and_status(_SUBUID, _SUBUID_BYTES)
    if isinstance(found, ReadFailure) or found[1].st_uid != 0:
        return
    for line in found[0].decode("utf-8", "replace").splitlines():
        name, *numbers = line.strip().split(":")
        if len(numbers) != 2 or not all(one.isdecimal() for one in numbers):
            continue
        try:
            owner = int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
        first, count = map(int, numbers)
        yield range(first, first + count), owner


def homes_of_accounts(look: Look) -> dict[str, int]:
    """Return the home folders of this host's accounts, and of those that left traces.

    Directory services answer for one account, but seldom list all of them.
    """
    homes = {entry.pw_dir: entry.pw_uid for entry in pwd.getpwall() if _is_a_home(entry.pw_dir)}
    for uid in holders_of_traces(look):
        try:
            home = pwd.getpwuid(uid).pw_dir
        except (KeyError, OverflowError):
            continue
        if _is_a_home(home):
            homes[home] = uid
    return homes


def _is_a_home(folder: str) -> bool:
    return folder.startswith("/") and folder.strip("/") != ""
