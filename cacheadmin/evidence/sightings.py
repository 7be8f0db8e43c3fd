"""What accumulates while one environment is scanned, and how a link is noted."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass, field

from cacheadmin.evidence.archive_names import ArchiveNames
from cacheadmin.evidence.facts import InstalledUv, LinkMode
from cacheadmin.evidence.targets import CacheLocator, Located, TargetPlace
from cacheadmin.fs.held_folder import below_unfollowed, is_gone_from
from cacheadmin.fs.resolution import resolve
from cacheadmin.fs.small_files import failure
from cacheadmin.inventory.entries import ArchiveId, archive_in

# Real environments have the links to their Python, and hardly any other.
MOST_OUTWARD = 64


@dataclass(slots=True)
class Sightings:
    """All that was seen of one environment.

    ``stamped``, ``spellings`` and ``unsettled`` are for its stamp (``evidence.stamps``), by
    which a later look tells that it is unchanged.
    """

    locator: CacheLocator
    """What tells whether a path leads into this cache."""
    archive_names: ArchiveNames
    """What tells which names an archive holds."""
    modes: dict[LinkMode, int] = field(default_factory=dict)
    """How many installed distributions are linked in each mode."""
    archives: set[ArchiveId] = field(default_factory=set)
    """Archives of this cache that links or texts lead to."""
    explained: set[ArchiveId] = field(default_factory=set)
    """Archives that the metadata of an installed distribution is linked to."""
    hardlinked: set[ArchiveId] = field(default_factory=set)
    """Archives whose metadata an installed distribution has by hardlinks."""
    copied: set[str] = field(default_factory=set)
    """Installed distributions (``six==1.16.0``) that share no inode with the cache."""
    commits: set[str] = field(default_factory=set)
    """Git commits that distributions were built from, by their ``direct_url.json``."""
    entries: set[str] = field(default_factory=set)
    """Other entries of this cache that links or texts lead to."""
    links: int = 0
    """How many links into any cache were seen."""
    foreign: int = 0
    """How many of them lead into another cache."""
    broken: int = 0
    """How many of them lead into this cache, and nowhere."""
    broken_packages: set[str] = field(default_factory=set)
    """Normalized names of packages whose metadata is such a link."""
    installed_uv: list[InstalledUv] = field(default_factory=list)
    """uv releases that are installed as packages."""
    watched: dict[str, int] = field(default_factory=dict)
    """Modification time (ns) of each folder that was listed, by its path."""
    changed_ns: int = 0
    """Newest modification time of ``pyvenv.cfg`` and site-packages; 0: none is known."""
    problems: list[str] = field(default_factory=list)
    """What could not be read, each in words."""
    names: list[str] = field(default_factory=list)
    """What each distribution adds to the fingerprint: name, link's text and file's time."""
    look_further: bool = False
    """Whether a link into the cache has no explanation, so that every link must be looked at."""
    home: str = ""
    """Absolute path of the environment."""
    stamped: list[str] = field(default_factory=list)
    """What would change with the answer: absolute paths, or relative to the environment."""
    spellings: set[str] = field(default_factory=set)
    """How links spell the cache's buckets."""
    unsettled: bool = False
    """Whether the answer rests on what lies outside of the environment, and may change alone."""
    has_changed: bool = False
    """Whether a part of it went during this look."""
    outward: set[str] = field(default_factory=set)
    """Texts of links that do not lead straight into the cache: `MOST_OUTWARD` and one at most."""

    def changed(self, moment_ns: int) -> None:
        """Note a time of change; the newest counts."""
        self.changed_ns = max(self.changed_ns, moment_ns)

    @property
    def unexplained(self) -> set[ArchiveId]:
        """Archives that no distribution's own metadata leads to."""
        return self.archives - self.explained

    def is_gone_from_it(self, path: str) -> bool:
        """Whether something is not there, of the environment's own folder, which is."""
        return path.startswith(f"{self.home}/") and is_gone_from(self.home, path)

    def note_gone(self) -> None:
        """Note that a part went during this look.

        What came in its place may have been passed by: later looks take it for changed.
        """
        self.unsettled = self.has_changed = True

    def note_link(self, path: str, folder: str) -> Located | None:
        """Note where a link leads, ``path`` in ``folder``; None for what is no link."""
        target = self._text_of(path)
        if target is None:
            return None
        return self.note_target(path, folder, target)

    def _text_of(self, path: str) -> str | None:
        """Return what a link says; None for what is none, or gone.

        One that can't be read is a problem of its environment: it may lead anywhere.
        """
        try:
            return os.readlink(below_unfollowed(path))
        except OSError as error:
            problem = failure(path, error)
            # What is no link is EINVAL.
            if error.errno != errno.EINVAL and not problem.missing:
                self.problems.append(f"{path} can't be read: {problem.reason}")
            return None

    def note_target(self, path: str, folder: str, target: str) -> Located:
        """Note where a link leads whose text was read already."""
        located = self.locator.follow(target, folder)
        self.note_way(located, target)
        if located.place is TargetPlace.FOREIGN:
            self.links += 1
            self.foreign += 1
        if located.entry is None:
            return located
        self.links += 1
        self._note_entry(located.entry)
        if self.locator.is_gone(located, path, target):
            self.broken += 1
        return located

    def note_unexplained(self, path: str, folder: str) -> Located | None:
        """Note a link only if it leads into the cache, and not where metadata leads anyway."""
        target = self._text_of(path)
        if target is None:
            return None
        located = self.locator.follow(target, folder)
        self.note_way(located, target)
        entry = located.entry
        if entry is None:
            return located
        if archive_in(entry) not in self.explained:
            self.note_target(path, folder, target)
            self.look_further = True
        return located

    def note_path(self, text: str, folder: str) -> Located:
        """Note a path that some file's text names, read in ``folder``."""
        located = self.locator.follow(text, folder)
        self.note_way(located, text)
        entry = located.entry
        if entry is not None:
            # A whole environment is one that the reader builds on, with all it links.
            archive = archive_in(entry)
            if archive is not None and "pyvenv.cfg" not in self.archive_names.names(archive):
                self.archives.add(archive)
            else:
                self.entries.add(entry)
        return located

    def note_way(self, located: Located, text: str) -> None:
        """Note on what it rests that a link, or a path in a file, leads where it does."""
        if located.spelling:
            self.spellings.add(located.spelling)
            return
        self.note_outward(text)
        if located.place is not TargetPlace.ELSEWHERE:
            self.unsettled = True

    def note_outward(self, text: str) -> None:
        """Note the text of a link that does not lead straight into the cache."""
        if len(self.outward) <= MOST_OUTWARD:
            self.outward.add(text)

    def note_folder_behind(self, folder: str) -> None:
        """Note a folder that a link leads to: one elsewhere has times of its own."""
        if not f"{resolve(folder)}/".startswith(f"{self.home}/"):
            self.unsettled = True

    def _note_entry(self, entry: str) -> None:
        archive = archive_in(entry)
        if archive is None:
            self.entries.add(entry)
        else:
            self.archives.add(archive)

    def fingerprint(self) -> str:
        """Return what changes when an installed distribution, or an archive in use, does."""
        digest = hashlib.blake2b(digest_size=8)
        for name in sorted((*self.names, *self.unexplained)):
            digest.update(os.fsencode(name) + b"\n")
        return digest.hexdigest()
