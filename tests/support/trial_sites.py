"""Small caches with an environment that links to them, for what happens to tripwires.

with trial_site(folder) as site:
    site.put_on_trial()
    site.use()                       # a lookup through the environment's link
    site.watch()                     # what the next run, or the guard, does
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cacheadmin.evidence.idleness import HostTime
from cacheadmin.evidence.steady_time import host_time
from cacheadmin.inventory.cache_folder import OpenCache, open_cache
from cacheadmin.text.timestamps import NANOSECONDS
from cacheadmin.trial.ledger import Trial
from cacheadmin.trial.trials import Rules, Trials, Watched, nobody_named, open_trials

DAY_NS = 86_400 * NANOSECONDS
RULES = Rules(lasts_ns=30 * DAY_NS)
ENTRY = "archive-v0/Zx3-kPq_9aBcDeFg"


@dataclass
class TrialSite:
    """A cache, one archive in it, and an environment outside that links to it."""

    folder: Path
    cache: OpenCache
    trials: Trials

    @property
    def path(self) -> Path:
        """The cache."""
        return Path(self.cache.identity.path)

    @property
    def link(self) -> Path:
        """A link of the environment, into the archive."""
        return self.folder / "env" / "site-packages" / "pkg" / "__init__.py"

    def use(self) -> None:
        """Look at the archive as the environment's user does. Raises OSError when it is gone."""
        os.stat(self.link)

    def put_on_trial(self, *entries: str, since_ns: int | None = None) -> None:
        """Put entries (or the one archive) on trial as a run does; the host has run ever since."""
        ago_ns = 0 if since_ns is None else time.time_ns() - since_ns
        since_ns = time.time_ns() if since_ns is None else since_ns
        self.trials.here = lambda: _earlier(host_time(), ago_ns)
        wanted = entries or (ENTRY,)
        trials = [Trial(entry, "run", since_ns, since_ns + RULES.lasts_ns) for entry in wanted]
        assert self.trials.prepare(trials, since_ns) == {}
        for entry in wanted:
            self.trials.plant(entry)
        self.trials.here = host_time

    def watch(self, rules: Rules = RULES) -> Watched:
        """Do what the next run does first: mend, then look at all tripwires."""
        self.trials.mend()
        return self.trials.watch(time.time_ns, rules, nobody_named)

    def watch_after(self, days: int) -> Watched:
        """Do so when days have passed in which the host ran, counted from the real time."""
        later_ns = days * DAY_NS
        self.trials.here = lambda: _earlier(host_time(), -later_ns)
        self.trials.mend()
        return self.trials.watch(lambda: time.time_ns() + later_ns, RULES, nobody_named)


def _earlier(now: HostTime, ago_ns: int) -> HostTime:
    return replace(now, uptime_ns=now.uptime_ns - ago_ns, running_ns=now.running_ns - ago_ns)


@contextmanager
def trial_site(folder: Path) -> Iterator[TrialSite]:
    """Lay a site out in an empty folder, and open it."""
    lay_out(folder)
    with opened_site(folder) as site:
        yield site


def lay_out(folder: Path) -> None:
    """Make a cache with one archive, and an environment that links to it."""
    cache = folder / "cache"
    add_archive(cache, ENTRY)
    (cache / "CACHEDIR.TAG").touch()
    (cache / ".gitignore").write_text("*")
    link = folder / "env" / "site-packages" / "pkg" / "__init__.py"
    link.parent.mkdir(parents=True)
    link.symlink_to(cache / ENTRY / "pkg" / "__init__.py")


def add_archive(
    cache: Path, entry: str, package: str = "pkg", requires: tuple[str, ...] = ()
) -> Path:
    """Make an archive of a wheel by hand; return its path."""
    archive = cache / entry
    (archive / package).mkdir(parents=True)
    (archive / package / "__init__.py").write_text("x = 1\n")
    info = archive / f"{package}-1.0.dist-info"
    info.mkdir()
    lines = [f"Name: {package}", "Version: 1.0", *(f"Requires-Dist: {name}" for name in requires)]
    (info / "METADATA").write_text("\n".join(lines) + "\n\n")
    return archive


@contextmanager
def opened_site(folder: Path) -> Iterator[TrialSite]:
    """Open a site that was laid out before."""
    with open_cache(str(folder / "cache")) as cache, open_trials(cache) as trials:
        yield TrialSite(folder, cache, trials)
