"""Who a spring may have been: the processes that use the entry at that moment.

A tripwire tells that a process came, not which. One that came a minute ago may
still be there: a process that maps a file of the entry, has it open or works in
it. That none is found is no surprise: most uses last a second.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from cacheadmin.evidence.processes import read_processes
from cacheadmin.evidence.targets import CacheLocator
from cacheadmin.text.accounts import account_name

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.trial.trials import Who

# A report names so many; one account may start thousands.
_NAMED = 5


def witnesses(cache: OpenCache, aliases: Collection[str]) -> Who:
    """Return what names the processes that use some entries of a cache now."""

    def who(entries: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        locator = CacheLocator(cache.identity, os.listdir(cache.fd), aliases=aliases)
        processes, _ = read_processes(locator)
        wanted = frozenset(entries)
        found: dict[str, list[str]] = defaultdict(list)
        for process in processes:
            words = f"process {process.pid} of {account_name(process.uid)} ({process.command})"
            for use in process.uses:
                if use.entry in wanted and len(found[use.entry]) < _NAMED:
                    found[use.entry].append(words)
        return {entry: tuple(dict.fromkeys(words)) for entry, words in found.items()}

    return who
