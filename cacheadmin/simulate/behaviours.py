"""How `uv cache prune` behaves, release by release: switches with a range each.

Read in the sources of every tag up to 0.12.5 (crates/uv-cache/src/lib.rs
`prune` and `find_archive_references`, crates/uv-distribution/src/source/mod.rs
`prune`) and compared with real binaries by ``test_simulate_differential``;
see docs/uv-prune-by-release.md.
"""

from __future__ import annotations

from enum import Enum

from cacheadmin.errors import WrongUsage
from cacheadmin.uv.releases import Release, parse_release
from cacheadmin.values import frozen


class References(Enum):
    """Which links keep an archive from being deleted.

    ``EVERY_LINK``: any symlink in any bucket of the release, archives too.
    ``WHEEL_NAMES``: entries of any bucket whose name is a wheel's stem.
    ``LAST_PART_WITHOUT_DOT``: as before, but in the wheels bucket names with a
    ``-`` and no ``.`` after the last one (the bug of 0.6.4 to 0.7.3: names
    with several platform tags were not counted).
    ``ALL_BUT_ARCHIVES``: any entry outside the archive bucket, by its ending.
    ``SOURCES_AND_WHEELS``: symlinks in these two buckets only.
    """

    EVERY_LINK = 1
    WHEEL_NAMES = 2
    LAST_PART_WITHOUT_DOT = 3
    ALL_BUT_ARCHIVES = 4
    SOURCES_AND_WHEELS = 5


class CiSources(Enum):
    """What ``--ci`` removes from source distributions."""

    LINKS = 1
    FOLDERS_AND_LINKS = 2
    ALL_BUT_WHEELS_AND_METADATA = 3


class CleanedArchives(Enum):
    """Which archives `cache clean PACKAGE` deletes, beside the package's own folders.

    ``NONE``: none. ``LISTED``: entries of the archive bucket that lost their last
    reference. ``UNLINKED_ANYWHERE``: whatever lost its last reference, also
    outside the cache. ``UNLINKED``: the same, in the archive bucket.
    """

    NONE = 1
    LISTED = 2
    UNLINKED_ANYWHERE = 3
    UNLINKED = 4


@frozen
class Behaviour:
    """One release's prune, and its `cache clean PACKAGE`."""

    spares_lock: bool
    """Whether ``.lock`` in the cache's root is kept."""
    revision_files: int
    """How many revision files of a folder count.

    0: superseded revisions stay. 1: only the first revision file. 2: both.
    """
    bad_revision_file_fails: bool
    """Whether a revision pointer that it can't read ends the prune with an error."""
    removes_environments: bool
    """Whether all cached environments are removed, in use or not."""
    environments_after_archives: bool
    """Whether that comes after the archives: links in environments still count then."""
    ci: CiSources | None
    """What ``--ci`` removes from source distributions; None: it has no ``--ci``."""
    ci_needs_sources: bool
    """Whether ``--ci`` fails where there is no source-distribution bucket."""
    follows_links_out: bool
    """Whether it follows links and removes what they lead to, outside the cache too."""
    references: References
    """Which links keep an archive from being deleted."""
    fails_on_dangling_pointers: bool
    """Whether a counted link that leads nowhere ends the prune with an error."""
    python_is_strange: bool
    """Whether its own ``python-v*`` bucket is deleted by mistake."""
    empties_builds: bool
    """Whether its ``builds-v*`` is emptied, before the archives."""
    sweeps_files: bool
    """Whether files in its ``files-v*`` that no archive shares are removed.

    Folders without files are removed with them.
    """
    revision_id_length: int | None
    """The only length of a revision's id that it can read, in characters; None: any."""
    revision_fields: int
    """The most fields of a revision pointer's array that it can read.

    A pointer with more is one that it can't read.
    """
    can_force: bool
    """Whether it has ``--force``, which goes on without uv's lock."""
    cleaned_archives: CleanedArchives
    """Which archives `cache clean PACKAGE` deletes."""
    simple_index_folder: str
    """Folder in ``simple-v*`` where `clean` looks for listings of indexes other than PyPI."""


def behaviour_of(version: str) -> Behaviour:
    """Return how a release prunes. Raises WrongUsage for one that has no prune."""
    release = parse_release(version)
    if release is None:
        raise WrongUsage(f"{version!r} is no uv release: write three numbers, such as 0.8.19")
    if release < (0, 1, 24):
        raise WrongUsage(f"uv {version} has no `cache prune`: it came with 0.1.24")
    return Behaviour(
        spares_lock=release >= (0, 8, 19),
        revision_files=_revision_files(release),
        bad_revision_file_fails=release < (0, 4, 14),
        removes_environments=release >= (0, 2, 22),
        environments_after_archives=release < (0, 2, 28),
        ci=_ci(release),
        ci_needs_sources=release < (0, 11, 21),
        follows_links_out=release < (0, 11, 20),
        references=_references(release),
        fails_on_dangling_pointers=release < (0, 2, 28),
        python_is_strange=release < (0, 11, 21),
        empties_builds=release >= (0, 12, 24),
        sweeps_files=release >= (0, 12, 8),
        revision_id_length=16 if (0, 11, 9) <= release < (0, 11, 11) else None,
        revision_fields=3 if release >= (0, 12, 0) else 2,
        can_force=release >= (0, 8, 20),
        cleaned_archives=_cleaned_archives(release),
        simple_index_folder="index" if release >= (0, 2, 28) else "url",
    )


def _revision_files(release: Release) -> int:
    if release < (0, 4, 7):
        return 0
    return 1 if release < (0, 6, 13) else 2


def _ci(release: Release) -> CiSources | None:
    for since, behaviour in (
        ((0, 6, 0), CiSources.ALL_BUT_WHEELS_AND_METADATA),
        ((0, 4, 11), CiSources.FOLDERS_AND_LINKS),
        ((0, 2, 29), CiSources.LINKS),
    ):
        if release >= since:
            return behaviour
    return None


def _cleaned_archives(release: Release) -> CleanedArchives:
    for since, behaviour in (
        ((0, 11, 20), CleanedArchives.UNLINKED),
        ((0, 7, 9), CleanedArchives.UNLINKED_ANYWHERE),
        ((0, 4, 2), CleanedArchives.LISTED),
    ):
        if release >= since:
            return behaviour
    return CleanedArchives.NONE


def _references(release: Release) -> References:
    for since, behaviour in (
        ((0, 7, 9), References.SOURCES_AND_WHEELS),
        ((0, 7, 4), References.ALL_BUT_ARCHIVES),
        ((0, 6, 4), References.LAST_PART_WITHOUT_DOT),
        ((0, 6, 0), References.WHEEL_NAMES),
    ):
        if release >= since:
            return behaviour
    return References.EVERY_LINK
