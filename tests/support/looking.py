"""Looking at a real cache and real environments as the program does, in this process.

with looking_at(cache_path) as look:
    look.inventory, look.scan(environment)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cacheadmin.evidence.environments import Candidate, ScanOptions, scan_environment
from cacheadmin.evidence.facts import Environment, EnvironmentKind
from cacheadmin.evidence.questions import inodes_for, locator_for
from cacheadmin.inventory.entries import Inventory
from cacheadmin.inventory.reader import OpenCache, open_cache, read_inventory
from cacheadmin.policy.model import Policy


@dataclass
class Look:
    """An open cache with its inventory."""

    cache: OpenCache
    inventory: Inventory
    policy: Policy

    def scan(
        self,
        path: str | os.PathLike[str],
        *,
        deep: bool = False,
        kind: EnvironmentKind = EnvironmentKind.VENV,
        report_clones: bool = False,
    ) -> Environment:
        """Scan one environment."""
        return scan_environment(
            Candidate(os.fspath(path), kind, ("test",)),
            locator_for(self.policy, self.inventory),
            inodes_for(self.inventory),
            ScanOptions(deep=deep, report_clones=report_clones),
        )

    def packages(self, environment: Environment) -> set[str | None]:
        """Return the packages whose archives an environment links."""
        return {self.inventory.archives[one].package for one in environment.archives}


@contextmanager
def looking_at(path: Path, *, aliases: tuple[str, ...] = ()) -> Iterator[Look]:
    """Open a cache and read it."""
    policy = Policy(version=1, name="test", cache=str(path), aliases=aliases)
    with open_cache(str(path)) as cache:
        yield Look(cache, read_inventory(cache), policy)
