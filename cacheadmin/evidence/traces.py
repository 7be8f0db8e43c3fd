"""Which accounts left traces in a cache: owners of what lies in it."""

from __future__ import annotations

import pwd
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cacheadmin.evidence.look import Look


def accounts_with_traces(look: Look) -> frozenset[int]:
    """Return the uids that own archives, pointers, records, or temporary folders.

    So do those that registered an environment, run a program from the cache, or
    had an environment when it was last seen. A program that runs from an
    environment without an owner knows of no cache: what that links to tells. Files
    that any user may own (locks) tell as little as the root folder.
    """
    inventory = look.inventory
    uids = {archive.uid for archive in inventory.archives.values()}
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


def homes_of_accounts(look: Look) -> dict[str, int]:
    """Return the home folders of this host's accounts, and of those that left traces.

    Directory services answer for one account, but seldom list all of them.
    """
    homes = {entry.pw_dir: entry.pw_uid for entry in pwd.getpwall() if _is_a_home(entry.pw_dir)}
    for uid in accounts_with_traces(look):
        try:
            home = pwd.getpwuid(uid).pw_dir
        except (KeyError, OverflowError):
            continue
        if _is_a_home(home):
            homes[home] = uid
    return homes


def _is_a_home(folder: str) -> bool:
    return folder.startswith("/") and folder.strip("/") != ""
