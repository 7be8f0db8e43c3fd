"""What is wrong with one environment, as plain facts. Pure.

Two things break an environment in different ways. A *lost* file is a link
into a cache that leads nowhere: the archive went, or only some files of it, or
that cache is not there. An *absent* file is one that ``RECORD`` names and that
is not there at all, whatever the link mode: an installation that was cut
short, or somebody's ``rm``. Hardlinked, cloned and copied files never get lost
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
    """One installed distribution with files that are not there.

    ``name`` and ``version`` are those of its ``*.dist-info`` folder, since
    METADATA itself may be lost; both "" for links that no RECORD claims.
    ``site`` is the folder it is installed in. ``lost`` and ``absent`` are
    absolute paths. ``archives`` are the entries (``archive-v0/<id>``) that the
    lost links name. ``origin`` is what ``direct_url.json`` says, None where
    the package came from an index, or where that file can't be read. ``uids``
    own the folder of its metadata and that file: whoever owns those has a say
    in what a repair installs.
    """

    name: str
    version: str
    site: str
    lost: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()
    origin: Mapping[str, object] | None = None
    uids: frozenset[int] = frozenset()

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
    """What a look at every file of one environment found.

    ``path`` is the environment without any link on the way to it (unless it
    is itself a link that leads nowhere); commands work on that.
    ``uid`` owns it. ``installed`` maps normalised names to versions.
    ``python`` is the ``X.Y`` of its packages, "" where unknown;
    ``interpreter_missing`` says that its own Python leads nowhere.
    ``dangling_target`` is set when the environment is itself a link into the
    cache that leads nowhere. ``partly`` are archives that are there while
    files of them are not. ``mode`` is how most of it is linked. ``config`` is
    its ``pyvenv.cfg``, ``sites`` are its folders of packages, ``problems`` what
    could not be looked at.
    """

    environment: Environment
    path: str
    uid: int
    damaged: tuple[Damaged, ...]
    mode: LinkMode
    installed: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    interpreter_missing: bool = False
    dangling_target: str = ""
    partly: frozenset[str] = frozenset()
    config: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
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
