"""The sources of evidence, one module each; ``SOURCES`` lists them in the order they are asked.

The plan and the last look before the moves both go through this list, so a
source is one file and one line. Order matters little, with one exception:
processes and lock holders first, because what runs from an environment that
nothing else names makes it known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.evidence.sources.below_cache import BelowCache
from cacheadmin.evidence.sources.cached_environments import CachedEnvironments
from cacheadmin.evidence.sources.discover import Discover
from cacheadmin.evidence.sources.homes import Homes
from cacheadmin.evidence.sources.include import Include
from cacheadmin.evidence.sources.interpreter_records import InterpreterRecords
from cacheadmin.evidence.sources.lock_holders import LockHolders
from cacheadmin.evidence.sources.mounts import Mounts
from cacheadmin.evidence.sources.named_in_files import NamedInFiles
from cacheadmin.evidence.sources.observed_hosts import ObservedHosts
from cacheadmin.evidence.sources.other_hosts import OtherHosts
from cacheadmin.evidence.sources.paths_of_hosts import PathsOfHosts
from cacheadmin.evidence.sources.pins import Pins
from cacheadmin.evidence.sources.pointers import Pointers
from cacheadmin.evidence.sources.processes import Processes
from cacheadmin.evidence.sources.registry import Registry
from cacheadmin.evidence.sources.remembered import Remembered
from cacheadmin.evidence.sources.stopped_containers import StoppedContainers
from cacheadmin.evidence.sources.tools import Tools

if TYPE_CHECKING:
    from cacheadmin.evidence.look import Source

SOURCES: tuple[Source, ...] = (
    Processes(),
    LockHolders(),
    Pointers(),
    CachedEnvironments(),
    Pins(),
    Registry(),
    Include(),
    Discover(),
    Homes(),
    Tools(),
    NamedInFiles(),
    Mounts(),
    BelowCache(),
    InterpreterRecords(),
    Remembered(),
    StoppedContainers(),
    OtherHosts(),
    ObservedHosts(),
    PathsOfHosts(),
)
