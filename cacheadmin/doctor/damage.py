"""What is wrong with one environment, as plain facts. Pure.

Two things break an environment in different ways. A *lost* file is a link
into a cache that leads nowhere: the archive went, or only some files of it, or
that cache is not there. An *absent* file is one that ``RECORD`` names and that
is not there at all, whatever the link mode: an installation that was cut
short, or a user's ``rm``. Hardlinked, cloned and copied files never get lost
with the cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from cacheadmin.evidence.facts import Environment, LinkMode
from cacheadmin.values import frozen

# What keeps a package from being imported when it is not there.
_CODE = (".py", ".so", ".pyd", "/METADATA")


@frozen
class Damaged:
    """One installed distribution with files that are not there."""

    name: str
    """The name in its ``*.dist-info`` folder's name; "" for links that no RECORD claims.

    Not METADATA's name: METADATA itself may be lost.
    """
    version: str
    """The version in that folder's name; "" for links that no RECORD claims."""
    site: str
    """Absolute path of the folder that it is installed in."""
    lost: tuple[str, ...] = ()
    """Absolute paths of its links into a cache that lead nowhere."""
    absent: tuple[str, ...] = ()
    """Absolute paths of files that RECORD names and that are not there."""
    archives: tuple[str, ...] = ()
    """Entries (``archive-v0/<id>``) that the lost links name; "" stands for another cache."""
    origin: Mapping[str, object] | None = None
    """What ``direct_url.json`` says; None: it has none, the package came from an index.

    Empty where that file can't be read: the origin is unknown.
    """
    uids: frozenset[int] = frozenset()
    """Owners of its metadata folder and of ``direct_url.json``.

    Each of them has a say in what a repair installs.
    """

    @property
    def keeps_from_importing(self) -> bool:
        """Whether code is among the absent files, not just data or documents."""
        return any(path.endswith(_CODE) for path in self.absent)

    @property
    def title(self) -> str:
        """``six 1.16.0``, for people."""
        return f"{self.name} {self.version}".strip() or "files of no known package"


@frozen
class Examination:
    """What a look at every file of one environment found."""

    environment: Environment
    """The environment as the scan saw it."""
    path: str
    """Its absolute path, without any link on the way, for use in commands.

    One that is itself a link that leads nowhere keeps its last name.
    """
    uid: int
    """Its owner."""
    damaged: tuple[Damaged, ...]
    """Distributions with files that are not there, by folder and name."""
    mode: LinkMode
    """How most of it is linked; ``symlink`` where links were lost."""
    installed: Mapping[str, str] = field(default_factory=dict)
    """Versions of its distributions, by normalised name."""
    python: str = ""
    """The ``X.Y`` of its packages (``pypy3.10`` for PyPy); "" where unknown."""
    interpreter_missing: bool = False
    """Whether its own Python leads nowhere."""
    dangling_target: str = ""
    """The entry that the environment leads to, where it is itself a dangling link.

    Empty for all others.
    """
    partly: frozenset[str] = frozenset()
    """Entries that are there while files of them are not."""
    config: Mapping[str, str] = field(default_factory=dict)
    """The values of its ``pyvenv.cfg``; empty where it has none that can be read."""
    problems: tuple[str, ...] = ()
    """What could not be looked at, a clause each."""
    sites: tuple[str, ...] = ()
    """Absolute paths of its folders of packages."""
    other_caches: Mapping[str, int] = field(default_factory=dict)
    """Caches that are not this one: how many links into each lead nowhere."""
    other_names: Mapping[str, int] = field(default_factory=dict)
    """Names by which links call this cache and that lead nowhere here: how many links each."""

    @property
    def lost(self) -> tuple[Damaged, ...]:
        """Distributions with links that lead nowhere."""
        return tuple(one for one in self.damaged if one.lost)

    @property
    def half_installed(self) -> tuple[Damaged, ...]:
        """Distributions that only lack files RECORD names."""
        return tuple(one for one in self.damaged if one.absent and not one.lost)

    @property
    def lost_entries(self) -> frozenset[str]:
        """Cache entries whose files are missed."""
        found = {entry for one in self.damaged for entry in one.archives if entry}
        return frozenset(found | ({self.dangling_target} if self.dangling_target else set()))

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong with it."""
        return not (self.damaged or self.interpreter_missing or self.dangling_target)
